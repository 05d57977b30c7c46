"""Fixtures of every pytest file, and the rule that a file with nothing but skipped tests is a skipped ctest."""

import contextlib
import os
import pathlib
import shutil
import tempfile

import pytest

from sbtest import places, process, things

ALL_SKIPPED = 77  # sb_pytest's SKIP_RETURN_CODE


def pytest_addoption(parser):
    """Of tests/torture, tests/copy-torture and tests/reconcile-torture."""
    parser.addoption("--kills", type=int, default=0)
    parser.addoption("--seed", type=int, default=20261124)
    parser.addoption("--pair", default="")
    parser.addoption("--count", type=int, default=0)
    parser.addoption("--kinds", default="")
    parser.addoption("--rows", type=int, default=0)
    parser.addoption("--comparisons", type=int, default=0)


@pytest.fixture(scope="session")
def workspace():
    """A short private directory (unix sockets have 107 bytes for their path). SB_KEEP=1 keeps it."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="sb-", dir=places.parent()))
    if not os.environ.get("SB_KEEP"):
        process.leash().add_dir(path)
    yield path
    process.close_leash()


@pytest.fixture
def place(workspace, request):
    """This test's directory, removed with it unless SB_KEEP is set."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="", dir=workspace))
    yield path
    if os.environ.get("SB_KEEP"):
        print(f"kept: {path}")
    else:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def clusters(place):
    """clusters(15, "old", fsync=True, settings={...}): a started PostgreSQL, gone with the test."""
    from sbtest.servers import Cluster

    with contextlib.ExitStack() as made:

        def make(major, name="pg", start=True, **options):
            cluster = Cluster(place, major, name, **options)
            made.callback(cluster.close)
            return cluster.start() if start else cluster

        yield make


@pytest.fixture
def brokers(place):
    """brokers(settings={"min.insync.replicas": 1}): a started Kafka broker, gone with the test."""
    from sbtest.broker import Broker

    with contextlib.ExitStack() as made:

        def make(name="kafka", start=True, **options):
            broker = Broker(place, name, **options)
            made.callback(broker.close)
            return broker.start() if start else broker

        yield make


@pytest.fixture
def switchback(place):
    """switchback(old, new, db="shop", config={"apply": {"mode": "exact"}}): a migration, gone with the test."""
    from sbtest.product import Switchback

    with contextlib.ExitStack() as made:

        def make(old, new, **options):
            product = Switchback(place, old, new, **options)
            made.callback(product.close)
            return product

        yield make


@pytest.fixture
def armed(clusters, switchback):
    """armed(majors=(14, 18)): a migration whose way back is armed, with `run` at work (sbtest.wayback)."""
    from sbtest.wayback import WayBack

    def make(**options):
        it = WayBack(clusters, switchback, **options).prepare()
        it.run()
        return it.wait_armed(90)

    return make


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if call.when == "call" and report.failed:
        report.sections += [(f"log of {title}", text) for title, text in things.evidence()]


def pytest_sessionfinish(session, exitstatus):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus == 0 and reporter.stats.get("skipped") and not reporter.stats.get("passed"):
        session.exitstatus = ALL_SKIPPED
