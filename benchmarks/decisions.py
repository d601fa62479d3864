"""The cost of decisions: by size of the trace, by number of rules, by kind of packet, by hook."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from wardgate.compiler.language.model import TCP, UDP
from wardgate.runtime.layout.codes import Verdict

from benchmarks import classbench
from benchmarks.contest import GATE, PASSING, Cell, Contest, Effort, headline, say
from benchmarks.policies import Shape, full_buckets, generate
from benchmarks.traces import ORDERS, TraceMaker

VERSIONS: Final = (4, 6)
_ALLOW: Final = frozenset({Verdict.ALLOW})
_MFA: Final = frozenset({Verdict.MFA})


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure. `traces` are numbers of distinct tuples; `hot` and `cold` those of the figure
    by number of rules."""

    big: Shape
    devices: int
    traces: tuple[int, ...]
    rules: tuple[int, ...]
    hot: int
    cold: int
    effort: Effort


FULL: Final = Plan(
    big=Shape(rules=20_000, prefixes=10_000, groups=100, classes=1_000),
    devices=100_000,
    traces=(1, 256, 4_096, 65_536, 1_000_000),
    rules=(10, 100, 1_000, 10_000, 100_000),
    hot=256,
    cold=65_536,
    effort=Effort(rounds=15, shortest=32_768),
)
QUICK: Final = Plan(
    big=Shape.of_rules(300),
    devices=2_000,
    traces=(1, 256, 4_096),
    rules=(10, 300),
    hot=256,
    cold=4_096,
    effort=Effort(rounds=5, shortest=4_096, longest=16_384),
)


def measure(plan: Plan) -> dict[str, Any]:
    """All figures about decisions; see `report` for what is made of them."""
    results: dict[str, Any] = {"sizes": []}
    say(f"decisions by size of the trace: {plan.big}")
    generated = generate(plan.big)
    maker = TraceMaker(generated, plan.devices)
    with Contest(generated, plan.devices, maker=maker) as contest:
        results["by_trace"] = _cells(contest, _by_trace(plan), plan.effort)
        results["by_kind"] = _cells(contest, _by_kind(plan), plan.effort, among=(GATE,))
        results["sizes"].append(_size(contest))
    say("the gate by XDP")
    with Contest(generated, plan.devices, hook="xdp", competitors=(), maker=maker) as contest:
        cells = [one for one in _by_trace(plan) if one.distinct <= 4_096 and one.order == "uniform"]
        results["by_xdp"] = _cells(contest, cells, plan.effort)
    results["by_rules"] = []
    for rules in plan.rules:
        say(f"decisions by number of rules: {rules:,}")
        with Contest(generate(Shape.of_rules(rules)), plan.devices) as contest:
            cells = [Cell(v, n) for v in VERSIONS for n in (plan.hot, plan.cold)]
            results["by_rules"] += _cells(contest, cells, plan.effort)
            results["sizes"].append(_size(contest))
    say("a bucket of 127 rules")
    with Contest(full_buckets(groups=plan.big.groups, classes=plan.big.classes), plan.devices) as contest:
        cells = [Cell(v, n) for v in VERSIONS for n in (256, plan.traces[-1])]
        results["full_bucket"] = _cells(contest, cells, plan.effort)
    return results


def measure_filters(paths: Sequence[Path], plan: Plan) -> list[dict[str, Any]]:
    """The same for ClassBench filter sets: hot and cold traces of each, and sizes."""
    found = []
    for path in paths:
        say(f"filter set {path.name}")
        with Contest(classbench.convert(path), plan.devices) as contest:
            cells = [Cell(4, n) for n in (plan.hot, plan.cold)]
            measured = _cells(contest, cells, plan.effort)
            assert contest.proved is not None  # noqa: S101 - it was asked for
            verdicts = contest.proved.verdicts
            found.append({"name": path.name, "verdicts": verdicts, "cells": measured, **_size(contest)})
    return found


def _by_trace(plan: Plan) -> list[Cell]:
    """Of one tuple, one that an allow rule lets pass: what a single packet finds would decide else."""
    return [
        Cell(version, distinct, order, verdicts=PASSING if distinct > 1 else _ALLOW)
        for version in VERSIONS
        for distinct in plan.traces
        for order in ORDERS
        if distinct > 1 or order == "uniform"
    ]


def _by_kind(plan: Plan) -> list[Cell]:
    """Segments by verdict, and datagrams of flows that are known once the first round has opened them.
    Of the gate alone: no competitor keeps flows, so their datagrams cost what their segments do."""
    kinds = [(TCP, _ALLOW), (TCP, _MFA), (UDP, _ALLOW), (UDP, _MFA)]
    return [
        Cell(version, distinct, protocol=protocol, verdicts=verdicts)
        for version in VERSIONS
        for protocol, verdicts in kinds
        for distinct in plan.traces
        if distinct <= 4_096
    ]


def _cells(
    contest: Contest, cells: Sequence[Cell], effort: Effort, among: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    found = []
    for cell in cells:
        found.append(contest.measure(cell, effort, among))
        say(headline(found[-1]))
    return found


def _size(contest: Contest) -> dict[str, Any]:
    shape = contest.generated.shape
    return {
        "rules": shape.rules,
        "prefixes": shape.prefixes,
        "classes": shape.classes,
        "devices": contest.devices,
        "bytes": contest.sizes(),
        "refused": contest.refused,
    }
