"""The proof's side of the policy, against the definition: regions of addresses and kinds of services."""

from __future__ import annotations

from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st
from random_policies import RandomPolicy, policies
from wardgate.compiler.language import parse_policy_text
from wardgate.compiler.language.model import (
    MAX_PORT,
    PORT_PROTOCOLS,
    Everything,
    Icmp,
    Ports,
    Protocol,
    ServiceForm,
)
from wardgate.compiler.semantics import matches
from wardgate.compiler.semantics.partition import regions
from wardgate.compiler.validation.destinations import Stretch, stretches
from wardgate.compiler.validation.kinds import ServiceKinds
from wardgate.compiler.validation.prefixes import NO_PREFIX, prefix_tree
from wardgate.compiler.validation.services import DecodedServices

PORT = st.sampled_from([0, 1, 22, 53, 80, 443, 1023, 1024, MAX_PORT]) | st.integers(0, MAX_PORT)


@given(policies())
def test_regions_are_those_of_the_definition(policy: RandomPolicy) -> None:
    rules = parse_policy_text(policy.text).policy.rules
    tree = prefix_tree(rules)
    prefixes = {prefix for rule in rules for prefix in rule.destinations}
    for within in (ip_network("0.0.0.0/0"), ip_network("::/0")):
        expected = [(int(region.first), region.prefix) for region in regions(prefixes, within)]
        found = [
            (first, None if node == NO_PREFIX else tree.prefixes[node - 1])
            for first, node in tree.regions(within.version)
        ]
        assert found == expected


@given(policies())
def test_what_is_inside_a_prefix_are_the_nodes_up_to_its_end(policy: RandomPolicy) -> None:
    rules = parse_policy_text(policy.text).policy.rules
    tree = prefix_tree(rules)
    for node, prefix in enumerate(tree.prefixes, 1):
        inside = [
            number
            for number, other in enumerate(tree.prefixes, 1)
            if other.version == prefix.version and other.subnet_of(prefix)  # type: ignore[arg-type]
        ]
        assert inside == list(range(node, tree.ends[node - 1]))
        assert tree.node_of[str(prefix)] == node
    for rule in rules:
        assert {tree.prefixes[node - 1] for node in tree.nodes_of_rule[rule.id]} == set(rule.destinations)


@st.composite
def forms(draw: st.DrawFn) -> ServiceForm:
    """A service in any form, also one that no policy's text becomes."""
    kind = draw(st.sampled_from([Everything, Ports, Ports, Ports, Protocol, Icmp]))
    if kind is Ports:
        low, high = sorted((draw(PORT), draw(PORT)))
        protocols = draw(st.sets(st.sampled_from(PORT_PROTOCOLS), min_size=1))
        return Ports(frozenset(protocols), low, high)
    if kind is Protocol:
        return Protocol(draw(st.sampled_from([1, 6, 17, 47, 58, 255])))
    return kind()


@st.composite
def decoded_services(draw: st.DrawFn) -> DecodedServices:
    """Service classes that may or may not fit a policy."""
    ports = {}
    for protocol in PORT_PROTOCOLS:
        starts = sorted({0, *draw(st.lists(PORT, max_size=3))})
        ports[protocol] = [(start, draw(st.integers(0, 2))) for start in starts]
    others = [number for number in range(256) if number not in PORT_PROTOCOLS]
    odd = draw(st.sampled_from(others))
    return DecodedServices(ports, {number: int(number == odd) for number in others})


@given(st.sets(forms(), max_size=8), decoded_services())
def test_kinds_cover_what_the_definition_says(asked: set[ServiceForm], decoded: DecodedServices) -> None:
    check_kinds(asked, decoded)


def test_kinds_where_many_ranges_overlap() -> None:
    nested: set[ServiceForm] = {Ports(frozenset({6, 17}), low, 20_000 - low) for low in range(1, 100)}
    decoded = DecodedServices(
        {protocol: [(0, 0), (50, 1)] for protocol in PORT_PROTOCOLS},
        {number: 0 for number in range(256) if number not in PORT_PROTOCOLS},
    )
    check_kinds(nested | {Everything(), Icmp()}, decoded)


def check_kinds(asked: set[ServiceForm], decoded: DecodedServices) -> None:
    """Every service at and next to an edge is of a kind that has its class, and is covered as it is."""
    kinds = ServiceKinds(asked, decoded)
    ports = {0, MAX_PORT}
    for form in asked:
        if isinstance(form, Ports):
            ports |= {form.low - 1, form.low, form.high, form.high + 1}
    ports |= {port + step for runs in decoded.ports.values() for port, _ in runs for step in (-1, 0)}
    services: list[tuple[int, int | None]] = [
        (protocol, port) for protocol in PORT_PROTOCOLS for port in sorted(ports) if 0 <= port <= MAX_PORT
    ]
    services += [(number, None) for number in decoded.protocols]
    for protocol, port in services:
        starts = kinds._starts[protocol]
        position = max(index for index, start in enumerate(starts) if start <= (port or 0))
        number = kinds._kinds_of[protocol][position]
        expected = decoded.protocols.get(protocol)
        if port is not None:
            expected = [found for start, found in decoded.ports[protocol] if start <= port][-1]
        assert kinds.kinds[number].service_class == expected
        for form in asked:
            for version in (4, 6):
                covered = any(first <= number < end for first, end in kinds.covered(form, version))
                assert covered == matches(form, protocol, port, version)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), unique=True))
def test_stretches_are_the_pairs_again(pairs: list[tuple[int, int]]) -> None:
    found = stretches(sorted(pairs))
    assert [
        (stretch.first + index, stretch.column + index)
        for stretch in found
        for index in range(stretch.length)
    ] == sorted(pairs)
    assert stretches([(1, 4), (2, 5), (3, 7)]) == [Stretch(1, 4, 2), Stretch(3, 7, 1)]
