"""What a gate is right now, asked of the kernel; and the way back to a whole state after a crash.

A swap makes `next-N` beside the live generation, marks the one before that `old-M`, puts the new
programs on the hooks one after the other, and renames `next-N` to `N`. `old-M` goes last. Killed at any
point it leaves each hook with the old or the new program, and these folders tell how far it came:

- `next-N` live on every hook: the swap is finished by renaming it;
- on some hooks: those go back, and it is removed;
- on none: it is removed, and `old-M` is `M` again.

`gone-N` is what is left of one that was being removed.

Hooks are always switched in the same order, so where two whole generations are live (a rollback was
killed), the last hook has what was live before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from wardgate.runtime import attach
from wardgate.runtime.attach import Attachment, Hook, Switch
from wardgate.runtime.errors import WardgateError
from wardgate.runtime.generation import GONE, NEXT, OLD, Generation, generations
from wardgate.runtime.interface import InterfaceError, find_interface, network_namespace
from wardgate.runtime.pinned import read_bytes, replace_bytes
from wardgate.runtime.pins import About, GatePins

HOOKS: Final = {"tc": (Hook.INGRESS, Hook.EGRESS), "xdp": (Hook.XDP, Hook.EGRESS)}
"""Hooks that a gate stands on, by its kind, in the order in which they are attached and switched: what
guards the networks behind the gateway first."""


class StateError(WardgateError):
    """The gate is not in a state in which this can be done."""


@dataclass(frozen=True, slots=True)
class State:
    """`attachments` has every hook of the gate, None where nothing is attached; `live` the generation
    whose program is there. `ifindex` is None where the device is not in this network namespace."""

    about: About
    ifindex: int | None
    generations: tuple[Generation, ...]
    attachments: Mapping[Hook, Attachment | None]
    live: Mapping[Hook, Generation | None]

    @property
    def hooks(self) -> tuple[Hook, ...]:
        """The hooks of the gate, in order."""
        return HOOKS[self.about.hook]

    @property
    def enforcing(self) -> bool:
        """Whether each hook has a program of the gate's, on a device that is there."""
        return all(self.live[hook] and found and found.alive for hook, found in self.attachments.items())

    @property
    def attached(self) -> bool:
        """Whether any hook has."""
        return any(found is not None and found.alive for found in self.attachments.values())

    @property
    def current(self) -> Generation | None:
        """The generation that decides; where hooks differ, that of the last (see the module); None
        where none is attached and none can be told."""
        for hook in reversed(self.hooks):
            if self.live[hook] is not None:
                return self.live[hook]
        whole = [generation for generation in self.generations if not generation.mark]
        return whole[-1] if whole else None

    @property
    def previous(self) -> Generation | None:
        """The generation that a rollback brings back."""
        current = self.current
        others = [g for g in self.generations if not g.mark and g != current]
        return others[-1] if others else None


def current_of(pins: GatePins, state: State) -> Generation:
    """The generation that decides; StateError where there is none."""
    if state.current is None:
        raise StateError("open gate", pins.name, "no policy is loaded", "run it again, or detach it")
    return state.current


def read_about(pins: GatePins) -> About | None:
    """What the gate is; None where a crash came before it was written."""
    return About.from_json(read_bytes(pins.about)) if pins.about.exists() else None


def write_about(pins: GatePins, about: About) -> None:
    """Keep what the gate is, in one step."""
    replace_bytes(pins.about, about.to_json())


def read_state(pins: GatePins, about: About) -> State:
    """The state as the kernel has it; StateError where it shows only in another network namespace."""
    found = generations(pins)
    ids = {generation: generation.program_ids() for generation in found}
    ifindex = _ifindex(about)
    attachments: dict[Hook, Attachment | None] = {}
    live: dict[Hook, Generation | None] = {}
    for hook in HOOKS[about.hook]:
        known = about.rungs.get(hook)
        owners = {programs[hook]: generation for generation, programs in ids.items() if hook in programs}
        if about.netns != network_namespace() and known is not None and not known.is_link:
            raise StateError(
                "look at gate",
                pins.name,
                f"it is attached to {about.device} in another network namespace, by netlink",
                "run inside that namespace (nsenter --net=FILE); if the namespace is gone, remove "
                f"{pins.root}",
            )
        attachments[hook] = attachment = attach.find(hook, ifindex, pins.links, owners, known)
        live[hook] = owners.get(attachment.program_id) if attachment else None
    return State(about, ifindex, tuple(found), attachments, live)


def recover(pins: GatePins, state: State) -> State:
    """Bring the folders and hooks back to a whole state, as the module says. The lock is held."""
    live = {generation for generation in state.live.values() if generation is not None}
    for gone in state.generations:
        if gone.mark == GONE:
            gone.remove()
    following = next((one for one in state.generations if one.mark == NEXT), None)
    finished = following is None or live == {following}
    if following is None:
        if len(live) > 1:
            _undo(pins, state, state.live[state.hooks[0]])
    elif finished:
        following.renamed("")
    else:
        _undo(pins, state, following)
        following.remove()
    for old in state.generations:
        if old.mark == OLD:
            if finished:
                old.remove()
            else:
                old.renamed("")
    state = read_state(pins, state.about)
    kept = (state.current, state.previous)
    spare = [generation for generation in state.generations if generation not in kept]
    for generation in spare:
        generation.remove()
    return read_state(pins, state.about) if spare else state


def _undo(pins: GatePins, state: State, generation: Generation | None) -> None:
    """Where `generation` is on a hook and another on another, put that in its place."""
    alive = [hook for hook in state.hooks if (found := state.attachments[hook]) and found.alive]
    for hook in reversed(alive):
        other = state.live[hook]
        if other is not None and other != generation:
            switch(pins, state, other, [hook for hook in alive if state.live[hook] == generation])
            return


def switch(pins: GatePins, state: State, target: Generation, hooks: Collection[Hook]) -> None:
    """Put the programs of `target` on these hooks, in order. Where one refuses, those before it are
    switched back and the error is raised.

    All that it takes is opened first, so that hooks differ for no longer than the kernel takes.
    """
    with ExitStack() as stack:
        steps = _prepare(pins, state, target, hooks, stack)
        done: list[Switch] = []
        try:
            for step in steps:
                step.forth()
                done.append(step)
        except BaseException:
            for step in reversed(done):
                step.back()
            raise


def _prepare(
    pins: GatePins, state: State, target: Generation, hooks: Collection[Hook], stack: ExitStack
) -> list[Switch]:
    steps = []
    for hook in state.hooks:
        if hook not in hooks:
            continue
        attachment, live = state.attachments[hook], state.live[hook]
        if attachment is None or not attachment.alive or live is None:
            raise StateError(
                "switch",
                f"{pins.name} ({hook.value})",
                f"nothing of the gate is attached to {state.about.device} there",
                "run it again, which attaches it",
            )
        if live != target:
            old, new = (stack.enter_context(one.program(hook)) for one in (live, target))
            steps.append(stack.enter_context(Switch(attachment, pins.links, old.fd, new.fd)))
    return steps


def _ifindex(about: About) -> int | None:
    if about.netns != network_namespace():
        return None
    try:
        return find_interface(about.device).index
    except InterfaceError:
        return None
