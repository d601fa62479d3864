"""Gates on devices of several kinds, by each rung: put there, swapped, rolled back, adopted, taken off."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wardgate.cli.demo.links import Links
from wardgate.cli.demo.namespace import NetNamespace
from wardgate.runtime import netlink
from wardgate.runtime.attach import AttachError, Rung
from wardgate.runtime.devices import DeviceSpec
from wardgate.runtime.elf import read_artefact
from wardgate.runtime.gate import Gate
from wardgate.runtime.interface import find_interface
from wardgate.runtime.netlink import Block
from wardgate.runtime.spec import ObjectSpec

_NAME = "guest"
_SLOTS = 16


def _wireguard(links: Links) -> None:
    links.add("dev0", "wireguard")


def _veth(links: Links) -> None:
    links.add_veth("dev0", links.namespace, "dev1")


Case = tuple[Callable[[Links], None], str, tuple[Rung, ...] | None]
"""What makes the device, the hook, and the rungs that are allowed."""

CASES: dict[str, Case] = {
    "tc on wireguard": (_wireguard, "tc", None),
    "tc on veth": (_veth, "tc", None),
    "tc by tcx alone": (_wireguard, "tc", (Rung.TCX,)),
    "tc by clsact": (_wireguard, "tc", (Rung.CLSACT,)),
    "xdp on wireguard": (_wireguard, "xdp", None),
    "xdp on veth": (_veth, "xdp", None),
    "xdp by netlink": (_wireguard, "xdp", (Rung.XDP_NETLINK_GENERIC,)),
}


def observe(folder: Path) -> dict[str, Any]:
    """Case to what was seen there."""
    # Small ones: what is asked is how they are attached.
    first, second = (
        read_artefact((folder / f"{name}-llvmlite.o").read_bytes()) for name in ("closed", "four")
    )
    return {name: _case(case, first, second) for name, case in CASES.items()}


def _case(case: Case, first: ObjectSpec, second: ObjectSpec) -> dict[str, Any]:
    make, hook, rungs = case
    with NetNamespace("guest") as namespace, namespace.enter(), Links(namespace) as links:
        make(links)
        try:
            gate = Gate.create_or_adopt(
                first, device="dev0", name=_NAME, hook=hook, device_slots=_SLOTS, rungs=rungs
            )
        except AttachError as error:
            return {"error": error.cause, "left": _left()}
        try:
            seen = {"made": _hooks(gate), "refused": _refused(gate)}
            gate.set_devices([DeviceSpec.of("alice", "10.9.0.2")])
            gate.sessions.grant("10.9.0.2", 600)
            gate.swap(second)
            seen["swapped"] = _hooks(gate)
            gate.rollback()
            seen["rolled back"] = _hooks(gate)
            gate = Gate.create_or_adopt(first, device="dev0", name=_NAME, hook=hook, rungs=rungs)
            seen["adopted"] = _hooks(gate)
            status = gate.status()
            seen["enforcing"] = status.enforcing
            seen["sessions"] = {state.name: count for state, count in status.sessions.items() if count}
        finally:
            gate.detach()
        seen["left"] = _left()
        return seen


def _hooks(gate: Gate) -> dict[str, list[Any]]:
    return {
        one.hook.value: [one.rung.value if one.rung else None, one.generation] for one in gate.status().hooks
    }


def _refused(gate: Gate) -> dict[str, list[list[str]]]:
    return {
        one.hook.value: [[refusal.rung.value, refusal.cause] for refusal in one.refused]
        for one in gate.status().hooks
    }


def _left() -> list[str]:
    """What a detach should have taken away."""
    index = find_interface("dev0").index
    shown = netlink.xdp(index)
    left = [f"gate {name}" for name in Gate.list()]
    if shown.driver or shown.generic:
        left.append("an XDP program")
    if netlink.has_clsact(index):
        left.append("clsact")
    for block in Block:
        with contextlib.suppress(OSError):
            left += [f"filter at {block.name}" for _ in netlink.filters(index, block)]
    return left
