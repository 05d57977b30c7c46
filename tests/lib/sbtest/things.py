"""Everything a test has running, so that a failure can show each one's last words."""

_things = []


def add(thing):
    _things.append(thing)


def remove(thing):
    if thing in _things:
        _things.remove(thing)


def evidence():
    """(title, text) of each."""
    return [(repr(thing), thing.evidence()) for thing in _things]
