"""`diff` and `prove` at the command line: what they print, in each form, and their exit status."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from encoded_policy import encode
from wardgate.cli.difference_markdown import code, written
from wardgate.cli.main import main
from wardgate.compiler.analysis import AnalysisError, compare, view_of_artefact, view_of_policy, wording
from wardgate.compiler.analysis.difference_text import MOST_STATEMENTS, shown
from wardgate.compiler.analysis.documents import difference_document
from wardgate.compiler.language import parse_policy_text

OLD = """\
version: 1
groups: {group:engineers: [alice, bob], group:contractors: [carol]}
hosts: {lab: 10.1.0.0/16}
policies:
  "*": {allow: ["10.0.0.5 443/tcp icmp"]}
  group:engineers: {mfa: [lab]}
  group:contractors: {deny: ["lab 22/tcp"], mfa: ["lab 443/tcp"]}
"""
NEW = OLD.replace('deny: ["lab 22/tcp"]', 'allow: ["lab 22/tcp"]').replace("443/tcp icmp", "443/tcp")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    Path("old.yaml").write_text(OLD)
    Path("new.yaml").write_text(NEW)
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "old.yaml", "new.yaml"]) == 1
    output = capsys.readouterr()
    assert output.err == ""
    assert (
        output.out
        == """\
WIDER    group:contractors: gains access
         to        10.1.0.0/16
         service   22/tcp
         such as   carol to 10.1.0.1 22/tcp
         before    deny: old.yaml:7 "lab 22/tcp"
         now       allow: new.yaml:7 "lab 22/tcp"

narrower everybody: loses access
         to        10.0.0.5
         service   icmp
         such as   alice to 10.0.0.5 icmp
         before    allow: old.yaml:5 "10.0.0.5 443/tcp icmp"
         now       deny: no rule for 10.0.0.5/32 matches, and the longest prefix
                   decides
                   its rules: new.yaml:5

Access widens: 1 of 2 changes lets pass what was dropped before.
Exit status 1.
"""
    )


@pytest.mark.usefixtures("folder")
def test_what_narrows_only_is_fine(capsys: pytest.CaptureFixture[str]) -> None:
    Path("new.yaml").write_text(OLD.replace("443/tcp icmp", "443/tcp"))
    assert main(["diff", "old.yaml", "new.yaml"]) == 0
    assert "Access does not widen" in capsys.readouterr().out
    assert main(["diff", "new.yaml", "old.yaml"]) == 1


@pytest.mark.usefixtures("folder")
def test_the_same_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    Path("new.yaml").write_text(OLD.replace("lab 22/tcp", "10.1.0.0/16   22/tcp"))
    for more in ([], ["--markdown"], ["--all"]):
        assert main(["diff", "old.yaml", "new.yaml", *more]) == 0
        assert "No difference in meaning" in capsys.readouterr().out


@pytest.mark.usefixtures("folder")
def test_artefacts_are_read_too(capsys: pytest.CaptureFixture[str]) -> None:
    Path("old.o").write_bytes(encode(parse_policy_text(OLD, "old.yaml").policy).artefact())
    assert main(["diff", "old.o", "old.yaml"]) == 0
    assert main(["diff", "old.o", "old.o"]) == 0
    capsys.readouterr()
    assert main(["diff", "old.o", "new.yaml"]) == 1
    assert 'before    deny: old.yaml:7 "lab 22/tcp"' in capsys.readouterr().out


@pytest.mark.usefixtures("folder")
def test_a_damaged_artefact_is_no_difference(capsys: pytest.CaptureFixture[str]) -> None:
    made = encode(parse_policy_text(OLD, "old.yaml").policy)
    cut = made.described(lambda document: document.update(rules=document["rules"][:-1], buckets=[]))
    Path("old.o").write_bytes(cut.artefact())
    assert main(["diff", "old.o", "new.yaml"]) == 3
    assert "compile the policy again" in capsys.readouterr().err


@pytest.mark.usefixtures("folder")
def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "old.yaml", "new.yaml", "--json"]) == 1
    output = capsys.readouterr()
    assert output.err == ""
    document = json.loads(output.out)
    assert (document["ok"], document["status"], document["same"], document["widens"]) == (
        False,
        1,
        False,
        True,
    )
    first, second = document["statements"]
    rule = {"line": 7, "column": 30, "text": "lab 22/tcp"}
    assert first == {
        "widens": True,
        "before": "deny",
        "after": "allow",
        "within_before": None,
        "within_after": None,
        "direction": "to",
        "as": {"any_of": [{"group": "group:contractors"}], "except": []},
        "users": 1,
        "prefixes": [{"prefix": "10.1.0.0/16", "except": []}],
        "services": {"any_of": ["22/tcp"]},
        "witness": {
            "as": "carol",
            "to": "10.1.0.1",
            "service": "22/tcp",
            "before": {
                "verdict": "deny",
                "prefix": "10.1.0.0/16",
                "rule": {"file": "old.yaml", **rule},
                "bucket": first["witness"]["before"]["bucket"],
            },
            "after": {
                "verdict": "allow",
                "prefix": "10.1.0.0/16",
                "rule": {"file": "new.yaml", **rule, "column": 31},
                "bucket": first["witness"]["after"]["bucket"],
            },
        },
        "old_rules": [{"file": "old.yaml", **rule}],
        "new_rules": [{"file": "new.yaml", **rule, "column": 31}],
    }
    assert second["as"] == {"any_of": [{"everybody": True}], "except": []}
    assert second["witness"]["after"]["rule"] is None
    compared = document["compared"]
    assert compared["verdicts"] == (
        compared["classes"]
        * compared["directions"]
        * compared["destination_intervals"]
        * compared["service_intervals"]
    )


@pytest.mark.usefixtures("folder")
def test_forms_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "old.yaml", "new.yaml", "--json", "--markdown"]) == 2
    assert "exclude each other" in capsys.readouterr().err


@pytest.mark.usefixtures("folder")
def test_a_broken_policy_is_no_difference(capsys: pytest.CaptureFixture[str]) -> None:
    Path("new.yaml").write_text("version: 1\npolicies: {alice: {allow: [nowhere]}}\n")
    assert main(["diff", "old.yaml", "new.yaml"]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert "new.yaml:2:28: error:" in output.err


@pytest.mark.usefixtures("folder")
def test_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "old.yaml", "new.yaml", "--markdown"]) == 1
    assert (
        capsys.readouterr().out
        == """\
