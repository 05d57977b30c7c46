#include "copy/toc.h"

#include <stdlib.h>
#include <string.h>

enum { RELATION_CLASS = 1259 };

static const char header_mark[] = "--\n-- TOC entry ";
static const char end_mark[] = "--\n-- PostgreSQL database dump complete\n--\n";

/* -- views ----------------------------------------------------------------------------------------------- */

static bool is(struct sb_view view, const char *text)
{
    return sb_view_eq_str(view, text);
}

static bool starts(struct sb_view view, const char *text)
{
    size_t len = strlen(text);
    return view.len >= len && memcmp(view.ptr, text, len) == 0;
}

static struct sb_view behind(struct sb_view view, size_t len)
{
    return sb_view(view.ptr + len, view.len - len);
}

static const char *find(struct sb_view view, const char *text)
{
    return view.len == 0 ? NULL : memmem(view.ptr, view.len, text, strlen(text));
}

static const char *find_last(struct sb_view view, const char *text)
{
    const char *last = NULL;
    size_t len = strlen(text);
    for (const char *at = find(view, text); at != NULL;
         at = find(sb_view(at + len, view.len - (size_t)(at + len - view.ptr)), text))
        last = at;
    return last;
}

/* Up to the end of the line, without it; rest begins behind it. */
static struct sb_view line_take(struct sb_view *rest)
{
    const char *end = rest->len == 0 ? NULL : memchr(rest->ptr, '\n', rest->len);
    size_t len = end == NULL ? rest->len : (size_t)(end - rest->ptr);
    struct sb_view line = sb_view(rest->ptr, len);
    *rest = behind(*rest, end == NULL ? len : len + 1);
    return line;
}

/* Digits, and one character behind them. */
static bool number_take(struct sb_view *rest, char stop, uint32_t *ret_number)
{
    uint64_t number = 0;
    size_t len = 0;
    while (len < rest->len && len < 10 && rest->ptr[len] >= '0' && rest->ptr[len] <= '9')
        number = number * 10 + (uint64_t)(rest->ptr[len++] - '0');
    if (len == 0 || number > UINT32_MAX || len >= rest->len || rest->ptr[len] != stop)
        return false;
    *rest = behind(*rest, len + 1);
    *ret_number = (uint32_t)number;
    return true;
}

/* -- the list -------------------------------------------------------------------------------------------- */

struct listed {
    uint32_t id, class_oid, oid;
};

/* "215; 1259 16386 TABLE public item owner" */
static bool listed_take(struct sb_view line, struct listed *ret_listed)
{
    struct listed one;
    if (!number_take(&line, ';', &one.id) || line.len == 0 || line.ptr[0] != ' ')
        return false;
    line = behind(line, 1);
    if (!number_take(&line, ' ', &one.class_oid) || !number_take(&line, ' ', &one.oid))
        return false;
    *ret_listed = one;
    return true;
}

static size_t lines_count(struct sb_view text)
{
    size_t count = 1;
    for (size_t i = 0; i < text.len; i++)
        count += text.ptr[i] == '\n';
    return count;
}

static int no_room(const struct sb_arena *arena, struct sb_err *err)
{
    return sb_err_set(err, SB_E_LIMIT, "the structure does not fit into the %zu bytes of arena \"%s\"",
        sb_arena_max(arena), sb_arena_name(arena));
}

/* -- the scripts ----------------------------------------------------------------------------------------- */

struct reader {
    struct sb_arena *arena;
    struct listed *listed;
    size_t listed_count;
    struct sb_toc *toc;
};

