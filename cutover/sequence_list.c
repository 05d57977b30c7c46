#include "cutover/sequence_list.h"

#include "cutover/ask.h"
#include "pg/ident.h"
#include "setup/scope.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_BYTES = 256 * 1024 * 1024, LIST_MAX = 100000, ASK_AT_ONCE = 100 };

/* $1: oids of the chosen tables, partitions among them. One row a sequence and column it feeds. */
static const char list_sql[] =
    "WITH feeds AS ("
    " SELECT d.objid AS seq, d.refobjid AS tab, d.refobjsubid::pg_catalog.int2 AS col"
    "   FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass"
    "   AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass"
    "   AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0"
    " UNION SELECT d.refobjid, f.adrelid, f.adnum FROM pg_catalog.pg_attrdef f"
    "   JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass"
    "   AND d.objid = f.oid AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass"
    "), chosen AS (SELECT feeds.* FROM feeds WHERE feeds.tab = ANY ($1::pg_catalog.oid[]))"
    " SELECT c.oid, n.nspname, c.relname, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle,"
    "   pg_catalog.has_sequence_privilege(c.oid, 'SELECT') AND may.see,"
    "   pg_catalog.has_sequence_privilege(c.oid, 'UPDATE') AND may.see,"
    "   tn.nspname, t.relname, a.attname, b.typname,"
    "   NOT t.relispartition AND pg_catalog.has_table_privilege(t.oid, 'SELECT')"
    "   AND pg_catalog.has_schema_privilege(tn.oid, 'USAGE')"
    "   AND NOT pg_catalog.row_security_active(t.oid) AND EXISTS (SELECT FROM pg_catalog.pg_index i"
    "     JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid"
    "     JOIN pg_catalog.pg_am am ON am.oid = ic.relam WHERE i.indrelid = t.oid AND i.indisvalid"
    "     AND i.indpred IS NULL AND i.indkey[0] = a.attnum AND am.amname = 'btree')"
    " FROM pg_catalog.pg_class c"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " JOIN pg_catalog.pg_sequence s ON s.seqrelid = c.oid"
    " CROSS JOIN LATERAL (SELECT pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS see) may"
    " LEFT JOIN chosen f ON f.seq = c.oid"
    " LEFT JOIN pg_catalog.pg_class t ON t.oid = f.tab"
    " LEFT JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace"
    " LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = f.tab AND a.attnum = f.col"
    " LEFT JOIN pg_catalog.pg_type y ON y.oid = a.atttypid"
    " LEFT JOIN pg_catalog.pg_type b ON b.oid = CASE y.typtype WHEN 'd' THEN y.typbasetype ELSE y.oid END"
    " WHERE c.relkind = 'S' AND c.relpersistence <> 't'"
    " AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'switchback')"
    " AND (f.seq IS NOT NULL OR c.relnamespace IN (SELECT t.relnamespace FROM pg_catalog.pg_class t"
    "   WHERE t.oid = ANY ($1::pg_catalog.oid[])))"
    " ORDER BY n.nspname, c.relname, c.oid, t.oid, a.attnum";

enum list_column {
    COL_OID,
    COL_SCHEMA,
    COL_NAME,
    COL_INCREMENT,
    COL_MIN,
    COL_MAX,
    COL_CACHE,
    COL_CYCLE,
    COL_MAY_READ,
    COL_MAY_MOVE,
    COL_TABLE_SCHEMA,
    COL_TABLE,
    COL_COLUMN,
    COL_TYPE,
    COL_CHEAP
};

static int list_full(const struct sb_sequence_list *list, struct sb_err *err)
{
    return sb_err_set(err, SB_E_LIMIT, "the sequences do not fit into the %zu bytes of arena \"%s\"",
        sb_arena_max(list->arena), sb_arena_name(list->arena));
}

/* -- reading the catalog --------------------------------------------------------------------------------- */

static int chosen_read(const struct sb_config *config, struct sb_conn *conn, struct sb_arena *arena,
    struct sb_buf *oids, struct sb_err *err)
{
    struct sb_scope scope;
    if (sb_scope_read(config, conn, arena, &scope, err) < 0)
        return -1;
    sb_buf_put_str(oids, "{");
    for (size_t i = 0; i < scope.count; i++) {
        const struct sb_scope_table *scoped = &scope.tables[i];
        if (sb_scope_is_published(scoped) || scoped->klass == SB_SCOPE_COVERED)
            sb_buf_putf(oids, "%s%u", oids->len > 1 ? "," : "", scoped->table->oid);
    }
    sb_buf_put_str(oids, "}");
    return oids->failed ? sb_err_set(err, SB_E_LIMIT, "too many tables") : 0;
}

static const char *kept(struct sb_arena *arena, struct sb_buf *buf)
{
    const char *text = buf->failed ? NULL : sb_arena_str(arena, sb_buf_view(buf));
    sb_buf_clear(buf);
    return text;
}

