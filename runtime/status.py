"""What a gate says of itself: where it stands, what decides, what it has counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wardgate.runtime import clock
from wardgate.runtime.attach import Hook, Refusal, Rung
from wardgate.runtime.devices import DeviceTable
from wardgate.runtime.layout.codes import REASON_SLOTS, Direction, LinkHeader, Reason
from wardgate.runtime.layout.manifest import PolicyFile, RuleSource
from wardgate.runtime.layout.records import COUNTER_WORDS
from wardgate.runtime.sessions import SESSION_FIELDS, SessionState, state_by
from wardgate.runtime.shared import SharedMaps
from wardgate.runtime.state import State


@dataclass(frozen=True, slots=True)
class Count:
    """Packets, and bytes from the IP header on."""

    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class HookStatus:
    """A hook: the rung that its program is attached by, None for none; `alive` whether packets meet it;
    the generation whose program it is, None for none of this gate's; and what the kernel said of the
    better rungs when the gate was attached."""

    hook: Hook
    rung: Rung | None
    alive: bool
    generation: int | None
    refused: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True)
class RuleHit:
    """What a rule of the policy in force decided since it was loaded."""

    rule: RuleSource
    count: Count


@dataclass(frozen=True, slots=True)
class GateStatus:
    """A gate at one moment. `enforcing`: every hook has its program on a device that is there.

    `ifindex` is None where the device is gone or in another network namespace. `sessions` counts
    devices by the state of their session. `counters` are since the gate was made, by direction and
    reason, reasons that never occurred left out; `rule_hits` since the policy was loaded, rules that
    decided nothing left out, and `unruled` is what no rule decided. `slots` is the room for devices.
    """

    name: str
    device: str
    ifindex: int | None
    link_header: LinkHeader
    hook: str
    hooks: tuple[HookStatus, ...]
    enforcing: bool
    generation: int | None
    previous: int | None
    digest: str
    files: tuple[PolicyFile, ...]
    tunnel: tuple[str, ...]
    devices: int
    slots: int
    sessions: Mapping[SessionState, int]
    counters: Mapping[Direction, Mapping[Reason, Count]]
    rule_hits: tuple[RuleHit, ...]
    unruled: Count

    @property
    def passed(self) -> Count:
        """All that passed."""
        return _sum([counts.get(Reason.PASS, Count(0, 0)) for counts in self.counters.values()])

    @property
    def dropped(self) -> Count:
        """All that was dropped."""
        return _sum(
            [
                count
                for counts in self.counters.values()
                for reason, count in counts.items()
                if reason is not Reason.PASS
            ]
        )


def read_status(name: str, state: State, table: DeviceTable) -> GateStatus:
    """The status of a gate whose lock is held."""
    current, previous = state.current, state.previous
    manifest = current.manifest if current else None
    hits = current.rule_hits() if current else {}
    now = clock.now()
    sessions = dict.fromkeys(SessionState, 0)
    for fields in table.fields(*SESSION_FIELDS):
        sessions[state_by(*fields, now=now)] += 1
    return GateStatus(
        name,
        state.about.device,
        state.ifindex,
        state.about.link_header,
        state.about.hook,
        tuple(_hook_status(state, hook) for hook in state.hooks),
        state.enforcing,
        current.number if current else None,
        previous.number if previous else None,
        manifest.digest if manifest else "",
        manifest.files if manifest else (),
        manifest.tunnel if manifest else (),
        sum(sessions.values()),
        table.shared.slots,
        sessions,
        read_counters(table.shared),
        tuple(
            RuleHit(rule, Count(*hits[rule.id]))
            for rule in (manifest.rules if manifest else ())
            if rule.id in hits
        ),
        Count(*hits.get(0, (0, 0))),
    )


def read_counters(shared: SharedMaps) -> dict[Direction, dict[Reason, Count]]:
    """Packets by direction and reason since the gate was made, all CPUs together."""
    counters: dict[Direction, dict[Reason, Count]] = {direction: {} for direction in Direction}
    words = shared.typed("processors").total(0).reasons
    for direction in Direction:
        for reason in Reason:
            place = COUNTER_WORDS * (direction * REASON_SLOTS + reason)
            count = Count(*words[place : place + COUNTER_WORDS])
            if count.packets:
                counters[direction][reason] = count
    return counters


def _hook_status(state: State, hook: Hook) -> HookStatus:
    attachment, live = state.attachments[hook], state.live[hook]
    return HookStatus(
        hook,
        attachment.rung if attachment else None,
        attachment is not None and attachment.alive,
        live.number if live else None,
        state.about.refused.get(hook, ()),
    )


def _sum(counts: list[Count]) -> Count:
    return Count(sum(count.packets for count in counts), sum(count.bytes for count in counts))
