"""`wardgate check` as people and pipelines call it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sarif_essentials import assert_valid
from wardgate.cli.main import main
from wardgate.compiler.lint import linter

POLICY = """\
version: 1
hosts: {wiki: 10.0.0.5}
groups: {group:eng: [alice]}
policies:
  "*":
    allow: ["wiki 443/tcp", "10.0.0.0/24 22/tcp"]
  group:eng:
    allow: ["wiki 443/tcp"]
tests:
  - {as: alice, to: wiki, service: 443/tcp, expect: allow}
  - {as: alice, to: wiki, service: 22/tcp, expect: deny}
"""
OFFICE = Path(__file__).resolve().parents[3] / "examples" / "office.yaml"


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "rules and more" / "p.yaml"
    path.parent.mkdir()
    path.write_text(POLICY)
    return path


def test_findings_are_told_and_fail_if_asked_to(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(policy)]) == 0
    out, err = capsys.readouterr()
    assert "2 tests passed" in out
    assert "2 findings" in out
    assert "p.yaml:8:13: warning: this rule changes nothing" in err
    assert "[dead-rule]" in err
    assert "  packet: anyone-else to 10.0.0.5 22/tcp: deny, since no rule for 10.0.0.5/32 matches" in err
    assert main(["check", str(policy), "--strict"]) == 1
    assert (
        main(["check", str(policy), "--strict", "--ignore", "dead-rule", "--ignore", "blanked-prefix"]) == 0
    )
    assert main(["check", str(policy), "--ignore", "no-such"]) == 2


def test_warnings_of_the_reader_are_strict_too(policy: Path) -> None:
    policy.write_text('version: 1\npolicies: {"*": {allow: [10.0.0.1/24]}}\n')
    assert main(["check", str(policy)]) == 0
    assert main(["check", str(policy), "--strict"]) == 1


def test_the_example_is_free_of_findings() -> None:
    assert main(["check", str(OFFICE), "--strict"]) == 0


def test_json(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(policy), "--json", "--coverage"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [finding["code"] for finding in document["findings"]] == ["blanked-prefix", "dead-rule"]
    blanked, dead = document["findings"]
    assert blanked["packet"]["verdict"] == "deny"
    assert blanked["packet"]["rule"] is None
    assert blanked["rules"] == [{"file": "p.yaml", "line": 6, "column": 29, "text": "10.0.0.0/24 22/tcp"}]
    assert dead["about"] == "wiki 443/tcp"
    assert (document["silenced"], document["more_findings"]) == (0, 0)
    assert document["coverage"] == {
        "rules": 3,
        "decided": 1,
        "percent": 33.3,
        "undecided_tests": 1,
        "lines": [
            {"file": "p.yaml", "line": 6, "column": 13, "text": "wiki 443/tcp", "tests": 1},
            {"file": "p.yaml", "line": 6, "column": 29, "text": "10.0.0.0/24 22/tcp", "tests": 0},
            {"file": "p.yaml", "line": 8, "column": 13, "text": "wiki 443/tcp", "tests": 0},
        ],
    }


def test_coverage_for_people(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(policy), "--coverage"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "p.yaml:6:13: 1 test: wiki 443/tcp"
    assert lines[2] == "p.yaml:8:13: no tests: wiki 443/tcp"
    assert lines[3] == "1 of 3 rules decided a test (33.3%)"


def sarif(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert_valid(document)
    return document


def test_sarif(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(policy), "--sarif"]) == 0
    (run,) = sarif(capsys)["runs"]
    results = run["results"]
    assert [result["ruleId"] for result in results] == ["blanked-prefix", "dead-rule"]
    (place,) = results[1]["locations"]
    assert place["physicalLocation"] == {
        "artifactLocation": {"uri": "rules%20and%20more/p.yaml"},
        "region": {"startLine": 8, "startColumn": 13, "endColumn": 27},
    }
    assert [result["level"] for result in results] == ["warning", "warning"]
    assert results[1]["relatedLocations"][0]["message"]["text"] == "allow wiki 443/tcp"


def test_sarif_of_a_broken_policy(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy.write_text(POLICY.replace("10.0.0.0/24 22/tcp", "10.0.0.0/24 0/tcp"))
    assert main(["check", str(policy), "--sarif"]) == 1
    (run,) = sarif(capsys)["runs"]
    assert [(result["ruleId"], result["level"]) for result in run["results"]] == [("port", "error")]


def test_sarif_of_failed_tests(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy.write_text(POLICY.replace("22/tcp, expect: deny", "22/tcp, expect: allow"))
    assert main(["check", str(policy), "--sarif"]) == 1
    (run,) = sarif(capsys)["runs"]
    assert run["results"][0]["ruleId"] == "test-failed"
    assert run["results"][0]["level"] == "error"


def test_fingerprints_stay_when_lines_come_above(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def fingerprints() -> list[str]:
        main(["check", str(policy), "--sarif"])
        (run,) = sarif(capsys)["runs"]
        return [result["partialFingerprints"]["wardgate/v1"] for result in run["results"]]

    before = fingerprints()
    policy.write_text(f"# a comment\n\n{POLICY}")
    assert fingerprints() == before
    assert len(set(before)) == len(before)


def test_a_policy_elsewhere_is_named_by_itself(
    policy: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (policy.parent / "other").mkdir()
    monkeypatch.chdir(policy.parent / "other")
    main(["check", str(policy), "--sarif"])
    (run,) = sarif(capsys)["runs"]
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "p.yaml"


def test_one_document_at_a_time(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(policy), "--sarif", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["ok"] is False


def test_without_numpy(policy: Path) -> None:
    """The linter needs nothing that reading a policy doesn't."""
    code = "import sys; sys.modules['numpy'] = None; from wardgate.cli.main import main; sys.exit(main())"
    process = subprocess.run(
        [sys.executable, "-c", code, "check", str(policy)], capture_output=True, text=True, check=False
    )
    assert (process.returncode, "2 findings" in process.stdout) == (0, True), process.stderr


def test_of_very_many_findings_the_first_are_told(
    policy: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linter, "MAX_DIAGNOSTICS", 1)
    assert main(["check", str(policy), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [finding["code"] for finding in document["findings"]] == ["blanked-prefix"]
    assert document["more_findings"] == 1
    assert main(["check", str(policy)]) == 0
    out, err = capsys.readouterr()
    assert "2 findings" in out
    assert "warning: there is 1 more; mend those" in err
    # Where the reference has looked at many rules, no more are told either.
    monkeypatch.setattr(linter, "MAX_DIAGNOSTICS", 10)
    monkeypatch.setattr(linter, "_MOST_LOOKS", 0)
    main(["check", str(policy), "--json"])
    assert json.loads(capsys.readouterr().out)["more_findings"] == 1
