"""A database with everything a structure can hold, filled, a load that breaks every rule between two moments, and what
two such databases look like to pg_dump."""

import re
import subprocess

from sbtest import servers

STRUCTURE = """
CREATE SCHEMA "Odd ""Shop";
COMMENT ON SCHEMA "Odd ""Shop" IS 'a ''quoted'' name; Type: TABLE';
CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s fine');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE address AS (street text, number positive);
CREATE TYPE span AS RANGE (subtype = int4);
CREATE SEQUENCE tickets INCREMENT 5 START 100;
CREATE FUNCTION shout(said text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $body$
BEGIN
    -- what follows looks like pg_dump's own words
--
-- TOC entry 4242 (class 1259 OID 4242)
-- Name: nothing; Type: TABLE; Schema: public; Owner: -
--
    RETURN upper(said) || '!';
END $body$;
CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql IMMUTABLE BEGIN ATOMIC SELECT 1; SELECT n * 2; END;
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.touched := coalesce(NEW.touched, 0) + 1; RETURN NEW; END $$;
CREATE TABLE person (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text NOT NULL UNIQUE, m mood DEFAULT 'ok', home address,
    age positive, loud text GENERATED ALWAYS AS (shout(email)) STORED, touched int, "we ird" text COLLATE "C"
);
COMMENT ON TABLE person IS 'people';
COMMENT ON COLUMN person."we ird" IS 'odd';
CREATE INDEX person_mood ON person (m) WHERE m <> 'sad';
COMMENT ON INDEX person_mood IS 'a partial one';
CREATE INDEX person_loud ON person (lower(loud), id DESC) INCLUDE (age);
CREATE UNIQUE INDEX person_email_lower ON person (lower(email));
CREATE TRIGGER person_stamp BEFORE INSERT OR UPDATE ON person FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE STATISTICS person_stats ON id, age FROM person;
CREATE TABLE purchase (
    id bigserial PRIMARY KEY, person int NOT NULL REFERENCES person ON DELETE CASCADE, ticket int DEFAULT nextval('tickets'),
    price numeric(10, 2) CHECK (price >= 0), during span
);
ALTER TABLE purchase ADD CONSTRAINT later CHECK (price < 1000000) NOT VALID;
CREATE TABLE seat (id int PRIMARY KEY, place int NOT NULL, CONSTRAINT one_place UNIQUE (place));
CREATE TABLE booking (id int PRIMARY KEY, during int4range NOT NULL, EXCLUDE USING gist (during WITH &&));
CREATE TABLE badge (code text COLLATE "C" NOT NULL, n int NOT NULL, note text);
CREATE UNIQUE INDEX badge_identity ON badge (code);
ALTER TABLE badge REPLICA IDENTITY USING INDEX badge_identity;
CREATE TABLE loose (at int, what text);
ALTER TABLE loose REPLICA IDENTITY FULL;
CREATE TABLE "Odd ""Shop"."or; Type: der" (
    "id of" int PRIMARY KEY, "seat; Owner: x" int REFERENCES seat DEFERRABLE INITIALLY DEFERRED, note text
);
CREATE INDEX "in""dex" ON "Odd ""Shop"."or; Type: der" (note);
CREATE TABLE visit (id int, k int, note text, PRIMARY KEY (id, k), UNIQUE (k, id, note)) PARTITION BY RANGE (k);
CREATE TABLE visit_low PARTITION OF visit FOR VALUES FROM (MINVALUE) TO (500);
CREATE TABLE visit_high PARTITION OF visit FOR VALUES FROM (500) TO (MAXVALUE) PARTITION BY LIST (id);
CREATE TABLE visit_high_rest PARTITION OF visit_high DEFAULT;
CREATE INDEX visit_note ON visit (note);
CREATE TABLE stay (id int PRIMARY KEY, visit int, k int, FOREIGN KEY (visit, k) REFERENCES visit);
CREATE UNLOGGED TABLE scratch (id int PRIMARY KEY);
CREATE VIEW buyers AS SELECT p.id, p.email, count(*) AS n FROM person p JOIN purchase b ON b.person = p.id GROUP BY p.id;
CREATE VIEW whole_people AS SELECT person.* FROM person GROUP BY id;
CREATE RULE never AS ON DELETE TO buyers DO INSTEAD NOTHING;
CREATE MATERIALIZED VIEW spent AS SELECT person, sum(price) AS total FROM purchase GROUP BY person;
CREATE MATERIALIZED VIEW spent_much AS SELECT * FROM spent WHERE total > 10;
CREATE MATERIALIZED VIEW unfilled AS SELECT 1 AS one WITH NO DATA;
CREATE UNIQUE INDEX spent_person ON spent (person);
CREATE EXTENSION IF NOT EXISTS plpgsql;
CREATE AGGREGATE biggest (int) (SFUNC = int4larger, STYPE = int);
"""

