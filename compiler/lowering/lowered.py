"""A policy as tables: everything that the C, the artefact and its manifest are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wardgate.compiler.collection import paused_collection
from wardgate.compiler.language.model import Action, Policy
from wardgate.compiler.lowering.buckets import Buckets, find_buckets
from wardgate.compiler.lowering.classes import PolicyClasses, policy_classes
from wardgate.compiler.lowering.contributions import contributions
from wardgate.compiler.lowering.destinations import Destinations
from wardgate.compiler.lowering.judge import Judge, bucket_tables, judge_of
from wardgate.compiler.lowering.kinds import rule_kinds
from wardgate.compiler.lowering.patterns import find_patterns
from wardgate.compiler.lowering.plan import Choose, Plan, chosen, default_plan
from wardgate.compiler.lowering.ports import service_tables
from wardgate.compiler.lowering.reach import Reach, reach_of
from wardgate.compiler.lowering.route4 import Route4, route4_of
from wardgate.compiler.lowering.route6 import Route6, route6_of
from wardgate.compiler.lowering.services import ServiceClasses
from wardgate.compiler.lowering.survey import Candidate, Survey
from wardgate.compiler.lowering.tables import TableData
from wardgate.compiler.lowering.tunnel import Tunnel, tunnels

_SHORT_CLASS = 16
_LONG_CLASS = 32


@dataclass(frozen=True, slots=True)
class TunnelPart:
    """The first `size` addresses of a tunnel prefix, which are indexed."""

    tunnel: Tunnel
    size: int


@dataclass(frozen=True, slots=True, eq=False)
class Lowered:
    """`features`: which parts of the templates the policy needs; `parameters`: the numbers in them.

    `tunnels`: by IP version, what is indexed. `plan` is what `tables` were made by, of the forms in
    `survey`.
    """

    policy: Policy
    classes: PolicyClasses
    destinations: Destinations
    services: ServiceClasses
    buckets: Buckets
    survey: Survey
    plan: Plan
    tables: tuple[TableData, ...]
    tunnels: Mapping[int, TunnelPart]
    features: frozenset[str]
    parameters: Mapping[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class _Structures:
    """What has several forms."""

    reach: Reach
    judge: Judge
    route4: Route4 | None
    route6: Route6 | None
    tunnels: Mapping[int, Tunnel]

    def candidates(self) -> list[Candidate]:
        found = [*self.reach.candidates(), *self.judge.candidates()]
        for structure in (self.route4, self.route6, *self.tunnels.values()):
            if structure is not None:
                found += structure.candidates()
        return found


def lower(policy: Policy, choose: Choose | None = None) -> Lowered:
    """Tables for `policy`, in the forms that `choose` picks; None: plan.default_plan.

    OverflowError where a table would need ids beyond 32 bits; ValueError where `choose` picks what the
    survey does not offer.
    """
    with paused_collection():
        return _lower(policy, choose or default_plan)


def _lower(policy: Policy, choose: Choose) -> Lowered:
    classes = policy_classes(policy)
    inbound = any(rule.inbound for rule in policy.rules)
    space, given = contributions(policy)
    services, kinds = rule_kinds(policy.rules)
    buckets, lines = find_buckets(classes, space, given, inbound=inbound)
    patterns = find_patterns(buckets, kinds, services.count)
    within = [rule.within for rule in policy.rules]
    versions = {prefix.version for prefix in space.prefixes}
    structures = _Structures(
        reach_of(lines),
        judge_of(patterns),
        route4_of(space.boundaries(4)) if 4 in versions else None,
        route6_of(space.boundaries(6)) if 6 in versions else None,
        {version: tunnel for version, tunnel in tunnels(policy).items() if version in versions},
    )
    constant = [*service_tables(services), *bucket_tables(buckets, patterns, within)]
    survey = Survey(
        tuple(structures.candidates()),
        classes=len(classes.classes) + 1,
        destinations=space.count,
        services=services.count,
        buckets=len(buckets),
        rules=len(policy.rules),
        patterns=len(patterns),
        inbound=inbound,
        constant_bytes=sum(data.size for data in constant),
    )
    plan = choose(survey)
    chosen(plan, survey)

    parameters = {
        "classes": survey.classes,
        "destinations": survey.destinations,
        "services": survey.services,
        "fragment_class": services.fragment_class,
        "inbound_row": survey.classes,
        "class_bits": _SHORT_CLASS if survey.classes <= 1 << _SHORT_CLASS else _LONG_CLASS,
    }
    features = {
        "IP": bool(versions),
        "V4": 4 in versions,
        "V6": 6 in versions,
        "PORTS": services.by_port,
        "INBOUND": inbound,
        "MFA": any(rule.action is Action.MFA for rule in policy.rules),
        "WITHIN": any(seconds is not None for seconds in within),
    }
    needed = {name for name, there in features.items() if there}
    tables = constant
    for structure in (structures.reach, structures.judge, structures.route4, structures.route6):
        if structure is not None:
            encoded, numbers, names = structure.encode(plan)
            tables += encoded
            parameters |= numbers
            needed |= names
    if needed & {"V6_SEARCH", "V6_CODE"}:
        needed.add("V6_COMPARES")
    indexed = {}
    for version, size in ((4, plan.tunnel4_size), (6, plan.tunnel6_size)):
        if size and version in structures.tunnels:
            indexed[version] = TunnelPart(structures.tunnels[version], size)
            parameters |= indexed[version].tunnel.parameters(size)
            needed.add(f"TUNNEL{version}")
    return Lowered(
        policy,
        classes,
        space,
        services,
        buckets,
        survey,
        plan,
        tuple(tables),
        indexed,
        frozenset(needed),
        parameters,
    )
