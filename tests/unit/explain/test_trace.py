"""A trace's parts are those of the definition and of the artefact's own instructions."""

from __future__ import annotations

import json
from ipaddress import ip_network
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from random_policies import RandomPolicy, policies, queries
from wardgate.cli import tracing
from wardgate.cli.console import Console
from wardgate.cli.main import commands
from wardgate.compiler import compile_parsed
from wardgate.compiler.explain.engines import VmEngine
from wardgate.compiler.explain.path import Load, MapCall
from wardgate.compiler.explain.query import Query
from wardgate.compiler.explain.trace import Trace, trace
from wardgate.compiler.language import parse_policy_text
from wardgate.compiler.language.model import Policy
from wardgate.compiler.validation.encoded import read_artefact, read_encoded
from wardgate.compiler.vm.image import Image
from wardgate.compiler.vm.machine import Machine
from wardgate.compiler.vm.translate import OBSERVED, Translator

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
QUESTION = ("--as", "carol", "--to", "10.1.2.3", "--service", "22/tcp")
NESTED = """\
version: 1
tunnel: [10.9.0.0/24, "fd09::/64"]
groups:
  group:ops: [alice, bob]
  group:idle: [alice]
policies:
  "*":
    allow: ["10.0.0.0/8", "10.1.2.0/24 80/tcp"]
  group:ops:
    mfa: ["10.1.0.0/16", "10.1.2.0/24 80-90/tcp icmp"]
  alice:
    deny: ["10.1.2.0/24 80/tcp 443/any"]
    allow: ["10.1.2.0/24 443/tcp", "10.1.2.0/24 proto/47 udp"]
inbound:
  "*":
    allow: ["10.0.0.7 22/tcp"]
"""


def compiled(text: str) -> tuple[Policy, bytes]:
    policy = parse_policy_text(text, "p.yaml").policy
    return policy, compile_parsed(parse_policy_text(text, "p.yaml").policy, validate=False).data


@pytest.fixture(scope="module")
def nested() -> tuple[Policy, bytes]:
    return compiled(NESTED)


def follow(artefact: bytes, policy: Policy | None, query: Query) -> Trace:
    return trace(query, artefact, policy, lambda engine: tracing.code_lines(artefact, engine), {})


def test_whose_rules_and_which_prefix(nested: tuple[Policy, bytes]) -> None:
    policy, artefact = nested
    found = follow(artefact, policy, Query.parse("alice", "10.1.2.3", "80/tcp")).derivation
    assert found.subjects == ("*", "group:ops", "group:idle", "alice")
    assert [(one.prefix, one.decides) for one in found.candidates] == [
        ("10.1.2.0/24", True), ("10.1.0.0/16", False), ("10.0.0.0/8", False),
    ]  # fmt: skip
    assert [(grant.subject, grant.action) for grant in found.candidates[0].grants] == [
        ("*", "allow"), ("group:ops", "mfa"), ("alice", "deny"), ("alice", "allow"), ("alice", "allow"),
    ]  # fmt: skip
    assert [(one.grant.action, one.matches, one.decides, one.why) for one in found.bucket] == [
        ("allow", True, False, "deny comes before allow"),
        ("mfa", True, False, "deny comes before mfa"),
        ("deny", True, True, "deny comes before mfa and allow"),
        ("allow", False, False, "is about 443/tcp"),
        ("allow", False, False, "is about proto/47 udp"),
    ]


def test_what_an_artefact_tells(nested: tuple[Policy, bytes]) -> None:
    _, artefact = nested
    found = follow(artefact, None, Query.parse("alice", "10.1.2.3", "85/tcp")).derivation
    # A group without rules does not show.
    assert found.subjects == ("*", "alice", "group:ops")
    assert [one.prefix for one in found.candidates] == ["10.1.2.0/24", "10.1.0.0/16", "10.0.0.0/8"]
    assert [(one.grant.action, one.matches, one.decides) for one in found.bucket] == [
        ("allow", None, False), ("mfa", True, True), ("deny", False, False), ("allow", None, False),
        ("allow", None, False),
    ]  # fmt: skip


