/* The judge of DDL, statement by statement; and the words it reads. */
#include "apply/ddl_judge.h"

#include "apply/words.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct sb_arena *arena;

static void setup(void)
{
    arena = sb_arena_new("test", 64 * 1024 * 1024);
}

static void teardown(void)
{
    sb_arena_free(arena);
}

static struct sb_view v(const char *text)
{
    return sb_view_str(text);
}

/* -- words ------------------------------------------------------------------------------------------------
 */

START_TEST(words_are_told_apart)
{
    static const struct {
        const char *sql;
        size_t count;
    } cases[] = {
        {"", 0},
        {"ALTER TABLE t", 3},
        {"a--b\nc", 2},
        {"a/* ; /* ' */ */b", 2},
        {"'it''s' x", 2},
        {"E'it\\'s' x", 2},
        {"\"a\"\"b\".c", 3},
        {"$$ ' $$ $t$ $$ $t$", 2},
        {"1.5e3::numeric(10,2)", 8},
        {"\xc3\xa9\x63 = 1", 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sb_words words;
        ck_assert_msg(sb_words_read(v(cases[i].sql), arena, &words), "%s", cases[i].sql);
        ck_assert_msg(words.count == cases[i].count, "%s: %zu", cases[i].sql, words.count);
    }
}
END_TEST

START_TEST(what_ends_inside_a_word_is_refused)
{
    static const char *const cases[] = {"'", "E'\\'", "\"a", "/* /* */", "$a$ x $b$", "x $1"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sb_words words;
        ck_assert_msg(!sb_words_read(v(cases[i]), arena, &words), "%s", cases[i]);
    }
}
END_TEST

START_TEST(names_are_compared_as_the_server_does)
{
    struct sb_words words;
    ck_assert(sb_words_read(v("Item \"Item\" \"a\"\"b\" 'item'"), arena, &words));
    ck_assert(sb_words_names(&words, 0, v("item")) && !sb_words_names(&words, 0, v("Item")));
    ck_assert(sb_words_names(&words, 1, v("Item")) && !sb_words_names(&words, 1, v("item")));
    ck_assert(sb_words_names(&words, 2, v("a\"b")));
    ck_assert(!sb_words_names(&words, 3, v("item")) && !sb_words_names(&words, 4, v("item")));
}
END_TEST

/* -- constants and types ----------------------------------------------------------------------------------
 */

START_TEST(constants_are_known)
{
    static const char *const constant[] = {"5", "'-1'::integer", "(-1)", "'x'::text",
        "NULL::character varying", "true", "'{}'::integer[]", "ARRAY[1, 2]", "'5'::numeric(10,2)",
        "'a'::public.mood", "'b'::\"Odd\".\"x y\"", "'2026-01-01 00:00:00+00'::timestamp with time zone",
        "E'a\\\\b'::text"};
    static const char *const computed[] = {"now()", "random()", "CURRENT_TIMESTAMP", "CURRENT_USER",
        "nextval('s'::regclass)", "(1 + 1)", "lower('A'::text)", "''::text || f()", "", "gen_random_uuid()",
        "('now'::text)::date || x"};
    for (size_t i = 0; i < sizeof constant / sizeof *constant; i++)
        ck_assert_msg(sb_ddl_is_constant(v(constant[i]), arena), "%s", constant[i]);
    for (size_t i = 0; i < sizeof computed / sizeof *computed; i++)
        ck_assert_msg(!sb_ddl_is_constant(v(computed[i]), arena), "%s", computed[i]);
}
END_TEST

START_TEST(wider_types_are_known)
{
    static const struct {
        const char *from, *to;
        bool widens;
    } cases[] = {
        {"integer", "integer", true},
        {"integer", "bigint", false},
        {"character varying(10)", "character varying(20)", true},
        {"character varying(20)", "character varying(10)", false},
        {"character varying(10)", "character varying", true},
        {"character varying", "character varying(10)", false},
        {"character varying(10)", "text", true},
        {"text", "character varying", false},
        {"bit varying(3)", "bit varying(4)", true},
        {"bit(3)", "bit(4)", false},
        {"character(3)", "character(4)", false},
        {"numeric(10,2)", "numeric(12,2)", true},
        {"numeric(10,2)", "numeric(12,3)", false},
        {"numeric(10,2)", "numeric", true},
        {"numeric", "numeric(10,2)", false},
        {"timestamp(3) with time zone", "timestamp(6) with time zone", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_msg(
            sb_ddl_widens(v(cases[i].from), v(cases[i].to)) == cases[i].widens, "%s", cases[i].from);
}
END_TEST

/* -- verdicts ---------------------------------------------------------------------------------------------
 */

/* The table item (id integer, note varchar(10)) of the target, and what the source has behind a command:
 * beside those, the columns of the case. */
struct behind {
    struct sb_ddl_column columns[8];
    size_t count;
    bool rewritten;
};

static struct sb_ddl_judgement judge_with(const char *tag, const char *statement, const struct behind *behind,
    int target_version, enum sb_config_ddl policy)
{
    static struct sb_cat_column before_columns[2];
    before_columns[0] = (struct sb_cat_column){.name = v("id"), .type_full = v("integer")};
    before_columns[1] = (struct sb_cat_column){.name = v("note"), .type_full = v("character varying(10)")};
    struct sb_cat_table item = {
        .schema = v("public"), .name = v("item"), .col_count = 2, .cols = before_columns};
    struct sb_ddl_column columns[10] = {{.name = v("id"), .type = v("integer"), .not_null = true}};
    size_t count = 1;
    for (size_t i = 0; i < behind->count; i++)
        columns[count++] = behind->columns[i];
    bool made = sb_view_eq_str(v(tag), "CREATE TABLE");
    struct sb_ddl_table table = {.schema = v("public"),
        .name = v(made ? "fresh" : "item"),
        .root_schema = v("public"),
        .root_name = v(made ? "fresh" : "item"),
        .kind = 'r',
        .persistence = 'p',
        .published = !made,
        .rewritten = behind->rewritten,
        .columns = columns,
        .column_count = count};
    struct sb_ddl_object type = {.type = v("type"), .schema = v("public"), .identity = v("public.mood")};
    bool of_table = sb_view_eq_str(v(tag), "ALTER TABLE") || made || sb_view_eq_str(v(tag), "CREATE INDEX");
    struct sb_ddl ddl = {.tag = v(tag),
        .statement = v(statement),
        .tables = &table,
        .table_count = of_table,
        .objects = &type,
        .object_count = !of_table};
    const struct sb_cat_table *before[] = {made ? NULL : &item};
    const char *every[] = {"*.*"}, *secret[] = {"public.secret"};
    struct sb_config_list include = {.count = 1, .items = every}, exclude = {.count = 1, .items = secret};
    struct sb_ddl_facts facts = {.ddl = &ddl,
        .before = before,
        .target_version = target_version,
        .policy = policy,
        .include = &include,
        .exclude = &exclude};
    struct sb_ddl_judgement judgement;
    sb_ddl_judge(&facts, arena, &judgement);
    return judgement;
}

#define COLUMN(name_, type_, ...)                                                                            \
    {                                                                                                        \
        .columns = {{.name = {name_, sizeof name_ - 1}, .type = {type_, sizeof type_ - 1}, __VA_ARGS__}},    \
        .count = 1                                                                                           \
    }
#define DEFAULT(text) .fallback = {text, sizeof text - 1}

static const struct {
    const char *tag, *statement;
    struct behind behind;
    enum sb_ddl_verdict verdict;
    const char *reason; /* a part of it */
} cases[] = {
    {"ALTER TABLE", "ALTER TABLE item ADD COLUMN a int", COLUMN("a", "integer", ), SB_DDL_VERDICT_APPLY, ""},
    {"ALTER TABLE", "alter table only public.item add if not exists \"A\" text null", COLUMN("A", "text", ),
        SB_DDL_VERDICT_APPLY, ""},
    {"ALTER TABLE", "ALTER TABLE item ADD a int NOT NULL DEFAULT 5",
        COLUMN("a", "integer", .not_null = true, DEFAULT("5")), SB_DDL_VERDICT_APPLY, ""},
    {"ALTER TABLE", "ALTER TABLE item ADD a numeric(10,2) DEFAULT 1, SET (fillfactor = 50)",
        COLUMN("a", "numeric(10,2)", DEFAULT("1")), SB_DDL_VERDICT_APPLY, ""},
    {"ALTER TABLE", "ALTER TABLE item ADD a int NOT NULL", COLUMN("a", "integer", .not_null = true),
        SB_DDL_VERDICT_HOLD, "NOT NULL"},
    {"ALTER TABLE", "ALTER TABLE item ADD a timestamptz DEFAULT now()",
        COLUMN("a", "timestamp with time zone", DEFAULT("now()")), SB_DDL_VERDICT_HOLD, "computed"},
    {"ALTER TABLE", "ALTER TABLE item ADD a int GENERATED ALWAYS AS (id) STORED",
        COLUMN("a", "integer", DEFAULT("id"), .generated = 's'), SB_DDL_VERDICT_HOLD, "generated"},
    {"ALTER TABLE", "ALTER TABLE item ADD a int GENERATED ALWAYS AS IDENTITY",
        COLUMN("a", "integer", .identity = 'a'), SB_DDL_VERDICT_HOLD, "numbered"},
    {"ALTER TABLE", "ALTER TABLE item ADD a int REFERENCES other", COLUMN("a", "integer", ),
        SB_DDL_VERDICT_HOLD, "constraint"},
    {"ALTER TABLE", "ALTER TABLE item ADD a int CHECK (a > 0)", COLUMN("a", "integer", ), SB_DDL_VERDICT_HOLD,
        "constraint"},
    {"ALTER TABLE", "ALTER TABLE item ADD COLUMN note varchar(10)", COLUMN("note", "character varying(10)", ),
        SB_DDL_VERDICT_IGNORE, "already"},
    {"ALTER TABLE", "ALTER TABLE item ADD COLUMN note int", COLUMN("note", "integer", ), SB_DDL_VERDICT_HOLD,
        "another type"},
    {"ALTER TABLE", "ALTER TABLE item ADD COLUMN note varchar(10), DROP COLUMN id",
        COLUMN("note", "character varying(10)", ), SB_DDL_VERDICT_HOLD, "drops"},
    {"ALTER TABLE", "ALTER TABLE item OWNER TO somebody", {.count = 0}, SB_DDL_VERDICT_IGNORE, "holds"},
    {"ALTER TABLE", "ALTER TABLE item ENABLE ROW LEVEL SECURITY", {.count = 0}, SB_DDL_VERDICT_IGNORE,
        "holds"},
    {"ALTER TABLE", "ALTER TABLE item ALTER note SET DEFAULT random()", {.count = 0}, SB_DDL_VERDICT_APPLY,
        ""},
    {"ALTER TABLE", "ALTER TABLE item ALTER COLUMN note DROP NOT NULL", {.count = 0}, SB_DDL_VERDICT_APPLY,
        ""},
    {"ALTER TABLE", "ALTER TABLE item ALTER note SET NOT NULL", {.count = 0}, SB_DDL_VERDICT_HOLD,
        "NOT NULL"},
    {"ALTER TABLE", "ALTER TABLE item ALTER note TYPE varchar(20)", COLUMN("note", "character varying(20)", ),
        SB_DDL_VERDICT_APPLY, ""},
    {"ALTER TABLE", "ALTER TABLE item ALTER note SET DATA TYPE text", COLUMN("note", "text", ),
        SB_DDL_VERDICT_APPLY, ""},
    {"ALTER TABLE", "ALTER TABLE item ALTER note TYPE text USING upper(note)", COLUMN("note", "text", ),
        SB_DDL_VERDICT_HOLD, "computes"},
    {"ALTER TABLE", "ALTER TABLE item ALTER note TYPE varchar(5)", COLUMN("note", "character varying(5)", ),
        SB_DDL_VERDICT_HOLD, "changes from"},
    {"ALTER TABLE", "ALTER TABLE item ALTER id TYPE bigint",
        {.columns = {{.name = {"x", 1}, .type = {"text", 4}}}, .count = 1, .rewritten = true},
        SB_DDL_VERDICT_HOLD, "rewrites"},
    {"ALTER TABLE", "ALTER TABLE item DROP COLUMN note", {.count = 0}, SB_DDL_VERDICT_HOLD, "drops a column"},
    {"ALTER TABLE", "ALTER TABLE item DROP CONSTRAINT c", {.count = 0}, SB_DDL_VERDICT_HOLD, "a constraint"},
    {"ALTER TABLE", "ALTER TABLE item RENAME note TO n", {.count = 0}, SB_DDL_VERDICT_HOLD, "renames"},
    {"ALTER TABLE", "ALTER TABLE item ADD CONSTRAINT c CHECK (id > 0)", {.count = 0}, SB_DDL_VERDICT_HOLD,
        "constraint"},
    {"ALTER TABLE", "ALTER TABLE item ADD UNIQUE (note)", {.count = 0}, SB_DDL_VERDICT_HOLD, "constraint"},
    {"ALTER TABLE", "ALTER TABLE item REPLICA IDENTITY FULL", {.count = 0}, SB_DDL_VERDICT_HOLD,
        "told apart"},
    {"ALTER TABLE", "ALTER TABLE item ATTACH PARTITION p DEFAULT", {.count = 0}, SB_DDL_VERDICT_HOLD,
        "partition"},
    {"ALTER TABLE", "ALTER TABLE item DETACH PARTITION p", {.count = 0}, SB_DDL_VERDICT_HOLD, "partition"},
    {"ALTER TABLE", "ALTER TABLE item SET UNLOGGED", {.count = 0}, SB_DDL_VERDICT_HOLD, "known"},
    {"ALTER TABLE", "", {.count = 0}, SB_DDL_VERDICT_HOLD, "text"},
    {"ALTER TABLE", "ALTER TABLE item ADD a text DEFAULT 'x", {.count = 0}, SB_DDL_VERDICT_HOLD, "read"},
    {"CREATE TABLE", "CREATE TABLE fresh (id int)", {.count = 0}, SB_DDL_VERDICT_APPLY, ""},
    {"CREATE TABLE", "CREATE TABLE fresh () INHERITS (item)", {.count = 0}, SB_DDL_VERDICT_HOLD, "inherits"},
    {"CREATE TABLE AS", "CREATE TABLE fresh AS SELECT 1", {.count = 0}, SB_DDL_VERDICT_HOLD, "known"},
    {"CREATE INDEX", "CREATE INDEX i ON item (note)", {.count = 0}, SB_DDL_VERDICT_APPLY, ""},
    {"CREATE INDEX", "CREATE UNIQUE INDEX i ON item (note)", {.count = 0}, SB_DDL_VERDICT_HOLD, "unique"},
    {"COMMENT", "COMMENT ON TABLE item IS 'x'", {.count = 0}, SB_DDL_VERDICT_APPLY, ""},
    {"CREATE TYPE", "CREATE TYPE mood AS ENUM ('a')", {.count = 0}, SB_DDL_VERDICT_APPLY, ""},
    {"ALTER TYPE", "ALTER TYPE public.mood ADD VALUE 'b'", {.count = 0}, SB_DDL_VERDICT_APPLY, ""},
    {"ALTER TYPE", "ALTER TYPE mood RENAME VALUE 'a' TO 'b'", {.count = 0}, SB_DDL_VERDICT_HOLD, "type"},
    {"DROP TYPE", "DROP TYPE mood", {.count = 0}, SB_DDL_VERDICT_HOLD, "known"},
};

START_TEST(every_statement_has_its_verdict)
{
    struct sb_ddl_judgement got =
        judge_with(cases[_i].tag, cases[_i].statement, &cases[_i].behind, 180000, SB_DDL_APPLY);
    ck_assert_msg(
        got.verdict == cases[_i].verdict, "%s: %d, %s", cases[_i].statement, got.verdict, got.reason);
    ck_assert_msg(strstr(got.reason, cases[_i].reason) != NULL, "%s: %s", cases[_i].statement, got.reason);
    ck_assert_msg(!got.breaks_way_back, "%s", cases[_i].statement);
    ck_assert_msg(got.verdict == SB_DDL_VERDICT_APPLY ? got.reason[0] == '\0' : got.reason[0] != '\0', "%s",
        cases[_i].statement);
    /* Nothing is run that would not be run otherwise. */
    got = judge_with(cases[_i].tag, cases[_i].statement, &cases[_i].behind, 180000, SB_DDL_HOLD);
    ck_assert(got.verdict != SB_DDL_VERDICT_APPLY);
    got = judge_with(cases[_i].tag, cases[_i].statement, &cases[_i].behind, 180000, SB_DDL_IGNORE);
    ck_assert(got.verdict == SB_DDL_VERDICT_IGNORE);
}
END_TEST

START_TEST(rows_that_move_with_a_partition_are_said)
{
    struct behind none = {.count = 0};
    ck_assert(
        judge_with("ALTER TABLE", "ALTER TABLE item ATTACH PARTITION p DEFAULT", &none, 150000, SB_DDL_APPLY)
            .moves_rows);
    ck_assert(
        !judge_with("ALTER TABLE", "ALTER TABLE item DROP note", &none, 150000, SB_DDL_APPLY).moves_rows);
}
END_TEST

START_TEST(what_the_target_does_not_have_breaks_the_way_back)
{
    static const struct {
        const char *tag, *statement;
        int since;
        char generated;
    } news[] = {
        {"CREATE INDEX", "CREATE UNIQUE INDEX i ON item (note) NULLS NOT DISTINCT", 150000, 0},
        {"ALTER TABLE", "ALTER TABLE item ADD UNIQUE NULLS NOT DISTINCT (note)", 150000, 0},
        {"ALTER TABLE", "ALTER TABLE item ALTER a SET EXPRESSION AS (id)", 170000, 0},
        {"ALTER TABLE", "ALTER TABLE item ADD CHECK (id > 0) NOT ENFORCED", 180000, 0},
        {"ALTER TABLE", "ALTER TABLE item ADD PRIMARY KEY (id, span WITHOUT OVERLAPS)", 180000, 0},
        {"ALTER TABLE", "ALTER TABLE item ADD a int GENERATED ALWAYS AS (id) VIRTUAL", 180000, 0},
        {"ALTER TABLE", "ALTER TABLE item ADD a int GENERATED ALWAYS AS (id)", 180000, 'v'},
    };
    for (size_t i = 0; i < sizeof news / sizeof *news; i++) {
        struct behind behind = COLUMN("a", "integer", DEFAULT("id"));
        behind.columns[0].generated = news[i].generated;
        struct sb_ddl_judgement old =
            judge_with(news[i].tag, news[i].statement, &behind, news[i].since - 1, SB_DDL_APPLY);
        struct sb_ddl_judgement new =
            judge_with(news[i].tag, news[i].statement, &behind, news[i].since, SB_DDL_APPLY);
        ck_assert_msg(old.breaks_way_back && old.verdict == SB_DDL_VERDICT_HOLD, "%s", news[i].statement);
        ck_assert_msg(!new.breaks_way_back, "%s", news[i].statement);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ddl_judge");
    TCase *tests = tcase_create("ddl_judge");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, words_are_told_apart);
    tcase_add_test(tests, what_ends_inside_a_word_is_refused);
    tcase_add_test(tests, names_are_compared_as_the_server_does);
    tcase_add_test(tests, constants_are_known);
    tcase_add_test(tests, wider_types_are_known);
    tcase_add_loop_test(tests, every_statement_has_its_verdict, 0, sizeof cases / sizeof *cases);
    tcase_add_test(tests, rows_that_move_with_a_partition_are_said);
    tcase_add_test(tests, what_the_target_does_not_have_breaks_the_way_back);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
