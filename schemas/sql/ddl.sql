-- The event triggers that put DDL into the WAL at its exact place: one transactional message (prefix
-- switchback.ddl, schemas/ddl.h has its form) for each command that touches what a migration moves. Made by
-- prepare, where its role is a superuser. Whatever goes wrong in here, the application's command goes on; what
-- cannot be described is said to be so, and held.

-- The patterns of a migration's tables (tables.include and .exclude): what else is nobody's business.
CREATE TABLE IF NOT EXISTS switchback.ddl_scope (
    migration text NOT NULL,
    direction text NOT NULL,
    included text[] NOT NULL,
    excluded text[] NOT NULL,
    PRIMARY KEY (migration, direction)
);

-- Tables that were made and published in one transaction, with their CREATE TABLE in the stream: all of their rows
-- travel, and the initial copy leaves them to apply if the target does not have them yet.
CREATE TABLE IF NOT EXISTS switchback.ddl_born (relid oid PRIMARY KEY);

-- Does a pattern match a table, or the schema of anything else (of_name NULL)? Rather too often than too seldom:
-- who reads the message asks the configuration.
CREATE OR REPLACE FUNCTION switchback.ddl_matches(pattern text, of_schema text, of_name text) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE
        WHEN of_name IS NOT NULL THEN of_schema || '.' || of_name LIKE likes
        ELSE pattern LIKE '%"%' OR of_schema LIKE regexp_replace(likes, '\.[^.]*$', '') END
    FROM replace(replace(replace(replace(replace(replace(pattern,
        '\', '\\'), '%', '\%'), '_', '\_'), '"', '%'), '*', '%'), '?', '_') AS likes
$$;

CREATE OR REPLACE FUNCTION switchback.ddl_in_scope(of_schema text, of_name text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT of_schema NOT IN ('switchback', 'information_schema') AND of_schema !~ '^pg_' AND EXISTS (
        SELECT FROM switchback.ddl_scope s
        WHERE EXISTS (SELECT FROM unnest(s.included) p WHERE switchback.ddl_matches(p, of_schema, of_name))
        AND NOT EXISTS (SELECT FROM unnest(s.excluded) p WHERE switchback.ddl_matches(p, of_schema, of_name)
            -- Of a schema, only if no table of it is left.
            AND (of_name IS NOT NULL OR (p LIKE '%.*' AND p NOT LIKE '%"%'))))
$$;

-- The statements of a text; NULL if it cannot be taken apart for certain.
CREATE OR REPLACE FUNCTION switchback.ddl_statements(query text) RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    rest text := query; -- what is left is near and rest: every look at a text costs as much as there is of it
    near text := '';
    head text;          -- the beginning of near
    room integer;
    piece text := '';
    token text;
    tag text;
    depth integer := 0;
    level integer;
    found text[] := '{}';
    escapes boolean := current_setting('standard_conforming_strings') = 'off';
BEGIN
    IF length(query) > 100000 THEN
        RETURN NULL;
    END IF;
    WHILE near <> '' OR rest <> '' LOOP
        room := 400; -- most tokens end in there
        LOOP
            IF length(near) < room THEN
                near := near || left(rest, 8 * room);
                rest := substr(rest, 8 * room + 1);
            END IF;
            head := left(near, room);
            IF head ~ '^--' THEN
                token := substring(head FROM '^--[^\n\r]*');
            ELSIF head ~ '^/\*' THEN
                token := '';
                level := 0;
                LOOP
                    tag := substring(substr(head, length(token) + 1) FROM '^.*?(?:/\*|\*/)');
                    token := token || tag;
                    EXIT WHEN token IS NULL;
                    level := level + CASE WHEN tag ~ '/\*$' THEN 1 ELSE -1 END;
                    EXIT WHEN level = 0;
                END LOOP;
            ELSIF head ~ '^[eE]''' OR (escapes AND head ~ '^''') THEN
                token := substring(head FROM '^[eE]?''(?:[^''\\]|\\.|'''')*''');
            ELSIF head ~ '^''' THEN
                token := substring(head FROM '^''(?:[^'']|'''')*''');
            ELSIF head ~ '^"' THEN
                token := substring(head FROM '^"(?:[^"]|"")*"');
            ELSIF head ~ '^\$([[:alpha:]_][[:alnum:]_]*)?\$' THEN
                tag := substring(head FROM '^(\$(?:[[:alpha:]_][[:alnum:]_]*)?\$)');
                level := strpos(substr(head, length(tag) + 1), tag);
                token := CASE WHEN level > 0 THEN left(head, 2 * length(tag) + level - 1) END;
            ELSIF head ~ '^[[:alnum:]_]' THEN
                token := substring(head FROM '^[[:alnum:]_$]+');
            ELSIF head ~ '^[[:space:]]' THEN
                token := substring(head FROM '^[[:space:]]+');
            ELSIF head ~ '^\$' AND (rest <> '' OR head <> near) THEN
                token := NULL;
            ELSE
                token := left(head, 1);
            END IF;
            -- A doubled quote is no end, though without what follows it may look like one.
            EXIT WHEN rest = '' AND head = near;
            EXIT WHEN length(token) < length(head) AND (right(token, 1) NOT IN ('''', '"')
                OR right(token, 1) <> substr(head, length(token) + 1, 1));
            room := 4 * room;
        END LOOP;
        IF lower(token) IN ('atomic', 'rollback') THEN
            RETURN NULL;
        END IF;
        depth := depth + CASE token WHEN '(' THEN 1 WHEN ')' THEN -1 ELSE 0 END;
        IF token IS NULL THEN
            RETURN NULL;
        END IF;
        near := substr(near, length(token) + 1);
        IF token = ';' AND depth = 0 THEN
            found := found || piece;
            piece := '';
        ELSIF piece <> '' OR token !~ '^(?:[[:space:]]|--|/\*)' THEN
            piece := piece || token;
        END IF;
    END LOOP;
    found := CASE WHEN piece = '' THEN found ELSE found || piece END;
    RETURN (SELECT array_agg(one ORDER BY at) FROM unnest(found) WITH ORDINALITY u(one, at) WHERE one <> '');
END
$$;

-- The statement of this command: inside a function the one that it runs, else the client's; of several in one text
-- the one whose turn it is. Never more than that one: what stands beside it may be a secret. NULL if it cannot be told.
CREATE OR REPLACE FUNCTION switchback.ddl_statement(command_tag text, context text) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    words text[] := string_to_array(regexp_replace(command_tag, ' AS$', ''), ' ');
    begins text := '^' || words[1] || coalesce('\s+(?:(?:or\s+replace|unique|unlogged|local|global|temp|temporary)\s+)*'
        || nullif(array_to_string(words[2:], '\s+'), ''), '') || '\M';
    query text := current_query();
    candidates text[];
    turn text;
    number integer := 1;
BEGIN
    IF context <> '' THEN
        query := substring(context FROM '^SQL statement "(.*?)"\n(?:PL/pgSQL function|SQL function|SQL statement)');
    END IF;
    candidates := (SELECT array_agg(one ORDER BY at)
        FROM unnest(switchback.ddl_statements(query)) WITH ORDINALITY u(one, at) WHERE one ~* begins);
    IF cardinality(candidates) > 1 THEN
        turn := md5(concat_ws(' ', statement_timestamp(), query, begins));
        IF split_part(current_setting('switchback.ddl_turn', true), ' ', 1) = turn THEN
            number := 1 + split_part(current_setting('switchback.ddl_turn', true), ' ', 2)::integer;
        END IF;
        PERFORM set_config('switchback.ddl_turn', concat_ws(' ', turn, number), true);
    END IF;
    RETURN candidates[1 + (number - 1) % cardinality(candidates)];
END
$$;

-- The table that an object of a command is, or belongs to; NULL: none.
CREATE OR REPLACE FUNCTION switchback.ddl_table_of(of_class oid, of_object oid) RETURNS oid
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE of_class
        WHEN 'pg_class'::regclass THEN (SELECT coalesce(i.indrelid, c.oid) FROM pg_class c
            LEFT JOIN pg_index i ON i.indexrelid = c.oid WHERE c.oid = of_object AND c.relkind IN ('r', 'p', 'i', 'I'))
        WHEN 'pg_constraint'::regclass THEN (SELECT conrelid FROM pg_constraint WHERE oid = of_object)
    END
$$;

-- What the judge must know of a table: as it is after the command.
CREATE OR REPLACE FUNCTION switchback.ddl_table(of_table oid, rewritten text) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT jsonb_build_object('schema', n.nspname, 'name', c.relname, 'kind', c.relkind,
        'persistence', c.relpersistence, 'partition', c.relispartition,
        'rewritten', c.oid::text = ANY (string_to_array(rewritten, ',')) OR EXISTS (SELECT FROM pg_partition_tree(c.oid) t
            WHERE t.relid::oid::text = ANY (string_to_array(rewritten, ','))),
        'root', (SELECT jsonb_build_object('schema', rn.nspname, 'name', r.relname)
            FROM (SELECT a.relid, a.at FROM pg_partition_ancestors(c.oid) WITH ORDINALITY a(relid, at)
                ORDER BY a.at DESC LIMIT 1) top JOIN pg_class r ON r.oid = top.relid
            JOIN pg_namespace rn ON rn.oid = r.relnamespace),
        'published', EXISTS (SELECT FROM pg_publication_rel p JOIN switchback.capture k
            ON p.prpubid IN (k.publication_oid, k.publication_keyless_oid)
            WHERE p.prrelid = c.oid OR p.prrelid IN (SELECT a.relid FROM pg_partition_ancestors(c.oid) a(relid))),
        'columns', (SELECT jsonb_agg(jsonb_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
            'not_null', a.attnotnull, 'default', pg_get_expr(d.adbin, d.adrelid), 'generated', a.attgenerated,
            'identity', a.attidentity, 'filled', a.atthasmissing) ORDER BY a.attnum)
            FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = of_table
$$;

-- A new table of the migration is published at once, so that the rows which follow travel with it.
CREATE OR REPLACE FUNCTION switchback.ddl_publish(of_table oid) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    publication name;
BEGIN
    FOR publication IN
        SELECT p.pubname FROM switchback.ddl_scope s JOIN switchback.capture k USING (migration, direction)
        JOIN pg_class c ON c.oid = of_table JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_publication p ON p.oid = CASE WHEN EXISTS (SELECT FROM pg_index i
            WHERE i.indrelid = c.oid AND i.indisprimary) THEN k.publication_oid ELSE k.publication_keyless_oid END
        WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND NOT c.relispartition
        AND EXISTS (SELECT FROM unnest(s.included) i WHERE switchback.ddl_matches(i, n.nspname, c.relname))
        AND NOT EXISTS (SELECT FROM unnest(s.excluded) i WHERE switchback.ddl_matches(i, n.nspname, c.relname))
        AND NOT EXISTS (SELECT FROM pg_publication_rel r WHERE r.prpubid = p.oid AND r.prrelid = c.oid)
    LOOP
        EXECUTE format('ALTER PUBLICATION %I ADD TABLE %s', publication, of_table::regclass);
        INSERT INTO switchback.ddl_born VALUES (of_table) ON CONFLICT DO NOTHING;
    END LOOP;
END
$$;

-- Everything about a command, as JSON; NULL if it does not matter.
CREATE OR REPLACE FUNCTION switchback.ddl_describe(this_tag text, context text, dropped text, rewritten text)
RETURNS jsonb LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    statement text;
    objects jsonb;
    tables oid[];
    one oid;
BEGIN
    IF dropped = '' AND rewritten = '' AND (SELECT bool_and(c.schema_name = 'switchback') FROM pg_event_trigger_ddl_commands() c) THEN
        RETURN NULL; -- of prepare, in a long text of which nothing else is anybody's
    END IF;
    statement := switchback.ddl_statement(this_tag, context);
    IF statement ~* '^(create\s+(unique\s+)?|drop\s+)index\s+concurrently\M' THEN
        RETURN NULL;
    END IF;
    SELECT jsonb_agg(jsonb_build_object('type', c.object_type, 'schema', c.schema_name, 'identity', c.object_identity,
            'command', c.command_tag, 'definition', CASE c.object_type WHEN 'index' THEN pg_get_indexdef(c.objid) END)), array_agg(DISTINCT t.oid) FILTER (WHERE t.oid IS NOT NULL)
        INTO objects, tables
        FROM pg_event_trigger_ddl_commands() c
        LEFT JOIN pg_class t ON t.oid = switchback.ddl_table_of(c.classid, c.objid)
        LEFT JOIN pg_namespace n ON n.oid = t.relnamespace
        WHERE NOT c.in_extension AND CASE
            WHEN t.oid IS NOT NULL THEN t.relpersistence <> 't' AND switchback.ddl_in_scope(n.nspname, t.relname)
            WHEN c.classid = 'pg_type'::regclass OR (c.object_type = 'sequence' AND this_tag = 'CREATE SEQUENCE')
                THEN switchback.ddl_in_scope(c.schema_name, NULL)
            WHEN c.classid = 'pg_namespace'::regclass AND c.command_tag <> 'COMMENT'
                THEN switchback.ddl_in_scope((SELECT nspname FROM pg_namespace WHERE oid = c.objid), NULL)
            ELSE false END;
    SELECT array_agg(DISTINCT t) INTO tables FROM (SELECT unnest(tables) UNION SELECT c.oid
        FROM unnest(string_to_array(rewritten, ',')::oid[]) u(oid) JOIN pg_class c USING (oid)
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relpersistence <> 't' AND switchback.ddl_in_scope(n.nspname, c.relname)) u(t);
    objects := nullif(coalesce(objects, '[]') || coalesce(nullif(dropped, '')::jsonb, '[]'), '[]');
    IF objects IS NULL AND tables IS NULL THEN
        RETURN NULL;
    END IF;
    IF this_tag IN ('CREATE TABLE', 'CREATE SCHEMA') THEN
        FOREACH one IN ARRAY coalesce(tables, '{}') LOOP
            PERFORM switchback.ddl_publish(one);
        END LOOP;
    END IF;
    RETURN jsonb_build_object('statement', statement, 'objects', coalesce(objects, '[]'),
        'tables', (SELECT coalesce(jsonb_agg(switchback.ddl_table(t, rewritten)), '[]') FROM unnest(tables) t));
END
$$;

-- As the one who runs the command, because the others are not: the path that its names were looked up in.
CREATE OR REPLACE FUNCTION switchback.ddl_where() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_catalog.set_config('switchback.ddl_path',
        pg_catalog.array_to_json(pg_catalog.current_schemas(false))::pg_catalog.text, true);
    PERFORM pg_catalog.set_config('switchback.ddl_role', current_user::pg_catalog.text, true);
EXCEPTION WHEN OTHERS THEN
    NULL;
END
$$;

CREATE OR REPLACE FUNCTION switchback.ddl_dropped() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM set_config('switchback.ddl_dropped', coalesce((SELECT jsonb_agg(jsonb_build_object(
            'type', d.object_type, 'schema', d.schema_name, 'identity', d.object_identity, 'command', 'DROP',
            'name', d.address_names[2], 'dropped', true))
        FROM pg_event_trigger_dropped_objects() d WHERE NOT d.is_temporary AND CASE
            WHEN d.object_type IN ('table', 'table column') THEN switchback.ddl_in_scope(d.schema_name, d.address_names[2])
            WHEN d.object_type IN ('index', 'type', 'domain') THEN d.original AND switchback.ddl_in_scope(d.schema_name, NULL)
            WHEN d.object_type = 'schema' THEN switchback.ddl_in_scope(d.address_names[1], NULL)
            ELSE false END)::text, ''), true);
EXCEPTION WHEN OTHERS THEN
    PERFORM set_config('switchback.ddl_dropped', '?', true);
END
$$;

CREATE OR REPLACE FUNCTION switchback.ddl_rewritten() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM set_config('switchback.ddl_rewritten', concat_ws(',',
        nullif(current_setting('switchback.ddl_rewritten', true), ''), pg_event_trigger_table_rewrite_oid()), true);
EXCEPTION WHEN OTHERS THEN
    PERFORM set_config('switchback.ddl_dropped', '?', true);
END
$$;

-- Runs behind ddl_where: triggers of an event fire in the order of their names.
CREATE OR REPLACE FUNCTION switchback.ddl_emit() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    dropped text := coalesce(current_setting('switchback.ddl_dropped', true), '');
    rewritten text := coalesce(current_setting('switchback.ddl_rewritten', true), '');
    path text := current_setting('switchback.ddl_path', true);
    runs_as text := current_setting('switchback.ddl_role', true);
    messages text := current_setting('lc_messages');
    context text;
    about jsonb;
BEGIN
    IF dropped <> '' OR rewritten <> '' THEN
        PERFORM set_config('switchback.ddl_dropped', '', true);
        PERFORM set_config('switchback.ddl_rewritten', '', true);
    ELSIF tg_tag NOT IN ('ALTER TABLE', 'CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'CREATE INDEX', 'ALTER INDEX',
            'COMMENT', 'CREATE TYPE', 'ALTER TYPE', 'CREATE DOMAIN', 'ALTER DOMAIN', 'CREATE SCHEMA', 'ALTER SCHEMA',
            'CREATE SEQUENCE') THEN
        RETURN;
    END IF;
    IF pg_replication_origin_session_is_setup() THEN
        RETURN;
    END IF;
    BEGIN
        PERFORM set_config('lc_messages', 'C', true);
        GET DIAGNOSTICS context = PG_CONTEXT;
        PERFORM set_config('lc_messages', messages, true);
        IF dropped = '?' THEN
            RAISE EXCEPTION 'what was dropped or rewritten is not known';
        END IF;
        about := switchback.ddl_describe(tg_tag, substr(context, 1 + nullif(strpos(context, E'\n'), 0)), dropped, rewritten);
    EXCEPTION WHEN OTHERS THEN
        about := jsonb_build_object('failed', sqlstate, 'objects', '[]'::jsonb, 'tables', '[]'::jsonb);
    END;
    IF about IS NOT NULL THEN
        about := jsonb_build_object('format', 1, 'tag', tg_tag, 'server', current_setting('server_version_num')::integer,
            'path', path::jsonb, 'role', runs_as) || about;
        PERFORM pg_logical_emit_message(true, 'switchback.ddl', convert_to((SELECT encode(sha256(convert_to(
            secret || about::text, 'UTF8')), 'hex') || ' ' || about::text FROM switchback.signing_key), 'UTF8'));
        -- The server orders a message by the end of its record, which is where the next record begins: a change that
        -- follows at once in another (sub)transaction would overtake it. A record in between, which nobody gets:
        PERFORM pg_logical_emit_message(false, 'switchback.behind', '');
    END IF;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'switchback: a % could not be put into the stream: %', tg_tag, sqlerrm;
END
$$;

DROP EVENT TRIGGER IF EXISTS switchback_ddl_1_where;
DROP EVENT TRIGGER IF EXISTS switchback_ddl_2_emit;
DROP EVENT TRIGGER IF EXISTS switchback_ddl_dropped;
DROP EVENT TRIGGER IF EXISTS switchback_ddl_rewritten;
CREATE EVENT TRIGGER switchback_ddl_1_where ON ddl_command_end EXECUTE FUNCTION switchback.ddl_where();
CREATE EVENT TRIGGER switchback_ddl_2_emit ON ddl_command_end EXECUTE FUNCTION switchback.ddl_emit();
CREATE EVENT TRIGGER switchback_ddl_dropped ON sql_drop EXECUTE FUNCTION switchback.ddl_dropped();
CREATE EVENT TRIGGER switchback_ddl_rewritten ON table_rewrite EXECUTE FUNCTION switchback.ddl_rewritten();

-- How prepare knows that these are its own, and not an older program's.
COMMENT ON FUNCTION switchback.ddl_emit() IS 'switchback ddl 2';
