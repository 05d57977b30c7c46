#include "apply/tables.h"

#include "apply/shape_change.h"
#include "apply/target.h"
#include "core/map.h"

#include <stdlib.h>

enum {
    SHAPES_MAX = 100000,
    ARENA_BYTES = 512 * 1024 * 1024,
};

struct sb_tables {
    struct sb_conn *conn;
    struct sb_writer *writer;
    bool watch;
    struct sb_arena *arena;
    struct sb_map *rels; /* schema id -> struct sb_apply_rel */
    struct sb_map *last; /* source oid -> struct sb_relation: the shape met last */
    enum { ANY, STRICT, AS_IT_IS } next;
};

int sb_tables_new(struct sb_conn *conn, struct sb_writer *writer, bool watch, struct sb_tables **ret_tables,
    struct sb_err *err)
{
    struct sb_tables *tables = calloc(1, sizeof *tables);
    if (tables != NULL) {
        *tables = (struct sb_tables){.conn = conn,
            .writer = writer,
            .watch = watch,
            .arena = sb_arena_new("target tables", ARENA_BYTES),
            .rels = sb_map_new(SHAPES_MAX),
            .last = sb_map_new(SHAPES_MAX)};
        if (tables->arena != NULL && tables->rels != NULL && tables->last != NULL) {
            *ret_tables = tables;
            return 0;
        }
    }
    sb_tables_free(tables);
    return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the target's tables");
}

void sb_tables_free(struct sb_tables *tables)
{
    if (tables == NULL)
        return;
    sb_map_free(tables->rels);
    sb_map_free(tables->last);
    sb_arena_free(tables->arena);
    free(tables);
}

int sb_tables_forget(struct sb_tables *tables, struct sb_err *err)
{
    struct sb_map *rels = sb_map_new(SHAPES_MAX), *last = sb_map_new(SHAPES_MAX);
    if (rels == NULL || last == NULL) {
        sb_map_free(rels);
        sb_map_free(last);
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the target's tables");
    }
    sb_map_free(tables->rels);
    sb_map_free(tables->last);
    tables->rels = rels;
    tables->last = last;
    return 0;
}

void sb_tables_next(struct sb_tables *tables, bool as_it_is)
{
    tables->next = as_it_is ? AS_IT_IS : STRICT;
}

/* A table that had another shape until now, and nobody has said how it changed. */
static int check_change(struct sb_tables *tables, const struct sb_relation *rel,
    const struct sb_cat_table *table, struct sb_err *err)
{
    enum { WHY_MAX_BYTES = 512 * 1024 };
    const struct sb_relation *before = sb_map_get(tables->last, sb_map_key_u32(&rel->oid));
    struct sb_buf why SB_CLEANUP(sb_buf_clear);
    sb_buf_init(&why, WHY_MAX_BYTES);
    if (!tables->watch || tables->next == AS_IT_IS ||
        (tables->next == ANY && (before == NULL || before == rel)))
        return 0;
    sb_shape_change(before, rel, table, &why);
    if (why.len == 0)
        return 0;
    return sb_err_set(err, SB_E_RELATION_CHANGED,
        "table \"%.*s.%.*s\" has changed on the source, and the target's does not fit: %s",
        (int)rel->schema.len, rel->schema.ptr, (int)rel->name.len, rel->name.ptr, sb_buf_str(&why));
}

static bool is_fit(const struct sb_cat_table *table)
{
    return (table->kind == 'r' || table->kind == 'p') && table->persistence != 'u';
}

/* table: NULL if there is nothing of that name. */
static int unfit(const struct sb_relation *rel, const struct sb_cat_table *table, struct sb_err *err)
{
    const char *what = table == NULL               ? NULL
                       : table->persistence == 'u' ? "is unlogged, so a crash of the target would empty it"
                       : table->kind == 'f'        ? "is a foreign table"
                                                   : "is a view";
    if (what == NULL)
        return sb_err_set(err, SB_E_TARGET_STRUCTURE, "the target has no table \"%.*s.%.*s\"",
            (int)rel->schema.len, rel->schema.ptr, (int)rel->name.len, rel->name.ptr);
    sb_err_set(err, SB_E_TARGET_STRUCTURE, "target table \"%.*s.%.*s\" %s", (int)rel->schema.len,
        rel->schema.ptr, (int)rel->name.len, rel->name.ptr, what);
    return sb_err_hint(err, "Put an ordinary table with the source's rows there%s; then `switchback resume`.",
        table->persistence == 'u' ? " (ALTER TABLE ... SET LOGGED)" : "");
}

static int make(struct sb_tables *tables, const struct sb_relation *rel, struct sb_apply_rel **ret_rel,
    struct sb_err *err)
{
    struct sb_target_stamp stamp;
    struct sb_cat_table table;
    bool found;
    if (sb_writer_forget(tables->writer, err) != 0 ||
        sb_target_stamp(tables->conn, rel->schema, rel->name, tables->arena, &stamp, err) != 0 ||
        sb_catalog_table(tables->conn, rel->schema, rel->name, tables->arena, &table, &found, err) != 0)
        return -1;
    if (!found || stamp.oid.len == 0 || !is_fit(&table))
        return unfit(rel, found ? &table : NULL, err);
    struct sb_apply_rel *made;
    if (check_change(tables, rel, &table, err) != 0 ||
        sb_apply_rel_make(rel, &table, tables->arena, &made, err) != 0 ||
        sb_target_read(tables->conn, &stamp, tables->arena, made, err) != 0)
        return -1;
    *ret_rel = made;
    return 0;
}

int sb_tables_of(struct sb_tables *tables, const struct sb_relation *rel, const struct sb_apply_rel **ret_rel,
    struct sb_err *err)
{
    uint32_t id = rel->schema_id;
    struct sb_apply_rel *made = sb_map_get(tables->rels, sb_map_key_u32(&id));
    if (made == NULL) {
        if (make(tables, rel, &made, err) != 0)
            return -1;
        if (!sb_map_put(tables->rels, sb_map_key_u32(&id), made, NULL))
            return sb_err_set(err, SB_E_LIMIT, "the stream has more than %d table shapes", SHAPES_MAX);
        if (!sb_map_put(tables->last, sb_map_key_u32(&rel->oid), (void *)rel, NULL))
            return sb_err_set(err, SB_E_LIMIT, "the stream has more than %d tables", SHAPES_MAX);
    }
    tables->next = ANY;
    *ret_rel = made;
    return 0;
}
