"""Divergences of every kind under a load: tests/fault/reconcile_torture.py.

    tests/reconcile-torture --count 100000 --seed 7 --rows 20000 --comparisons 10000000

goes on for longer.
"""

import pytest

import reconcile_torture

COUNT, ROWS = 500, 1600


def test_what_is_planted_is_found_and_nothing_else(request, clusters, switchback):
    given = request.config.getoption
    majors = tuple(int(major) for major in given("--pair").split("-")) if given("--pair") else None
    kinds = given("--kinds").split(",") if given("--kinds") else None
    one = reconcile_torture.make(clusters, switchback, given("--seed"), given("--rows") or ROWS, kinds, majors)
    try:
        one.go(given("--count") or COUNT, given("--comparisons"))
        print(f"{one.report()}: all found, none invented", flush=True)
    except BaseException as error:
        error.add_note(f"{one.report()}\nagain: tests/reconcile-torture --seed {given('--seed')} --count {given('--count') or COUNT}")
        raise
    finally:
        one.close()


def test_the_torture_notices(clusters, switchback):
    """What nobody has told it of is an invention to it, and what is not found is missed."""
    one = reconcile_torture.make(clusters, switchback, 0, 400, ["chunk", "toast"], (15, 15))
    plant, verify = one._plant, one.verify
    try:
        one._plant = lambda count: {key for key in plant(count) if key[0] != "long"}
        with pytest.raises(AssertionError, match="invented: .*long"):
            one.round(100, 0)
        one.product.wait_caught_up()
        one._repair(set(reconcile_torture.differing(*one.sessions)))
        one._plant = plant
        one.verify = lambda *fault: [part if n else {key: kind for key, kind in part.items() if key[0] != "heavy"} for n, part in enumerate(verify(*fault))]
        with pytest.raises(AssertionError, match="missed under load: .*heavy"):
            one.round(100, 0)
    finally:
        one.close()
