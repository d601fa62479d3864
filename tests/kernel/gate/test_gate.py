"""A gate's life on a real device: made, enforcing, changed, adopted, taken away."""

from __future__ import annotations

import os
import select
import signal
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from bpf_objects import room_for
from fixture_gates import (
    ALICE,
    BOB,
    CLOSED,
    OPEN,
    SESSION,
    gate_programs,
    hook_rungs,
    index_of,
    make,
)
from wardgate.runtime import netlink
from wardgate.runtime.attach import Hook, Rung
from wardgate.runtime.elf import read_artefact
from wardgate.runtime.errors import BpfError, WardgateError
from wardgate.runtime.gate import Gate
from wardgate.runtime.generation import generations
from wardgate.runtime.interface import InterfaceError
from wardgate.runtime.layout.codes import Direction, Reason
from wardgate.runtime.maps import Map
from wardgate.runtime.pins import ROOT, GatePins, LockError, PinError
from wardgate.runtime.sessions import SessionState
from wardgate.runtime.state import StateError
from wardgate.runtime.syscall import Cmd, fd_by_id

pytestmark = [pytest.mark.root, pytest.mark.tool("ip")]


def test_detach_frees_everything_in_the_kernel(net, gate_name, build) -> None:
    with net.at_gateway():
        gate = make(net, gate_name, build(OPEN))
        gate.set_devices([ALICE])
        gate.swap(build(CLOSED))
        programs, maps = set(), set()
        for generation in generations(GatePins(gate_name)):
            for hook in (Hook.INGRESS, Hook.EGRESS):
                with generation.program(hook) as program:
                    programs.add(program.info.id)
                    maps.update(program.info.map_ids)
        for path in GatePins(gate_name).maps.iterdir():
            with Map.open_pin(path) as shared:
                maps.add(shared.info.id)
        assert len(programs) == 4
        gate.detach()
        gate.detach()
    left = {(Cmd.PROG_GET_FD_BY_ID, number) for number in programs}
    left |= {(Cmd.MAP_GET_FD_BY_ID, number) for number in maps}
    # The kernel frees objects after a grace period.
    until = time.monotonic() + 20
    while left and time.monotonic() < until:
        left = {entry for entry in left if exists(*entry)}
        time.sleep(0.02)
    assert not left
    assert not (ROOT / gate_name).exists()


def exists(command: Cmd, number: int) -> bool:
    try:
        fd_by_id(command, number).close()
    except BpfError:
        return False
    return True


def test_a_device_made_anew_gets_its_gate_back(net, gate_name, build) -> None:
    with net.at_gateway():
        gate = make(net, gate_name, build(SESSION))
        gate.set_devices([ALICE])
        gate.sessions.grant(net.CLIENT, 60)
        gate.swap(build(OPEN))
        gate.swap(build(SESSION))
        net.remake_device()
        assert not gate.status().enforcing
        assert gate.status().generation == 3
        with pytest.raises(StateError, match="run it again"):
            gate.swap(build(OPEN))
        make(net, gate_name, build(SESSION))
        status = gate.status()
        assert status.enforcing
        assert (status.generation, status.previous) == (3, 2)
        assert gate.sessions.get(net.CLIENT).state is SessionState.AUTHORISED
        # The sockets are bound to addresses that went and came back.
        assert net.from_device()
        assert not net.from_device(net.SECOND, wait=net.BRIEFLY)
        net.remake_device()
        make(net, gate_name, build(OPEN))
        assert gate.status().generation == 4
        assert gate.status().previous == 3
        assert net.from_device()


def test_a_gate_that_lost_one_hook_gets_it_back(net, gate_name, build) -> None:
    with net.at_gateway():
        gate = make(net, gate_name, build(OPEN), rungs=[Rung.CLSACT])
        gate.set_devices([ALICE])
        netlink.delete_filter(index_of(net), netlink.Block.EGRESS)
        assert not gate.status().enforcing
        assert net.to_device(net.SECOND)
        make(net, gate_name, build(OPEN))
        assert hook_rungs(gate) == [Rung.CLSACT, Rung.TCX]
        assert not net.to_device(net.SECOND, wait=net.BRIEFLY)
        assert net.to_device()


def test_adopting_with_another_policy_swaps_and_keeps_sessions(net, gate_name, build) -> None:
    with net.at_gateway():
        gate = make(net, gate_name, build(SESSION))
        gate.set_devices([ALICE])
        gate.sessions.grant(net.CLIENT, 60)
        ids = gate_programs(gate_name)
        make(net, gate_name, build(SESSION))
        assert gate_programs(gate_name) == ids
        make(net, gate_name, build(SESSION, digest="other"))
        assert gate_programs(gate_name) != ids
        assert gate.status().digest == "other"
        assert gate.sessions.get(net.CLIENT).state is SessionState.AUTHORISED
        assert net.from_device()


