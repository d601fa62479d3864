"""Policies that change: what needs no compiler, and never the wrong class for a user."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_policies import USERS, RandomPolicy, policies
from wardgate.compiler import Artefact, Recompiler, compile_parsed
from wardgate.compiler.artefact.describe import describe
from wardgate.compiler.language import PolicyError, parse_policy_text
from wardgate.compiler.language.model import Policy
from wardgate.compiler.lowering.lowered import lower
from wardgate.compiler.recompile import reassigned
from wardgate.compiler.semantics.effective import effective_rules
from wardgate.compiler.validation import ValidationError, validate_reassigned
from wardgate.runtime.reassign import ReassignError, changed_parts

Meant = tuple[tuple[int, str], ...]

OFFICE = """\
version: 1
tunnel: [10.9.0.0/24]
groups:
  group:admins: [alice]
  group:guests: [bob]
  group:idle: [carol]
hosts: {wiki: 10.0.0.5}
policies:
  group:admins: {allow: [wiki]}
  group:guests: {deny: [wiki]}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "office.yaml"
    found.write_text(OFFICE)
    return found


@pytest.fixture
def recompiler(path: Path) -> Recompiler:
    made = Recompiler(path)
    assert made.compile().artefact
    return made


def edited(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_somebody_new_in_a_group_needs_no_compiler(path: Path, recompiler: Recompiler) -> None:
    edited(path, "[bob]", "[bob, dora]")
    change = recompiler.compile()
    assert change.artefact is None
    assert change.manifest.class_of("dora") == change.manifest.class_of("bob")
    assert change.manifest.class_of("dora") != change.manifest.default_class


def test_who_goes_is_like_anybody(path: Path, recompiler: Recompiler) -> None:
    edited(path, "[alice]", "[]")
    change = recompiler.compile()
    assert change.artefact is None
    assert change.manifest.class_of("alice") == change.manifest.default_class


def test_groups_without_rules_make_no_difference(path: Path, recompiler: Recompiler) -> None:
    edited(path, "[carol]", "[carol, bob]")
    assert recompiler.compile().artefact is None


def test_rules_may_stand_elsewhere(path: Path, recompiler: Recompiler) -> None:
    before = recompiler.compile().manifest
    path.write_text("# A remark.\n\n" + OFFICE)
    change = recompiler.compile()
    assert change.artefact is None
    assert [rule.line for rule in change.manifest.rules] == [rule.line + 2 for rule in before.rules]
    assert change.manifest.digest != before.digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[bob]", "[bob, alice]"),  # whose rules together are new
        ("allow: [wiki]", "mfa: [wiki]"),
        ("allow: [wiki]", "allow: [wiki 80/tcp]"),
        ("10.0.0.5", "10.0.0.6"),
        ("10.9.0.0/24", "10.9.0.0/25"),
        ("group:guests: {deny", "bob: {deny"),
        ("policies:\n", "policies:\n  '*': {allow: [10.4.0.1]}\n"),
    ],
)
def test_whatever_else_changes_is_compiled(path: Path, recompiler: Recompiler, old: str, new: str) -> None:
    edited(path, old, new)
    change = recompiler.compile()
    assert change.artefact
    assert change.artefact.manifest == change.manifest
    assert change.artefact.validation
    # And is what the next change starts from.
    assert recompiler.compile().artefact is None


def test_an_error_loses_nothing(path: Path, recompiler: Recompiler) -> None:
    edited(path, "[bob]", "[bob, ")
    with pytest.raises(PolicyError):
        recompiler.compile()
    path.write_text(OFFICE.replace("[bob]", "[bob, dora]"))
    change = recompiler.compile()
    assert change.artefact is None
    assert "dora" in change.manifest.subjects


