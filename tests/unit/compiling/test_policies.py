"""What a gateway makes of a policy's text: members, the portal's rule, differences, what a gate gets."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from wardgate.compiler.language import PolicyError
from wardgate.gateway.compiling.bundles import Bundle
from wardgate.gateway.compiling.policies import Compiler, Composed, Portal, check, compose, difference
from wardgate.gateway.compiling.stored import bundle_of_parts, read_bundle, stored_parts
from wardgate.gateway.errors import CorruptError, InvalidError

PORTAL = Portal((ip_address("10.9.0.1"), ip_address("fd09::1")), 80)
TEXT = """
version: 1
tunnel: [10.9.0.0/16, "fd09::/64"]
include: [more.yaml]
groups:
  group:admins: [alice]
  group:nobody: []
policies:
  "*":
    allow: ["10.0.0.5 443/tcp"]
  group:admins:
    mfa: ["10.1.0.0/16", "fd00:1::/48"]
    deny: ["10.7.0.0/16"]
tests:
  - {as: alice, to: 10.1.2.3, expect: mfa, service: 22/tcp}
"""
MORE = 'policies:\n  carol:\n    allow: ["10.0.0.4/31 22/tcp"]\n'
BUNDLE = Bundle("main.yaml", {"main.yaml": TEXT, "more.yaml": MORE})


def composed(bundle: Bundle = BUNDLE, **members: list[str]) -> Composed:
    return compose(bundle, {f"group:{name}": found for name, found in members.items()}, PORTAL, None)


def changed(old: str, new: str) -> Bundle:
    assert old in TEXT
    return Bundle("main.yaml", {"main.yaml": TEXT.replace(old, new), "more.yaml": MORE})


def test_members_of_the_store_are_members() -> None:
    assert composed(admins=["bob", "alice"]).policy.groups["group:admins"] == ("alice", "bob")
    # A group that no rule is about.
    assert composed(strangers=["bob"]).policy.groups == composed().policy.groups
    assert set(composed().groups) == {"group:admins", "group:nobody"}


def test_the_portal_is_reachable_for_all_and_its_rules_come_last() -> None:
    rules = composed().policy.rules
    assert [rule.id for rule in rules] == list(range(1, len(rules) + 1))
    assert [rule.text for rule in rules[-2:]] == ["10.9.0.1 80/tcp", "fd09::1 80/tcp"]
    assert rules[-1].position.file == "portal of the gateway"


@pytest.mark.parametrize("rule", ["10.9.0.1", "fd09::1 80/tcp", "10.9.0.1 1-100/tcp"])
@pytest.mark.parametrize("action", ["deny", "mfa"])
def test_a_rule_that_keeps_somebody_from_the_portal_is_refused(rule: str, action: str) -> None:
    bundle = changed('deny: ["10.7.0.0/16"]', f'{action}: ["{rule}"]' if action == "deny" else "deny: []")
    if action == "mfa":
        bundle = changed('mfa: ["10.1.0.0/16",', f'mfa: ["{rule}", "10.1.0.0/16",')
    with pytest.raises(InvalidError, match=f"`{rule}` at main.yaml.* would keep alice from the portal"):
        compose(bundle, {}, PORTAL, None)


def test_a_rule_of_a_wider_prefix_does_not_keep_anybody_from_the_portal() -> None:
    compose(changed("10.7.0.0/16", "10.9.0.0/16"), {}, PORTAL, None)


def test_a_portal_outside_of_the_tunnel_is_refused() -> None:
    with pytest.raises(InvalidError, match=r"10\.8\.0\.1 is outside"):
        compose(BUNDLE, {}, Portal((ip_address("10.8.0.1"),), 80), None)


def test_errors_of_the_text_are_all_told() -> None:
    with pytest.raises(PolicyError) as caught:
        compose(changed("10.0.0.5 443/tcp", "10.0.0.5 0/tcp"), {}, PORTAL, None)
    assert caught.value.errors


def test_what_a_user_can_reach() -> None:
    portal = [ip_network("10.9.0.1"), ip_network("fd09::1")]
    lab = [ip_network("10.1.0.0/16"), ip_network("fd00:1::/48")]
    found = composed().reachable
    assert set(found("alice")) == {ip_network("10.0.0.5"), *lab, *portal}
    assert set(found("carol")) == {ip_network("10.0.0.4/31"), *portal}
    assert set(found("nobody")) == {ip_network("10.0.0.5"), *portal}
    assert set(composed(admins=["dave"]).reachable("dave")) == set(found("alice"))


def test_tests_are_run_on_what_will_be_enforced() -> None:
    assert check(composed()).failures == ()
    failing = check(compose(changed("expect: mfa", "expect: allow"), {}, PORTAL, None))
    assert len(failing.failures) == 1
    assert "expected allow, the policy says mfa" in failing.failures[0]
    assert failing.documents[0]["file"] == "main.yaml"


def test_a_difference_says_whose_access_widens() -> None:
    wider = difference(composed(), composed(admins=["bob"]))
    assert wider.widens
    assert "bob" in wider.text
    assert wider.document["widens"] is True
    assert not difference(composed(admins=["bob"]), composed()).widens


def test_a_change_of_members_is_no_new_artefact() -> None:
    compiler = Compiler()
    first = compiler.compile(composed())
    assert first.artefact is not None
    second = compiler.compile(composed(admins=["bob"]))
    assert second.artefact is None
    assert second.manifest.subjects["bob"] == first.manifest.subjects["alice"]
    assert compiler.compile(compose(changed("443", "444"), {}, PORTAL, None)).artefact is not None
    compiler.forget()
    assert compiler.compile(composed(admins=["bob"])).artefact is not None


def test_a_bundle_comes_back_from_its_parts() -> None:
    large = Bundle("a", {"a": "version: 1\n" + "".join(f"# {n * n}\n" for n in range(300_000))})
    for bundle in (BUNDLE, large):
        parts = stored_parts(bundle)
        assert bundle_of_parts(parts, bundle.digest) == bundle
    assert len(stored_parts(large)) > 1
    with pytest.raises(CorruptError):
        bundle_of_parts(stored_parts(large)[:-1], large.digest)
    with pytest.raises(CorruptError):
        bundle_of_parts(stored_parts(BUNDLE), large.digest)


@pytest.mark.parametrize("name", ["../a", "/a", "a/../../b", "", "a//b", "./a", "a\n", ".."])
def test_files_outside_of_the_folder_are_no_bundle(name: str) -> None:
    with pytest.raises(InvalidError):
        Bundle("main.yaml", {"main.yaml": TEXT, name: ""})


def test_a_bundle_is_read_from_files(tmp_path: Path) -> None:
    for name, text in BUNDLE.files.items():
        (tmp_path / name).write_text(text)
    assert read_bundle(tmp_path / "main.yaml") == BUNDLE
