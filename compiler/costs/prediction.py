"""How long a decision is expected to take, by the loads that wait for one another and where they come from.

A TCP segment that passes takes this way (bpf_templates/fast.h); what stands on one line waits for what is
left of it, `|` for both sides:

    device address -> owner -> policy class | remote address -> route -> destination class
    both -> reach -> bucket -> its record | ports -> service class
    both -> judge -> rule -> counters; with a session's deadline from the device's record
    rule -> what it says of the login's age, where it does

A decision waits for the longest way through these, and does the work of all of them.

How far away memory is depends on the traffic: on how many different segments come by turns. A flow touches a
line of cache at each load, and many flows the same ones. What they touch together competes for the caches,
which keep what is asked for most often a byte, so a large table makes the loads of other large tables
dearer, and those of small ones hardly (`latency.behind`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import expm1
from typing import Final, Literal, get_args

from wardgate.compiler.costs.latency import LINE, behind
from wardgate.compiler.lowering.survey import Candidate, Structure, Survey
from wardgate.runtime.layout.records import DEVICE

Traffic = Literal["hot", "busy", "spread"]
TRAFFIC: Final[tuple[Traffic, ...]] = get_args(Traffic)
_FLOWS: Final[Mapping[Traffic, float]] = {"hot": 1, "busy": 4096, "spread": float("inf")}
"""Different segments: one; as many as a busy gateway has open; of all devices to all destinations, evenly."""

OWNER_BYTES: Final = 8
DEVICE_BYTES: Final = DEVICE.size
HITS_BYTES: Final = 16
BUCKET_BYTES: Final = 8
PROCESSOR_BYTES: Final = 1024
HASH_ELEMENT_BYTES: Final = 96
MOST_SERVICE_BYTES: Final = 4096
"""What a device, rule or bucket adds to what decisions look at; a hash has an element and its bucket. Tables
of services are larger than this where ports abound, but packets have few of them."""

HASH_NS: Final = 12.0
STEP4_NS: Final = 1.2
STEP6_NS: Final = 1.0
COMPARE4_NS: Final = 0.5
COMPARE6_NS: Final = 0.8
RANK_NS: Final = 6.0
MAP_NS: Final = 0.4
"""Work besides loads: hashing a key; two halving steps of a search for IPv4, which go together and load
three keys at once; one for each half of an IPv6 address; comparing with a constant, likewise; counting the
bits of a line; bounding the index of an array map. Parsing and counting are hidden behind the loads."""


@dataclass(frozen=True, slots=True)
class Part:
    """Memory that a decision loads from: so many loads in a row (on the average), spread over `touched`
    bytes, and `work` ns besides. `share`: of all decisions, those that need it."""

    loads: float
    touched: int
    work: float = 0.0
    share: float = 1.0

    def touched_by(self, flows: float) -> float:
        """Bytes of the lines that so many flows touch, each at random."""
        lines = self.touched / LINE
        if lines <= 1 or not self.loads:
            return self.touched
        return LINE * lines * -expm1(-flows * self.loads * self.share / lines)


@dataclass(frozen=True, slots=True)
class Situation:
    """What a prediction is for, apart from the plan: a gate with `devices`, each of its own user, whose
    addresses are the first of the tunnel, and whose classes take `class_bytes` each; a policy that tells
    `ports` apart, or asks for sessions (`mfa`), or for the age of logins, from so many bytes (`within`)."""

    devices: int
    class_bytes: int
    ports: bool
    mfa: bool
    within: int = 0


@dataclass(frozen=True, slots=True)
class Prediction:
    """`decisions`: ns of a decision by traffic and IP version; `parts`: ns that each part takes, by traffic.
    `touched`: bytes that spread traffic touches."""

    decisions: Mapping[Traffic, Mapping[int, float]]
    parts: Mapping[Traffic, Mapping[str, float]]
    touched: int

    @property
    def mean(self) -> float:
        """One number: of each traffic and IP version as much."""
        figures = [ns for of_version in self.decisions.values() for ns in of_version.values()]
        return sum(figures) / max(len(figures), 1)


def predict(chosen: Mapping[Structure, Candidate], survey: Survey, situation: Situation) -> Prediction:
    """The prediction for a policy and the forms chosen for it."""
    versions = [version for version, route in ((4, "route4"), (6, "route6")) if route in chosen]
    parts = _parts(chosen, survey, situation, versions)
    waits = {traffic: _waits(parts, flows) for traffic, flows in _FLOWS.items()}
    return Prediction(
        {
            kind: {version: _decision(version, parts, of_kind) for version in versions}
            for kind, of_kind in waits.items()
        },
        {
            kind: {name: of_kind[name] + part.work for name, part in parts.items()}
            for kind, of_kind in waits.items()
        },
        sum(part.touched for part in parts.values()),
    )


def _parts(
    chosen: Mapping[Structure, Candidate], survey: Survey, situation: Situation, versions: list[int]
) -> dict[str, Part]:
    devices = situation.devices
    buckets = survey.buckets * BUCKET_BYTES
    rest = max(survey.constant_bytes - buckets, 0)
    services = min(rest, MOST_SERVICE_BYTES)
    found: dict[str, Part] = {
        "classes": Part(1, devices * situation.class_bytes, MAP_NS),
        "processor": Part(1, PROCESSOR_BYTES, MAP_NS),
        "hits": Part(1, survey.rules * HITS_BYTES, MAP_NS),
        "services": Part(2 if situation.ports else 1, services),
        "buckets": Part(1, buckets),
        "bucket_rules": Part(1, rest - services),
        "devices": Part(1, devices * DEVICE_BYTES, MAP_NS) if situation.mfa else Part(0, 0),
        "within": Part(1, situation.within) if situation.within else Part(0, 0),
    }
    for structure, candidate in chosen.items():
        share = 1.0 if structure in ("reach", "judge") else 1 / max(len(versions), 1)
        found[structure] = part_of(candidate, devices, share)
    for version in versions:
        if f"tunnel{version}" not in found:
            found[f"tunnel{version}"] = _hash(devices, 1 / len(versions))
    return found


def part_of(candidate: Candidate, devices: int, share: float = 1.0) -> Part:
    """What a candidate adds to a decision."""
    if candidate.structure in ("tunnel4", "tunnel6"):
        covered = min(candidate.parameter, devices)
        hashed = _hash(devices - covered, share)
        part = covered / devices
        return Part(
            part + (1 - part) * hashed.loads,
            covered * OWNER_BYTES + hashed.touched,
            part * MAP_NS + (1 - part) * hashed.work,
            share,
        )
    if candidate.variant == "code":
        compared = COMPARE4_NS if candidate.structure == "route4" else COMPARE6_NS * (1 + candidate.wide)
        return Part(candidate.loads, candidate.touched, candidate.steps * compared, share)
    if candidate.structure == "route4":
        rounds = -(-candidate.steps // 2)
        return Part(candidate.loads - candidate.steps + rounds, candidate.touched, rounds * STEP4_NS, share)
    if candidate.structure == "route6":
        work = candidate.steps * STEP6_NS * (2 if candidate.wide else 1)
        return Part(candidate.loads, candidate.touched, work, share)
    work = RANK_NS if candidate.variant == "ranked" else 0.0
    return Part(candidate.loads, candidate.touched, work, share)


def loads_of(candidate: Candidate) -> int:
    """Loads from a candidate's tables on the longest path, also those that do not wait for one another."""
    if candidate.structure in ("tunnel4", "tunnel6"):
        return 0
    if candidate.variant == "ranked":
        # The two words of a line come together.
        return candidate.loads + 1
    if candidate.variant == "code":
        return candidate.loads
    if candidate.structure == "route4":
        # Two halving steps are one, with three loads at once.
        return candidate.loads + candidate.steps // 2
    return candidate.loads + (candidate.steps if candidate.wide else 0)


