"""Initial copies under a load, with everybody killed: tests/fault/copy_torture.py on both stores.

    tests/copy-torture --kills 1000 --seed 7 --store embedded --pair 15-18

goes on for longer: run after run, each a whole copy with the next seed. With --again each is a number of tables copied again
behind it.
"""

import copy_torture
from sbtest import product

KILLS_A_RUN = 6
RUNS = {"embedded": 4, "kafka": 1, "again_embedded": 1, "again_kafka": 1}


def seeds(store, options):
    kills, first = options.getoption("--kills"), options.getoption("--seed")
    runs = -(-kills // KILLS_A_RUN) if kills else RUNS[store]
    return list(range(first, first + runs))


def pytest_generate_tests(metafunc):
    for store in RUNS:
        if metafunc.function.__name__ == f"test_{store}":
            metafunc.parametrize("seed", seeds(store, metafunc.config))


def run(kind, request, seed):
    again, store = kind.startswith("again_"), kind.removeprefix("again_")
    pair = request.config.getoption("--pair")
    majors = tuple(int(major) for major in pair.split("-")) if pair else None
    fixtures = [request.getfixturevalue(name) for name in ("place", "clusters", "switchback", "brokers")]
    one = copy_torture.make(*fixtures, store, seed, KILLS_A_RUN, majors, again)
    folder = product.BUILD.resolve() / f"evidence/copy-torture-{kind}-{seed}"
    try:
        one.go()
        print(one.report(), flush=True)
    except BaseException as error:
        error.add_note(f"{one.report()}\nagain: tests/copy-torture --kills 1 --seed {seed} --store {store}{' --again' if again else ''}\nevidence: {folder}")
        one.keep(folder)
        print(*error.__notes__, flush=True)
        raise
    finally:
        one.events.close()


def test_embedded(request, seed):
    run("embedded", request, seed)


def test_kafka(request, seed):
    run("kafka", request, seed)


def test_again_embedded(request, seed):
    run("again_embedded", request, seed)


def test_again_kafka(request, seed):
    run("again_kafka", request, seed)
