"""Certified kernel memory, against what the kernel says that each map takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from wardgate.compiler import compile_parsed
from wardgate.compiler.language import parse_policy_text
from wardgate.runtime.elf import read_artefact
from wardgate.runtime.maps import Map
from wardgate.runtime.object import load_object

OFFICE = """\
version: 1
tunnel: [10.9.0.0/20, "fd09::/64"]
policies:
  "*":
    allow: ["10.0.0.5 80/tcp", "fd00::53 53/any", "10.0.0.5 5000-6000/udp"]
    mfa: ["10.1.0.0/16"]
inbound:
  alice:
    allow: ["10.0.0.0/24 22/tcp"]
"""
_MEMORY = re.compile(r"^memlock:\s*(\d+)", re.MULTILINE)
_SLACK = 4096
"""Bytes of a map that differ from kernel to kernel: its header, locks for each CPU."""


def taken(found: Map) -> int:
    """Bytes of a map (Linux 6.4 and later count them: map_mem_usage, commit 90a5527d7686)."""
    text = Path(f"/proc/self/fdinfo/{found.fd.fileno()}").read_text()
    memory = _MEMORY.search(text)
    assert memory, text
    return int(memory[1])


def processors() -> int:
    """How many CPUs the kernel may have."""
    last = Path("/sys/devices/system/cpu/possible").read_text().strip().rpartition("-")[2]
    return int(last) + 1


@pytest.mark.root
@pytest.mark.parametrize("slots", [None, 100_000])
def test_maps_and_tables_take_what_is_certified(slots: int | None) -> None:
    artefact = compile_parsed(parse_policy_text(OFFICE, "office.yaml").policy, validate=False)
    certificate = artefact.manifest.certificate
    assert certificate
    resize = {
        one.name: one.entries * slots // certificate.slots for one in certificate.maps if slots and one.slot
    }
    with load_object(read_artefact(artefact.data), config={"link_header": 0}, resize=resize) as loaded:
        for one in certificate.maps:
            certified = one.bytes + one.processor * processors()
            if slots:
                certified += one.slot * (slots - certificate.slots)
            # A hash has a power of two of buckets, 16 bytes each.
            rounding = 16 << 18 if slots and one.address else 0
            assert certified == pytest.approx(taken(loaded.maps[one.name]), abs=_SLACK + rounding), one.name
        tables = sum(taken(table) for name, table in loaded.tables.items() if name.startswith(".rodata.t_"))
        assert certificate.kernel_table_bytes == tables
