"""The harness and the competitors in the kernel: right verdicts, every tuple sent, counts and no times."""

from __future__ import annotations

import pytest
from wardgate.compiler.compile import compile_parsed
from wardgate.compiler.language.model import UDP
from wardgate.runtime.errors import BpfError
from wardgate.runtime.layout.codes import REASON_SLOTS, Direction, Reason
from wardgate.runtime.layout.records import FLOW, FLOW_KEY, PROCESSOR

from benchmarks import classbench
from benchmarks.competitors import COMPETITORS
from benchmarks.competitors.contestant import UnsuitableError
from benchmarks.contest import EMPTY, GATE, Cell, Contest, Effort
from benchmarks.decision_cost import KINDS, measure, table
from benchmarks.measured_gate import make_gate
from benchmarks.model import PolicyModel
from benchmarks.policies import GeneratedPolicy, Shape, full_buckets, generate
from benchmarks.programs import build, load
from benchmarks.replay import Replay, ReplayError
from benchmarks.traces import TraceMaker

pytestmark = pytest.mark.root

DEVICES = 60
COUNTER_SIZE = 16
"""Of packets and bytes, 8 bytes each."""
LITTLE = Effort(rounds=2, shortest=64, longest=64)


@pytest.fixture(scope="module")
def generated() -> GeneratedPolicy:
    return generate(Shape.of_rules(120))


@pytest.fixture(scope="module")
def artefact(generated: GeneratedPolicy) -> bytes:
    return compile_parsed(generated.policy).data


@pytest.mark.parametrize("hook", ["tc", "xdp"])
def test_every_contestant_agrees_with_the_reference_and_is_measured(generated, hook) -> None:
    # The constructor compares each with the reference, packet by packet, and raises where they differ.
    with Contest(generated, DEVICES, hook=hook) as contest:
        assert set(contest.contestants) == {EMPTY, GATE, *COMPETITORS}
        assert contest.refused == {}
        assert all(size > 0 for size in contest.sizes().values())
        for version in (4, 6):
            found = contest.measure(Cell(version, 64), LITTLE)
            assert set(found["added_ns"]) == {GATE, *COMPETITORS}
            assert all(one["runs"] == LITTLE.rounds for one in found["added_ns"].values())
            assert found["empty_ns"]["minimum"] > 0
        only = contest.measure(Cell(4, 1, protocol=UDP), LITTLE, among=(GATE,))
        assert set(only["added_ns"]) == {GATE}


def test_buckets_of_127_rules_fit_all_but_the_chain() -> None:
    with Contest(full_buckets(groups=4, classes=10), DEVICES, competitors="ab") as contest:
        assert contest.refused == {}
        assert contest.measure(Cell(4, 64), LITTLE)["rules"] == 4 * 127


def test_a_filter_set_is_measured(tmp_path) -> None:
    lines = [
        f"@10.{n}.0.0/16\t192.0.2.{n}/32\t0 : 65535\t{n + 1} : {n + 9}\t0x06/0xFF\t0x0000/0x0000\t\n"
        for n in range(40)
    ]
    path = tmp_path / "filters"
    path.write_text("".join(lines))
    with Contest(classbench.convert(path), 1_000) as contest:
        assert contest.measure(Cell(4, 64), LITTLE)["rules"] == 40


def test_a_bucket_of_too_many_rules_is_refused_with_the_limit() -> None:
    crowded = full_buckets(rules=129, groups=1, classes=1)
    with pytest.raises(UnsuitableError, match="129"):
        COMPETITORS["b"](PolicyModel(crowded.policy, crowded.users), DEVICES, "tc")


def test_a_replay_sends_each_tuple_as_often_as_it_should(generated, artefact) -> None:
    trace = TraceMaker(generated, DEVICES).draw(4, 50, protocol=UDP)
    with make_gate(artefact, generated.users, DEVICES) as gate, Replay(trace) as replay:
        replay.run(gate.program, 30, start=0)
        assert flows(gate.maps) == expected(trace.tuples[:30])
        replay.run(gate.program, 30)
        assert flows(gate.maps) == expected(trace.tuples)
        assert passed(gate.maps) == 60
        # From a place of its own, and round the end.
        replay.run(gate.program, 100, start=49)
        assert passed(gate.maps) == 160


def test_ipv6_tuples_arrive_whole(generated, artefact) -> None:
    trace = TraceMaker(generated, DEVICES).draw(6, 40, protocol=UDP)
    with make_gate(artefact, generated.users, DEVICES, "xdp") as gate, Replay(trace, "xdp") as replay:
        replay.run(gate.program, 40, start=0)
        assert flows(gate.maps) == expected(trace.tuples, version=6)


def test_a_program_that_decides_otherwise_is_found_out(generated) -> None:
    with Contest(generated, DEVICES, competitors=()) as contest:
        contest.contestants["x"] = contest.contestants[EMPTY]
        with pytest.raises(ReplayError, match=r"\(x\)"):
            contest._check()


def test_a_program_of_another_hook_is_refused(generated) -> None:
    trace = TraceMaker(generated, DEVICES).draw(4, 2)
    with load(build("competitors/empty.c", {"XDP": 1})) as other, Replay(trace, "tc") as replay:
        program = other.programs["decide"]
        with pytest.raises(BpfError):
            replay.run(program, 1)


def test_decision_cost_has_a_figure_for_each_cell() -> None:
    results = measure(devices=50, rounds=1, sizes=(10, 60))
    text = table(results)
    assert text.count("IPv4") == text.count("IPv6") == 3 * len(KINDS)
    assert {(c["rules"], c["version"], c["kind"], c["distinct"]) for c in results["cells"]} == {
        (rules, version, kind, distinct)
        for rules in (10, 60)
        for version in (4, 6)
        for kind in KINDS
        for distinct in (1, 256, 4_096)
    }


def flows(maps) -> set[tuple[int, int, int, bytes]]:
    """(slot, device's port, remote's port, remote) of every flow that the gate knows."""
    known = ((FLOW_KEY.unpack(key), FLOW.unpack(value)) for key, value in maps["flows"].items())
    return {(key["slot"], flow["device_port"], flow["remote_port"], flow["remote"]) for key, flow in known}


def expected(tuples, version: int = 4) -> set[tuple[int, int, int, bytes]]:
    prefix = bytes(10) + b"\xff\xff" if version == 4 else b""
    size = 4 if version == 4 else 16
    return {
        (one.device + 1, one.source_port, one.port, prefix + one.remote.to_bytes(size, "big"))
        for one in tuples
    }


def passed(maps) -> int:
    """Packets from devices that the gate has counted as passed."""
    at = (Direction.FROM_DEVICE * REASON_SLOTS + Reason.PASS) * COUNTER_SIZE
    records = map(PROCESSOR.unpack, maps["processors"].lookup_percpu(bytes(4)))
    return sum(int.from_bytes(record["reasons"][at : at + 8], "little") for record in records)
