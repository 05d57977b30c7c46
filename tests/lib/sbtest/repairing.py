"""`switchback repair` as tests of it want to have it."""

DONE, INCOMPLETE, REFUSED = 0, 4, 8
WORDS = ("--include", "foreign,capture", "--reason", "planted by the test")  # whoever is said to be at fault


def script(server, text):
    """As somebody who writes on the target by hand: past triggers and foreign keys."""
    with server.connect() as session:
        session.execute("SET session_replication_role = replica")
        for statement in text.strip().split(";\n"):
            session.execute(statement)


def repair(product, *words, code=DONE, **more):
    """It must end as it should; what it said."""
    done = product.verb("repair", *words, "--json", timeout=120, **more)
    assert done.code == code, done
    return done.json()
