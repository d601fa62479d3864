"""Putting a gate's programs on the hooks that have none, and taking them off."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from wardgate.runtime import attach
from wardgate.runtime.attach import Attachment, Refusal, Rung
from wardgate.runtime.pins import GatePins, PinError
from wardgate.runtime.state import State, StateError, current_of, read_about, read_state, write_about


def attach_current(pins: GatePins, state: State, rungs: Collection[Rung] | None) -> State:
    """Put the current generation on the hooks that have no program of the gate's. What was attached here is
    taken off again where one refuses."""
    if state.ifindex is None:
        raise StateError("attach", pins.name, f"{state.about.device} is not in this network namespace")
    current = current_of(pins, state)
    made: list[tuple[Attachment, tuple[Refusal, ...]]] = []
    try:
        for hook in state.hooks:
            found = state.attachments[hook]
            if found is None or not found.alive or state.live[hook] is None:
                if found is not None and found.alive:
                    # The gate's link, with a program that somebody else put there.
                    attach.detach(found, pins.links, None)
                with current.program(hook) as program:
                    made.append(
                        attach.attach(
                            hook,
                            program.fd,
                            state.ifindex,
                            pins.links,
                            device=state.about.device,
                            rungs=rungs,
                        )
                    )
    except BaseException:
        for attachment, _ in reversed(made):
            with current.program(attachment.hook) as program:
                attach.detach(attachment, pins.links, program.fd)
        raise
    about = replace(
        state.about,
        rungs={**state.about.rungs, **{one.hook: one.rung for one, _ in made}},
        refused={**state.about.refused, **{one.hook: refused for one, refused in made}},
    )
    write_about(pins, about)
    return read_state(pins, about)


def dismantle(pins: GatePins) -> None:
    """Take what there is off the hooks, last hook first, then remove the gate's folder."""
    try:
        about = read_about(pins)
    except PinError:
        # Written by another release: its links go with their pins.
        about = None
    if about is not None:
        state = read_state(pins, about)
        for hook in reversed(state.hooks):
            attachment, live = state.attachments[hook], state.live[hook]
            if attachment is None:
                continue
            if live is None:
                attach.detach(attachment, pins.links, None)
                continue
            with live.program(hook) as program:
                attach.detach(attachment, pins.links, program.fd)
    pins.remove()
