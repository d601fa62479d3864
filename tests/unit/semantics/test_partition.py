"""The cuts: without gaps, each part alike inside, and everything represented."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from small_policies import DOCUMENTS, PACKETS, PREFIXES, REMOTES, SERVICE, build
from wardgate.compiler.language import parse_policy_text
from wardgate.compiler.language.model import MAX_PORT, PORT_PROTOCOLS, Everything, Packet, Prefix
from wardgate.compiler.semantics import (
    Session,
    any_matches,
    buckets,
    effective_rules,
    evaluate,
    user_classes,
)
from wardgate.compiler.semantics.partition import (
    maximal,
    regions,
    representatives,
    segments,
    unmentioned_user,
)
from wardgate.compiler.semantics.reference import matching_rules, verdict_of

POOL = [ip_network(text) for text in PREFIXES if text[0] in "01f:"]


@st.composite
def prefixes(draw: st.DrawFn) -> Prefix:
    if draw(st.booleans()):
        return draw(st.sampled_from(POOL))
    kind = draw(st.sampled_from([IPv4Network, IPv6Network]))
    bits = 32 if kind is IPv4Network else 128
    length = draw(st.integers(max(0, bits - 5), bits))
    base = 10 << 24 if kind is IPv4Network else 0xFD << 120
    return kind((base | draw(st.integers(0, 31)) >> (bits - length) << (bits - length), length))


@given(st.sets(prefixes(), max_size=12), prefixes())
def test_regions(found: set[Prefix], within: Prefix) -> None:
    at = int(within.network_address)
    for region in regions(found, within):
        assert int(region.first) == at
        assert region.first <= region.last
        at = int(region.last) + 1
        middle = (
            ip_address((int(region.first) + int(region.last)) // 2) if region.first.version == 4 else None
        )
        for address in filter(None, (region.first, region.last, middle)):
            containing = [prefix for prefix in found if address in prefix]
            longest = max(containing, key=lambda prefix: prefix.prefixlen, default=None)
            assert region.prefix == longest
    assert at == int(within.network_address) + within.num_addresses


@given(st.lists(prefixes(), max_size=8), st.sampled_from(REMOTES))
def test_maximal_prefixes_cover_the_same_once(found: list[Prefix], address: Any) -> None:
    chosen = maximal(found)
    assert any(address in prefix for prefix in found) == (sum(address in prefix for prefix in chosen) == 1)
    assert not any(one != two and one.overlaps(two) for one in chosen for two in chosen)


@given(DOCUMENTS, st.sampled_from([4, 6]), st.lists(SERVICE, min_size=1, max_size=10), st.data())
def test_segments(
    document: dict[str, Any], version: int, services: list[tuple[int, int | None]], data: st.DataObject
) -> None:
    policy = build(document)
    rules = policy.rules
    asked = data.draw(st.sampled_from([(Everything(),), *(rule.services for rule in rules)]))
    remote = ip_address("10.0.0.1" if version == 4 else "fd00::1")
    found = list(segments(rules, version, asked))
    for protocol, port in services:
        covering = [
            segment
            for segment in found
            if protocol in segment.protocols
            and (port is None or (segment.low or 0) <= port <= (segment.high or 0))
        ]
        assert len(covering) == any_matches(asked, protocol, port, version)
        expected = verdict_of(matching_rules(rules, Packet(remote, protocol, port)))
        assert all((segment.verdict, segment.rule) == expected for segment in covering)
    for segment in found:
        for protocol in segment.protocols:
            assert (segment.low is None) is (protocol not in PORT_PROTOCOLS)
            for port in {segment.low, segment.high}:
                packet = Packet(remote, protocol, port)
                assert verdict_of(matching_rules(rules, packet)) == (segment.verdict, segment.rule)


def test_segments_of_nothing_are_everything() -> None:
    found = list(segments((), 4))
    assert [(s.protocols, s.low, s.high) for s in found[:3]] == [((p,), 0, MAX_PORT) for p in PORT_PROTOCOLS]
    assert sorted(p for s in found for p in s.protocols) == list(range(256))


def test_a_rule_may_say_the_same_twice() -> None:
    policy = parse_policy_text(
        "version: 1\npolicies: {a: {allow: [10.0.0.1 70-80/tcp 75-80/tcp 80/tcp 80/any, 10.0.0.1 80/tcp]}}\n"
    ).policy
    of_tcp = [s for s in segments(policy.rules, 4) if s.protocols == (6,)]
    assert [(s.low, s.high, s.rule and s.rule.id) for s in of_tcp] == [
        (0, 69, None), (70, 74, 1), (75, 79, 1), (80, 80, 1), (81, 65535, None)
    ]  # fmt: skip


@given(DOCUMENTS, PACKETS, st.sampled_from(["alice", "bob", "carol", "dave"]))
def test_representatives_show_every_decision(document: dict[str, Any], packet: Packet, user: str) -> None:
    policy = build(document)
    chosen = representatives(policy, inbound=packet.inbound)
    classes = user_classes(policy)
    alike = [u for u in chosen.users if classes.index(u) == classes.index(user)]
    assert alike
    decision = evaluate(policy, user, packet, Session.NONE)
    found = buckets(effective_rules(policy, user, inbound=packet.inbound))

    def longest(remote: Any) -> Prefix | None:
        return max((p for p in found if remote in p), key=lambda p: p.prefixlen, default=None)

    remotes = [
        r
        for r in chosen.remotes
        if r.version == packet.remote.version and longest(r) == longest(packet.remote)
    ]
    assert remotes
    answers = {
        (decided.verdict, decided.rule)
        for protocol, port in chosen.services
        for decided in [
            evaluate(policy, alike[0], Packet(remotes[0], protocol, port, packet.inbound), Session.NONE)
        ]
    }
    assert (decision.verdict, decision.rule) in answers


def test_the_unmentioned_user_is_unmentioned() -> None:
    policy = parse_policy_text(
        "version: 1\ngroups: {group:anyone-else: []}\npolicies: {anyone-else-2: {allow: [10.0.0.1]}}\n"
        "tests: [{as: anyone-else-3, to: 10.0.0.1, service: icmp, expect: deny}]\n"
        "assertions: [never: {as: anyone-else-4, to: 10.0.0.1}]\n"
    ).policy
    assert unmentioned_user(policy) == "anyone-else-5"
