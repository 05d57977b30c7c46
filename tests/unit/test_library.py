"""The tests' own tools are wrong in no obvious way: a checker that cannot fail checks nothing."""

import time

import pytest

from sbtest.compare import row_differences
from sbtest.control import crc32c
from sbtest.wait import Timeout, wait_until


def test_wait_until_returns_what_the_condition_returned():
    assert wait_until(lambda: 7, 1, "seven") == 7


def test_wait_until_gives_up_and_names_what_it_waited_for():
    with pytest.raises(Timeout, match="the moon"):
        wait_until(lambda: False, 0.05, "the moon")


def test_wait_until_takes_an_exception_it_was_told_of_as_not_yet():
    attempts = iter([ConnectionError("down"), ConnectionError("down"), None])

    def condition():
        error = next(attempts)
        if error:
            raise error
        return True

    assert wait_until(condition, 5, "the server", errors=(ConnectionError,))


def test_wait_until_says_the_last_error():
    def condition():
        raise ConnectionError("refused")

    with pytest.raises(Timeout, match="refused"):
        wait_until(condition, 0.05, "the server", errors=(ConnectionError,))


def test_wait_until_notices_a_condition_that_is_true_at_the_deadline():
    """A machine that stalls between two looks must not fail a test whose condition has come true."""
    began = time.monotonic()
    assert wait_until(lambda: time.monotonic() - began > 0.1, 0.1, "a tenth of a second")


@pytest.mark.parametrize(
    "old, new, only_old, only_new",
    [
        ([], [], 0, 0),
        ([b"1", b"2"], [b"1", b"2"], 0, 0),
        ([b"1", b"2"], [b"1"], 1, 0),
        ([b"1"], [b"1", b"2"], 0, 1),
        ([b"1", b"3"], [b"1", b"2", b"3"], 0, 1),
        ([b"1", b"1", b"2"], [b"1", b"2", b"2"], 1, 1),
        ([b"\\N"], [b""], 1, 1),
        ([b"a"], [b"b"], 1, 1),
    ],
)
def test_row_differences(old, new, only_old, only_new):
    left, right = row_differences(old, new)
    assert (left.total(), right.total()) == (only_old, only_new)


def test_crc32c_against_its_published_check_value():
    assert crc32c(b"123456789") == 0xE3069283
