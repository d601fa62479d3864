"""The certificate's loads and lookups, against those that the interpreter counts.

Policies are compiled in several forms, which together have each variant of each structure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_policies import RandomPolicy, policies, queries
from surveys import FORMS, covering
from wardgate.compiler import Artefact, compile_parsed
from wardgate.compiler.explain import packets
from wardgate.compiler.explain.engines import VmEngine
from wardgate.compiler.explain.probe import TC_PASS, device_address
from wardgate.compiler.explain.query import Query
from wardgate.compiler.language import parse_policy_text
from wardgate.compiler.language.model import TCP
from wardgate.runtime.layout.manifest import PathCost

COUNTERS = {"processors", "rule_hits"}
DEVICE_PORT = 40_000
"""Of the device, in segments of a connection that is open."""

ALLOWED, ASKED, DROPPED = "an allow rule", "an mfa rule", "dropped"


@dataclass(frozen=True)
class Counts:
    """What a packet took; `passed`: whether it did."""

    passed: bool
    table_loads: int
    map_lookups: int
    counters: int

    def within(self, path: PathCost) -> bool:
        return (
            self.table_loads <= path.table_loads
            and self.map_lookups <= path.map_lookups
            and self.counters <= path.counters
        )


class Counting:
    """An artefact in the interpreter, which counts."""

    def __init__(self, artefact: Artefact) -> None:
        assert artefact.manifest.certificate
        self.certificate = artefact.manifest.certificate
        self.engine = VmEngine(artefact.data, observe=True)

    def path(self, version: int, kind: str) -> PathCost:
        """The certified path."""
        return next(one for one in self.certificate.paths if one.packet == f"IPv{version}, {kind}")

    def segments(self, query: Query) -> Iterator[Counts]:
        """Segments of an open connection: from the device of the query's user to its remote, and back."""
        # Which also puts the device into the maps.
        self.engine.answer(query)
        remote, port = query.packet.remote, query.packet.port or 1
        device = device_address(self.engine.manifest.tunnel, remote)
        out = packets.tcp(DEVICE_PORT, port, "PA", b"data")
        back = packets.tcp(port, DEVICE_PORT, "PA", b"data")
        yield self._run("gate_ingress", packets.ip(device, remote, TCP, out))
        yield self._run("gate_egress", packets.ip(remote, device, TCP, back))

    def opening(self, query: Query) -> Counts:
        """The packet that the query means."""
        self._forget()
        return self._counts(self.engine.answer(query).passes)

    def _run(self, program: str, packet: bytes) -> Counts:
        self._forget()
        return self._counts(self.engine.machine.run(program, packet).return_value == TC_PASS)

    def _forget(self) -> None:
        self.engine.machine.statistics.loads.clear()
        self.engine.machine.statistics.calls.clear()

    def _counts(self, passed: bool) -> Counts:
        statistics = self.engine.machine.statistics
        lookups = statistics.map_lookups
        counters = sum(count for name, count in lookups.items() if name in COUNTERS)
        loads = sum(statistics.table_loads.values())
        return Counts(passed, loads, sum(lookups.values()) - counters, counters)


def compiled(text: str, form: int) -> Counting:
    policy = parse_policy_text(text, "policy.json").policy
    return Counting(compile_parsed(policy, choose=lambda survey: covering(survey, form), validate=False))


def long_ways() -> str:
    """A policy with a packet for the longest way through each structure: prefixes are as long as can be, and
    a segment that is dropped is so by a rule, both as sent and as an answer."""

    def rules(last: int, service: str) -> list[str]:
        return [f"10.0.0.{last} {service}", f"fd00::{last} {service}"]

    answers = f"{DEVICE_PORT}/tcp"
    return json.dumps(
        {
            "version": 1,
            "tunnel": ["10.9.0.0/16", "fd09::/64"],
            "policies": {
                "*": {
                    "allow": rules(5, "443/tcp"),
                    "mfa": [*rules(6, "22/tcp"), *rules(8, "25/tcp")],
                    "deny": rules(7, "25/tcp"),
                }
            },
            "inbound": {"*": {"deny": rules(7, answers), "mfa": rules(8, answers)}},
        }
    )


@pytest.mark.parametrize("form", range(FORMS))
def test_the_longest_ways_are_as_certified(form: int) -> None:
    counting = compiled(long_ways(), form)
    ways = {ALLOWED: (5, 443, True), ASKED: (6, 22, True), DROPPED: (8, 25, False)}
    for version, (kind, (last, port, authed)) in product((4, 6), ways.items()):
        remote = f"10.0.0.{last}" if version == 4 else f"fd00::{last}"
        query = Query.parse("someone", remote, f"{port}/tcp", authed=authed)
        path = counting.path(version, kind)
        # A program that tells of every packet asks no limit of those that it drops.
        lookups = path.map_lookups - (kind == DROPPED)
        for counts in counting.segments(query):
            assert counts == Counts(kind != DROPPED, path.table_loads, lookups, path.counters)
        denied = Query.parse("someone", remote.replace(str(last), "7"), "25/tcp", authed=True)
        assert all(counts.within(counting.path(version, DROPPED)) for counts in counting.segments(denied))


@settings(max_examples=5, suppress_health_check=[HealthCheck.too_slow])
@given(policies(most_rules=12), st.integers(0, FORMS - 1))
def test_no_way_is_longer_than_certified(policy: RandomPolicy, form: int) -> None:
    counting = compiled(policy.text, form)
    versions = {prefix.version for prefix in policy.prefixes} & {
        int(path.packet[3]) for path in counting.certificate.paths
    }
    for query in queries(policy, seed=form, count=200):
        version = query.packet.remote.version
        if version not in versions:
            continue
        dropped = counting.path(version, DROPPED)
        # Of any protocol: the flow table is apart from the path.
        assert counting.opening(query).table_loads <= dropped.table_loads
        if query.packet.protocol != TCP:
            continue
        passing = [
            one for one in counting.certificate.paths if one.packet.startswith(f"IPv{version}") and one.hot
        ]
        for counts in counting.segments(query):
            one_decision = counts.passed and counts.table_loads <= passing[-1].table_loads
            assert counts.within(passing[-1] if one_decision else dropped)
