"""Random histories a real application could have: everything that makes merging changes into sets dangerous."""

import random

SCHEMA = """
CREATE TABLE account (id int PRIMARY KEY, slot int NOT NULL UNIQUE, amount numeric NOT NULL, note text);
CREATE TABLE document (id int PRIMARY KEY, body text NOT NULL, extra text, n int NOT NULL DEFAULT 0);
ALTER TABLE document ALTER body SET STORAGE EXTERNAL, ALTER extra SET STORAGE EXTERNAL;
CREATE TABLE tree (id int PRIMARY KEY, parent int REFERENCES tree, name text);
CREATE TABLE pair (a int, b text, data jsonb, stamp timestamptz, PRIMARY KEY (a, b));
CREATE TABLE spelled (k numeric PRIMARY KEY, v text);
CREATE TABLE wide (id bigint PRIMARY KEY, f float8, b bytea, arr int[], flag bool, d date, u uuid, c char(5));
CREATE TABLE duplicates (a int, b text, c bool);
ALTER TABLE duplicates REPLICA IDENTITY FULL;
CREATE TABLE full_keyed (id int PRIMARY KEY, v text);
ALTER TABLE full_keyed REPLICA IDENTITY FULL;
CREATE TABLE journal (at int, what text);
CREATE TABLE left_one (id int PRIMARY KEY, v int);
CREATE TABLE right_one (id int PRIMARY KEY, v int);
"""
TABLES = [("public", name) for name in ("account", "document", "tree", "pair", "spelled", "wide", "duplicates", "full_keyed", "journal", "left_one", "right_one")]