/* "-- Dependencies: 215 216" */
static bool deps_take(struct reader *reader, struct sb_view line, struct sb_toc_entry *entry)
{
    size_t room = 1;
    line = behind(line, strlen("-- Dependencies:"));
    for (size_t i = 0; i < line.len; i++)
        room += line.ptr[i] == ' ';
    entry->deps = sb_arena_alloc(reader->arena, room * sizeof *entry->deps);
    if (entry->deps == NULL)
        return false;
    while (line.len > 0) {
        uint32_t id = 0;
        line = behind(line, 1);
        size_t len = 0;
        for (; len < line.len && line.ptr[len] >= '0' && line.ptr[len] <= '9'; len++)
            id = id * 10 + (uint32_t)(line.ptr[len] - '0');
        entry->deps[entry->dep_count++] = id;
        line = len == 0 ? sb_view(line.ptr, 0) : behind(line, len);
    }
    return true;
}

/* "-- Name: item; Type: TABLE; Schema: public; Owner: -": words that a name may hold, too, so from behind. */
static bool words_take(struct sb_view line, struct sb_toc_entry *entry)
{
    const char *name = find(line, "Name: ");
    const char *owner = find_last(line, "; Owner: ");
    if (name == NULL || owner == NULL || owner < name)
        return false;
    struct sb_view rest = sb_view(name + 6, (size_t)(owner - name) - 6);
    const char *schema = find_last(rest, "; Schema: ");
    if (schema == NULL)
        return false;
    entry->schema = sb_view(schema + 10, (size_t)(owner - schema) - 10);
    rest.len = (size_t)(schema - rest.ptr);
    const char *type = find_last(rest, "; Type: ");
    if (type == NULL)
        return false;
    entry->type = sb_view(type + 8, (size_t)(schema - type) - 8);
    entry->name = sb_view(rest.ptr, (size_t)(type - rest.ptr));
    return true;
}

/* Is this a header, of an entry that is listed behind the one before? A function's text may hold what looks
 * like one. rest then begins behind it. 0, 1: it is none, -1 with err. */
static int header_take(struct reader *reader, struct sb_view *rest, size_t *from,
    struct sb_toc_entry *ret_entry, struct sb_err *err)
{
    struct sb_toc_entry entry = {.id = 0};
    struct sb_view text = behind(*rest, strlen(header_mark));
    if (!number_take(&text, ' ', &entry.id) || !starts(text, "(class "))
        return 1;
    text = behind(text, strlen("(class "));
    if (!number_take(&text, ' ', &entry.class_oid) || !starts(text, "OID "))
        return 1;
    text = behind(text, strlen("OID "));
    if (!number_take(&text, ')', &entry.oid) || !starts(text, "\n"))
        return 1;
    text = behind(text, 1);
    size_t at = *from;
    while (at < reader->listed_count && reader->listed[at].id != entry.id)
        at++;
    if (at == reader->listed_count || reader->listed[at].class_oid != entry.class_oid ||
        reader->listed[at].oid != entry.oid)
        return 1;
    if (starts(text, "-- Dependencies:") && !deps_take(reader, line_take(&text), &entry))
        return no_room(reader->arena, err);
    if (!words_take(line_take(&text), &entry))
        return 1;
    if (starts(text, "-- Data Pos: "))
        line_take(&text);
    if (!starts(text, "--\n"))
        return 1;
    *rest = behind(text, 3);
    *from = at + 1;
    *ret_entry = entry;
    return 0;
}

static const char *next_header(struct sb_view text)
{
    if (starts(text, header_mark))
        return text.ptr;
    const char *found = find(text, "\n--\n-- TOC entry ");
    return found == NULL ? NULL : found + 1;
}

/* One section: everything before its first header is what pg_restore sets for its own session. */
static int script_read(struct reader *reader, struct sb_view script, bool post, struct sb_err *err)
{
    const char *end = find_last(script, end_mark);
    if (end == NULL)
        return sb_err_set(err, SB_E_PG_DUMP, "what pg_restore printed has no end");
    script.len = (size_t)(end - script.ptr);
    struct sb_toc_entry *open = NULL;
    size_t from = 0;
    for (const char *at = next_header(script); at != NULL;) {
        struct sb_view rest = behind(script, (size_t)(at - script.ptr));
        struct sb_toc_entry entry;
        int rc = header_take(reader, &rest, &from, &entry, err);
        if (rc < 0)
            return -1;
        if (rc == 0) {
            if (open != NULL)
                open->sql.len = (size_t)(at - open->sql.ptr);
            entry.sql = rest;
            entry.post = post;
            open = &reader->toc->entries[reader->toc->count++];
            *open = entry;
        } else {
            rest = behind(rest, 3);
        }
        at = next_header(rest);
    }
    return 0;
}