@settings(max_examples=3, phases=[Phase.explicit, Phase.generate])
@given(policies(most_rules=12), st.integers(0, 1 << 32))
def test_traces_are_true(random: RandomPolicy, seed: int) -> None:
    policy, artefact = compiled(random.text)
    tables = read_encoded(read_artefact(artefact)).tables
    for query in queries(random, seed, 6):
        whole, bare = follow(artefact, policy, query), follow(artefact, None, query)
        assert whole.agree
        reference, vm = whole.answers["reference"], whole.answers["vm"]
        assert reference == vm == bare.answers["vm"]
        for derivation in (whole.derivation, bare.derivation):
            first = derivation.candidates[0].prefix if derivation.candidates else None
            if not query.packet.inbound or first:
                assert first == reference.prefix
            winners = [one.grant.rule for one in derivation.bucket if one.decides]
            assert winners == ([reference.rule] if reference.rule else [])
            lengths = [ip_network(one.prefix).prefixlen for one in derivation.candidates]
            assert lengths == sorted(lengths, reverse=True)
        # What tables cannot tell is unknown, and never wrong.
        for said, known in zip(bare.derivation.bucket, whole.derivation.bucket, strict=True):
            assert said.grant == known.grant
            assert said.matches in (None, known.matches)
        assert set(bare.derivation.candidates) <= set(whole.derivation.candidates)
        path = whole.path
        assert path.instructions == sum(step.instructions for step in path.steps)
        assert path.steps[0].enters == path.program
        loads = [one for step in path.steps for one in step.looked if isinstance(one, Load)]
        for load in loads:
            assert load.value == tables[load.table].values[load.index]
        for line in tracing.lines(whole, query, verbose=False):
            assert len(line) <= 80, line


def test_source_lines_and_maps(nested: tuple[Policy, bytes]) -> None:
    policy, artefact = nested
    path = follow(artefact, policy, Query.parse("alice", "10.1.2.3", "85/tcp", authed=True)).path
    assert {step.file for step in path.steps} >= {"bpf_templates/gate.h", "bpf_templates/lookup.h"}
    assert "p.yaml" in {step.file for step in path.steps}
    by_line = {(step.file, step.line): step.text for step in path.steps}
    for (file, line), text in by_line.items():
        if file.startswith("bpf_templates/"):
            source = (EXAMPLES.parent / file).read_text().splitlines()[line - 1]
            assert text == source.strip()
    calls = [one for step in path.steps for one in step.looked if isinstance(one, MapCall)]
    assert MapCall("tunnel4", "lookup", "1", True) in calls
    assert MapCall("devices", "lookup", "1", True) in calls


def test_nothing_is_called_without_an_observer(nested: tuple[Policy, bytes]) -> None:
    image = Image.from_elf(nested[1])
    plain, watched = (Translator(image, lambda _pc: 0, observe=observe) for observe in (False, True))
    entry = image.functions["gate_ingress"]
    assert not any(f"{name}(" in plain.chain(entry).source for name in OBSERVED)
    assert f"visit({entry})" in watched.chain(entry).source
    assert not Machine(image).trace


def test_functions_in_words_are_there() -> None:
    """Each function that the text explains is one of a program that has everything."""
    policy = EXAMPLES.parent / "tests/kernels/policies/everything.yaml"
    _, artefact = compiled(policy.read_text())
    assert set(tracing.FUNCTIONS) <= set(Image.from_elf(artefact).functions)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("office") / "office.o"
    path.write_bytes(compiled((EXAMPLES / "office.yaml").read_text())[1])
    return path


def test_disagreement_is_a_failure(monkeypatch: pytest.MonkeyPatch, office: Path) -> None:
    """An engine that says otherwise is shown, and is no success."""
    other = VmEngine(office.read_bytes()).answer(Query.parse("alice", "10.1.2.3", "22/tcp"))
    monkeypatch.setattr(tracing, "_kernel", lambda _artefact: lambda _query: other)
    words = ["explain", str(office), *QUESTION, "--trace"]
    ran = CliRunner().invoke(commands, words, obj=Console(), standalone_mode=False)
    assert ran.return_value == 3
    assert "THE ENGINES DISAGREE" in ran.output


def test_a_kernel_that_cannot_be_asked(monkeypatch: pytest.MonkeyPatch, office: Path) -> None:
    from wardgate.cli import kernel_engine
    from wardgate.runtime.errors import WardgateError

    def refuse(_artefact: bytes) -> None:
        raise WardgateError("load program", "'gate_ingress'", "not permitted", "run as root")

    monkeypatch.setattr(kernel_engine, "KernelEngine", refuse)
    words = ["explain", str(office), *QUESTION, "--trace"]
    ran = CliRunner().invoke(commands, words, obj=Console(), standalone_mode=False)
    assert "kernel     not asked: load program 'gate_ingress': not permitted; run as root" in ran.output
    said = CliRunner().invoke(commands, [*words, "--json"], obj=Console(), standalone_mode=False)
    document = json.loads(said.output)
    assert document["trace"]["engines"]["kernel"]["unavailable"].startswith("load program")
    assert document["trace"]["engines"]["vm"]["reason"] == document["reason"] == "deny rule"


@pytest.mark.parametrize(
    "extra", [["--trace"], ["--trace", "--service", "22/tcp", "--engine", "vm"]], ids=["service", "engine"]
)
def test_usage(extra: list[str]) -> None:
    words = ["explain", str(EXAMPLES / "office.yaml"), "--as", "carol", "--to", "10.1.2.3", *extra]
    assert CliRunner().invoke(commands, words, obj=Console()).exit_code == 2
