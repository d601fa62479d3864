"""A policy as tables: everything that the C, the artefact and its manifest are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network

from wardgate.compiler.language.model import Action, Policy, Position, ServiceForm
from wardgate.compiler.lowering.buckets import (
    VERDICT_BITS,
    BucketCollection,
    BucketRules,
    decisions,
)
from wardgate.compiler.lowering.classes import PolicyClasses, policy_classes, rules_by_subject
from wardgate.compiler.lowering.destinations import Destinations, destinations, runs_of_buckets
from wardgate.compiler.lowering.matrix import paged_matrix
from wardgate.compiler.lowering.search6 import search6
from wardgate.compiler.lowering.services import ServiceClasses, service_classes, service_tables
from wardgate.compiler.lowering.tables import TableData
from wardgate.compiler.lowering.trie4 import trie4

MAX_TUNNEL_INDEX = 1 << 20
"""Addresses of the largest IPv4 tunnel prefix whose devices are found by an array (4 bytes each)."""


@dataclass(frozen=True, slots=True)
class TunnelPrefix:
    """The tunnel prefix that `tunnel_index` covers, and where the policy says it."""

    network: IPv4Network
    position: Position


@dataclass(frozen=True, slots=True)
class Lowered:
    """`features`: which parts of the templates the policy needs; `parameters`: the numbers in them."""

    policy: Policy
    classes: PolicyClasses
    destinations: Destinations
    services: ServiceClasses
    buckets: tuple[BucketRules, ...]
    tables: tuple[TableData, ...]
    tunnel: TunnelPrefix | None
    features: frozenset[str]
    parameters: Mapping[str, int]


def lower(policy: Policy) -> Lowered:
    """Tables for `policy`. OverflowError where a table would need ids beyond 32 bits."""
    classes = policy_classes(policy)
    space = destinations(prefix for rule in policy.rules for prefix in rule.destinations)
    services = service_classes(_forms(policy))
    inbound = any(rule.inbound for rule in policy.rules)

    collection = BucketCollection(policy, space)
    rows = []
    for direction in (False, True) if inbound else (False,):
        by_subject = rules_by_subject(policy, space.number, inbound=direction)
        rows += collection.of_classes(classes, by_subject, inbound=direction)
    buckets = tuple(collection.buckets)

    reach = paged_matrix(
        "reach",
        (runs_of_buckets(space, row) for row in rows),
        space.count,
        len(buckets),
        "policy class and destination class to bucket",
    )
    judge = paged_matrix(
        "judge",
        [[(0, 0)], *(decisions(bucket, services) for bucket in buckets)],
        services.width,
        max(1, len(policy.rules)) << VERDICT_BITS | 3,
        "bucket and service class to decision",
    )

    features = {name for name, needed in _features(policy, services, inbound).items() if needed}
    parameters = {
        "classes": len(classes.classes) + 1,
        "destinations": space.count,
        "services": services.count,
        "fragment_class": services.fragment_class,
        "reach_per_row": reach.per_row,
        "judge_per_row": judge.per_row,
        "inbound_row": len(classes.classes) + 1,
    }
    tables = [*service_tables(services), reach.directory, reach.pages, judge.directory, judge.pages]
    if "V4" in features:
        routes = trie4(space.of_version(4))
        tables += routes
        parameters["route4_pointer"] = 1 << (8 * routes[0].element - 1)
        if len(routes) > 1:
            features.add("V4_NODES")
    if "V6" in features:
        search = search6(space.of_version(6))
        tables += search.tables
        parameters |= {
            "route6_shared_bits": search.shared_bits,
            "route6_shared": search.shared,
            "route6_below": search.below,
            "route6_above": search.above,
            "route6_index_bits": search.index_bits,
            "route6_steps": search.steps,
        }
        features |= {
            name
            for name, needed in (
                ("V6_SHARED", search.shared_bits > 0),
                ("V6_INDEXED", search.index_bits > 0),
                ("V6_LOW", search.both_halves),
                ("V6_SEARCH", search.steps > 0),
            )
            if needed
        }
    tunnel = _tunnel_prefix(policy)
    if tunnel and "V4" in features:
        features.add("TUNNEL_INDEX")
        parameters["tunnel_base"] = int(tunnel.network.network_address)
        parameters["tunnel_size"] = tunnel.network.num_addresses
    else:
        tunnel = None
    return Lowered(
        policy, classes, space, services, buckets, tuple(tables), tunnel, frozenset(features), parameters
    )


def _forms(policy: Policy) -> set[ServiceForm]:
    return {form for rule in policy.rules for form in rule.services}


def _features(policy: Policy, services: ServiceClasses, inbound: bool) -> dict[str, bool]:
    versions = {prefix.version for rule in policy.rules for prefix in rule.destinations}
    return {
        "V4": 4 in versions,
        "V6": 6 in versions,
        "IP": bool(versions),
        "PORTS": services.by_port,
        "INBOUND": inbound,
        "MFA": any(rule.action is Action.MFA for rule in policy.rules),
    }


def _tunnel_prefix(policy: Policy) -> TunnelPrefix | None:
    for prefix, position in zip(policy.tunnel, policy.tunnel_positions, strict=True):
        if isinstance(prefix, IPv4Network) and prefix.num_addresses <= MAX_TUNNEL_INDEX:
            return TunnelPrefix(prefix, position)
    return None