int sb_toc_parse(struct sb_view list, struct sb_view pre, struct sb_view post, struct sb_arena *arena,
    struct sb_toc *ret_toc, struct sb_err *err)
{
    size_t most = lines_count(list);
    struct sb_toc toc = {.entries = sb_arena_zalloc(arena, (2 * most + 1) * sizeof *toc.entries)};
    struct reader reader = {
        .arena = arena, .listed = sb_arena_alloc(arena, most * sizeof *reader.listed), .toc = &toc};
    if (toc.entries == NULL || reader.listed == NULL)
        return no_room(arena, err);
    while (list.len > 0) {
        struct sb_view line = line_take(&list);
        if (line.len == 0 || line.ptr[0] == ';')
            continue;
        if (!listed_take(line, &reader.listed[reader.listed_count]))
            return sb_err_set(err, SB_E_PG_DUMP, "a line of pg_restore's list does not read as one");
        reader.listed_count++;
    }
    if (script_read(&reader, pre, false, err) != 0 || script_read(&reader, post, true, err) != 0)
        return -1;
    *ret_toc = toc;
    return 0;
}

/* -- what it is ------------------------------------------------------------------------------------------ */

bool sb_toc_is_relation(const struct sb_toc_entry *entry)
{
    return entry->class_oid == RELATION_CLASS &&
           (is(entry->type, "TABLE") || is(entry->type, "FOREIGN TABLE"));
}

void sb_toc_put_what(const struct sb_toc_entry *entry, struct sb_buf *out)
{
    sb_buf_put_view(out, entry->type);
    sb_buf_put_str(out, " ");
    if (!is(entry->schema, "-")) {
        sb_buf_put_view(out, entry->schema);
        sb_buf_put_str(out, ".");
    }
    sb_buf_put_view(out, entry->name);
}

bool sb_toc_wave_is_wide(int wave)
{
    return wave == SB_TOC_WAVE_KEYS || wave == SB_TOC_WAVE_INDEXES || wave == SB_TOC_WAVE_ANALYZE;
}

/* A name as pg_dump writes it, quoted or not. */
static struct sb_view ident_skip(struct sb_view text)
{
    size_t len = 0;
    if (!starts(text, "\"")) {
        while (len < text.len && strchr(" ;\n", text.ptr[len]) == NULL)
            len++;
        return behind(text, len);
    }
    for (len = 1; len < text.len; len++) {
        if (text.ptr[len] != '"')
            continue;
        if (len + 1 == text.len || text.ptr[len + 1] != '"')
            return behind(text, len + 1);
        len++;
    }
    return behind(text, text.len);
}

/* "ALTER TABLE ONLY public.item\n    ADD CONSTRAINT item_pkey PRIMARY KEY (id);" */
static bool is_primary_key(struct sb_view sql)
{
    static const char add[] = "\n    ADD CONSTRAINT ";
    const char *at = find(sql, add);
    if (at == NULL)
        return false;
    struct sb_view rest = ident_skip(behind(sql, (size_t)(at - sql.ptr) + sizeof add - 1));
    return starts(rest, " PRIMARY KEY ");
}

/* pg_dump writes behind the index: "ALTER TABLE ONLY public.item REPLICA IDENTITY USING INDEX item_key;" */
static bool is_replica_identity(struct sb_view sql)
{
    static const char words[] = " REPLICA IDENTITY USING INDEX ";
    const char *at = find_last(sql, words);
    if (at == NULL)
        return false;
    struct sb_view rest = ident_skip(behind(sql, (size_t)(at - sql.ptr) + sizeof words - 1));
    return starts(rest, ";") && find(behind(rest, 1), ";") == NULL;
}