static const char *name_of(struct sb_arena *arena, const struct sb_rows *rows, int row)
{
    struct sb_buf buf;
    sb_buf_init(&buf, 1024);
    sb_ident_put_table(
        &buf, sb_view_str(sb_rows_get(rows, row, COL_SCHEMA)), sb_view_str(sb_rows_get(rows, row, COL_NAME)));
    return kept(arena, &buf);
}

static void cut(struct sb_sequence_rules *rules, int64_t low, int64_t high)
{
    rules->min = rules->min < low ? low : rules->min;
    rules->max = rules->max > high ? high : rules->max;
}

static bool is_integer(const char *type, struct sb_sequence_rules *rules)
{
    if (strcmp(type, "int2") == 0)
        cut(rules, INT16_MIN, INT16_MAX);
    else if (strcmp(type, "int4") == 0)
        cut(rules, INT32_MIN, INT32_MAX);
    else
        return strcmp(type, "int8") == 0;
    return true;
}

static int feed_fill(struct sb_sequence_list *list, const struct sb_rows *rows, int row,
    struct sb_sequence *sequence, struct sb_err *err)
{
    struct sb_sequence_feed *feed = &sequence->feeds[sequence->feed_count++];
    struct sb_view schema = sb_view_str(sb_rows_get(rows, row, COL_TABLE_SCHEMA)),
                   table = sb_view_str(sb_rows_get(rows, row, COL_TABLE)),
                   column = sb_view_str(sb_rows_get(rows, row, COL_COLUMN));
    struct sb_buf buf;
    sb_buf_init(&buf, 4096);
    sb_ident_put_table(&buf, schema, table);
    sb_buf_put_str(&buf, ".");
    sb_ident_put(&buf, column);
    feed->column = kept(list->arena, &buf);
    if (feed->column == NULL || !sb_map_put(list->by_column, sb_view_str(feed->column), sequence, NULL))
        return list_full(list, err);
    const char *type = sb_rows_get(rows, row, COL_TYPE);
    bool counts = type != NULL && is_integer(type, &sequence->rules);
    if (!counts || sequence->rules.cycle || !sb_rows_bool(rows, row, COL_CHEAP))
        return 0;
    sb_buf_putf(&buf, "(SELECT pg_catalog.%s(", sequence->rules.increment < 0 ? "min" : "max");
    sb_ident_put(&buf, column);
    sb_buf_put_str(&buf, ") FROM ");
    sb_ident_put_table(&buf, schema, table);
    sb_buf_put_str(&buf, ")");
    feed->edge_sql = kept(list->arena, &buf);
    return feed->edge_sql == NULL ? list_full(list, err) : 0;
}

static int sequence_fill(
    struct sb_sequence_list *list, const struct sb_rows *rows, int first, int end, struct sb_err *err)
{
    struct sb_sequence *sequence = &list->items[list->count];
    *sequence = (struct sb_sequence){.name = name_of(list->arena, rows, first),
        .rules = {.increment = sb_rows_i64(rows, first, COL_INCREMENT),
            .min = sb_rows_i64(rows, first, COL_MIN),
            .max = sb_rows_i64(rows, first, COL_MAX),
            .cache = sb_rows_i64(rows, first, COL_CACHE),
            .cycle = sb_rows_bool(rows, first, COL_CYCLE)},
        .may_read = sb_rows_bool(rows, first, COL_MAY_READ),
        .may_move = sb_rows_bool(rows, first, COL_MAY_MOVE),
        .feeds = sb_arena_zalloc(list->arena, (size_t)(end - first) * sizeof *sequence->feeds)};
    if (sequence->name == NULL || sequence->feeds == NULL ||
        !sb_map_put(list->by_name, sb_view_str(sequence->name), sequence, NULL))
        return list_full(list, err);
    for (int row = first; row < end; row++)
        if (sb_rows_get(rows, row, COL_COLUMN) != NULL && feed_fill(list, rows, row, sequence, err) != 0)
            return -1;
    list->count++;
    return 0;
}

static int list_fill(struct sb_sequence_list *list, const struct sb_rows *rows, struct sb_err *err)
{
    int count = sb_rows_count(rows);
    list->items = sb_arena_alloc(list->arena, (size_t)count * sizeof *list->items + 1);
    if (list->items == NULL)
        return list_full(list, err);
    for (int row = 0, end; row < count; row = end) {
        uint64_t oid = sb_rows_u64(rows, row, COL_OID);
        for (end = row + 1; end < count && sb_rows_u64(rows, end, COL_OID) == oid; end++) {
        }
        if (sequence_fill(list, rows, row, end, err) != 0)
            return -1;
    }
    return 0;
}