FILL = """
INSERT INTO person (email, m, home, age) SELECT 'p' || g || '@x', 'ok', ROW('road', 1 + g % 9)::address, 1 + g % 80 FROM generate_series(1, {n}) g;
INSERT INTO purchase (person, price, during) SELECT 1 + g % {n}, g % 50, span(g, g + 3) FROM generate_series(1, {n}) g;
INSERT INTO seat SELECT g, g FROM generate_series(1, {n}) g;
INSERT INTO booking SELECT g, int4range(g * 10, g * 10 + 10) FROM generate_series(1, {n}) g;
INSERT INTO badge SELECT 'code' || g, g FROM generate_series(1, {n}) g;
INSERT INTO loose SELECT g % 40, 'x' FROM generate_series(1, {n} / 4) g;
INSERT INTO "Odd ""Shop"."or; Type: der" SELECT g, g, 'n' || g % 10 FROM generate_series(1, {n} / 2) g;
INSERT INTO visit SELECT g, g % 1000, 'v' || g FROM generate_series(1, {n}) g;
INSERT INTO stay SELECT g, g, g % 1000 FROM generate_series(1, {n} / 4) g;
REFRESH MATERIALIZED VIEW spent;
REFRESH MATERIALIZED VIEW spent_much;
ANALYZE;
"""


def make(cluster, db="postgres"):
    cluster.sql(STRUCTURE, db=db)


def fill(cluster, rows, db="postgres"):
    make(cluster, db)
    cluster.sql(FILL.format(n=rows), db=db)


def step(rows):
    """A transaction of the load. Unique values go from row to row, parents come and go with their children: rows of two
    moments would break what holds at each of them."""

    def run(session, rng):
        one, other = sorted(rng.sample(range(1, rows + 1), 2))
        what = rng.randrange(7)
        if what == 0:  # two rows swap their unique values
            (a,), (b,) = session.execute("SELECT place FROM seat WHERE id IN (%s, %s) ORDER BY id FOR UPDATE", (one, other)).fetchall()
            session.execute("UPDATE seat SET place = -place WHERE id = %s", (one,))
            session.execute("UPDATE seat SET place = %s WHERE id = %s", (a, other))
            session.execute("UPDATE seat SET place = %s WHERE id = %s", (b, one))
        elif what == 1:  # a parent with its child, and another one gone with its children
            (new,) = session.execute("INSERT INTO person (email) VALUES (md5(random()::text)) RETURNING id").fetchone()
            session.execute("INSERT INTO purchase (person, price) VALUES (%s, 1)", (new,))
            session.execute("DELETE FROM person WHERE id = %s", (one,))
        elif what == 2:  # ranges that may not meet move about
            found = session.execute("SELECT during::text FROM booking WHERE id IN (%s, %s) ORDER BY id FOR UPDATE", (one, other)).fetchall()
            if len(found) < 2:  # another writer has just made one of them anew
                return
            (a,), (b,) = found
            session.execute("DELETE FROM booking WHERE id IN (%s, %s)", (one, other))
            session.execute("INSERT INTO booking VALUES (%s, %s), (%s, %s)", (one, b, other, a))
        elif what == 3:
            session.execute("UPDATE badge SET n = n + 1, note = 'changed' WHERE code = %s", (f"code{one}",))
            session.execute("UPDATE badge SET code = code || 'x' WHERE code = %s", (f"code{other}",))
        elif what == 4:
            session.execute("UPDATE loose SET what = what || 'y' WHERE at = %s AND length(what) < 20", (one % 40,))
            session.execute("INSERT INTO loose VALUES (%s, 'new')", (one,))
        elif what == 5:
            session.execute("UPDATE visit SET note = note || 'z' WHERE id = %s AND length(note) < 20", (one,))
            session.execute("DELETE FROM stay WHERE id = %s", (one,))
        else:
            session.execute('UPDATE "Odd ""Shop"."or; Type: der" SET "seat; Owner: x" = %s WHERE "id of" = %s', (other, one))
            session.execute("UPDATE person SET age = 1 + %s WHERE id = %s", (one % 99, other))

    return run


def _entry(text):
    """Servers from 16 on name a column's table only where it is needed, 18 names what is not null, 14 has a comment on the
    schema public."""
    text = text.strip()
    if re.match(r"CREATE (OR REPLACE |MATERIALIZED )?VIEW", text):
        text = re.sub(r"\b(purchase|spent|person)\.", "", text)
    text = re.sub(r" CONSTRAINT \w+ NOT NULL", " NOT NULL", text)
    return re.sub(r"^-- .*\n?", "", text, flags=re.M)


def _entries(text):
    """pg_dump's words, entry by entry, without what differs between any two databases, and without our event triggers,
    which are in no schema."""
    text = re.sub(r"^--\n-- Name: switchback_ddl_\w+; Type: EVENT TRIGGER.*\n--\n[^;]*;\n\n*", "", text, flags=re.M)
    text = re.sub(r"^\\(un)?restrict .*$", "", text, flags=re.M)
    text = re.sub(r"^-- (Dumped|Started|Completed) .*$", "", text, flags=re.M)
    return sorted(filter(None, map(_entry, re.split(r"^--\n-- Name: .*\n--\n", text, flags=re.M)[1:])))


def structure(cluster, bin_dir, db="postgres"):
    """What pg_dump says of the structure but for our own schema, publications and rights; a sorted list."""
    done = subprocess.run(
        [bin_dir / "pg_dump", "--schema-only", "--no-owner", "--no-privileges", "--exclude-schema=switchback",
         "--no-publications", "-d", cluster.dsn(db)],
        env=cluster.programs.env, capture_output=True, text=True, check=False, timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return _entries(done.stdout)


def assert_same_structure(old, new, db="postgres"):
    bin_dir = servers.clients(max(old.major, new.major))
    here, there = structure(old, bin_dir, db), structure(new, bin_dir, db)
    assert len(here) > 1, "pg_dump said next to nothing"
    differ = [f"only old: {one}" for one in here if one not in there] + [f"only new: {one}" for one in there if one not in here]
    assert differ == [], "\n".join(differ)