static bool is_plain_index(struct sb_view sql)
{
    while (sql.len > 0 && (sql.ptr[0] == '\n' || sql.ptr[0] == ' '))
        sql = behind(sql, 1);
    return starts(sql, "CREATE INDEX ");
}

static int wave_of_type(const struct sb_toc_entry *entry)
{
    bool key = is_replica_identity(entry->sql);
    if (is(entry->type, "CONSTRAINT"))
        return key || is_primary_key(entry->sql) ? SB_TOC_WAVE_KEYS : SB_TOC_WAVE_INDEXES;
    if (is(entry->type, "INDEX"))
        return key || is_plain_index(entry->sql) ? SB_TOC_WAVE_KEYS : SB_TOC_WAVE_INDEXES;
    return is(entry->type, "INDEX ATTACH") ? SB_TOC_WAVE_KEYS_ATTACH : SB_TOC_WAVE_OTHERS;
}

/* -- choosing -------------------------------------------------------------------------------------------- */

struct chooser {
    struct sb_toc *toc;
    struct sb_toc_entry **by_id;
    bool *barred, *needed;
};

static int id_order(const void *a, const void *b)
{
    const struct sb_toc_entry *const *left = a, *const *right = b;
    return ((*left)->id > (*right)->id) - ((*left)->id < (*right)->id);
}

/* NULL: not an entry of ours (data, or something pg_dump knows only by itself). */
static struct sb_toc_entry *entry_of(const struct chooser *chooser, uint32_t id)
{
    const struct sb_toc_entry wanted = {.id = id};
    const struct sb_toc_entry *key = &wanted;
    struct sb_toc_entry **found =
        bsearch(&key, chooser->by_id, chooser->toc->count, sizeof *chooser->by_id, id_order);
    return found == NULL ? NULL : *found;
}

static size_t place_of(const struct chooser *chooser, const struct sb_toc_entry *entry)
{
    return (size_t)(entry - chooser->toc->entries);
}

static bool never_travels(const struct sb_toc_entry *entry)
{
    static const char *const types[] = {
        "SUBSCRIPTION", "USER MAPPING", "STATISTICS DATA", "DATABASE", "DATABASE PROPERTIES", NULL};
    for (const char *const *type = types; *type != NULL; type++)
        if (is(entry->type, *type))
            return true;
    if (is(entry->type, "COMMENT"))
        return starts(entry->name, "EXTENSION ") || starts(entry->name, "SUBSCRIPTION ");
    if (starts(entry->type, "PUBLICATION") || is(entry->type, "EVENT TRIGGER"))
        return starts(entry->name, "switchback_");
    return is(entry->type, "TRIGGER") && find(entry->sql, " EXECUTE FUNCTION switchback.") != NULL;
}

static bool is_barred(const struct chooser *chooser, const struct sb_toc_entry *entry)
{
    return entry != NULL && chooser->barred[place_of(chooser, entry)];
}

/* pg_dump makes a view that it cannot make in one go as a hull, and fills it by the rule "item _RETURN". */
static struct sb_toc_entry *hull_of(const struct chooser *chooser, const struct sb_toc_entry *rule)
{
    static const char fills[] = " _RETURN";
    size_t len = sizeof fills - 1;
    if (!is(rule->type, "RULE") || rule->name.len <= len ||
        memcmp(rule->name.ptr + rule->name.len - len, fills, len) != 0)
        return NULL;
    for (size_t d = 0; d < rule->dep_count; d++) {
        struct sb_toc_entry *dep = entry_of(chooser, rule->deps[d]);
        if (dep != NULL && !dep->post && sb_view_eq(dep->schema, rule->schema) &&
            sb_view_eq(dep->name, sb_view(rule->name.ptr, rule->name.len - len)))
            return dep;
    }
    return NULL;
}

