"""Real packets and live gates as the benchmarks set them up: they work, guard, and leave nothing behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks import changes, compiling, latency, machine, packets

pytestmark = pytest.mark.root

PINS = Path("/sys/fs/bpf/wardgate")


def left() -> list[str]:
    return [path.name for path in PINS.iterdir() if str(os.getpid()) in path.name] if PINS.is_dir() else []


@pytest.mark.tool("nft")
def test_what_stands_on_the_gateway_passes_and_guards() -> None:
    # measure() raises where a packet is lost that should pass, or passes that should not.
    found = packets.measure(rules=60, devices=10, rounds=2, bulk_mib=1, datagrams=128)
    assert found["refused"] == {}
    guards = {"none", "tcx", "xdp generic", "nftables", "nftables + conntrack"}
    assert set(found["bulk"]) == set(found["small"]) == guards
    assert all(one["taken"]["runs"] == 2 for one in found["bulk"].values())
    assert found["bulk"]["none"]["of_none"]["median"] == 1
    assert left() == []


def test_changes_of_a_live_gate() -> None:
    found = changes.measure(rules=60, devices=6, edits=2)
    assert found["new_class_s"]["runs"] == found["revoke_call_s"]["runs"] == 2
    assert found["edit_s"]["runs"] == found["switch_s"]["runs"] == found["rollback_s"]["runs"] == 4
    assert all(one["minimum"] > 0 for name, one in found.items() if name.endswith("_s"))
    assert found["revoke_store_ns"] > 0
    assert left() == []


def test_compiling_counts_bytes_and_instructions() -> None:
    (small, large) = compiling.measure((10, 60), devices=20, runs=1)
    assert (small["rules"], large["rules"]) == (10, 60)
    assert set(small["verified"]) == {"gate_ingress", "gate_egress", "gate_xdp"}
    assert all(count > 0 for count in large["verified"].values())
    for one in (small, large):
        assert 0 < one["table_bytes"] < one["artefact_bytes"]
        assert one["kernel_bytes"] > one["table_bytes"]


def test_loads_follow_one_circle_through_the_whole_array() -> None:
    lines = [int.from_bytes(latency.chain(64)[place : place + 4], "little") for place in range(0, 4_096, 64)]
    at, seen = 0, []
    for _ in lines:
        at = lines[at]
        seen.append(at)
    assert sorted(seen) == list(range(64))
    found = latency.measure((1 << 14, 1 << 16), rounds=2)
    assert [one["bytes"] for one in found] == [1 << 14, 1 << 16]
    assert all(one["load_ns"]["runs"] == 2 for one in found)


def test_the_machine_is_described() -> None:
    found = machine.describe()
    assert found["kernel"] == os.uname().release
    assert found["memory_mib"] > 0
    assert found["cpus"] >= 1