class History:
    """Runs random transactions on a connection (psycopg, not autocommit). The same seed gives the same history."""

    def __init__(self, seed, keys=25):
        self.random = random.Random(seed)
        self.keys = keys
        self.slots = 10**6 + seed % 1000 * 100000  # two histories one after the other do not meet
        self.step = 0

    def key(self):
        return self.random.randrange(self.keys)

    def big(self):
        """Long enough to be stored out of line."""
        return self.random.choice("abcdef") * self.random.randrange(3000, 9000)

    # -- one statement each

    def put_account(self, run):
        self.slots += 1
        run(
            "INSERT INTO account VALUES (%s, %s, %s, %s) ON CONFLICT (id) DO UPDATE SET amount = excluded.amount, note = excluded.note",
            (self.key(), self.slots, self.random.choice(["0", "1.50", "-3.0", "1e30", "NaN"]), self.random.choice([None, "", "x\ty\\", "NULL"])),
        )

    def swap_slots(self, run):
        """Two rows exchange unique values: fails in sets, works one by one."""
        a, b = self.key(), self.key()
        rows = dict(run("SELECT id, slot FROM account WHERE id IN (%s, %s)", (a, b)).fetchall())
        if len(rows) == 2:
            run("UPDATE account SET slot = -1 WHERE id = %s", (a,))
            run("UPDATE account SET slot = %s WHERE id = %s", (rows[a], b))
            run("UPDATE account SET slot = %s WHERE id = %s", (rows[b], a))

    def drop_account(self, run):
        run("DELETE FROM account WHERE id = %s", (self.key(),))

    def put_document(self, run):
        run(
            "INSERT INTO document VALUES (%s, %s, %s) ON CONFLICT (id) DO UPDATE SET body = excluded.body",
            (self.key(), self.big(), self.random.choice([None, self.big()])),
        )

    def touch_document(self, run):
        run("UPDATE document SET n = n + 1 WHERE id = %s", (self.key(),))

    def move_document(self, run):
        """A key change while the big values stay where they are."""
        run(
            "UPDATE document SET id = %s WHERE id = %s AND NOT EXISTS (SELECT FROM document WHERE id = %s)",
            (to := self.key(), self.key(), to),
        )

    def drop_document(self, run):
        run("DELETE FROM document WHERE id = %s", (self.key(),))

    def grow_tree(self, run):
        run(
            "INSERT INTO tree SELECT %s, (SELECT id FROM tree ORDER BY random() LIMIT 1), 'n' ON CONFLICT DO NOTHING",
            (self.random.randrange(10**6),),
        )

    def prune_tree(self, run):
        run("DELETE FROM tree t WHERE id = (SELECT id FROM tree x WHERE NOT EXISTS (SELECT FROM tree y WHERE y.parent = x.id) LIMIT 1)", ())

    def put_pair(self, run):
        run(
            "INSERT INTO pair VALUES (%s, %s, %s, now()) ON CONFLICT (a, b) DO UPDATE SET data = excluded.data, stamp = now()",
            (self.key() % 5, self.random.choice(["", "b", "c d", "'"]), '{"k": [1, null]}'),
        )

    def move_pair(self, run):
        run("UPDATE pair SET a = a + 100 WHERE a = %s AND b = 'b' AND NOT EXISTS (SELECT FROM pair WHERE a = %s AND b = 'b')", ((a := self.key() % 5), a + 100))

    def drop_pair(self, run):
        run("DELETE FROM pair WHERE a = %s", (self.key() % 5 + self.random.choice([0, 100]),))

    def spell(self, run):
        """Equal keys in other spellings."""
        text = self.random.choice(["1", "1.0", "1.00", "2", "2.000"])
        if self.random.random() < 0.3:
            run("DELETE FROM spelled WHERE k = %s::numeric", (text,))
        else:
            run("INSERT INTO spelled VALUES (%s::numeric, 'v') ON CONFLICT (k) DO UPDATE SET k = excluded.k, v = spelled.v || 'x'", (text,))

    def put_wide(self, run):
        run(
            "INSERT INTO wide VALUES (%s, %s, %s, %s, %s, %s, gen_random_uuid(), %s) ON CONFLICT (id) DO UPDATE SET f = excluded.f, b = excluded.b, c = excluded.c",
            (
                self.key(), self.random.choice([0.1, -0.0, 1e300, float("inf"), float("nan")]), self.random.randbytes(5),
                self.random.choice([None, [1, None, 3], []]), self.random.choice([True, False, None]),
                self.random.choice(["2026-11-24", "infinity", "0044-03-15 BC", None]), self.random.choice(["a", "ab  ", ""]),
            ),
        )

    def drop_wide(self, run):
        run("DELETE FROM wide WHERE id = %s", (self.key(),))

    def add_duplicate(self, run):
        row = (self.key() % 3, self.random.choice([None, "", "t"]), self.random.choice([True, None]))
        for _ in range(self.random.randrange(1, 4)):
            run("INSERT INTO duplicates VALUES (%s, %s, %s)", row)

    def change_duplicate(self, run):
        """Exactly one of several equal rows."""
        verb = self.random.choice(["DELETE FROM duplicates", "UPDATE duplicates SET a = a + 1"])
        run(f"{verb} WHERE ctid = (SELECT ctid FROM duplicates ORDER BY a, b, ctid LIMIT 1)", ())

    def put_full(self, run):
        run("INSERT INTO full_keyed VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET v = excluded.v", (self.key(), self.random.choice([None, "v", "w"])))

    def move_full(self, run):
        run("UPDATE full_keyed SET id = id + 1000 WHERE id = %s AND NOT EXISTS (SELECT FROM full_keyed WHERE id = %s)", (k := self.key(), k + 1000))

    def drop_full(self, run):
        run("DELETE FROM full_keyed WHERE id IN (%s, %s)", (k := self.key(), k + 1000))

    def note(self, run):
        run("INSERT INTO journal VALUES (%s, 'same')", (self.step // 10,))

    def put_both(self, run):
        for table in ("left_one", "right_one"):
            run(f"INSERT INTO {table} VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET v = excluded.v", (self.key(), self.step))

    def truncate_both(self, run):
        run("TRUNCATE left_one, right_one", ())

    def bulk(self, run):
        run(
            "INSERT INTO wide (id, f) SELECT g, g FROM generate_series(%s::int, %s::int) g ON CONFLICT (id) DO UPDATE SET f = excluded.f + 1",
            (1000, 1000 + self.random.randrange(300)),
        )

    def bulk_drop(self, run):
        run("DELETE FROM wide WHERE id >= %s", (1000 + self.random.randrange(300),))

    STEPS = [
        (put_account, 8), (swap_slots, 2), (drop_account, 3), (put_document, 5), (touch_document, 6), (move_document, 2),
        (drop_document, 2), (grow_tree, 3), (prune_tree, 2), (put_pair, 5), (move_pair, 2), (drop_pair, 1), (spell, 4),
        (put_wide, 6), (drop_wide, 3), (add_duplicate, 2), (change_duplicate, 2), (put_full, 4), (move_full, 1), (drop_full, 1),
        (note, 4), (put_both, 4), (truncate_both, 0.4), (bulk, 0.6), (bulk_drop, 0.4),
    ]

    def one(self, run):
        steps, weights = zip(*self.STEPS)
        self.step += 1
        self.random.choices(steps, weights)[0](self, run)

    def transaction(self, connection):
        """A few statements, now and then a savepoint that is rolled back, now and then an abort."""
        with connection.cursor() as cursor:
            def run(statement, parameters):
                return cursor.execute(statement, parameters)

            for _ in range(self.random.randrange(1, 7)):
                kind = self.random.random()
                if kind < 0.15:
                    cursor.execute("SAVEPOINT s")
                    self.one(run)
                    cursor.execute("ROLLBACK TO s" if kind < 0.08 else "RELEASE s")
                else:
                    self.one(run)
        if self.random.random() < 0.05:
            connection.rollback()
        else:
            connection.commit()
