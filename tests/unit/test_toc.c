#include "copy/toc.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PERSON = 1001, SHOP = 1002, VISIT = 1003 };

static struct sb_arena *arena;
static struct sb_buf list, pre, post;
static struct sb_err err;
static struct sb_toc toc;

static void script_begin(struct sb_buf *out)
{
    sb_buf_put_str(out,
        "--\n-- PostgreSQL database dump\n--\n\n\\restrict x\n\n-- Dumped by pg_dump version 18.4\n\nSET "
        "transaction_timeout = 0;\nSELECT pg_catalog.set_config('search_path', '', false);\n\n");
}

static void setup(void)
{
    arena = sb_arena_new("toc", 1 << 22);
    sb_buf_init(&list, 1 << 20);
    sb_buf_init(&pre, 1 << 20);
    sb_buf_init(&post, 1 << 20);
    sb_buf_put_str(
        &list, ";\n; Archive created at 2026\n;     dbname: shop\n;\n; Selected TOC Entries:\n;\n");
    script_begin(&pre);
    script_begin(&post);
}

static void teardown(void)
{
    sb_buf_clear(&list);
    sb_buf_clear(&pre);
    sb_buf_clear(&post);
    sb_arena_free(arena);
}

struct given {
    bool post;
    unsigned id, class_oid, oid;
    const char *deps, *type, *schema, *name, *sql;
};

static void give(const struct given *one)
{
    struct sb_buf *out = one->post ? &post : &pre;
    sb_buf_putf(&list, "%u; %u %u %s %s %s owner\n", one->id, one->class_oid, one->oid, one->type,
        one->schema, one->name);
    sb_buf_putf(out, "--\n-- TOC entry %u (class %u OID %u)\n", one->id, one->class_oid, one->oid);
    if (one->deps != NULL)
        sb_buf_putf(out, "-- Dependencies: %s\n", one->deps);
    sb_buf_putf(out, "-- Name: %s; Type: %s; Schema: %s; Owner: -\n-- Data Pos: 0\n--\n\n%s\n\n\n", one->name,
        one->type, one->schema, one->sql);
}

static void script_end(struct sb_buf *out)
{
    sb_buf_put_str(
        out, "-- Completed on 2026\n\n--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict x\n\n");
}

static int parse(void)
{
    script_end(&pre);
    script_end(&post);
    return sb_toc_parse(sb_buf_view(&list), sb_buf_view(&pre), sb_buf_view(&post), arena, &toc, &err);
}

static const struct sb_toc_entry *entry(unsigned id)
{
    for (size_t i = 0; i < toc.count; i++)
        if (toc.entries[i].id == id)
            return &toc.entries[i];
    ck_abort_msg("there is no entry %u", id);
    return NULL;
}

static bool says(const struct sb_toc_entry *one, const char *text)
{
    return memmem(one->sql.ptr, one->sql.len, text, strlen(text)) != NULL;
}

static const struct given tables[] = {
    {false, 7, 2615, 900, NULL, "SCHEMA", "-", "odd", "CREATE SCHEMA odd;"},
    {false, 8, 1247, 901, NULL, "TYPE", "public", "mood", "CREATE TYPE public.mood AS ENUM ('a');"},
    {false, 9, 1247, 902, NULL, "TYPE", "public", "idle", "CREATE TYPE public.idle AS ENUM ('a');"},
    {false, 20, 1259, PERSON, "8", "TABLE", "public", "person", "CREATE TABLE public.person (id int);"},
    {false, 21, 1259, SHOP, "7", "TABLE", "odd", "shop; Type: x", "CREATE TABLE odd.\"shop; Type: x\" ();"},
    {false, 22, 1259, VISIT, NULL, "TABLE", "public", "visit", "CREATE TABLE public.visit (id int);"},
    {false, 23, 1259, 903, "20 22", "VIEW", "public", "both", "CREATE VIEW public.both AS SELECT 1;"},
    {false, 24, 1259, 904, NULL, "SEQUENCE", "public", "person_id_seq",
        "CREATE SEQUENCE public.person_id_seq;"},
    {false, 25, 2604, 905, "20 24", "DEFAULT", "public", "person id",
        "ALTER TABLE person ALTER id SET DEFAULT 1;"},
};

static void give_tables(void)
{
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        give(&tables[i]);
}

