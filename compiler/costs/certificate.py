"""The cost certificate: what an artefact takes and how long it decides, said before it is loaded."""

from __future__ import annotations

from typing import Final

from wardgate.compiler.costs.choose import Decision, situation
from wardgate.compiler.costs.memory import (
    LARGE_TABLES_SINCE,
    OLD_MOST_TABLE_BYTES,
    map_cost,
    table_bytes,
)
from wardgate.compiler.costs.prediction import TRAFFIC, Prediction, loads_of, predict
from wardgate.compiler.costs.reasons import reason
from wardgate.compiler.lowering.survey import Structure
from wardgate.runtime.layout.manifest import Certificate, Choice, Manifest, PathCost
from wardgate.runtime.layout.maps import DEVICE_SLOTS, MAPS_BY_NAME

_PICOSECONDS: Final = 1000


def certify(decision: Decision, manifest: Manifest) -> Certificate:
    """The certificate of the artefact that `manifest` describes, whose tables follow `decision`."""
    names = {table.name: table.element * table.count for table in manifest.tables}
    within = names.get("within", 0)
    ports, mfa = "ports_pages" in names, any(rule.action == "mfa" for rule in manifest.rules)
    inbound = any(rule.inbound for rule in manifest.rules)
    survey, chosen = decision.survey, decision.chosen
    gate = situation(survey, ports=ports, mfa=mfa)
    prediction = predict(chosen, survey, gate)
    without_session = predict(chosen, survey, situation(survey, ports=ports, mfa=False))
    recent = predict(chosen, survey, situation(survey, ports=ports, mfa=mfa, within=within))
    sizes = list(names.values())
    paths: list[PathCost] = []
    for version in sorted(prediction.decisions["hot"]):
        loads = _table_loads(decision, version, ports)
        paths.append(_passed(f"IPv{version}, an allow rule", version, loads, 2, without_session))
        if mfa:
            paths.append(_passed(f"IPv{version}, an mfa rule", version, loads, 3, prediction))
        if within:
            paths.append(_passed(f"IPv{version}, an mfa rule `within`", version, loads + 1, 3, recent))
        paths.append(_dropped(f"IPv{version}, dropped", loads + bool(within), mfa, inbound))
    largest = max(sizes, default=0)
    return Certificate(
        choices=tuple(_choice(decision, structure, prediction) for structure in chosen),
        paths=tuple(paths),
        table_bytes=sum(sizes),
        kernel_table_bytes=sum(table_bytes(size) for size in sizes),
        touched=recent.touched,
        devices=gate.devices,
        slots=DEVICE_SLOTS,
        maps=tuple(map_cost(MAPS_BY_NAME[use.name], use.entries) for use in manifest.maps),
        largest_table=largest,
        linux=LARGE_TABLES_SINCE if largest > OLD_MOST_TABLE_BYTES else None,
    )


def _table_loads(decision: Decision, version: int, ports: bool) -> int:
    """Loads from tables each time that they are asked: services, bucket and rule besides the choices."""
    structures: tuple[Structure, ...] = ("route4" if version == 4 else "route6", "reach", "judge")
    chosen = decision.chosen
    return (2 if ports else 1) + 2 + sum(loads_of(chosen[name]) for name in structures if name in chosen)


def _choice(decision: Decision, structure: Structure, prediction: Prediction) -> Choice:
    candidate = decision.chosen[structure]
    hot, busy, even = (_picoseconds(prediction.parts[traffic][structure]) for traffic in TRAFFIC)
    return Choice(
        structure,
        candidate.variant,
        candidate.parameter,
        loads_of(candidate),
        candidate.bytes,
        candidate.touched,
        hot,
        busy,
        even,
        reason(decision, structure),
    )


def _passed(packet: str, version: int, loads: int, lookups: int, prediction: Prediction) -> PathCost:
    hot, busy, even = (_picoseconds(prediction.decisions[traffic][version]) for traffic in TRAFFIC)
    return PathCost(packet, 1, loads, lookups, 2, hot, busy, even)


def _dropped(packet: str, loads: int, mfa: bool, inbound: bool) -> PathCost:
    """The fast path finds the owner, its class and the decision; the slow one again, and then for the inbound
    policy; an mfa rule may be at fault each time. The drop is then counted, and its device's limit asked.
    The clock is kept where a CPU counts: the slow path asks for it at each decision, and for each session."""
    decisions = 3 if inbound else 2
    lookups = 2 + 2 + (decisions if mfa else 0) + 1
    counters = 1 + (decisions - 1) * (2 if mfa else 1) + 2
    return PathCost(packet, decisions, decisions * loads, lookups, counters, None, None, None)


def _picoseconds(ns: float) -> int:
    # To tenths of a ns, which is more than a prediction knows.
    return round(ns * 10) * _PICOSECONDS // 10
