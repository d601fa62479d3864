"""SIGKILL, before every single change that an operation makes and at random moments: what was enforced
stays enforced, and the next writer finds a whole gate."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from types import CodeType, FrameType
from typing import Any

import pytest
from fixture_gates import ALICE, CLOSED, OPEN
from wardgate.runtime import netlink
from wardgate.runtime.addresses import Address
from wardgate.runtime.attach import Rung
from wardgate.runtime.devices import DeviceSpec, DeviceTable
from wardgate.runtime.elf import read_artefact
from wardgate.runtime.gate import Gate
from wardgate.runtime.generation import generations
from wardgate.runtime.pins import GatePins
from wardgate.runtime.sessions import SessionState
from wardgate.runtime.state import StateError
from wardgate.runtime.status import GateStatus
from wardgate.runtime.syscall import Cmd, raw_bpf
from wardgate.runtime.views import MapView

pytestmark = [pytest.mark.root, pytest.mark.tool("ip")]

BOB = DeviceSpec.of("bob", "10.77.0.3", "fd77::3")
CAROL = DeviceSpec.of("carol", "10.77.0.4", "fd77::4")
DORA = DeviceSpec.of("dora", "10.77.0.5", "fd77::5")
BRIEFLY = 0.02
"""Too short to tell a drop from a delay on a busy machine, but these are looked at very often."""
RUNGS = [[Rung.TCX], [Rung.CLSACT]]


def killed_after(delay: float, work: Callable[[], None]) -> None:
    """Run `work` in a process of its own, again and again, and kill it after `delay` seconds."""
    child = os.fork()
    if child == 0:
        try:
            while True:
                work()
        finally:
            os._exit(1)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1]), "it failed before it was killed"


def killed_before(number: int, work: Callable[[], object]) -> bool:
    """Run `work` in a process of its own that is killed just before it makes its change `number` to
    what survives it; False where it makes fewer."""
    child = os.fork()
    if child == 0:
        seen = -1

        def count() -> None:
            nonlocal seen
            seen += 1
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)

        def watch(frame: FrameType, event: str, argument: object) -> None:
            if (event == "call" and is_change(frame)) or (event == "c_call" and argument in FOLDER_CHANGES):
                count()

        def watch_lines(frame: FrameType, event: str, _argument: object) -> Any:
            if frame.f_code is not MapView.store_each.__code__:
                return None
            if event == "line" and frame.f_lineno == STORE_LINE:
                count()
            return watch_lines

        status = 1
        try:
            sys.setprofile(watch)
            sys.settrace(watch_lines)
            work()
            status = 0
        finally:
            os._exit(status)
    ended = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(ended) or os.WEXITSTATUS(ended) == 0, f"it failed before change {number}"
    return os.WIFSIGNALED(ended)


def check_whole(net, gate: Gate, where: str) -> GateStatus:
    """What was enforced is, and the next writer leaves the gate in one piece."""
    assert net.from_device(), where
    assert net.to_device(), where
    assert not net.from_device(net.SECOND, BRIEFLY), where
    assert not net.to_device(net.SECOND, BRIEFLY), where
    assert gate.status().enforcing, where
    gate.set_devices([ALICE])
    status = gate.status()
    assert {hook.generation for hook in status.hooks} == {status.generation}, where
    found = generations(GatePins(gate.name))
    assert all(not generation.mark for generation in found), where
    assert len(found) == (1 if status.previous is None else 2), where
    assert [device.user for device in gate.devices.list()] == ["alice"], where
    return status


FOLDER_CHANGES = (os.mkdir, os.rename, os.unlink, os.rmdir)
BPF_CHANGES = {
    Cmd.OBJ_PIN, Cmd.LINK_CREATE, Cmd.LINK_UPDATE, Cmd.LINK_DETACH, Cmd.MAP_UPDATE_ELEM, Cmd.MAP_DELETE_ELEM,
}  # fmt: skip
FORGETTING = DeviceTable._forget_flows.__code__
"""It deletes each place that a device may have a flow at, and there are hundreds: one change, here."""
STORE_LINE = max(line for _, _, line in MapView.store_each.__code__.co_lines() if line)
"""The last line, which stores, once for each value."""
READING = {netlink._GETLINK, netlink._GETQDISC, netlink._GETTFILTER}


def is_within(frame: FrameType, code: CodeType) -> bool:
    """Whether a function is called, directly or not, by the one with this code."""
    caller = frame.f_back
    while caller is not None and caller.f_code is not code:
        caller = caller.f_back
    return caller is not None


def is_change(frame: FrameType) -> bool:
    if frame.f_code is raw_bpf.__code__:
        return frame.f_locals["cmd"] in BPF_CHANGES and not is_within(frame, FORGETTING)
    if frame.f_code is FORGETTING:
        return True
    if frame.f_code is netlink._request.__code__:
        return frame.f_locals["kind"] not in READING
    return frame.f_code is MapView.store.__code__


@pytest.mark.parametrize(
    ("operation", "rungs"),
    [
        ("swap", RUNGS[0]),
        ("swap", RUNGS[1]),
        ("swap to another index", None),
        ("rollback", RUNGS[0]),
        ("set_devices", None),
        ("put_device", None),
        ("remove_device", None),
        ("adopt", None),
    ],
)
def test_a_gate_whose_writer_is_killed_before_any_change_is_whole(
    net, gate_name, build, rungs, operation
) -> None:
    # Both policies let alice pass and nobody else, so what is enforced is the same throughout.
    policies = [read_artefact(build(OPEN, digest=name)) for name in ("one", "two")]
    unindexed = read_artefact(build(OPEN, index=None, digest="one"))
    with net.at_gateway():
        gate = Gate.create_or_adopt(policies[0], device=net.device, name=gate_name, rungs=rungs)
        gate.set_devices([ALICE])
        gate.sessions.grant(net.CLIENT, 3600)
        gate.swap(policies[1])
        operations: dict[str, Callable[[], object]] = {
            "swap": lambda: gate.swap(policies[0]),
            "swap to another index": lambda: gate.swap(unindexed),
            "rollback": gate.rollback,
            "set_devices": lambda: gate.set_devices([ALICE, CAROL]),
            "put_device": lambda: gate.put_device(CAROL),
            "remove_device": lambda: gate.remove_device(gate.put_device(CAROL).addresses[0]),
            "adopt": lambda: Gate.create_or_adopt(policies[0], device=net.device, name=gate_name),
        }
        number = 0
        while killed_before(number, operations[operation]):
            where = f"change {number}"
            status = check_whole(net, gate, where)
            assert status.previous is not None, where
            assert gate.sessions.get(net.CLIENT).state is SessionState.AUTHORISED, where
            if operation == "adopt" and status.digest == "one":
                gate.swap(policies[1])
            number += 1
        assert number >= 2


def test_a_reassignment_killed_before_any_change_is_finished_or_never_was(net, gate_name, build) -> None:
    with net.at_gateway():
        gate = Gate.create_or_adopt(build(OPEN, CLOSED), device=net.device, name=gate_name)
        gate.set_devices([ALICE])
        manifests = [replace(gate.manifest(), subjects={"alice": 1 + n}, digest=str(n)) for n in range(2)]
        gate.reassign(manifests[1])
        number, finished = 0, 0
        while finished < 2:
            wanted = manifests[number % 2]
            if killed_before(number // 2, lambda wanted=wanted: gate.reassign(wanted)):
                # The next writer, whatever it is for, leaves manifest and programs of one mind.
                with pytest.raises(StateError, match="no previous"):
                    gate.rollback()
            else:
                finished += 1
                assert gate.manifest() == wanted
            assert gate.manifest() in manifests
            assert gate.status().digest == gate.manifest().digest
            passes = gate.manifest().class_of("alice") == 1
            wait = net.PATIENCE if passes else net.BRIEFLY
            assert net.from_device(wait=wait) == passes, f"change {number // 2}"
            number += 1
        assert number > 10


def test_a_change_of_devices_killed_before_any_store_leaves_generations_alike(net, gate_name, build) -> None:
    """Generations that look addresses up in different places, of which one has the wrong devices if what
    a killed writer left is not told to all."""
    policies = [read_artefact(build(OPEN, index=index)) for index in (("10.77.0.0", 4), None)]
    devices = [ALICE, BOB, CAROL, DORA]
    with net.at_gateway():
        gate = Gate.create_or_adopt(policies[0], device=net.device, name=gate_name)
        gate.set_devices(devices[:2])
        gate.swap(policies[1])
        number = 0
        while True:
            changed = devices[2:] if number % 2 else devices[1:3]
            ended = not killed_before(number // 2, lambda wanted=changed: gate.set_devices(wanted))
            before = passing(net), users(gate)
            gate.rollback()
            # Each user's device is known in both generations or in neither.
            assert (still_passing(net, before[0]), users(gate)) == before, f"change {number}"
            gate.set_devices(devices[:2])
            if ended and number % 2:
                break
            number += 1
        assert number > 20


def test_a_change_of_one_device_killed_before_any_store_leaves_generations_alike(
    net, gate_name, build
) -> None:
    """As above; and what a change that was killed is about is as it was, or as it shall be."""
    policies = [read_artefact(build(OPEN, index=index)) for index in (("10.77.0.0", 4), None)]
    alice = DeviceSpec.of("alice", *map(str, ALICE.addresses), "fd77::2")
    changes: list[tuple[DeviceSpec, Callable[[Gate], object]]] = [
        (BOB, lambda gate: gate.put_device(BOB)),
        (alice, lambda gate: gate.put_device(alice)),
        (BOB, lambda gate: gate.remove_device(BOB.addresses[1])),
    ]
    with net.at_gateway():
        gate = Gate.create_or_adopt(policies[0], device=net.device, name=gate_name)
        gate.set_devices([ALICE])
        gate.swap(policies[1])
        for about, change in changes:
            before, number = addresses(gate), 0
            specs = [DeviceSpec(device.addresses, device.user) for device in gate.devices.list()]
            while killed_before(number, lambda change=change: change(gate)):
                found = addresses(gate)
                gate.rollback()
                assert addresses(gate) == found, f"change {number}"
                # Addresses come and go one by one, and those of other devices not at all.
                others = {where: user for where, user in found.items() if where not in about.addresses}
                assert others == {
                    where: user for where, user in before.items() if where not in about.addresses
                }
                gate.set_devices(specs)
                number += 1
            assert number > 2
            assert net.from_device()


def addresses(gate: Gate) -> dict[Address, str]:
    return {address: device.user for device in gate.devices.list() for address in device.addresses}


def passing(net) -> list[bool]:
    return [net.from_device(source, net.BRIEFLY) for source in (net.CLIENT, net.SECOND)]


def still_passing(net, before: list[bool]) -> list[bool]:
    """The same, with patience for what is expected."""
    return [
        net.from_device(source, net.PATIENCE if passed else BRIEFLY)
        for source, passed in zip((net.CLIENT, net.SECOND), before, strict=True)
    ]


def users(gate: Gate) -> list[str]:
    return [device.user for device in gate.devices.list()]


@pytest.mark.parametrize("rungs", RUNGS)
@pytest.mark.parametrize("operation", ["create", "detach"])
def test_creation_and_removal_killed_before_any_change_can_be_repeated(
    net, gate_name, build, rungs, operation
) -> None:
    policy = read_artefact(build(OPEN))

    def create() -> Gate:
        gate = Gate.create_or_adopt(policy, device=net.device, name=gate_name, rungs=rungs)
        gate.set_devices([ALICE])
        return gate

    with net.at_gateway():
        number = 0
        while True:
            if operation == "detach":
                create()
            if not killed_before(number, create if operation == "create" else Gate(gate_name).detach):
                break
            where = f"change {number}"
            if number % 2:
                Gate(gate_name).detach()
                assert net.from_device(net.SECOND), where
                assert net.to_device(net.SECOND), where
                assert not GatePins(gate_name).exists(), where
            gate = create()
            assert gate.status().enforcing, where
            assert net.from_device(), where
            assert not net.from_device(net.SECOND, BRIEFLY), where
            gate.detach()
            assert not GatePins(gate_name).exists(), where
            number += 1
        assert number > 10


@pytest.mark.parametrize("rungs", RUNGS)
def test_a_writer_killed_at_any_moment_leaves_a_whole_gate(net, gate_name, build, rungs) -> None:
    # Both policies let alice pass and nobody else, so what is enforced is the same throughout.
    policies = [read_artefact(build(OPEN, digest=name)) for name in ("one", "two")]
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    with net.at_gateway():
        gate = Gate.create_or_adopt(policies[0], device=net.device, name=gate_name, rungs=rungs)
        gate.set_devices([ALICE])

        def churn() -> None:
            gate.swap(policies[1])
            gate.set_devices([ALICE, CAROL])
            gate.rollback()
            gate.swap(policies[0])
            gate.set_devices([ALICE])

        for attempt in range(8):
            killed_after(chance.uniform(0, 0.3), churn)
            check_whole(net, gate, f"seed {seed}, attempt {attempt}")


@pytest.mark.parametrize("rungs", RUNGS)
def test_a_creation_or_removal_killed_at_any_moment_can_be_repeated(net, gate_name, build, rungs) -> None:
    policy = read_artefact(build(OPEN))
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    with net.at_gateway():

        def make_and_remove() -> None:
            gate = Gate.create_or_adopt(policy, device=net.device, name=gate_name, rungs=rungs)
            gate.set_devices([ALICE])
            gate.detach()

        for attempt in range(6):
            killed_after(chance.uniform(0, 0.25), make_and_remove)
            where = f"seed {seed}, attempt {attempt}"
            if attempt % 2:
                Gate(gate_name).detach()
                assert net.from_device(net.SECOND), where
                assert net.to_device(net.SECOND), where
                assert not GatePins(gate_name).exists(), where
            gate = Gate.create_or_adopt(policy, device=net.device, name=gate_name, rungs=rungs)
            assert gate.status().enforcing, where
            gate.set_devices([ALICE])
            assert net.from_device(), where
            assert not net.from_device(net.SECOND, BRIEFLY), where
            assert not net.to_device(net.SECOND, BRIEFLY), where
            gate.detach()