def test_adopting_with_other_code_of_the_same_policy_swaps(net, gate_name, build) -> None:
    spec = read_artefact(build(OPEN))
    table = spec.data[".rodata.t_action"]
    closed = replace(table, data=struct.pack("<4I", 0, CLOSED, CLOSED, CLOSED))
    other = replace(spec, data={**spec.data, table.name: closed})
    with net.at_gateway():
        gate = make(net, gate_name, spec)
        gate.set_devices([ALICE])
        make(net, gate_name, other)
        assert gate.status().generation == 2
        assert not net.from_device(wait=net.BRIEFLY)
        make(net, gate_name, other)
        assert gate.status().generation == 2


def test_a_gate_is_not_moved_by_accident(net, gate_name, build) -> None:
    with net.at_gateway():
        make(net, gate_name, build(OPEN))
        subprocess.run(["ip", "link", "add", "plain0", "type", "bridge"], check=True)
        with pytest.raises(StateError, match="attached to gate0, not to plain0"):
            Gate.create_or_adopt(build(OPEN), device="plain0", name=gate_name)
        with pytest.raises(StateError, match="stands on the tc hook"):
            make(net, gate_name, build(OPEN), hook="xdp")
        assert gate_name in Gate.list()


def test_what_cannot_be_made_leaves_nothing(net, gate_name, build) -> None:
    with net.at_gateway():
        with pytest.raises(InterfaceError, match="none of this name"):
            Gate.create_or_adopt(build(OPEN), device="nosuch", name=gate_name)
        with pytest.raises(PinError, match="--name"):
            Gate.create_or_adopt(build(OPEN), device=net.device, name="a.b")
        with pytest.raises(StateError, match="choose tc or xdp"):
            make(net, gate_name, build(OPEN), hook="lsm")
        with pytest.raises(WardgateError):
            make(net, gate_name, build(OPEN)[:4000])
        with pytest.raises(PinError, match="no gate of this name"):
            Gate.open(gate_name)
    assert not GatePins(gate_name).exists()


def test_too_few_files_leave_what_was_there(net, gate_name, build) -> None:
    """Wherever it is that there is no room for another: also for taking back what was made until then."""
    first, second = read_artefact(build(OPEN)), read_artefact(build(SESSION))
    pins = GatePins(gate_name)

    def least(change: Callable[[], object], unchanged: Callable[[], bool]) -> int:
        """The least room for files in which the change is made; with less, all is as before."""
        told: list[str] = []
        for room in range(3, 100):
            try:
                with room_for(room):
                    change()
            except (WardgateError, OSError) as error:
                told.append(str(error))
                assert unchanged(), room
            else:
                assert all("open files" in text for text in told)
                return room
        raise AssertionError("no room is enough")

    with net.at_gateway():
        # More than for what is loaded.
        assert least(lambda: make(net, gate_name, first), lambda: not pins.root.exists()) > 14
        gate = Gate.open(gate_name)
        gate.set_devices([ALICE])
        assert (
            least(lambda: gate.swap(second), lambda: [one.path.name for one in generations(pins)] == ["1"])
            > 14
        )
        assert gate.status().generation == 2
        assert gate.enforces()


def test_without_privileges_there_is_an_error_and_no_traceback(net, gate_name, build) -> None:
    policy = read_artefact(build(OPEN))
    reading, writing = os.pipe()
    with net.at_gateway():
        make(net, gate_name, policy)
        child = os.fork()
        if child == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            actions = {
                "list": Gate.list,
                "open": lambda: Gate.open(gate_name),
                "make": lambda: make(net, gate_name, policy),
                "detach": Gate(gate_name).detach,
                "revoke": lambda: Gate(gate_name).sessions.revoke(net.CLIENT),
            }
            for action in actions.values():
                try:
                    action()
                    os.write(writing, b"nothing was raised\n")
                except BaseException as error:
                    os.write(writing, f"{isinstance(error, WardgateError)} {error}\n".encode())
            os._exit(0)
        os.waitpid(child, 0)
    os.close(writing)
    lines = os.read(reading, 1 << 16).decode().splitlines()
    os.close(reading)
    assert len(lines) == 5
    for line in lines:
        assert line.startswith("True ")
        assert "run as root" in line


def test_generations_are_numbered_and_two_are_kept(net, gate_name, build) -> None:
    with net.at_gateway():
        gate = make(net, gate_name, build(OPEN))
        with pytest.raises(StateError, match="no previous"):
            gate.rollback()
        assert gate.swap(build(CLOSED)) == 2
        assert gate.swap(build(OPEN)) == 3
        assert gate.rollback() == 2
        assert gate.rollback() == 3
        assert gate.rollback() == 2
        assert gate.swap(build(SESSION)) == 4
        assert [generation.number for generation in generations(GatePins(gate_name))] == [2, 4]
        assert gate.status().digest == "mfa-deny-deny"


