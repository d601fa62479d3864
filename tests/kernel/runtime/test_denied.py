"""EPERM explained: a child process gives up capabilities and is told what it lacks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.root

CHILD = """
import ctypes, json, os, struct, sys
from pathlib import Path
from wardgate.runtime.errors import BpfError, PrivilegeError
from wardgate.runtime.layout.maps import MapType
from wardgate.runtime.maps import Map
from wardgate.runtime.privileges import CAPABILITIES, read_privileges
from wardgate.runtime.probe import probe
from wardgate.runtime.program import load_program
from wardgate.runtime.relocate import LinkedProgram
from wardgate.runtime.spec import ProgramKind

def keep(*names):
    libc = ctypes.CDLL(None, use_errno=True)
    mask = sum(1 << CAPABILITIES[name] for name in names)
    header = struct.pack("<Ii", 0x20080522, 0)
    data = struct.pack("<IIIIII", mask & 0xFFFFFFFF, mask & 0xFFFFFFFF, 0, mask >> 32, mask >> 32, 0)
    assert libc.capset(header, data) == 0, os.strerror(ctypes.get_errno())

def attempt(what):
    try:
        what().close()
    except PrivilegeError as error:
        print(json.dumps([error.operation, error.errno, error.remedy, error.target]))
    else:
        print(json.dumps(None))

make = lambda: Map.create("devices", MapType.HASH, 4, 8, 4)
code = struct.pack("<BBhiBBhi", 0xB7, 0, 0, 0, 0x95, 0, 0, 0)
load = lambda: load_program(LinkedProgram("none", ProgramKind.TC, code, b"", b"", ()), "GPL")
"""


def child(program: str) -> list[list[str] | None]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CHILD + program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_nobody_lacks_everything() -> None:
    (answer,) = child("os.setgid(65534); os.setuid(65534); attempt(make)")
    assert answer is not None
    operation, number, remedy, target = answer
    assert (operation, number) == ("create map", 1)
    assert "devices" in target
    assert "CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON" in remedy
    sysctl = Path("/proc/sys/kernel/unprivileged_bpf_disabled").read_text().strip()
    assert ("unprivileged_bpf_disabled" in remedy) == (sysctl != "0")


@pytest.mark.parametrize(
    ("kept", "missing"),
    [
        (("CAP_NET_ADMIN", "CAP_PERFMON"), "lacks CAP_BPF:"),
        (("CAP_BPF", "CAP_PERFMON"), "lacks CAP_NET_ADMIN:"),
    ],
)
def test_a_missing_capability_is_named_alone(kept: tuple[str, ...], missing: str) -> None:
    action = "attempt(make)" if "CAP_BPF" not in kept else "attempt(load)"
    (answer,) = child(f"keep{kept!r}; {action}")
    assert answer is not None
    assert missing in answer[2]


def test_three_capabilities_are_enough() -> None:
    assert child("keep('CAP_BPF', 'CAP_NET_ADMIN', 'CAP_PERFMON'); attempt(make); attempt(load)") == [
        None,
        None,
    ]


def test_links_that_cannot_be_tried_are_not_said_to_be_absent() -> None:
    (answer,) = child(
        "keep('CAP_BPF', 'CAP_NET_ADMIN', 'CAP_PERFMON')\n"
        "print(json.dumps([[f.name, f.present, f.evidence] for f in probe() if f.present is None]))"
    )
    assert answer is not None
    assert {name for name, _, _ in answer} == {"tcx link", "xdp link", "link update"}
    assert all("network namespace" in evidence for _, _, evidence in answer)


def test_probing_without_privileges_says_so() -> None:
    (answer,) = child(
        "os.setgid(65534); os.setuid(65534)\n"
        "class Report:\n    close = staticmethod(lambda: None)\n"
        "attempt(lambda: probe() and Report)"
    )
    assert answer is not None
    assert "CAP_BPF" in answer[2]


def test_a_user_namespace_does_not_help() -> None:
    """Its root has all capabilities there, and none that bpf() accepts."""
    done = child(
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "print(json.dumps(libc.unshare(0x10000000)))\n"
        "attempt(make)"
    )
    if done[0] != 0:
        pytest.skip("unprivileged user namespaces are not allowed here")
    assert done[1] is not None
    assert "user namespace" in done[1][2]


def test_facts_are_those_of_the_process() -> None:
    (answer,) = child(
        "keep('CAP_BPF')\nfacts = read_privileges()\n"
        "print(json.dumps([list(facts.missing), facts.own_user_namespace, facts.bpffs]))"
    )
    assert answer == [["CAP_NET_ADMIN", "CAP_PERFMON"], False, True]
