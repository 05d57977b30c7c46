/*
 * Memory that cannot be had: allocation n fails, for every n. Each call must say SB-NO-MEMORY or do without,
 * and leak nothing either way (the sanitizer presets watch that). The linker puts the wrappers below in front
 * of every allocation of ours; those of libraries are their own.
 */
#include "config/config.h"
#include "core/arena.h"
#include "core/loop.h"

#include <check.h>
#include <stdlib.h>
#include <unistd.h>

enum { ALLOCATIONS_MAX = 20000 };

static long fail_at = -1; /* this one fails, counted from 0; negative: none */
static long allocations;
static int ends[2]; /* of a pipe, for a loop to watch */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);

static bool fails(void)
{
    return allocations++ == fail_at;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

/* Does it once whole and then with every allocation failing in turn. attempt: 0, or -1 with err. */
static void each_fails(int (*attempt)(struct sb_err *err), const char *what)
{
    struct sb_err err;
    long refused = 0, needed;
    fail_at = -1;
    allocations = 0;
    int whole = attempt(&err);
    needed = allocations; /* Check's own come behind */
    ck_assert_msg(whole == 0, "%s: %s", what, err.text);
    ck_assert_msg(needed > 0 && needed < ALLOCATIONS_MAX, "%s makes %ld allocations", what, needed);
    for (long n = 0; n < needed; n++) {
        sb_err_clear(&err);
        allocations = 0;
        fail_at = n;
        int done = attempt(&err);
        long reached = allocations;
        fail_at = -1;
        ck_assert_msg(reached > n, "%s: allocation %ld was not reached", what, n);
        ck_assert_msg(done == 0 || err.code == SB_E_NO_MEMORY, "%s: allocation %ld: %s: %s", what, n,
            sb_err_id(&err), err.text);
        refused += done < 0;
    }
    ck_assert_msg(refused > 0, "%s never needed memory", what);
}

/* -- what is tried --------------------------------------------------------------------------------------- */

static int load_config(struct sb_err *err)
{
    struct sb_config *config;
    if (sb_config_load(SB_SOURCE_DIR "/config/switchback.yaml", &config, err) < 0)
        return -1;
    sb_config_free(config);
    return 0;
}

static void nothing(void *arg)
{
    (void)arg;
}

static void nothing_of_file(void *arg, unsigned events)
{
    (void)arg;
    (void)events;
}

static int fill_loop(struct sb_loop *loop, struct sb_err *err)
{
    if (sb_loop_timer(loop, 1000, nothing, NULL, err) == NULL)
        return -1;
    return sb_loop_file(loop, ends[0], SB_LOOP_READ, nothing_of_file, NULL, err) == NULL ? -1 : 0;
}

static int make_loop(struct sb_err *err)
{
    struct sb_loop *loop = sb_loop_new(err);
    int done = loop == NULL ? -1 : fill_loop(loop, err);
    sb_loop_free(loop);
    return done;
}

START_TEST(a_configuration_needs_memory)
{
    each_fails(load_config, "loading the configuration");
}
END_TEST

START_TEST(a_loop_needs_memory)
{
    ck_assert_int_eq(pipe(ends), 0);
    each_fails(make_loop, "a loop");
    close(ends[0]);
    close(ends[1]);
}
END_TEST

START_TEST(an_arena_without_memory_is_full)
{
    struct sb_arena *arena = sb_arena_new("test", 1 << 20);
    ck_assert_ptr_nonnull(arena);
    allocations = 0;
    fail_at = 0;
    ck_assert_ptr_null(sb_arena_alloc(arena, 1 << 19));
    ck_assert_uint_eq(sb_arena_used(arena), 0);
    fail_at = -1;
    ck_assert_ptr_nonnull(sb_arena_alloc(arena, 1 << 19));
    sb_arena_free(arena);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("memory");
    TCase *tc = tcase_create("memory");
    tcase_add_test(tc, a_configuration_needs_memory);
    tcase_add_test(tc, a_loop_needs_memory);
    tcase_add_test(tc, an_arena_without_memory_is_full);
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
