"""Nothing is lost, doubled, torn or reordered, whoever is killed when: tests/fault/torture.py on both stores.

    tests/torture --kills 1000 --seed 7 --store embedded

goes on for longer: a fresh pair of servers for every so many kills, each with the next seed.
"""

import torture
from sbtest import product

KILLS = {"embedded": 150, "kafka": 50}
KILLS_A_CHAPTER = 150  # a failure is looked for in a short run, and tables stay small


def chapters(store, options):
    """[(seed, kills)]"""
    kills = options.getoption("--kills") or KILLS[store]
    seed = options.getoption("--seed")
    return [
        (seed + number, min(KILLS_A_CHAPTER, kills - done))
        for number, done in enumerate(range(0, kills, KILLS_A_CHAPTER))
    ]


def run(store, request, seed, kills):
    fixtures = [request.getfixturevalue(name) for name in ("place", "clusters", "switchback", "brokers")]
    one = torture.make(*fixtures, store, seed, kills)
    folder = product.BUILD.resolve() / f"evidence/torture-{store}-{seed}"
    try:
        one.run()
        print(one.report())
        one.keep_logs(folder)
    except BaseException as error:
        one.keep(folder)
        error.add_note(f"{one.report()}\nagain: tests/torture --kills {kills} --seed {seed} --store {store}\nevidence: {folder}")
        print(*error.__notes__)
        raise
    finally:
        one.close()


def pytest_generate_tests(metafunc):
    for store in KILLS:
        if metafunc.function.__name__ == f"test_{store}":
            metafunc.parametrize("seed, kills", chapters(store, metafunc.config))


def test_embedded(request, seed, kills):
    run("embedded", request, seed, kills)


def test_kafka(request, seed, kills):
    run("kafka", request, seed, kills)
