"""Waiting for a condition. Nothing in the tests sleeps for a fixed time and hopes."""

import time


class Timeout(AssertionError):
    """A condition did not come true in time."""


def wait_until(condition, timeout, what, errors=(), every=0.02, longest=0.25):
    """Call condition until it returns something true, and return that. After timeout seconds: one last look, then
    Timeout, naming what and the last answer. An exception of `errors` means "not yet"; any other passes through.
    Looks every `every` seconds at first, less and less often, and at least every `longest`."""
    deadline, pause, last = time.monotonic() + timeout, every, None
    while True:
        late = time.monotonic() >= deadline
        try:
            last = condition()
            if last:
                return last
        except errors as error:
            last = error
        if late:
            raise Timeout(f"waited {timeout:g} s for {what}; last answer: {last!r}")
        time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
        pause = min(pause * 1.3, longest)
