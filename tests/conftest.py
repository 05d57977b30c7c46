"""Fixtures of every pytest file, and the rule that a file with nothing but skipped tests is a skipped ctest."""

import pytest

ALL_SKIPPED = 77  # sb_pytest's SKIP_RETURN_CODE


def pytest_sessionfinish(session, exitstatus):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus == 0 and reporter.stats.get("skipped") and not reporter.stats.get("passed"):
        session.exitstatus = ALL_SKIPPED
