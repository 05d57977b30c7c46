#include "pg/version_limits.h"

#include <stddef.h>

#define TABLE "pg_catalog.format('%I.%I', n.nspname, c.relname)"
#define OF_TABLES                                                                                            \
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY ($1::pg_catalog.oid[]) "    \
    "AND "
#define COLUMNS(where)                                                                                       \
    "SELECT " TABLE " || '.' || pg_catalog.quote_ident(a.attname) FROM pg_catalog.pg_attribute a"            \
    " JOIN pg_catalog.pg_class c ON c.oid = a.attrelid" OF_TABLES                                            \
    "a.attnum > 0 AND NOT a.attisdropped AND " where " ORDER BY 1"
#define CONSTRAINTS(where)                                                                                   \
    "SELECT pg_catalog.quote_ident(k.conname) || ' of ' || " TABLE " FROM pg_catalog.pg_constraint k"        \
    " JOIN pg_catalog.pg_class c ON c.oid = k.conrelid" OF_TABLES where " ORDER BY 1"

const struct sb_version_limit sb_version_limits[] = {
    {"numeric_scale", 15, "a numeric whose scale is negative or above its precision",
        "the column cannot be made there; numeric without precision holds the values", false,
        COLUMNS("a.atttypid = 1700 AND a.atttypmod >= 4 AND"
                " ((((a.atttypmod - 4) & 2047) # 1024) - 1024 < 0 OR"
                " (((a.atttypmod - 4) & 2047) # 1024) - 1024 > ((a.atttypmod - 4) >> 16 & 65535))")},
    {"nulls_not_distinct", 15, "a unique index with NULLS NOT DISTINCT",
        "it takes a second row with NULL there, which this side refuses", false,
        "SELECT pg_catalog.quote_ident(x.relname) || ' of ' || " TABLE " FROM pg_catalog.pg_index i"
        " JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid"
        " JOIN pg_catalog.pg_class c ON c.oid = i.indrelid" OF_TABLES "i.indnullsnotdistinct ORDER BY 1"},
    {"set_null_columns", 15, "a foreign key with ON DELETE SET NULL or SET DEFAULT of some columns",
        "it sets all of its columns there", false, CONSTRAINTS("k.confdelsetcols IS NOT NULL")},
    {"interval_infinity", 17, "the interval 'infinity'",
        "a row with it is refused there; these columns could hold it", true,
        COLUMNS("a.atttypid IN (1186, 1187)")},
    {"builtin_collation", 17, "a collation of the builtin provider",
        "the column needs another collation there, so order and uniqueness may differ", false,
        COLUMNS(
            "EXISTS (SELECT FROM pg_catalog.pg_collation l WHERE l.oid = a.attcollation AND l.collprovider = "
            "'b')")},
    {"identity_of_partitioned", 17, "an identity column of a partitioned table",
        "it is an ordinary column there, with a default", false,
        COLUMNS("a.attidentity <> '' AND c.relkind = 'p'")},
    {"exclusion_of_partitioned", 17, "an exclusion constraint of a partitioned table",
        "only its partitions can have one there", false, CONSTRAINTS("k.contype = 'x' AND c.relkind = 'p'")},
    {"virtual_generated", 18, "a virtual generated column", "it must be stored there, or be left out", false,
        COLUMNS("a.attgenerated = 'v'")},
    {"without_overlaps", 18, "a key WITHOUT OVERLAPS, or a foreign key with PERIOD",
        "it takes rows that this side refuses, unless an exclusion constraint stands for it", false,
        CONSTRAINTS("k.conperiod")},
    {"not_enforced", 18, "a constraint that is NOT ENFORCED",
        "it cannot be made there; leave it out, or rows that break it are refused", false,
        CONSTRAINTS("NOT k.conenforced")},
    {"not_null_not_valid", 18, "a NOT NULL that is NOT VALID",
        "it holds for all rows there, also those that break it", false,
        CONSTRAINTS("k.contype = 'n' AND NOT k.convalidated")},
    {"new_functions", 18, "a default with uuidv7() or uuidv4()", "the function is not there", false,
        "SELECT " TABLE " || '.' || pg_catalog.quote_ident(a.attname) FROM pg_catalog.pg_attrdef d"
        " JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum"
        " JOIN pg_catalog.pg_class c ON c.oid = d.adrelid" OF_TABLES
        "pg_catalog.pg_get_expr(d.adbin, d.adrelid) ~ '\\muuidv[47]\\(' ORDER BY 1"},
    {NULL, 0, NULL, NULL, false, NULL},
};

static int major_of(int version)
{
    return version >= 10000 ? version / 10000 : version;
}

bool sb_version_limit_bites(const struct sb_version_limit *limit, int has, int lacks)
{
    return major_of(has) >= limit->since && major_of(lacks) < limit->since;
}
