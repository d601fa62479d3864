"""What does not grow with the policy: the verifier's work, programs, the instructions that a packet takes.

The same policies as in the benchmarks, from ten rules to ten thousand, and tiny ones whose prefixes are
constants of the program, which makes it as long as it can be.
"""

from __future__ import annotations

import json
from functools import cache

import pytest
from surveys import straight_line
from wardgate.compiler import Artefact, compile_parsed
from wardgate.compiler.explain.engines import VmEngine
from wardgate.compiler.explain.query import Query
from wardgate.compiler.language import parse_policy_text
from wardgate.compiler.vm.image import Image
from wardgate.runtime.elf import read_artefact
from wardgate.runtime.object import load_object

from benchmarks.policies import Shape, generate

MOST_VERIFIED = 5_000
SIZES = (10, 1_000, 10_000)


@cache
def compiled(rules: int) -> Artefact:
    return compile_parsed(generate(Shape.of_rules(rules)).policy, validate=False)


def verified(artefact: Artefact) -> dict[str, int]:
    with load_object(read_artefact(artefact.data), config={"link_header": 1}) as loaded:
        return {name: one.info.verified_instructions for name, one in loaded.programs.items()}


@pytest.mark.root
def test_the_verifier_does_the_same_for_any_number_of_rules() -> None:
    counts = {rules: verified(compiled(rules)) for rules in SIZES}
    for of_policy in counts.values():
        assert min(of_policy.values()) > 0
        assert max(of_policy.values()) <= MOST_VERIFIED
    # Forms of tables and steps of searches differ, and nothing else.
    for name in counts[10]:
        of_program = [of_policy[name] for of_policy in counts.values()]
        assert max(of_program) <= 1.15 * min(of_program), (name, of_program)


@pytest.mark.root
def test_straight_line_code_is_as_cheap_to_verify() -> None:
    """Of eight hosts that do not touch, of either version: sixteen boundaries each."""
    hosts = [host for n in range(8) for host in (f"10.0.{n}.5", f"fd00:{n}::{n}:5")]
    rules = {
        "allow": [f"{host} {80 + place}/tcp" for place, host in enumerate(hosts)],
        "mfa": [f"{host} icmp {9_000 + place}/udp" for place, host in enumerate(hosts)],
    }
    document = {
        "version": 1,
        "tunnel": ["10.9.0.0/16", "fd09::/64"],
        "policies": {"*": rules},
        "inbound": {"*": rules},
    }
    policy = parse_policy_text(json.dumps(document), "p.json").policy
    artefact = compile_parsed(policy, choose=straight_line)
    parameters = artefact.manifest.parameters
    assert parameters["route4_boundaries"] == parameters["route6_boundaries"] == 16
    assert max(verified(artefact).values()) <= MOST_VERIFIED


def executed(artefact: Artefact, version: int) -> int:
    """Instructions from the hook to the verdict, for a segment to what everybody may reach."""
    engine = VmEngine(artefact.data, observe=True)
    remote = "10.0.0.5" if version == 4 else "fd00::5"
    assert engine.answer(Query.parse("user0", remote, "443/tcp")).passes
    return engine.machine.statistics.instructions


@pytest.mark.parametrize("version", [4, 6])
def test_a_packet_takes_as_many_instructions_whatever_the_rules(version: int) -> None:
    counts = {rules: executed(compiled(rules), version) for rules in SIZES}
    assert max(counts.values()) <= 1.5 * min(counts.values()), counts
    lengths = {rules: len(Image.from_elf(compiled(rules).data).code) for rules in SIZES}
    assert max(lengths.values()) <= 1.2 * min(lengths.values()), lengths
