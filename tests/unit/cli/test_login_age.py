"""explain: how long ago the last login was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from wardgate.cli.commands.explain import explain_command
from wardgate.cli.console import Console

POLICY = 'version: 1\npolicies: {"*": {mfa: ["10.1.0.0/16", "10.1.0.0/16 22/tcp within 15m"]}}\n'
ASKED = ("--as", "alice", "--to", "10.1.2.3")


@pytest.fixture
def policy(tmp_path: Path) -> str:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    return str(path)


def run(*words: str, json_wanted: bool = False) -> Result:
    return CliRunner().invoke(explain_command, list(words), obj=Console(json=json_wanted))


def test_an_answer_says_how_old_the_login_is(policy: str) -> None:
    said = run(policy, *ASKED, "--service", "22/tcp", "--authed", "--login-age", "20m").stdout
    assert "session  authorised, login 20m ago" in said
    assert "fate     drop: login too old" in said
    assert "fate     pass" in run(policy, *ASKED, "--service", "22/tcp", "--authed").stdout
    every = run(policy, *ASKED, "--authed", "--login-age", "20m").stdout
    assert "session authorised, login 20m ago" in every
    assert "drop: login too old" in every


def test_an_answer_has_the_seconds_that_a_rule_gives(policy: str) -> None:
    asked = (policy, *ASKED, "--service", "22/tcp", "--authed", "--login-age", "15m")
    answer = json.loads(run(*asked, "--json", json_wanted=True).stdout)
    assert (answer["login_age"], answer["within"], answer["pass"]) == (900, 900, True)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((*ASKED, "--login-age", "20m"), "give --authed too"),
        ((*ASKED, "--authed", "--login-age", "soon"), "not a duration"),
        (("--as", "alice", "--packet", "45", "--authed", "--login-age", "20m"), "is about a question"),
    ],
)
def test_ages_that_say_nothing(policy: str, words: tuple[str, ...], complaint: str) -> None:
    result = run(policy, *words)
    assert result.exit_code == 2
    assert complaint in result.output