### Access widens

`old.yaml` → `new.yaml`: Access widens: 1 of 2 changes lets pass what was dropped before.

#### Wider

- **`group:contractors`: gains access** to `10.1.0.0/16`, `22/tcp`
  - such as `carol to 10.1.0.1 22/tcp`
  - before: deny, `old.yaml:7` `lab 22/tcp`
  - now: allow, `new.yaml:7` `lab 22/tcp`

#### Narrower

- **everybody: loses access** to `10.0.0.5`, `icmp`
  - such as `alice to 10.0.0.5 icmp`
  - before: allow, `old.yaml:5` `10.0.0.5 443/tcp icmp`
  - now: deny, no rule for 10.0.0.5/32 matches, and the longest prefix decides (`new.yaml:5`)
"""
    )


HOSTILE = "x`](https://evil.example) <img src=x> **@admins** |\n# title\x1b[2J\u202e``` end"


def hostile_artefact() -> bytes:
    def change(document: Any) -> None:
        for rule in document["rules"]:
            rule.update(text=HOSTILE, file=HOSTILE)
            if rule["policy"] != "*":
                rule["policy"] += HOSTILE
        document["subjects"] = {f"{user}{HOSTILE}": n for user, n in document["subjects"].items()}

    return encode(parse_policy_text(OLD).policy).described(change).artefact()


def test_hostile_names_stay_in_code_spans() -> None:
    new = view_of_policy(parse_policy_text(NEW).policy, HOSTILE)
    comment = written(compare(view_of_artefact(hostile_artefact(), "a`b"), new))
    assert "\x1b" not in comment
    assert "\u202e" not in comment
    # Without its code spans (CommonMark's rule for them), nothing of it is left.
    bare = re.sub(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", "", comment)
    assert "evil" not in bare
    assert "@" not in bare
    assert "<" not in bare
    assert "`" not in bare
    assert sum(line.startswith("#") for line in comment.splitlines()) == 3


def test_hostile_names_do_not_reach_a_terminal() -> None:
    new = view_of_policy(parse_policy_text(NEW).policy, HOSTILE)
    text = "\n".join(shown(compare(view_of_artefact(hostile_artefact(), "a"), new)))
    assert all(character.isprintable() or character == "\n" for character in text)


@pytest.mark.parametrize("prefix", ["", "10.0.0.0/33", "10.0.0.1/8", "fe80::%\x1b[2J/64", "fd00::%eth0/64"])
def test_what_is_no_prefix_is_refused(prefix: str) -> None:
    made = encode(parse_policy_text(OLD).policy)
    damaged = made.described(lambda document: document["buckets"][0].update(prefix=prefix))
    with pytest.raises(AnalysisError, match="is no prefix"):
        view_of_artefact(damaged.artefact(), "o")


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("a", "`a`"),
        ("", "` `"),
        ("a`b", "``a`b``"),
        ("`a", "`` `a ``"),
        ("a``", "``` a`` ```"),
        ("a\n\tb", "`a b`"),
        ("a\x00b", "`a\\x00b`"),
    ],
)
def test_code_spans(text: str, span: str) -> None:
    assert code(text) == span


def many(count: int) -> tuple[str, str]:
    rules = [f"10.0.{number}.0/24 {1 + number}/tcp" for number in range(count)]
    head = {"version": 1, "policies": {"*": {"allow": []}}}
    return json.dumps(head), json.dumps({**head, "policies": {"*": {"allow": rules}}})


def test_very_many_changes_are_cut_and_counted() -> None:
    old, new = (view_of_policy(parse_policy_text(text).policy, "p") for text in many(MOST_STATEMENTS + 7))
    found = compare(old, new)
    paragraphs = list(shown(found))
    assert len(paragraphs) == MOST_STATEMENTS + 2
    assert paragraphs[-2].startswith("7 more changes are not shown")
    assert len(list(shown(found, everything=True))) == MOST_STATEMENTS + 8
    assert all(len(line) <= 80 for paragraph in paragraphs for line in paragraph.splitlines())
    assert len(written(found)) < 65_536


def test_a_comment_is_no_longer_than_hosts_take() -> None:
    names = [f"user{number:03}-{'x' * 50}" for number in range(400)]
    groups = {f"group:g{number:03}": names[number : number + 30] for number in range(300)}
    rules = {
        name: {"allow": [f"10.{place % 250}.{part}.0/24 {1 + place}/tcp" for part in range(12)]}
        for place, name in enumerate(names)
    }
    old = {"version": 1, "groups": {name: members[1:] for name, members in groups.items()}}
    texts = [json.dumps(one) for one in (old, {"version": 1, "groups": groups, "policies": rules})]
    found = compare(*(view_of_policy(parse_policy_text(text).policy, "p") for text in texts))
    comment = written(found)
    assert 40_000 < len(comment) < 65_536
    assert "more changes are not shown here" in comment


def test_long_lists_are_cut() -> None:
    assert wording.listed([1, 2, 3], 2) == "1, 2 and 1 more"
    assert wording.listed([1, 2, 3], None) == "1, 2, 3"
    assert len(wording.plain("x" * 1_000)) == wording.LONGEST


@pytest.mark.usefixtures("folder")
def test_prove(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prove", "old.yaml", "never: {as: group:contractors, to: lab, service: 22/tcp}"]) == 0
    assert capsys.readouterr().out == (
        "holds: never: {as: group:contractors, to: lab, service: 22/tcp}\n"
        "  proved by looking at 2 cases of 1 class of users\n"
    )
    claim = "never: {as: group:engineers, to: lab, service: 22/tcp, membership: any, authed: false}"
    assert main(["prove", "old.yaml", claim]) == 0
    assert "for 2 combinations of 1 user and sets of groups" in capsys.readouterr().out
    claim = "always: {as: group:engineers, to: lab, authed: true, membership: any}"
    assert main(["prove", "old.yaml", claim]) == 1
    assert capsys.readouterr().out == (
        "does not hold: always: {as: group:engineers, to: lab, authed: true, membership:\n"
        "  any}\n"
        "  anyone-else, in group:engineers and group:contractors (logged in) to 10.1.0.1\n"
        "  22/tcp is dropped (deny rule) by `lab 22/tcp` at old.yaml:7:30\n"
    )


@pytest.mark.usefixtures("folder")
def test_prove_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    claim = "always: {as: group:engineers, to: lab, authed: true, membership: any}"
    assert main(["prove", "old.yaml", claim, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document == {
        "ok": False,
        "status": 1,
        "text": claim,
        "holds": False,
        "classes": 2,
        "cases": document["cases"],
        "memberships": {"users": 1, "groups": 1},
        "counterexample": {
            "as": "anyone-else",
            "groups": ["group:engineers", "group:contractors"],
            "to": "10.1.0.1",
            "service": "22/tcp",
            "authed": True,
            "verdict": "deny",
            "pass": False,
            "reason": "deny rule",
            "prefix": "10.1.0.0/16",
            "rule": {"file": "old.yaml", "line": 7, "column": 30, "text": "lab 22/tcp"},
        },
        "diagnostics": [],
    }


@pytest.mark.usefixtures("folder")
def test_what_is_wrong_with_the_argument_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prove", "old.yaml", "never: {as: alice, too: lab}"]) == 2
    shown_ = capsys.readouterr().err
    assert "ASSERTION:1:20: error: an assertion has no key `too`" in shown_
    assert "    never: {as: alice, too: lab}\n                       ^^^\n" in shown_
    Path("old.yaml").write_text("version: 2\n")
    assert main(["prove", "old.yaml", "never: {as: alice, too: lab}"]) == 1


@pytest.mark.usefixtures("folder")
def test_check_runs_assertions_about_any_membership(capsys: pytest.CaptureFixture[str]) -> None:
    claim = "always: {as: group:engineers, to: lab, authed: true"
    Path("old.yaml").write_text(f"{OLD}assertions:\n  - {claim}}}\n  - {claim}, membership: any}}\n")
    assert main(["check", "old.yaml"]) == 1
    output = capsys.readouterr()
    assert "1 of 2 assertions FAILED" in output.out
    assert "does not hold: anyone-else, in group:engineers and group:contractors" in output.err


def test_more_time_for_a_login_widens() -> None:
    text = 'version: 1\npolicies: {{"*": {{mfa: ["10.1.0.0/16 22/tcp within {}"]}}}}\n'
    short, long = (view_of_policy(parse_policy_text(text.format(age)).policy, age) for age in ("15m", "2h"))
    for pair, seconds, widens in (((short, long), (900, 7200), True), ((long, short), (7200, 900), False)):
        (statement,) = difference_document(compare(*pair))["statements"]
        assert (statement["before"], statement["after"], statement["widens"]) == ("mfa", "mfa", widens)
        assert (statement["within_before"], statement["within_after"]) == seconds