def test_writers_wait_for_each_other_or_say_who(net, gate_name, build) -> None:
    with net.at_gateway():
        gate = make(net, gate_name, build(OPEN))
        pins = GatePins(gate_name)
        with pins.lock(), pytest.raises(LockError, match=f"process {os.getpid()}"), pins.lock(timeout=0):
            pass
        errors: list[BaseException] = []

        def swap() -> None:
            try:
                for _ in range(5):
                    gate.swap(build(CLOSED))
            except BaseException as error:
                errors.append(error)

        # A thread is in the namespace of the one that starts it.
        threads = [threading.Thread(target=swap) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors
        assert gate.status().generation == 11


def test_drops_are_shown_with_their_policy_line(net, gate_name, build) -> None:
    with net.at_gateway():
        gate = make(net, gate_name, build(OPEN, CLOSED, subjects={"bob": 2}))
        gate.set_devices([ALICE, BOB])
        assert list(gate.events(0)) == []
        assert net.from_device()
        assert not net.from_device(net.SECOND, wait=net.BRIEFLY)
        gate.swap(build(CLOSED, OPEN, subjects={"bob": 2}))
        assert not net.to_device(wait=net.BRIEFLY)
        bob, alice = gate.events(0)
        assert (bob.user, bob.direction, bob.reason) == ("bob", Direction.FROM_DEVICE, Reason.DENY_RULE)
        assert (str(bob.source), str(bob.destination)) == (net.SECOND, net.GATEWAY)
        assert bob.rule is not None
        assert (bob.rule.file, bob.rule.line, bob.generation) == ("policy.yaml", 12, 1)
        assert (alice.user, alice.direction, alice.generation) == ("alice", Direction.TO_DEVICE, 2)
        assert alice.rule is not None
        assert alice.rule.line == 11
        status = gate.status()
        assert status.counters[Direction.FROM_DEVICE][Reason.DENY_RULE].packets == 1
        assert status.passed.packets == 1
        assert status.dropped.packets == 2
        assert [(hit.rule.line, hit.count.packets) for hit in status.rule_hits] == [(11, 1)]


def test_events_have_one_reader_and_end_with_the_gate(net, gate_name, build) -> None:
    with net.at_gateway():
        gate = make(net, gate_name, build(OPEN))
        seen = gate.events()
        assert not net.from_device(wait=net.BRIEFLY)
        assert next(seen).reason is Reason.NO_DEVICE
        with pytest.raises(LockError, match="read events"):
            next(gate.events(0))
        gate.detach()
        assert list(seen) == []


def test_killing_the_process_leaves_enforcement(net, gate_name, build) -> None:
    with net.at_gateway():
        child = os.fork()
        if child == 0:
            gate = make(net, gate_name, build(SESSION))
            gate.set_devices([ALICE])
            gate.sessions.grant(net.CLIENT, 60)
            os.kill(os.getpid(), signal.SIGKILL)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
        assert net.from_device()
        assert not net.from_device(net.SECOND, wait=net.BRIEFLY)
        gate = Gate.open(gate_name)
        assert gate.status().enforcing
        gate.sessions.revoke(net.CLIENT)
        assert not net.from_device(wait=net.BRIEFLY)


def test_swapping_under_traffic_never_shows_a_third_verdict(net, gate_name, build) -> None:
    policies = [
        read_artefact(build(SESSION, CLOSED, OPEN, subjects={"bob": 2})),
        read_artefact(build(OPEN, CLOSED, SESSION, subjects={"bob": 2})),
    ]
    swaps = 200
    with net.at_gateway():
        gate = make(net, gate_name, policies[0])
        gate.set_devices([ALICE, BOB])
        gate.sessions.grant(net.CLIENT, 3600)
        with traffic(net) as stop:
            for number in range(1, swaps + 1):
                gate.swap(policies[number % 2])
            sent, lost = stop()
        status = gate.status()
        assert sent > swaps
        assert lost == 0
        inwards = status.counters[Direction.FROM_DEVICE]
        assert {reason: count.packets for reason, count in inwards.items()} == {
            Reason.PASS: sent,
            Reason.DENY_RULE: sent,
        }
        outwards = status.counters[Direction.TO_DEVICE]
        assert {reason: count.packets for reason, count in outwards.items()} == {Reason.PASS: sent}
        assert status.generation == swaps + 1
        assert gate.sessions.get(net.CLIENT).state is SessionState.AUTHORISED


@contextmanager
def traffic(net) -> Iterator[Callable[[], tuple[int, int]]]:
    """A process that sends without pause, to and from alice and from bob; what stops it gives rounds
    and how many of alice's packets did not arrive."""
    reading, writing = os.pipe()
    stopping, stop = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(stop)
        sent = lost = 0
        while not select.select([stopping], [], [], 0)[0]:
            lost += not net.from_device()
            lost += not net.to_device()
            net.client_sockets[net.SECOND].sendto(b"bob", (net.GATEWAY, net.PORT))
            sent += 1
        os.write(writing, f"{sent} {lost}".encode())
        os._exit(0)
    os.close(writing)
    os.close(stopping)

    def finish() -> tuple[int, int]:
        os.close(stop)
        sent, lost = os.read(reading, 100).split()
        return int(sent), int(lost)

    try:
        yield finish
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reading)