START_TEST(a_script_is_cut_into_its_entries)
{
    give_tables();
    give(&(struct given){true, 30, 2606, 910, "20", "CONSTRAINT", "public", "person person_pkey",
        "ALTER TABLE ONLY public.person\n    ADD CONSTRAINT person_pkey PRIMARY KEY (id);"});
    ck_assert_int_eq(parse(), 0);
    ck_assert_uint_eq(toc.count, sizeof tables / sizeof tables[0] + 1);
    ck_assert(says(entry(7), "CREATE SCHEMA odd;"));
    ck_assert(!says(entry(7), "TYPE") && !says(entry(7), "SET transaction_timeout"));
    ck_assert(sb_view_eq_str(entry(21)->name, "shop; Type: x") && sb_view_eq_str(entry(21)->type, "TABLE"));
    ck_assert(sb_view_eq_str(entry(21)->schema, "odd"));
    ck_assert_uint_eq(entry(23)->dep_count, 2);
    ck_assert_uint_eq(entry(23)->deps[0], 20);
    ck_assert_uint_eq(entry(23)->deps[1], 22);
    ck_assert_uint_eq(entry(20)->oid, PERSON);
    ck_assert(entry(30)->post && !entry(20)->post);
    ck_assert(!says(entry(30), "unrestrict") && !says(entry(25), "dump complete"));
}
END_TEST

START_TEST(what_looks_like_a_header_in_a_function_is_none)
{
    give(&tables[0]);
    give(&(struct given){false, 10, 1255, 950, NULL, "FUNCTION", "public", "f()",
        "CREATE FUNCTION public.f() AS $$\n--\n-- TOC entry 9999 (class 1259 OID 1)\n-- Name: x; Type: "
        "TABLE; Schema: "
        "public; Owner: -\n--\n--\n-- TOC entry 7 (class 2615 OID 900)\n-- Name: odd; Type: SCHEMA; Schema: "
        "-; Owner: "
        "-\n--\n\nCREATE TABLE x ();\n$$;"});
    give(&tables[1]);
    ck_assert_int_eq(parse(), 0);
    ck_assert_uint_eq(toc.count, 3);
    ck_assert(says(entry(10), "CREATE TABLE x ();\n$$;"));
}
END_TEST

START_TEST(what_is_cut_short_is_refused)
{
    give_tables();
    ck_assert_int_eq(
        sb_toc_parse(sb_buf_view(&list), sb_buf_view(&pre), sb_buf_view(&post), arena, &toc, &err), -1);
    ck_assert_int_eq(err.code, SB_E_PG_DUMP);
    sb_buf_put_str(&list, "no number\n");
    ck_assert_int_eq(parse(), -1);
    ck_assert_int_eq(err.code, SB_E_PG_DUMP);
}
END_TEST

static bool all(void *arg, uint32_t oid)
{
    (void)arg;
    (void)oid;
    return true;
}

static bool but_visit(void *arg, uint32_t oid)
{
    (void)arg;
    return oid != VISIT;
}

static bool only_person(void *arg, uint32_t oid)
{
    (void)arg;
    return oid == PERSON;
}

static void choose(sb_toc_travels_fn *fn, bool narrow)
{
    ck_assert_int_eq(parse(), 0);
    ck_assert_int_eq(sb_toc_choose(&toc, fn, NULL, narrow, arena, &err), 0);
}

