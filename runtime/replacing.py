"""Putting another policy in force on a gate: a new generation, or the previous one again."""

from __future__ import annotations

from wardgate.runtime.access import Access
from wardgate.runtime.generation import OLD, Generation, build
from wardgate.runtime.shared import SharedMaps
from wardgate.runtime.spec import ObjectSpec
from wardgate.runtime.state import State, StateError, read_state, recover, switch
from wardgate.runtime.stored import StoredManifest


def swap(access: Access, state: State, shared: SharedMaps, spec: ObjectSpec, stored: StoredManifest) -> int:
    """Load `spec` and put it on the hooks, one after the other; the number of its generation. On any error
    the old one is in force. The lock is held. StateError where a hook has no program of the gate's."""
    pins = access.pins
    if not state.enforcing:
        raise StateError(
            "swap",
            pins.name,
            f"it is not attached to {state.about.device} on every hook",
            "run it again, which attaches it",
        )
    previous = state.previous
    coverings = {one.brief.indexes for one in state.generations}
    new = build(pins, spec, stored, state.about.link_header, shared, state.hooks, shared.slots)
    try:
        fill(access, state, shared, new)
        if previous is not None:
            previous.renamed(OLD)
        switch(pins, state, new, state.hooks)
    except BaseException:
        recover(pins, read_state(pins, state.about))
        raise
    new.renamed("")
    state = recover(pins, read_state(pins, state.about))
    if coverings - {one.brief.indexes for one in state.generations}:
        # What the generation that went looked up in the hash need not be there any more.
        with access.opened(state, shared) as (table, _):
            table.settle()
    return new.number


def roll_back(access: Access, state: State) -> int:
    """Put the previous generation on the hooks; its number. The lock is held. StateError where there is no
    previous one."""
    pins, target = access.pins, state.previous
    if target is None:
        raise StateError("roll back", pins.name, "there is no previous generation", "swap instead")
    try:
        switch(pins, state, target, state.hooks)
    except BaseException:
        recover(pins, read_state(pins, state.about))
        raise
    return target.number


def fill(access: Access, state: State, shared: SharedMaps, new: Generation) -> None:
    """Tell a generation that is not live yet the devices' addresses and the users' classes."""
    with access.opened(state, shared, new) as (table, tables):
        if new.brief.indexes not in {one.brief.indexes for one in state.generations}:
            table.settle()
        table.set_classes(tables[-1:])
