"""Divergences of every kind under a load: tests/fault/reconcile_torture.py.

    tests/reconcile-torture --count 100000 --seed 7 --rows 20000 --comparisons 10000000

goes on for longer.
"""

import reconcile_torture

COUNT, ROWS = 600, 1600


def test_what_is_planted_is_found_and_nothing_else(request, clusters, switchback):
    given = request.config.getoption
    majors = tuple(int(major) for major in given("--pair").split("-")) if given("--pair") else None
    kinds = given("--kinds").split(",") if given("--kinds") else None
    one = reconcile_torture.make(clusters, switchback, given("--seed"), given("--rows") or ROWS, kinds, majors)
    try:
        one.go(given("--count") or COUNT, given("--comparisons"))
        print(one.report(), flush=True)
    except BaseException as error:
        error.add_note(f"{one.report()}\nagain: tests/reconcile-torture --seed {given('--seed')} --count {given('--count') or COUNT}")
        raise
    finally:
        one.close()