START_TEST(keys_come_before_what_rows_could_violate)
{
    static const struct given posts[] = {
        {true, 30, 2606, 1, "20", "CONSTRAINT", "public", "person person_pkey",
            "ALTER TABLE ONLY public.person\n    ADD CONSTRAINT person_pkey PRIMARY KEY (id);"},
        {true, 31, 2606, 2, "20", "CONSTRAINT", "public", "person u",
            "ALTER TABLE ONLY public.person\n    ADD CONSTRAINT \"a PRIMARY KEY \"\" b\" UNIQUE (m);"},
        {true, 32, 2606, 3, "20", "CONSTRAINT", "public", "person e",
            "ALTER TABLE ONLY public.person\n    ADD CONSTRAINT e EXCLUDE USING gist (s WITH &&);"},
        {true, 33, 1259, 4, "20", "INDEX", "public", "plain",
            "CREATE INDEX plain ON public.person USING btree (m);"},
        {true, 34, 1259, 5, "20", "INDEX", "public", "uniq",
            "CREATE UNIQUE INDEX uniq ON public.person USING btree (m);"},
        {true, 35, 1259, 6, "22", "INDEX", "public", "ident",
            "CREATE UNIQUE INDEX ident ON public.visit USING btree (id);\n\nALTER TABLE ONLY public.visit "
            "REPLICA "
            "IDENTITY USING INDEX \"id;ent\";"},
        {true, 36, 1259, 7, "20", "INDEX", "public", "trap",
            "CREATE UNIQUE INDEX trap ON public.person USING btree (m) WHERE (m <> ' REPLICA IDENTITY USING "
            "INDEX "
            "x; y'::text);"},
        {true, 37, 0, 0, "30 33", "INDEX ATTACH", "public", "a", "ALTER INDEX plain ATTACH PARTITION a;"},
        {true, 38, 0, 0, "31", "INDEX ATTACH", "public", "b", "ALTER INDEX u ATTACH PARTITION b;"},
        {true, 39, 0, 0, "33", "COMMENT", "public", "INDEX plain", "COMMENT ON INDEX plain IS 'x';"},
        {true, 40, 2606, 8, "30 20", "FK CONSTRAINT", "public", "visit fk",
            "ALTER TABLE ONLY visit ADD FOREIGN KEY;"},
        {true, 41, 2620, 9, "20", "TRIGGER", "public", "person t",
            "CREATE TRIGGER t EXECUTE FUNCTION public.f();"},
        {true, 42, 1259, 10, "20", "MATERIALIZED VIEW", "public", "late",
            "CREATE MATERIALIZED VIEW late AS SELECT 1;"},
        {true, 43, 1259, 11, "42", "INDEX", "public", "late_i",
            "CREATE INDEX late_i ON public.late USING btree (m);"},
    };
    static const int waves[] = {SB_TOC_WAVE_KEYS, SB_TOC_WAVE_INDEXES, SB_TOC_WAVE_INDEXES, SB_TOC_WAVE_KEYS,
        SB_TOC_WAVE_INDEXES, SB_TOC_WAVE_KEYS, SB_TOC_WAVE_INDEXES, SB_TOC_WAVE_KEYS_ATTACH,
        SB_TOC_WAVE_ATTACH, SB_TOC_WAVE_OTHERS, SB_TOC_WAVE_OTHERS, SB_TOC_WAVE_OTHERS, SB_TOC_WAVE_OTHERS,
        SB_TOC_WAVE_OTHERS};
    enum { POSTS = sizeof posts / sizeof posts[0] };
    give_tables();
    for (size_t i = 0; i < POSTS; i++)
        give(&posts[i]);
    choose(all, false);
    for (size_t i = 0; i < POSTS; i++) {
        ck_assert_msg(entry(posts[i].id)->wave == waves[i], "%s is in wave %d", posts[i].name,
            entry(posts[i].id)->wave);
        ck_assert_int_eq(
            entry(posts[i].id)->phase, waves[i] <= SB_TOC_WAVE_KEYS_ATTACH ? SB_TOC_KEYS : SB_TOC_REST);
    }
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        ck_assert_int_eq(entry(tables[i].id)->phase, SB_TOC_BEFORE);
}
END_TEST

START_TEST(what_is_ours_or_the_targets_own_is_left_out)
{
    static const struct given others[] = {
        {false, 50, 1417, 1, NULL, "USER MAPPING", "-", "m", "CREATE USER MAPPING;"},
        {false, 51, 0, 0, NULL, "COMMENT", "-", "EXTENSION citext", "COMMENT ON EXTENSION citext IS 'x';"},
        {true, 52, 6104, 2, NULL, "PUBLICATION", "-", "switchback_shop_forward_keyed",
            "CREATE PUBLICATION x;"},
        {true, 53, 6106, 3, "52 20", "PUBLICATION TABLE", "public", "switchback_shop_forward_keyed person",
            "ALTER;"},
        {true, 54, 3466, 4, NULL, "EVENT TRIGGER", "-", "switchback_ddl",
            "CREATE EVENT TRIGGER switchback_ddl;"},
        {true, 55, 2620, 5, "20", "TRIGGER", "public", "person switchback_truncate",
            "CREATE TRIGGER x AFTER TRUNCATE ON public.person EXECUTE FUNCTION switchback.note();"},
        {true, 56, 6100, 6, NULL, "SUBSCRIPTION", "-", "theirs", "CREATE SUBSCRIPTION theirs;"},
    };
    give_tables();
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        give(&others[i]);
    give(
        &(struct given){true, 57, 6104, 7, NULL, "PUBLICATION", "-", "theirs", "CREATE PUBLICATION theirs;"});
    choose(all, false);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        ck_assert_msg(entry(others[i].id)->phase == SB_TOC_LEFT_OUT, "%s travels", others[i].name);
    ck_assert_int_eq(entry(57)->phase, SB_TOC_REST);
}
END_TEST

