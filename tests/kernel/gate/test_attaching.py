"""A gate's programs on each hook by each rung: put there, switched, refused, and in others' company."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest
from fixture_gates import ALICE, CLOSED, OPEN, gate_programs, hook_rungs, index_of, make, state_of
from wardgate.runtime import links, netlink
from wardgate.runtime.attach import AttachError, Hook, Rung
from wardgate.runtime.elf import read_artefact
from wardgate.runtime.errors import BpfError
from wardgate.runtime.gate import Gate
from wardgate.runtime.generation import PROGRAMS, generations
from wardgate.runtime.object import load_object
from wardgate.runtime.pins import GatePins
from wardgate.runtime.state import StateError, switch
from wardgate.runtime.syscall import obj_get

pytestmark = [pytest.mark.root, pytest.mark.tool("ip")]

TC_RUNGS = [Rung.TCX, Rung.CLSACT]
XDP_RUNGS = [Rung.XDP_DRIVER, Rung.XDP_GENERIC, Rung.XDP_NETLINK_DRIVER, Rung.XDP_NETLINK_GENERIC]


@pytest.mark.parametrize(
    ("hook", "rungs"),
    [("tc", [rung]) for rung in TC_RUNGS]
    + [("xdp", [rung, Rung.CLSACT]) for rung in XDP_RUNGS]
    + [("tc", None), ("xdp", None)],
)
def test_each_rung_drops_swaps_and_goes(net, gate_name, build, hook, rungs) -> None:
    with net.at_gateway():
        assert net.from_device()
        assert net.to_device()
        gate = make(net, gate_name, build(OPEN), hook=hook, rungs=rungs)
        best = {"tc": [Rung.TCX, Rung.TCX], "xdp": [Rung.XDP_DRIVER, Rung.TCX]}[hook]
        forced = (rungs or [])[:1] * 2 if hook == "tc" else rungs
        assert hook_rungs(gate) == (forced or best)
        assert gate.status().enforcing
        assert not net.from_device(wait=net.BRIEFLY)
        assert not net.to_device(wait=net.BRIEFLY)
        gate.set_devices([ALICE])
        assert net.from_device()
        assert net.to_device()
        assert not net.from_device(net.SECOND, wait=net.BRIEFLY)
        assert not net.to_device(net.SECOND, wait=net.BRIEFLY)
        gate.swap(build(CLOSED))
        assert not net.from_device(wait=net.BRIEFLY)
        assert not net.to_device(wait=net.BRIEFLY)
        gate.rollback()
        assert net.from_device()
        assert net.to_device()
        assert hook_rungs(gate) == (forced or best)
        gate.detach()
        assert net.from_device(net.SECOND)
        assert net.to_device(net.SECOND)
        index = index_of(net)
        assert not netlink.has_clsact(index)
        assert netlink.xdp(index) == netlink.Xdp(None, None)
    assert not GatePins(gate_name).exists()


def test_the_ladder_says_why_it_did_not_take_a_better_rung(net, gate_name, build) -> None:
    foreign = load_foreign(build)
    with net.at_gateway(), foreign:
        index = index_of(net)
        netlink.set_xdp(index, netlink.XdpMode.GENERIC, foreign.programs["gate_xdp"].fd, None)
        with pytest.raises(AttachError, match="another XDP program") as caught:
            make(net, gate_name, build(OPEN), hook="xdp")
        assert [refusal.rung for refusal in caught.value.refusals] == XDP_RUNGS
        assert not GatePins(gate_name).exists()
        gate = make(net, gate_name, build(OPEN), rungs=[Rung.CLSACT])
        assert hook_rungs(gate) == [Rung.CLSACT, Rung.CLSACT]


def test_a_better_rung_is_refused_and_named(net, gate_name, build) -> None:
    # A bridge has no XDP in its driver.
    with net.at_gateway():
        subprocess.run(["ip", "link", "add", "plain0", "type", "bridge"], check=True)
        gate = Gate.create_or_adopt(build(OPEN), device="plain0", name=gate_name, hook="xdp")
        xdp = gate.status().hooks[0]
        assert xdp.rung is Rung.XDP_GENERIC
        assert [refusal.rung for refusal in xdp.refused] == [Rung.XDP_DRIVER]
        assert "not supported" in xdp.refused[0].cause


def load_foreign(build):
    return load_object(read_artefact(build(OPEN)))


def test_a_failure_in_the_middle_of_creation_unwinds(net, gate_name, build) -> None:
    with net.at_gateway(), load_foreign(build) as foreign:
        index = index_of(net)
        netlink.add_clsact(index)
        netlink.add_filter(index, netlink.Block.EGRESS, foreign.programs["gate_egress"].fd, "foreign")
        with pytest.raises(AttachError, match="EEXIST"):
            make(net, gate_name, build(OPEN), rungs=[Rung.CLSACT])
        assert not GatePins(gate_name).exists()
        assert netlink.filters(index, netlink.Block.INGRESS) == []
        assert len(netlink.filters(index, netlink.Block.EGRESS)) == 1
        assert net.from_device()


def test_a_clsact_qdisc_of_another_stays(net, gate_name, build) -> None:
    with net.at_gateway():
        index = index_of(net)
        netlink.add_clsact(index)
        make(net, gate_name, build(OPEN), rungs=[Rung.CLSACT]).detach()
        assert netlink.has_clsact(index)


def test_a_switch_whose_second_hook_refuses_is_undone(net, gate_name, build) -> None:
    with net.at_gateway():
        gate = make(net, gate_name, build(OPEN))
        gate.swap(build(CLOSED))
        pins, state = GatePins(gate_name), state_of(gate_name)
        previous, current = state.generations
        # To the kernel the egress link must hold the program of this generation, and it does not.
        wrong = replace(current, path=pins.generations / "9")
        wrong.path.mkdir()
        with previous.program(Hook.EGRESS) as program:
            program.pin(wrong.path / PROGRAMS[Hook.EGRESS])
        before = gate_programs(gate_name)
        mistaken = replace(state, live={Hook.INGRESS: current, Hook.EGRESS: wrong})
        with pytest.raises(BpfError, match="EPERM"):
            switch(pins, mistaken, previous, state.hooks)
        assert gate_programs(gate_name) == before
        assert set(state_of(gate_name).live.values()) == {current}
        wrong.remove()


def test_a_foreign_program_in_the_gates_link_is_seen_and_replaced(net, gate_name, build) -> None:
    with net.at_gateway(), load_foreign(build) as foreign:
        gate = make(net, gate_name, build(OPEN))
        gate.set_devices([ALICE])
        (first,) = generations(GatePins(gate_name))
        with obj_get(GatePins(gate_name).links / "egress") as link, first.program(Hook.EGRESS) as ours:
            links.update(link, foreign.programs["gate_egress"].fd, ours.fd)
        assert not net.to_device(wait=net.BRIEFLY)
        assert not gate.status().enforcing
        with pytest.raises(StateError, match="run it again"):
            gate.swap(build(CLOSED))
        assert len(generations(GatePins(gate_name))) == 1
        make(net, gate_name, build(OPEN))
        assert gate.status().enforcing
        assert net.to_device()
