#include "tests/contract/ground.h"

#include <check.h>
#include <librdkafka/rdkafka.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ADMIN_MS = 20000 };

static bool kafka;
static const char *place; /* directory or bootstrap address */
static pid_t broker;

bool ground_init(int argc, char **argv)
{
    kafka = argc == 4 && strcmp(argv[1], "kafka") == 0;
    if (!kafka && (argc != 3 || strcmp(argv[1], "embedded") != 0)) {
        fputs("usage: contract embedded DIRECTORY | contract kafka BOOTSTRAP PID\n", stderr);
        return false;
    }
    place = argv[2];
    broker = kafka ? (pid_t)strtol(argv[3], NULL, 10) : 0;
    return !kafka || broker > 1;
}

bool ground_is_kafka(void)
{
    return kafka;
}

struct sb_stream_options ground_options(const char *name, const char *direction)
{
    static char path[4096];
    static struct sb_kafka_setting settings[1];
    settings[0] = (struct sb_kafka_setting){"bootstrap.servers", place};
    snprintf(path, sizeof path, "%s/%s.%s.db", place, name, direction);
    return (struct sb_stream_options){.store = kafka ? SB_STORE_KAFKA : SB_STORE_EMBEDDED,
        .migration = name,
        .direction = direction,
        .path = path,
        .kafka = settings,
        .kafka_count = 1,
        .queue_max_bytes = 16 << 20};
}

static rd_kafka_t *admin_new(void)
{
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    ck_assert_int_eq(rd_kafka_conf_set(conf, "bootstrap.servers", place, why, sizeof why), RD_KAFKA_CONF_OK);
    rd_kafka_t *admin = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    ck_assert_msg(admin != NULL, "%s", why);
    return admin;
}

static void delete_records(const struct sb_stream_options *options, int64_t below)
{
    char topic[256];
    snprintf(topic, sizeof topic, "%s.%s", options->migration, options->direction);
    rd_kafka_t *admin = admin_new();
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, 0)->offset = below;
    rd_kafka_DeleteRecords_t *request = rd_kafka_DeleteRecords_new(list);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(admin);
    rd_kafka_DeleteRecords(admin, &request, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, ADMIN_MS);
    ck_assert(event != NULL && rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_DeleteRecords_destroy(request);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(admin);
}

void ground_trim(const struct sb_stream_options *options, struct sb_stream *writer, int64_t below)
{
    struct sb_stream_bounds bounds = {0};
    struct sb_err err;
    if (kafka)
        delete_records(options, below);
    for (int tries = 0; tries < 1000 && bounds.oldest < below; tries++) {
        ck_assert_msg(sb_stream_release(writer, below, 0, &err) == 0, "%s", err.text);
        poll(NULL, 0, 5); /* what was appended in this very millisecond is kept */
        ck_assert_msg(sb_stream_bounds(writer, &bounds, &err) == 0, "%s", err.text);
    }
    ck_assert_int_eq(bounds.oldest, below);
}

void ground_silence(void)
{
    ck_assert_int_eq(kill(broker, SIGSTOP), 0);
}

void ground_wake(void)
{
    ck_assert_int_eq(kill(broker, SIGCONT), 0);
}
