#include "apply/tables.h"

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
    struct sb_arena *arena;
    struct sb_map *rels; /* schema id -> struct sb_apply_rel */
};

int sb_tables_new(
    struct sb_conn *conn, struct sb_writer *writer, struct sb_tables **ret_tables, struct sb_err *err)
{
    struct sb_tables *tables = calloc(1, sizeof *tables);
    if (tables != NULL) {
        *tables = (struct sb_tables){.conn = conn,
            .writer = writer,
            .arena = sb_arena_new("target tables", ARENA_BYTES),
            .rels = sb_map_new(SHAPES_MAX)};
        if (tables->arena != NULL && tables->rels != NULL) {
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
    sb_arena_free(tables->arena);
    free(tables);
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
    if (sb_apply_rel_make(rel, &table, tables->arena, &made, err) != 0 ||
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
    }
    *ret_rel = made;
    return 0;
}
