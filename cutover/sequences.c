#include "cutover/sequences.h"

#include "core/clock.h"
#include "core/fault.h"
#include "core/metrics.h"
#include "cutover/ask.h"
#include "cutover/keeper.h"

#include <signal.h>
#include <stdio.h>
#include <time.h>

static void publish(const struct sb_keeper_result *result)
{
    sb_metric_set(SB_M_SEQUENCES_KEPT, result->kept);
    sb_metric_set(SB_M_SEQUENCES_MISSING, result->missing);
    sb_metric_set(SB_M_SEQUENCES_UNKEPT, result->unkept);
    sb_metric_set(SB_M_SEQUENCES_TIGHT, result->tight);
    sb_metric_set(SB_M_SEQUENCES_ROGUE, result->rogue);
    sb_metric_set(SB_M_SEQUENCES_AHEAD, result->kept > 0 ? result->ahead : 0);
    sb_metric_set(SB_M_SEQUENCES_HEADROOM, result->headroom);
    sb_metric_add(SB_M_SEQUENCES_MOVES, result->moved);
    sb_metric_set(SB_M_SEQUENCES_TIME_US, sb_clock_wall_us());
    sb_report_state(SB_STATE_RUNNING, result->why[0] == '\0' ? NULL : result->why);
}

/* Until it is time, or there is a signal to stop, which is left for whoever takes it. */
static void pause_ms(int64_t wait_ms)
{
    int64_t until_ms = sb_clock_mono_ms() + wait_ms;
    while (!sb_ask_stopped() && sb_clock_mono_ms() < until_ms) {
        int64_t left_ms = until_ms - sb_clock_mono_ms();
        struct timespec a_little = {.tv_nsec = (left_ms < 100 ? left_ms : 100) * 1000000};
        nanosleep(&a_little, NULL);
    }
}

int sb_sequences_run(const struct sb_config *config, enum sb_direction direction, struct sb_err *err)
{
    struct sb_keeper *keeper = NULL;
    int rc = 0;
    (void)direction;
    if (!config->sequences.keep_ahead)
        return 0;
    if (sb_keeper_new(config, &keeper, err) != 0)
        return -1;
    while (rc == 0) {
        struct sb_keeper_result result;
        rc = sb_keeper_round(keeper, &result, err);
        if (rc == 0) {
            if (result.waits)
                sb_report_state(SB_STATE_WAITING, "the initial copy has not made the structure yet");
            else
                publish(&result);
            pause_ms(config->sequences.interval_ms);
            if (sb_ask_stopped())
                rc = sb_err_set(err, SB_E_SHUTDOWN, "told to stop");
        }
    }
    sb_keeper_free(keeper);
    return rc;
}
