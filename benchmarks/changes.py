"""What a change costs: a policy edit until it is enforced, the switch alone, the end of a session."""

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
from wardgate.compiler.compile import compile_policy
from wardgate.runtime import links
from wardgate.runtime.devices import DeviceSpec
from wardgate.runtime.gate import Gate
from wardgate.runtime.layout.records import DEVICE
from wardgate.runtime.links import AttachType
from wardgate.runtime.maps import Map
from wardgate.runtime.pins import GatePins

from benchmarks.contest import say
from benchmarks.policies import GeneratedPolicy, Shape, generate
from benchmarks.programs import build, load
from benchmarks.sampling import Summary
from benchmarks.traces import class_of, device_address

_DEVICE: Final = "bench0"
_STORES: Final = 20_000


def measure(rules: int, devices: int, edits: int) -> dict[str, Any]:
    """Edits of a group on a live gate of `devices` devices. Seconds, but for the store (ns)."""
    say(f"changes at {rules:,} rules, {devices:,} devices")
    generated = generate(Shape.of_rules(rules))
    with ExitStack() as stack:
        namespace = stack.enter_context(network())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(namespace.enter())
        gate = stack.enter_context(live_gate(generated, devices, folder))
        edited = [_edit(gate, generated, folder, number) for number in range(edits)]
        rollbacks = [_timed(gate.rollback) for _ in range(2 * edits)]
        address = str(device_address(4, 0))
        gate.sessions.grant(address, 3600)
        revocations = [_timed(lambda: gate.sessions.revoke(address)) for _ in range(edits)]
        return {
            "rules": rules,
            "devices": devices,
            "edit_s": Summary.of([sum(parts) for parts in edited]).to_json(),
            "compile_s": Summary.of([compiled for compiled, _ in edited]).to_json(),
            "swap_s": Summary.of([swapped for _, swapped in edited]).to_json(),
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
def live_gate(generated: GeneratedPolicy, devices: int, folder: Path) -> Iterator[Gate]:
    """A gate on `bench0` of the current namespace, with devices; it is detached at the end."""
    path = folder / "policy.json"
    path.write_text(generated.text, encoding="utf-8")
    name = f"bench-{os.getpid()}"
    gate = Gate.create_or_adopt(
        compile_policy(path).data, device=_DEVICE, name=name, device_slots=devices + 1
    )
    try:
        gate.set_devices(
            [
                DeviceSpec.of(class_of(device, generated.users), device_address(4, device))
                for device in range(devices)
            ]
        )
        yield gate
    finally:
        gate.detach()


def _edit(gate: Gate, generated: GeneratedPolicy, folder: Path, number: int) -> tuple[float, float]:
    """A user joins a group: seconds to compile, and to swap."""
    document = json.loads(generated.text)
    for members in document["groups"].values():
        if generated.users[number] not in members:
            members.append(generated.users[number])
            break
    path = folder / "policy.json"
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")
    start = time.perf_counter()
    data = compile_policy(path).data
    compiled = time.perf_counter()
    gate.swap(data)
    return compiled - start, time.perf_counter() - compiled


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