def meaning(policy: Policy, user: str) -> tuple[Meant, Meant]:
    """What the reference says that the user's rules are, in each direction."""
    ways = (effective_rules(policy, user, inbound=way) for way in (False, True))
    out, back = ([(rule.id, rule.text) for rule in rules] for rules in ways)
    return tuple(out), tuple(back)


@given(policies(most_rules=12), st.integers(0, 1 << 32))
def test_classes_mean_what_users_may(policy: RandomPolicy, seed: int) -> None:
    document, everybody = json.loads(policy.text), (*USERS, "anybody")
    chance = Random(seed)
    before = parse_policy_text(policy.text, "p.json").policy
    lowered = lower(before)
    loaded = describe(lowered, {}, {})
    meant = {loaded.class_of(user): meaning(before, user) for user in everybody}
    for _ in range(10):
        for members in document.get("groups", {}).values():
            members[:] = chance.sample(USERS, chance.randint(0, len(USERS)))
        after = parse_policy_text(json.dumps(document), "p.json").policy
        manifest = reassigned(loaded, lowered, after)
        assert (manifest is None) == any(meaning(after, user) not in meant.values() for user in everybody)
        if manifest is not None:
            assert all(meant[manifest.class_of(user)] == meaning(after, user) for user in everybody)
            validate_reassigned(manifest, after, loaded, before)
            changed_parts(loaded, manifest)


def wrong_class(artefact: Artefact) -> dict[str, int]:
    subjects = dict(artefact.manifest.subjects)
    return {**subjects, "alice": subjects["bob"]}


@pytest.mark.parametrize(
    "damage",
    [
        lambda artefact: {"subjects": wrong_class(artefact)},
        lambda artefact: {"subjects": {**artefact.manifest.subjects, "bob": 1}},
        lambda artefact: {"subjects": {**artefact.manifest.subjects, "carol": 2}},
        lambda artefact: {"subjects": {**artefact.manifest.subjects, "eve": 2}},
        lambda artefact: {"subjects": {**artefact.manifest.subjects, "bob": 77}},
        lambda _: {"default_class": 2},
        lambda artefact: {"rules": artefact.manifest.rules[::-1]},
        lambda _: {"files": ()},
    ],
)
def test_the_proof_finds_what_is_wrong(damage: Callable[[Artefact], dict[str, object]]) -> None:
    policy = parse_policy_text(OFFICE, "office.yaml").policy
    artefact = compile_parsed(policy)
    validate_reassigned(artefact.manifest, policy, artefact.manifest, policy)
    wrong = replace(artefact.manifest, **damage(artefact))
    with pytest.raises(ValidationError):
        validate_reassigned(wrong, policy, artefact.manifest, policy)


@pytest.mark.parametrize("old", ["allow: [wiki]", "wiki: 10.0.0.5", "group:admins: {"])
def test_the_proof_wants_the_same_rules(old: str) -> None:
    new = {
        "allow: [wiki]": "mfa: [wiki]",
        "wiki: 10.0.0.5": "wiki: 10.0.0.6",
        "group:admins: {": "group:idle: {",
    }
    before = compile_parsed(parse_policy_text(OFFICE, "office.yaml").policy)
    after = compile_parsed(parse_policy_text(OFFICE.replace(old, new[old]), "office.yaml").policy)
    with pytest.raises(ValidationError):
        validate_reassigned(after.manifest, after.lowered.policy, before.manifest, before.lowered.policy)


def test_the_same_classes_of_another_compile_are_refused() -> None:
    """Whose numbers mean something else: alice's and bob's have changed places."""
    first = compile_parsed(parse_policy_text(OFFICE, "office.yaml").policy)
    swapped = OFFICE.replace("[alice]", "[x]").replace("[bob]", "[alice]").replace("[x]", "[bob]")
    second = compile_parsed(parse_policy_text(swapped, "office.yaml").policy)
    assert first.manifest.subjects == second.manifest.subjects
    with pytest.raises(ReassignError, match="tables_digest"):
        changed_parts(first.manifest, second.manifest)
