"""Making a gate on a device, or taking over the one that is there."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from wardgate.runtime.access import Access
from wardgate.runtime.attach import Rung
from wardgate.runtime.generation import build, stored_manifest
from wardgate.runtime.hooks import attach_current, dismantle
from wardgate.runtime.interface import Interface, interface_name, network_namespace
from wardgate.runtime.pins import About, GatePins, remove_tree
from wardgate.runtime.replacing import fill, swap
from wardgate.runtime.shared import SharedMaps
from wardgate.runtime.spec import ObjectSpec
from wardgate.runtime.state import (
    HOOKS,
    State,
    StateError,
    current_of,
    read_about,
    read_state,
    recover,
    write_about,
)
from wardgate.runtime.stored import StoredManifest


@dataclass(frozen=True, slots=True)
class Wanted:
    """A gate as somebody wants it; see gate.Gate.create_or_adopt."""

    spec: ObjectSpec
    interface: Interface
    hook: str
    slots: int
    rungs: Collection[Rung] | None


def create_or_adopt(access: Access, wanted: Wanted) -> None:
    """Make the gate, or adopt the one that is there with its devices and sessions. The lock is held.

    On any error nothing is left of a gate that is made, and one that is adopted enforces what it did.
    """
    pins = access.pins
    about = read_about(pins)
    if about is not None:
        state = recover(pins, read_state(pins, about))
        if state.current is not None:
            _adopt(access, state, wanted)
            return
    # What is here was left by a creation that did not get as far as attaching.
    _clear(pins)
    try:
        _create(access, wanted)
    except BaseException:
        dismantle(pins)
        raise


def _create(access: Access, wanted: Wanted) -> None:
    pins, interface = access.pins, wanted.interface
    pins.make()
    write_about(pins, About(interface.name, network_namespace(), interface.link_header, wanted.hook))
    with SharedMaps({}) as shared:
        build(
            pins,
            wanted.spec,
            stored_manifest(wanted.spec),
            interface.link_header,
            shared,
            HOOKS[wanted.hook],
            wanted.slots,
        ).renamed("")
    attach_current(pins, access.state(), wanted.rungs)


def _adopt(access: Access, state: State, wanted: Wanted) -> None:
    pins = access.pins
    _check_same(pins.name, state, wanted)
    stored = stored_manifest(wanted.spec)
    with SharedMaps.open(pins) as shared:
        access.repair(state, shared)
        if not state.attached:
            state = _renew(access, state, shared, wanted, stored)
        if not state.enforcing:
            state = attach_current(pins, state, wanted.rungs)
        if current_of(pins, state).stored.digest != stored.digest:
            swap(access, state, shared, wanted.spec, stored)


def _renew(access: Access, state: State, shared: SharedMaps, wanted: Wanted, stored: StoredManifest) -> State:
    """Prepare a gate that no hook holds, its device having gone, for the device as it is now."""
    pins, interface = access.pins, wanted.interface
    current = current_of(pins, state)
    same_header = state.about.link_header == interface.link_header
    if not same_header or current.stored.digest != stored.digest:
        new = build(pins, wanted.spec, stored, interface.link_header, shared, state.hooks, shared.slots)
        fill(access, state, shared, new)
        new.renamed("")
        for other in state.generations:
            if other != current or not same_header:
                other.remove()
    about = About(interface.name, network_namespace(), interface.link_header, state.about.hook)
    write_about(pins, about)
    # Links of the device that went would say that the generation they hold is live.
    for hook in state.hooks:
        (pins.links / hook.value).unlink(missing_ok=True)
    return read_state(pins, about)


def _clear(pins: GatePins) -> None:
    for path in (pins.generations, pins.maps, pins.links, pins.unfinished):
        remove_tree(path)
    for path in (pins.subjects, pins.about):
        path.unlink(missing_ok=True)


def _check_same(name: str, state: State, wanted: Wanted) -> None:
    """StateError unless the gate that is here is one of this hook, and on this device if on any."""
    if state.about.hook != wanted.hook:
        raise StateError(
            "adopt gate",
            name,
            f"it stands on the {state.about.hook} hook, not {wanted.hook}",
            "detach it first, or choose that hook",
        )
    for found in state.attachments.values():
        if found is not None and found.alive and found.ifindex != wanted.interface.index:
            where = interface_name(found.ifindex) or f"interface {found.ifindex} of another namespace"
            raise StateError(
                "adopt gate",
                name,
                f"it is attached to {where}, not to {wanted.interface.name}",
                "give the new gate another name with --name, or detach this one",
            )
