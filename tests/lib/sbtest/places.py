"""Where tests keep their files: in memory if there is room, because a slow or shared disk makes every server test slow
and none of them better. SIGKILL takes nothing from either; a test of the disk itself chooses its own place.

SB_TMP, if set, is the directory of one whole run (tests/suite makes and removes it).
"""

import os
import pathlib
import shutil
import tempfile

ROOM_BYTES = 6 << 30


def parent():
    """The directory in which a test process makes its own."""
    given = os.environ.get("SB_TMP")
    if given:
        return pathlib.Path(given)
    shm = pathlib.Path("/dev/shm")
    if os.access(shm, os.W_OK) and shutil.disk_usage(shm).free >= ROOM_BYTES:
        return shm
    return pathlib.Path(tempfile.gettempdir())


def shared():
    """For what several test processes use: it lives as long as the run, or as the build directory."""
    given = os.environ.get("SB_TMP") or os.environ.get("SB_BUILD_DIR")
    return pathlib.Path(given) if given else parent() / f"switchback-test-{os.getuid()}"
