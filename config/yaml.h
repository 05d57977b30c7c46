/*
 * A YAML file as a tree of nodes that know their lines: the door to libyaml.
 *
 * The events of libyaml are used and not the schemas of libcyaml built on them: those give neither the line
 * of a value nor notice a key written twice, and say what is wrong only in a log line, so that an error could
 * not name file, line, key and the nearest known name.
 *
 * Of YAML this is what a configuration needs: mappings, lists and scalars in one document. Aliases, explicit
 * tags and keys that are not plain words are refused, duplicate keys too. Bounds: SB_YAML_BYTES,
 * SB_YAML_DEPTH, SB_YAML_NODES. A byte order mark of UTF-8 and CRLF line ends are accepted.
 */
#ifndef SB_CONFIG_YAML_H
#define SB_CONFIG_YAML_H

#include "core/arena.h"
#include "core/bytes.h"
#include "core/err.h"

enum { SB_YAML_BYTES = 1024 * 1024, SB_YAML_DEPTH = 8, SB_YAML_NODES = 10000 };

enum sb_yaml_kind { SB_YAML_SCALAR, SB_YAML_LIST, SB_YAML_MAP };

struct sb_yaml_node { /* belongs to the arena */
    enum sb_yaml_kind kind;
    int line;         /* of the key in a map, else of the value; from 1 */
    const char *key;  /* in a map; NULL in a list and at the root */
    const char *text; /* of a scalar, else NULL; never holds a NUL */
    bool empty;       /* a plain scalar that says nothing: "", ~ or null */
    size_t count;     /* of a list or map */
    struct sb_yaml_node *first, *last;
    struct sb_yaml_node *next; /* sibling */
};

/* Parse text; file is only named in errors. ret_root is a map (an empty one for an empty file). Errors are
 * SB-CONFIG "file:line: [path.of.key: ]reason", or SB-NO-MEMORY. */
int sb_yaml_parse(const char *file, struct sb_view text, struct sb_arena *arena,
    struct sb_yaml_node **ret_root, struct sb_err *err);

#endif
