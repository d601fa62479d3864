"""What a change costs: a policy edit until it is enforced, the switch alone, the end of a session.

Edits are of two kinds: somebody joins the groups that others are in together, which takes no other program;
and somebody joins one group more than anybody with the same others, which takes a new row of the tables, and
so a new generation.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from wardgate.cli.demo.links import Links
from wardgate.cli.demo.namespace import NetNamespace
from wardgate.compiler import Recompiler
from wardgate.runtime import links
from wardgate.runtime.devices import DeviceSpec
from wardgate.runtime.gate import Gate
from wardgate.runtime.layout.records import DEVICE
from wardgate.runtime.links import AttachType
from wardgate.runtime.maps import Map
from wardgate.runtime.pins import GatePins
from wardgate.runtime.state import read_about, read_state, switch

from benchmarks.contest import say
from benchmarks.policies import GeneratedPolicy, Shape, generate
from benchmarks.programs import build, load
from benchmarks.sampling import Summary
from benchmarks.traces import class_of, device_address

_DEVICE: Final = "bench0"
_STORES: Final = 20_000
_NEWCOMER: Final = "newcomer"


def measure(rules: int, devices: int, edits: int) -> dict[str, Any]:
    """Edits of a group on a live gate of `devices` devices. Seconds, but for the store (ns)."""
    say(f"changes at {rules:,} rules, {devices:,} devices")
    generated = generate(Shape.of_rules(rules))
    with ExitStack() as stack:
        namespace = stack.enter_context(network())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(namespace.enter())
        path = folder / "policy.json"
        path.write_text(generated.text, encoding="utf-8")
        recompiler = Recompiler(path)
        gate = stack.enter_context(live_gate(recompiler, generated, devices))
        joined = [_edit(gate, recompiler, path, _joins_others(path, generated, n)) for n in range(2 * edits)]
        edited = [_edit(gate, recompiler, path, _joins_one_more(path, generated, n)) for n in range(edits)]
        rollbacks = [_timed(gate.rollback) for _ in range(2 * edits)]
        address = str(device_address(4, 0))
        gate.sessions.grant(address, 3600)
        revocations = [_timed(lambda: gate.sessions.revoke(address)) for _ in range(edits)]
        return {
            "rules": rules,
            "devices": devices,
            **_parts(joined, "edit_s", "compile_s", "reassign_s"),
            **_parts(edited, "new_class_s", "new_class_compile_s", "swap_s"),
            "switch_s": Summary.of(_switches(gate.name, 2 * edits)).to_json(),
            "rollback_s": Summary.of(rollbacks).to_json(),
            "link_update_s": Summary.of(_link_updates(20)).to_json(),
            "revoke_call_s": Summary.of(revocations).to_json(),
            "revoke_store_ns": _store_ns(gate.name),
        }


@contextmanager
def network() -> Iterator[NetNamespace]:
    """A namespace with the device `bench0`."""
    with NetNamespace("bench") as namespace, NetNamespace("behind") as behind:
        with Links(namespace) as here:
            here.add_veth(_DEVICE, behind, _DEVICE)
            here.up(_DEVICE)
        yield namespace


@contextmanager
def live_gate(recompiler: Recompiler, generated: GeneratedPolicy, devices: int) -> Iterator[Gate]:
    """A gate on `bench0` of the current namespace, with devices; it is detached at the end."""
    name = f"bench-{os.getpid()}"
    artefact = recompiler.compile().artefact
    assert artefact is not None  # noqa: S101 - the first time there is one
    # One more device than the policy has, for somebody who joins.
    gate = Gate.create_or_adopt(artefact.data, device=_DEVICE, name=name, device_slots=devices + 2)
    try:
        gate.set_devices(
            [
                DeviceSpec.of(class_of(device, generated.users), device_address(4, device))
                for device in range(devices)
            ]
            + [DeviceSpec.of(_NEWCOMER, device_address(4, devices))]
        )
        yield gate
    finally:
        gate.detach()


def _joins_others(path: Path, generated: GeneratedPolicy, number: int) -> dict[str, Any]:
    """The policy with the newcomer in the very groups that another user is in."""
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    other = generated.users[number]
    for members in document["groups"].values():
        if _NEWCOMER in members:
            members.remove(_NEWCOMER)
        if other in members:
            members.append(_NEWCOMER)
    return document


def _joins_one_more(path: Path, generated: GeneratedPolicy, number: int) -> dict[str, Any]:
    """The policy with a user in one group more, so that nobody else is in the same ones."""
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    groups = document["groups"]
    taken = {frozenset(g for g in groups if user in groups[g]) for user in generated.users}
    users = generated.users[number:] + generated.users[:number]
    user, group = next(
        (user, group)
        for user in users
        for own in [frozenset(group for group in groups if user in groups[group])]
        for group in groups
        if group not in own and own | {group} not in taken
    )
    groups[group].append(user)
    return document


def _edit(gate: Gate, recompiler: Recompiler, path: Path, document: dict[str, Any]) -> tuple[float, float]:
    """Seconds to compile an edit, from the file on, and until it is enforced."""
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")
    start = time.perf_counter()
    change = recompiler.compile()
    compiled = time.perf_counter()
    if change.artefact is None:
        gate.reassign(change.manifest)
    else:
        gate.swap(change.artefact.data)
    return compiled - start, time.perf_counter() - compiled


def _parts(edits: list[tuple[float, float]], whole: str, compiling: str, enforcing: str) -> dict[str, Any]:
    return {
        whole: Summary.of([sum(parts) for parts in edits]).to_json(),
        compiling: Summary.of([compiled for compiled, _ in edits]).to_json(),
        enforcing: Summary.of([enforced for _, enforced in edits]).to_json(),
    }


def _switches(name: str, count: int) -> list[float]:
    """Seconds in which all hooks of a gate go to its other generation, an even number of times."""
    pins, found = GatePins(name), []
    with pins.lock():
        about = read_about(pins)
        assert about is not None  # noqa: S101 - the gate is whole
        for _ in range(count):
            state = read_state(pins, about)
            assert state.previous is not None  # noqa: S101 - there was a swap
            start = time.perf_counter()
            switch(pins, state, state.previous, state.hooks)
            found.append(time.perf_counter() - start)
    return found


def _timed(action: Any) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _link_updates(count: int) -> list[float]:
    """What the kernel alone takes to put one empty program in place of another on a TCX link."""
    spec = build("competitors/empty.c", {"XDP": 0})
    with network() as namespace, namespace.enter(), load(spec) as first, load(spec) as second:
        with Links(namespace) as here:
            index = here.index(_DEVICE)
        old, new = first.programs["decide"].fd, second.programs["decide"].fd
        found = []
        with links.create_tcx(old, index, AttachType.TCX_INGRESS) as link:
            for _ in range(count):
                start = time.perf_counter()
                links.update(link, new, old)
                found.append(time.perf_counter() - start)
                old, new = new, old
        return found


def _store_ns(name: str) -> float:
    """The store that ends a session, in a view of the gate's devices that is open: mean ns."""
    with Map.open_pin(GatePins(name).maps / "devices") as devices, devices.view() as view:
        offset = DEVICE.offsets["deadline"]
        start = time.perf_counter_ns()
        for _ in range(_STORES):
            view.store(1, offset, 8, 0)
        return (time.perf_counter_ns() - start) / _STORES
