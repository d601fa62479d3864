"""What a gate is doing: packets by rule and by fate, at one moment, and between two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from wardgate.runtime import clock
from wardgate.runtime.generation import Generation
from wardgate.runtime.layout.codes import Direction, Reason
from wardgate.runtime.layout.manifest import RuleSource
from wardgate.runtime.pins import GatePins
from wardgate.runtime.shared import SharedMaps
from wardgate.runtime.state import State, current_of
from wardgate.runtime.status import Count, RuleHit, read_counters

_NOTHING = Count(0, 0)


@dataclass(frozen=True, slots=True)
class Activity:
    """Counters at `time` (ns of CLOCK_BOOTTIME). `rules` has every rule of the policy in force in the order
    of the source, with what it decided since the policy was `loaded`; `unruled` what no rule decided.
    `counters` are since the gate was made, by direction and reason."""

    name: str
    device: str
    time: int
    generation: int
    loaded: datetime
    rules: tuple[RuleHit, ...]
    unruled: Count
    counters: Mapping[Direction, Mapping[Reason, Count]]

    @property
    def uncovered(self) -> tuple[RuleSource, ...]:
        """The rules that decided nothing since `loaded`."""
        return tuple(hit.rule for hit in self.rules if not hit.count.packets)


@dataclass(frozen=True, slots=True)
class Rate:
    """Per second."""

    packets: float
    bytes: float


@dataclass(frozen=True, slots=True)
class Rates:
    """How fast counters grew over `seconds`; by rule id, and by direction and reason."""

    seconds: float
    rules: Mapping[int, Rate]
    unruled: Rate
    counters: Mapping[Direction, Mapping[Reason, Rate]]


def read_activity(name: str, pins: GatePins, state: State, shared: SharedMaps) -> Activity:
    """The activity of a gate whose lock is held; StateError where no policy is loaded."""
    current = current_of(pins, state)
    now = clock.now()
    hits = current.rule_hits()
    return Activity(
        name,
        state.about.device,
        now,
        current.number,
        _loaded(current, state),
        tuple(RuleHit(rule, Count(*hits.get(rule.id, (0, 0)))) for rule in current.manifest.rules),
        Count(*hits.get(0, (0, 0))),
        read_counters(shared),
    )


def _loaded(generation: Generation, state: State) -> datetime:
    """When its programs were: the kernel notes it in CLOCK_BOOTTIME (load_time of struct bpf_prog_info)."""
    with generation.program(state.hooks[0]) as program:
        return clock.wall(program.info.load_time)


def rates(before: Activity, after: Activity) -> Rates:
    """How fast counters grew between two moments. Of a policy that was loaded in between, all that it
    decided is of that time."""
    seconds = (after.time - before.time) / clock.NS_PER_SECOND
    same = (before.generation, before.loaded.replace(microsecond=0)) == (
        after.generation, after.loaded.replace(microsecond=0),
    )  # fmt: skip
    counted = {hit.rule.id: hit.count for hit in before.rules} if same else {}
    unruled = before.unruled if same else _NOTHING
    return Rates(
        seconds,
        {hit.rule.id: _rate(counted.get(hit.rule.id, _NOTHING), hit.count, seconds) for hit in after.rules},
        _rate(unruled, after.unruled, seconds),
        {
            direction: {
                reason: _rate(before.counters[direction].get(reason, _NOTHING), count, seconds)
                for reason, count in counts.items()
            }
            for direction, counts in after.counters.items()
        },
    )


def _rate(before: Count, after: Count, seconds: float) -> Rate:
    # A rollback brings back a generation whose counters are older.
    packets, size = max(after.packets - before.packets, 0), max(after.bytes - before.bytes, 0)
    return Rate(packets / seconds, size / seconds) if seconds > 0 else Rate(0.0, 0.0)
