"""The model of compare and repair, checked whole: the claims hold, and each wrong variant breaks the claim it should."""

import re
import shutil
import subprocess

import pytest

from sbtest import need, tree

MODEL = tree.ROOT / "tests/model/reconcile.pml"
MEMORY_MAX_MB = 900
PATIENCE_S = 600  # it takes 4 s where nothing else runs
INVENTED = "!(reported[0])||(target_row[0]!=target_meant[0])"
MISSED = "(reported[0]||exact)||(target_row[0]==target_meant[0])"
NOT_THE_TRUTH = "(follower[0]!=image_row[0])||(follower[0]==meant[0])"
FOREIGN_LOST = "follower[0]==image_guard[0]"
WRONG = {
    "CUT_BY_LSN": MISSED,
    "CUT_BY_LSN ONLY_INVENTED": INVENTED,
    "HORIZON_OF_THE_SOURCE_ONLY": INVENTED,
    "DBLOG_WATERMARK": NOT_THE_TRUTH,
    "RING_REACH_NOT_CHECKED": NOT_THE_TRUTH,
    "UNGUARDED_DELETE": FOREIGN_LOST,
}
PLACES = {"reported", "written", "deleted", "noop_equal", "skipped_newer", "skipped_ring", "skipped_guard"}


def check(folder, txns, foreign_writes, *macros):
    """What spin says of the model with these macros: (claim that is broken or None, states, places it got to)."""
    for program in ("spin", "gcc"):
        if shutil.which(program) is None:
            need.missing(f"{program} is not installed: ops/install-packages --test")
    words = [f"-DTXNS={txns}", f"-DFOREIGN_WRITES={foreign_writes}", *(f"-D{macro}" for macro in macros)]
    compiler = ["gcc", "-O1", "-w", "-DSAFETY", "-DCOLLAPSE", f"-DMEMLIM={MEMORY_MAX_MB}", "-o", "pan", "pan.c"]
    for command in (["spin", *words, "-a", MODEL], compiler):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S)
        assert done.returncode == 0 and "Error" not in done.stdout, done.stdout + done.stderr
    said = subprocess.run(["./pan", "-m10000", "-n"], cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S).stdout
    broken = re.search(r"assertion violated \(\s*(.*)\) \(at depth", said)
    errors, states = (int(re.search(pattern, said).group(1)) for pattern in (r"errors: (\d+)", r"(\d+) states, stored"))
    if broken is None:
        assert errors == 0 and "Search not completed" not in said and "max search depth" not in said, said
    print(f"{' '.join(words)}: {states} states, {broken.group(1) if broken else 'all claims hold'}")
    return broken and broken.group(1).strip("() "), states, set(re.findall(r"^reached: (\w+)", said, re.M))


@pytest.mark.parametrize("txns, foreign_writes, places", [(3, 1, PLACES - {"skipped_guard"}), (2, 2, PLACES)])
def test_the_claims_hold_everywhere(tmp_path, txns, foreign_writes, places):
    broken, states, reached = check(tmp_path, txns, foreign_writes)
    assert broken is None and states > 100000
    assert reached == places, "the model does not get everywhere, and so claims nothing there"


@pytest.mark.parametrize("variant", WRONG)
def test_a_wrong_variant_breaks_its_claim(tmp_path, variant):
    broken, _, _ = check(tmp_path, 2, 2, *variant.split())
    assert broken == WRONG[variant].strip("() ")