def _hash(devices: int, share: float) -> Part:
    return Part(2, devices * HASH_ELEMENT_BYTES, HASH_NS, share)


def _waits(parts: Mapping[str, Part], flows: float) -> dict[str, float]:
    """ns that the loads of each part take, where so many flows make the parts compete for the caches."""
    touched = {name: part.touched_by(flows) for name, part in parts.items()}

    def coldness(name: str) -> tuple[float, str]:
        part = parts[name]
        return touched[name] / max(part.loads * part.share, 0.01), name

    found, occupied = {}, 0.0
    for name in sorted(parts, key=coldness):
        found[name] = parts[name].loads * behind(occupied, touched[name])
        occupied += touched[name]
    return found


def _decision(version: int, parts: Mapping[str, Part], waits: Mapping[str, float]) -> float:
    tunnel, route = f"tunnel{version}", f"route{version}"
    user = waits[tunnel] + waits["classes"]
    bucket = max(user, waits[route]) + waits["reach"] + waits["buckets"]
    rule = max(bucket, waits["services"]) + waits["judge"] + waits["bucket_rules"]
    # Nobody waits for what is stored in the counters.
    longest = max(rule + waits["within"], user + waits["devices"])
    other = {"tunnel4", "route4", "tunnel6", "route6"} - {tunnel, route}
    return longest + sum(part.work for name, part in parts.items() if name not in other)
