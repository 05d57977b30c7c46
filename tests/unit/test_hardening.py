"""The binary we ship carries what cmake/harden.cmake asks for; checked on the binary, not on the flags."""

import os
import pathlib
import re
import subprocess

import pytest

from sbtest import need, tree

# The release preset is built beside the preset that runs this test.
RELEASE = pathlib.Path(os.environ.get("SB_BUILD_DIR", tree.ROOT / "build/dev")).parent / "release"


def readelf(binary, *options):
    return subprocess.run(
        ["readelf", "--wide", *options, str(binary)], check=True, capture_output=True, text=True, timeout=30
    ).stdout


@pytest.fixture(scope="module")
def binary():
    for path in (RELEASE / "cli/switchback", RELEASE / "switchback"):
        if path.exists():
            return path
    need.missing(f"the release preset is not built in {RELEASE}")


def test_position_independent(binary):
    assert re.search(r"Type:\s+DYN", readelf(binary, "--file-header"))
    assert "PIE" in readelf(binary, "--dynamic")


def test_relocations_are_read_only_before_main(binary):
    assert "GNU_RELRO" in readelf(binary, "--program-headers")
    assert re.search(r"BIND_NOW|FLAGS_1.*\bNOW\b", readelf(binary, "--dynamic"))


def test_stack_is_not_executable(binary):
    stack = re.search(r"GNU_STACK\s+(?:0x\w+\s+){5}([RWE ]+)", readelf(binary, "--program-headers"))
    assert stack and "E" not in stack.group(1)


def test_no_segment_is_both_writable_and_executable(binary):
    loads = re.findall(r"LOAD\s+(?:0x\w+\s+){5}([RWE ]+?)\s+0x", readelf(binary, "--program-headers"))
    assert loads and not any("W" in flags and "E" in flags for flags in loads)


def test_stack_protector(binary):
    assert "__stack_chk_fail" in readelf(binary, "--dyn-syms")


def test_fortified_calls(binary):
    fortified = set(re.findall(r"\b(__\w+_chk)\b", readelf(binary, "--dyn-syms"))) - {"__stack_chk_fail"}
    assert "__snprintf_chk" in fortified or "__vsnprintf_chk" in fortified, fortified


def test_control_flow_protection(binary):
    """Functions begin with endbr64. (The note IBT needs a C library built that way, which Debian 12's is not.)"""
    assert binary.read_bytes().count(b"\xf3\x0f\x1e\xfa") > 100


def test_no_run_path(binary):
    """A run path would load libraries from a directory of whoever built it."""
    assert not re.search(r"\b(RPATH|RUNPATH)\b", readelf(binary, "--dynamic"))


def test_no_fault_point_inside(binary):
    """Nobody can arm a fault in what we ship."""
    names = re.findall(r'SB_FAULT_POINT\("([a-z-]+)"\)', tree.read("core/fault_table.h"))
    content = binary.read_bytes()
    assert len(names) > 10
    # Whole words: SB_FAULT is what arms them; enumerators that say whose fault a difference is begin with it, too.
    assert [name for name in [*names, "SB_FAULT"] if re.search(rb"(?<![\w-])%s(?![\w-])" % name.encode(), content)] == []