START_TEST(what_depends_on_an_excluded_table_stays_with_it)
{
    give_tables();
    give(&(struct given){true, 30, 1259, 1, "23", "RULE", "public", "both r", "CREATE RULE r;"});
    give(&(struct given){
        true, 31, 2606, 2, "22 20", "FK CONSTRAINT", "public", "person fk", "ALTER TABLE person;"});
    give(&(struct given){false, 28, 1259, 5, NULL, "VIEW", "public", "hull",
        "CREATE VIEW public.hull AS SELECT NULL::int AS id;"});
    give(&(struct given){
        true, 32, 2618, 6, "22 28", "RULE", "public", "hull _RETURN", "CREATE OR REPLACE VIEW hull;"});
    give(
        &(struct given){false, 29, 1259, 7, "28", "VIEW", "public", "over", "CREATE VIEW over AS SELECT 1;"});
    choose(but_visit, false);
    ck_assert_int_eq(entry(28)->phase, SB_TOC_LEFT_OUT);
    ck_assert_int_eq(entry(29)->phase, SB_TOC_LEFT_OUT);
    ck_assert_int_eq(entry(32)->phase, SB_TOC_LEFT_OUT);
    ck_assert_int_eq(entry(22)->phase, SB_TOC_LEFT_OUT);
    ck_assert_int_eq(entry(23)->phase, SB_TOC_LEFT_OUT);
    ck_assert_int_eq(entry(30)->phase, SB_TOC_LEFT_OUT);
    ck_assert_int_eq(entry(31)->phase, SB_TOC_LEFT_OUT);
    ck_assert_int_eq(entry(20)->phase, SB_TOC_BEFORE);
    ck_assert_int_eq(entry(9)->phase, SB_TOC_BEFORE);
}
END_TEST

START_TEST(chosen_tables_bring_what_they_need_and_nothing_else)
{
    give_tables();
    give(&(struct given){false, 26, 1255, 1, NULL, "FUNCTION", "public", "f()", "CREATE FUNCTION f();"});
    give(&(struct given){false, 27, 1255, 2, NULL, "FUNCTION", "public", "g()", "CREATE FUNCTION g();"});
    give(&(struct given){true, 30, 2620, 3, "20 26", "TRIGGER", "public", "person t",
        "CREATE TRIGGER t EXECUTE FUNCTION public.f();"});
    choose(only_person, true);
    static const unsigned with[] = {8, 20, 24, 25, 26, 30}, without[] = {7, 9, 21, 22, 23, 27};
    for (size_t i = 0; i < sizeof with / sizeof with[0]; i++)
        ck_assert_msg(entry(with[i])->phase != SB_TOC_LEFT_OUT, "%u is left out", with[i]);
    for (size_t i = 0; i < sizeof without / sizeof without[0]; i++)
        ck_assert_msg(entry(without[i])->phase == SB_TOC_LEFT_OUT, "%u travels", without[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("toc");
    TCase *cases = tcase_create("toc");
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, a_script_is_cut_into_its_entries);
    tcase_add_test(cases, what_looks_like_a_header_in_a_function_is_none);
    tcase_add_test(cases, what_is_cut_short_is_refused);
    tcase_add_test(cases, keys_come_before_what_rows_could_violate);
    tcase_add_test(cases, what_is_ours_or_the_targets_own_is_left_out);
    tcase_add_test(cases, what_depends_on_an_excluded_table_stays_with_it);
    tcase_add_test(cases, chosen_tables_bring_what_they_need_and_nothing_else);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