static int list_read(
    const struct sb_config *config, struct sb_conn *conn, struct sb_sequence_list *list, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    struct sb_buf oids SB_CLEANUP(sb_buf_clear);
    sb_buf_init(&oids, ARENA_BYTES);
    if (list->arena == NULL || list->by_name == NULL || list->by_column == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for a list of sequences");
    if (chosen_read(config, conn, list->arena, &oids, err) != 0)
        return -1;
    const char *const params[] = {sb_buf_str(&oids)};
    if (sb_ask(conn, list_sql, 1, params, &rows, err) != 0)
        return -1;
    return list_fill(list, rows, err);
}

int sb_sequence_list_read(const struct sb_config *config, struct sb_conn *conn,
    struct sb_sequence_list **ret_list, struct sb_err *err)
{
    struct sb_sequence_list *list = calloc(1, sizeof *list);
    if (list == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for a list of sequences");
    list->arena = sb_arena_new("sequences", ARENA_BYTES);
    list->by_name = sb_map_new(LIST_MAX);
    list->by_column = sb_map_new(LIST_MAX);
    if (list_read(config, conn, list, err) != 0) {
        sb_sequence_list_free(list);
        return -1;
    }
    *ret_list = list;
    return 0;
}

void sb_sequence_list_free(struct sb_sequence_list *list)
{
    if (list == NULL)
        return;
    sb_map_free(list->by_name);
    sb_map_free(list->by_column);
    sb_arena_free(list->arena);
    free(list);
}

/* -- looking --------------------------------------------------------------------------------------------- */

typedef bool put_fn(struct sb_buf *sql, const struct sb_sequence *sequence, size_t at); /* false: not this */
typedef void take_fn(struct sb_sequence *sequence, const struct sb_rows *rows, int row);

static bool put_place(struct sb_buf *sql, const struct sb_sequence *sequence, size_t at)
{
    if (!sequence->may_read)
        return false;
    sb_buf_putf(sql, "%sSELECT %zu, last_value, is_called FROM %s", sql->len > 0 ? " UNION ALL " : "", at,
        sequence->name);
    return true;
}

static void take_place(struct sb_sequence *sequence, const struct sb_rows *rows, int row)
{
    sequence->known = true;
    sequence->place.last = sb_rows_i64(rows, row, 1);
    sequence->place.called = sb_rows_bool(rows, row, 2);
}

static bool put_edges(struct sb_buf *sql, const struct sb_sequence *sequence, size_t at)
{
    bool any = false;
    for (size_t i = 0; i < sequence->feed_count; i++) {
        if (sequence->feeds[i].edge_sql == NULL)
            continue;
        sb_buf_putf(sql, "%sSELECT %zu, %s::pg_catalog.int8", sql->len > 0 ? " UNION ALL " : "", at,
            sequence->feeds[i].edge_sql);
        any = true;
    }
    return any;
}

static void take_edge(struct sb_sequence *sequence, const struct sb_rows *rows, int row)
{
    struct sb_sequence_place *place = &sequence->place;
    int64_t edge = sb_rows_i64(rows, row, 1);
    if (sb_rows_get(rows, row, 1) == NULL)
        return;
    bool further = sequence->rules.increment < 0 ? edge < place->edge : edge > place->edge;
    if (!place->edge_known || further)
        place->edge = edge;
    place->edge_known = true;
}

/* A few at a time: a statement of any length is bad for a server. */
static int look(struct sb_sequence_list *list, struct sb_conn *conn, put_fn *put, take_fn *take, bool forgive,
    struct sb_err *err)
{
    struct sb_buf sql SB_CLEANUP(sb_buf_clear);
    sb_buf_init(&sql, 4 * 1024 * 1024);
    for (size_t at = 0; at < list->count;) {
        SB_CLEANUP(sb_rows_freep)
        struct sb_rows *rows = NULL;
        sb_buf_reset(&sql);
        for (size_t put_count = 0; at < list->count && put_count < ASK_AT_ONCE; at++)
            put_count += put(&sql, &list->items[at], at);
        if (sql.failed)
            return list_full(list, err);
        if (sql.len == 0)
            continue;
        if (sb_ask(conn, sb_buf_str(&sql), 0, NULL, &rows, err) != 0) {
            if (forgive && strcmp(err->sqlstate, "55P03") == 0)
                continue;
            return -1;
        }
        for (int row = 0; row < sb_rows_count(rows); row++)
            take(&list->items[sb_rows_u64(rows, row, 0)], rows, row);
    }
    return 0;
}

int sb_sequence_list_look(struct sb_sequence_list *list, struct sb_conn *conn, struct sb_err *err)
{
    for (size_t i = 0; i < list->count; i++)
        list->items[i].known = false;
    return look(list, conn, put_place, take_place, false, err);
}

int sb_sequence_list_look_edges(struct sb_sequence_list *list, struct sb_conn *conn, struct sb_err *err)
{
    return look(list, conn, put_edges, take_edge, true, err);
}
