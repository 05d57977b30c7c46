"""A part of the world that a test needs: missing, the test is skipped and says so. Where CI=true a required part
may not be missing, and the test fails."""

import os

import pytest


def missing(what, required=True):
    if required and os.environ.get("CI") == "true":
        pytest.fail(f"a required part is missing: {what}", pytrace=False)
    pytest.skip(what)
