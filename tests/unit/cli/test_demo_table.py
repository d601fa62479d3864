"""The demo's table: when a row differs, it says so and the demo fails."""

from wardgate.cli.demo import __main__ as demo
from wardgate.cli.demo.scenario import STAGES, Check
from wardgate.cli.demo.table import Row, render

CHECK = Check("alice", "10.0.0.5", "443/tcp")
RULE = {"file": "office.yaml", "line": 28, "column": 9, "text": "wiki web"}
PASS = {"pass": True, "reason": "pass", "rule": RULE}
DENIED = {"pass": False, "reason": "deny rule", "rule": RULE}
UNRULED = {"pass": False, "reason": "no bucket", "rule": None}


def test_rows_that_agree():
    assert Row(CHECK, PASS, "pass", None).agrees
    assert Row(CHECK, DENIED, "deny rule", (28, 9)).agrees
    assert Row(CHECK, UNRULED, "no bucket", None).agrees


def test_rows_that_differ():
    for row in (
        Row(CHECK, PASS, "lost", None),
        Row(CHECK, PASS, "deny rule", (28, 9)),
        Row(CHECK, DENIED, "pass", None),
        Row(CHECK, DENIED, "needs login", (28, 9)),
        Row(CHECK, DENIED, "deny rule", (29, 9)),
        Row(CHECK, DENIED, "deny rule", None),
        Row(CHECK, UNRULED, "no bucket", (28, 9)),
    ):
        assert not row.agrees
        assert render([("now", [row])]).endswith("<-- DIFFERS")


def test_one_row_that_differs_fails_the_demo(capsys):
    good, bad = Row(CHECK, PASS, "pass", None), Row(CHECK, PASS, "lost", None)
    assert demo._conclude([("now", [good])], "it") == 0
    assert demo._conclude([("now", [good, bad])], "it") == 1
    assert "1 of 2 packets fared as the reference says" in capsys.readouterr().out


def test_the_scenario_asks_the_same_after_the_login():
    before, after, _ = STAGES
    assert set(after.checks) <= set(before.checks)
    assert not before.authed
    assert after.authed == {"alice", "bob", "carol"}
