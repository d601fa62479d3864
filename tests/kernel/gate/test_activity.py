"""What a gate's rules decide, on a real gate: totals, rates, and rules that nothing met."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner
from fixture_gates import ALICE, BOB, CLOSED, OPEN
from wardgate.cli.commands.top import top_command
from wardgate.cli.console import Console
from wardgate.runtime.activity import rates
from wardgate.runtime.gate import Gate
from wardgate.runtime.layout.codes import Direction, Reason

pytestmark = pytest.mark.root


@pytest.fixture
def gate(net, gate_name, build):
    with net.at_gateway():
        made = Gate.create_or_adopt(
            build(OPEN, CLOSED, OPEN, subjects={"bob": 2}), device=net.device, name=gate_name
        )
        made.set_devices([ALICE, BOB])
        yield made
        made.detach()


def top(gate: Gate, *words: str) -> str:
    ran = CliRunner().invoke(top_command, ["--name", gate.name, *words], obj=Console(), standalone_mode=False)
    assert ran.exception is None, ran.exception
    return ran.stdout


def test_totals_rates_and_what_is_uncovered(net, gate) -> None:
    before = gate.activity()
    assert [rule.line for rule in before.uncovered] == [11, 12, 13]
    assert abs(datetime.now(UTC) - before.loaded) < timedelta(minutes=5)
    for _ in range(4):
        assert net.from_device()
    assert not net.from_device(net.SECOND, wait=net.BRIEFLY)
    after = gate.activity()
    assert [(hit.rule.line, hit.count.packets) for hit in after.rules] == [(11, 4), (12, 1), (13, 0)]
    assert [rule.line for rule in after.uncovered] == [13]
    assert after.counters[Direction.FROM_DEVICE][Reason.DENY_RULE].packets == 1
    grown = rates(before, after)
    assert grown.seconds > 0
    assert grown.rules[1].packets == pytest.approx(4 / grown.seconds)
    assert grown.rules[3].packets == 0
    assert grown.counters[Direction.FROM_DEVICE][Reason.PASS].packets == pytest.approx(4 / grown.seconds)


def test_rates_after_a_swap_and_a_rollback(net, gate, build) -> None:
    assert net.from_device()
    old = gate.activity()
    gate.swap(build(OPEN, OPEN, subjects={"bob": 2}))
    assert net.from_device(net.SECOND)
    new = gate.activity()
    # Of the new policy's rules, all is since the swap.
    grown = rates(old, new)
    assert (new.generation, new.loaded >= old.loaded) == (2, True)
    assert [round(grown.rules[rule].packets * grown.seconds) for rule in (1, 2)] == [0, 1]
    gate.rollback()
    back = gate.activity()
    assert (back.generation, back.rules[0].count.packets) == (1, 1)
    assert rates(new, back).rules[1].packets >= 0


def test_the_command(net, gate) -> None:
    assert net.from_device()
    assert not net.from_device(net.SECOND, wait=net.BRIEFLY)
    shown = top(gate, "--once")
    assert f"{gate.name} on {net.device}, generation 1, since " in shown
    assert "from devices  deny rule  1" in shown
    assert 'allow   policy.yaml:11  "rule 1"' in shown
    assert "1 of 3 rules decided nothing" in shown
    document = json.loads(top(gate, "--once", "--json"))
    assert document["seconds"] is None
    assert [rule["packets"] for rule in document["rules"]] == [1, 1, 0]
    assert document["counters"]["from_device"]["pass"]["packets"] == 1
    missing = top(gate, "--uncovered").splitlines()
    assert missing[0].startswith(f"{gate.name}: 1 of 3 rules decided nothing since ")
    assert missing[-1].split() == ["policy.yaml:13", "everyone", "allow", '"rule', '3"']
    document = json.loads(top(gate, "--uncovered", "--json"))
    assert [(rule["file"], rule["line"]) for rule in document["uncovered"]] == [("policy.yaml", 13)]
    assert datetime.fromisoformat(document["since"]).tzinfo is not None