static bool bar_more(struct chooser *chooser, sb_toc_travels_fn *travels, void *arg)
{
    bool more = false;
    for (size_t i = 0; i < chooser->toc->count; i++) {
        const struct sb_toc_entry *entry = &chooser->toc->entries[i];
        if (chooser->barred[i])
            continue;
        bool barred = never_travels(entry) || (sb_toc_is_relation(entry) && !travels(arg, entry->oid));
        for (size_t d = 0; d < entry->dep_count && !barred; d++)
            barred = is_barred(chooser, entry_of(chooser, entry->deps[d]));
        if (!barred)
            continue;
        more = chooser->barred[i] = true;
        const struct sb_toc_entry *hull = hull_of(chooser, entry);
        if (hull != NULL)
            chooser->barred[place_of(chooser, hull)] = true;
    }
    return more;
}

/* What something that is needed depends on is needed; so is what belongs to a table or view that is. */
static bool need_more(struct chooser *chooser)
{
    bool more = false;
    for (size_t i = chooser->toc->count; i-- > 0;) {
        const struct sb_toc_entry *entry = &chooser->toc->entries[i];
        for (size_t d = 0; d < entry->dep_count; d++) {
            const struct sb_toc_entry *dep = entry_of(chooser, entry->deps[d]);
            if (dep == NULL || chooser->barred[i])
                continue;
            bool belongs = sb_toc_is_relation(dep) || entry->post || is(entry->type, "COMMENT");
            bool *needs = &chooser->needed[place_of(chooser, dep)];
            if (!chooser->needed[i] && *needs && belongs && !is(entry->type, "FUNCTION"))
                more = chooser->needed[i] = true;
            if (chooser->needed[i] && !*needs)
                more = *needs = true;
        }
    }
    return more;
}

static void phase_set(struct chooser *chooser, struct sb_toc_entry *entry)
{
    if (!entry->post) {
        entry->phase = SB_TOC_BEFORE;
        return;
    }
    entry->wave = wave_of_type(entry);
    for (size_t d = 0; d < entry->dep_count; d++) {
        const struct sb_toc_entry *dep = entry_of(chooser, entry->deps[d]);
        int wave = dep == NULL ? 0 : dep->wave;
        /* Attached is what there is already. */
        wave += is(entry->type, "INDEX ATTACH") && wave == SB_TOC_WAVE_INDEXES;
        entry->wave = wave > entry->wave ? wave : entry->wave;
    }
    entry->phase = entry->wave <= SB_TOC_WAVE_KEYS_ATTACH ? SB_TOC_KEYS : SB_TOC_REST;
}

int sb_toc_choose(struct sb_toc *toc, sb_toc_travels_fn *travels, void *arg, bool narrow,
    struct sb_arena *arena, struct sb_err *err)
{
    struct chooser chooser = {.toc = toc,
        .by_id = sb_arena_alloc(arena, (toc->count + 1) * sizeof *chooser.by_id),
        .barred = sb_arena_zalloc(arena, toc->count + 1),
        .needed = sb_arena_zalloc(arena, toc->count + 1)};
    if (chooser.by_id == NULL || chooser.barred == NULL || chooser.needed == NULL)
        return no_room(arena, err);
    for (size_t i = 0; i < toc->count; i++)
        chooser.by_id[i] = &toc->entries[i];
    if (toc->count > 0)
        qsort(chooser.by_id, toc->count, sizeof *chooser.by_id, id_order);
    while (bar_more(&chooser, travels, arg)) {
    }
    for (size_t i = 0; i < toc->count; i++)
        chooser.needed[i] = !chooser.barred[i] && (!narrow || sb_toc_is_relation(&toc->entries[i]));
    while (narrow && need_more(&chooser)) {
    }
    for (size_t i = 0; i < toc->count; i++) {
        toc->entries[i].phase = SB_TOC_LEFT_OUT;
        if (chooser.needed[i])
            phase_set(&chooser, &toc->entries[i]);
    }
    return 0;
}
