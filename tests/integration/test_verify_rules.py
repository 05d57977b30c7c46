"""Acceptable differences and samples: what `verify` lets pass is said and counted, and a sample says what it proves."""

import math

import pytest

from sbtest.verifying import DIFFERENT, EQUAL, INCOMPLETE, of_table, running, verify

TABLE = """
CREATE TABLE bills (
    id int PRIMARY KEY, total numeric, code char(8), at timestamptz, doc json, rate float8, note text
);
CREATE TABLE sums (a numeric, b text);
CREATE TABLE wide (id bigint PRIMARY KEY, v int);
"""
FILL = """
INSERT INTO bills SELECT g, 1.50, 'c', '2026-01-01 00:00:00.1234+00', '{"a":1,"b":[1,2]}', 0.1, 'n' FROM generate_series(1, 400) g;
INSERT INTO sums SELECT g % 7, 'same' FROM generate_series(1, 200) g;
INSERT INTO wide SELECT g, g FROM generate_series(1, 4000) g;
ANALYZE;
"""
RULES = [
    "public.bills total: numeric-scale",
    "public.b* note: char-padding",
    "public.bills at: timestamp-digits 3",
    "public.bills doc: json-order",
    "public.bills rate: float-tolerance 1e-9",
    "public.sums a: numeric-scale",
    "public.elsewhere x: numeric-scale",
]
# What is done to the target, by the rule that lets it pass: (statement, values)
ACCEPTED = {
    RULES[0]: ("UPDATE bills SET total = 1.5 WHERE id <= 30", 30),
    RULES[1]: ("UPDATE bills SET note = 'n  ' WHERE id <= 20", 20),
    RULES[2]: ("UPDATE bills SET at = '2026-01-01 00:00:00.123+00' WHERE id <= 10", 10),
    RULES[3]: ("""UPDATE bills SET doc = '{"b": [1, 2], "a": 1}' WHERE id <= 5""", 5),
    RULES[4]: ("UPDATE bills SET rate = 0.10000000000001 WHERE id BETWEEN 40 AND 44", 5),
    RULES[5]: ("UPDATE sums SET a = 3.00 WHERE a = 3", 29),
}
REFUSED = [
    "UPDATE bills SET total = 1.51 WHERE id = 101",
    "UPDATE bills SET note = ' n' WHERE id = 102",
    "UPDATE bills SET at = '2026-01-01 00:00:00.125+00' WHERE id = 103",
    """UPDATE bills SET doc = '{"a":1,"b":[2,1]}' WHERE id = 104""",
    "UPDATE bills SET rate = 0.1001 WHERE id = 105",
    "UPDATE bills SET rate = NULL WHERE id = 106",
    "DELETE FROM bills WHERE id = 107",
    "UPDATE bills SET code = 'd' WHERE id = 108",
]
COLUMNS = {101: "total", 102: "note", 103: "at", 104: "doc", 105: "rate", 106: "rate", 107: None, 108: "code"}


def at_most(chunks, drawn):
    """So many chunks may be bad, if none of those drawn is, with 95 % confidence."""
    return max(bad for bad in range(chunks - drawn + 1) if math.comb(chunks - bad, drawn) / math.comb(chunks, drawn) >= 0.05)


def plant(server, *statements):
    with server.connect() as session:
        session.execute("SET session_replication_role = replica")
        for statement in statements:
            session.execute(statement)


@pytest.fixture
def pair(clusters, switchback):
    def make(**config):
        old, new = clusters(15, "old"), clusters(15, "new")
        for server in (old, new):
            server.sql(TABLE)
            server.sql(FILL)
        return old, new, running(switchback, old, new, verify={"chunk_rows": 100, **config})

    return make


def test_what_rules_accept_is_equal_and_counted(pair):
    old, new, product = pair(accept=RULES)
    plant(new, *(statement for statement, _ in ACCEPTED.values()))
    answer = verify(product, code=EQUAL)
    used = {rule["rule"]: rule["values"] for rule in answer["rules"]}
    assert used == {**{rule: values for rule, (_, values) in ACCEPTED.items()}, RULES[6]: 0}
    assert [rule["columns"] for rule in answer["rules"]] == [1] * 6 + [0]
    shown = product.verb("verify").out
    assert f"{RULES[0]}: 30 values" in shown and f"{RULES[6]}: no such column" in shown

    plant(new, *REFUSED)
    answer = verify(product, code=DIFFERENT)
    found = {int(one["key"]["id"]): one["columns"] for one in of_table(answer, "public.bills")["differences"]}
    assert found == {ident: column and f'"{column}"' for ident, column in COLUMNS.items()}
    assert {rule["rule"]: rule["values"] for rule in answer["rules"]}[RULES[0]] == 30


def test_without_rules_all_of_it_differs(pair):
    _, new, product = pair()
    plant(new, *(statement for statement, _ in ACCEPTED.values()))
    answer = verify(product, code=DIFFERENT)
    assert of_table(answer, "public.bills")["difference_count"] == 35 and of_table(answer, "public.sums")["difference_count"] == 58
    assert answer["rules"] == []


@pytest.mark.parametrize(
    "rule, why",
    [
        ("public.bills id: numeric-scale", "the rule is not for its type"),
        ("public.sums a: float-tolerance 1e-6", "needs one"),
        ("public.bills note: json-order", "the rule is not for its type"),
    ],
)
def test_a_rule_that_cannot_hold_is_refused(pair, rule, why):
    product = pair(accept=[rule])[2]
    done = product.verb("verify")
    assert done.code == 78 and "SB-CONFIG" in done.err and why in done.err and rule in done.err


def test_a_sample_says_what_it_proves(pair):
    _, new, product = pair()
    answer = verify(product, "--sample", "20", "--seed", "5", code=INCOMPLETE)
    sample = answer["sample"]
    assert sample["chunks"] >= 40 and sample["drawn"] == -(-sample["chunks"] * 20 // 100)
    assert sample["bad"] == 0 and sample["bad_at_most"] == at_most(sample["chunks"], sample["drawn"])
    assert "says nothing of single rows" in answer["why"]
    assert sum(table["chunks"] for table in answer["tables"]) == sample["drawn"]
    again = verify(product, "--sample", "20", "--seed", "5", code=INCOMPLETE)
    assert [table["chunks"] for table in again["tables"]] == [table["chunks"] for table in answer["tables"]]

    # Extra rows below the first key of every chunk of a table, and what is drawn of it is bad.
    plant(new, "UPDATE wide SET v = -v")
    answer = verify(product, "--sample", "50", "--seed", "1", code=DIFFERENT)
    drawn_of_wide = of_table(answer, "public.wide")["chunks"]
    assert answer["sample"]["bad"] == drawn_of_wide > 10
    assert answer["sample"]["bad_at_most"] >= 40, "all chunks of the table are bad"


def test_a_sample_closes_no_difference(pair):
    _, new, product = pair()
    plant(new, "DELETE FROM wide WHERE id = 4000")
    verify(product, code=DIFFERENT)
    for seed in range(4):
        product.verb("verify", "--sample", "10", "--seed", str(seed))
    assert new.sql("SELECT state FROM switchback.difference") == [("open",)]


def test_words_of_a_sample_are_checked(pair):
    product = pair()[2]
    for words in (["--sample", "0"], ["--sample", "101"], ["--sample", "x"], ["--seed", "1"]):
        assert product.verb("verify", *words).code == 64, words
