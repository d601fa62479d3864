"""What the kernel says of a gate's programs, and `wardgate inspect --live`."""

from __future__ import annotations

import json
import threading

import pytest
from wardgate.cli.main import main
from wardgate.compiler.compile import compile_parsed
from wardgate.compiler.language import parse_policy_text
from wardgate.runtime.attach import Hook
from wardgate.runtime.devices import DeviceSpec
from wardgate.runtime.gate import Gate
from wardgate.runtime.pins import PinError
from wardgate.runtime.statistics import read_statistics

pytestmark = [pytest.mark.root, pytest.mark.tool("ip")]

POLICY = """\
version: 1
tunnel: [10.77.0.0/24]
policies:
  "*": {allow: ["10.77.0.1 7000/udp"]}
"""


@pytest.fixture(scope="module")
def artefact():
    return compile_parsed(parse_policy_text(POLICY, "policy.yaml").policy).data


@pytest.fixture
def gate(net, gate_name, artefact):
    with net.at_gateway():
        made = Gate.create_or_adopt(artefact, device=net.device, name=gate_name)
        made.set_devices([DeviceSpec.of("alice", "10.77.0.2")])
        yield made


def test_runs_are_counted_while_one_measures(net, gate):
    done = threading.Event()

    def send():
        while not done.is_set():
            net.from_device(wait=0.01)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        found = {one.hook: one for one in read_statistics(gate.name, 0.5)}
    finally:
        done.set()
        sender.join()
    assert set(found) == {Hook.INGRESS, Hook.EGRESS}
    assert found[Hook.INGRESS].runs > 0
    assert found[Hook.INGRESS].nanoseconds > 0
    for one in found.values():
        assert one.name == f"gate_{one.hook.value}"
        assert one.slots > 100
        assert one.verified >= one.slots // 2


def test_nothing_is_counted_unless_asked_for(net, gate):
    assert net.from_device()
    assert {(one.runs, one.nanoseconds) for one in read_statistics(gate.name)} == {(None, None)}


def test_no_gate(gate_name):
    with pytest.raises(PinError):
        read_statistics(gate_name)


def test_the_command_shows_programs_and_rules(net, gate, artefact, tmp_path, capsys):
    assert net.from_device()
    path = tmp_path / "policy.o"
    path.write_bytes(artefact)
    options = ["--live", "--name", gate.name, "--seconds", "0"]
    assert main(["inspect", str(path), *options, "--json"]) == 0
    live = json.loads(capsys.readouterr().out)["live"]
    assert live["name"] == gate.name
    assert [one["name"] for one in live["programs"]] == ["gate_ingress", "gate_egress"]
    assert live["rules"][0]["id"] == 1
    assert live["rules"][0]["packets"] >= 1
    assert main(["inspect", str(path), *options]) == 0
    text = capsys.readouterr().out
    assert 'policy.yaml:4 "10.77.0.1 7000/udp"' in text


def test_another_artefact_is_not_what_the_gate_runs(gate, tmp_path, capsys):
    other = compile_parsed(parse_policy_text(POLICY.replace("7000", "7001"), "policy.yaml").policy).data
    path = tmp_path / "other.o"
    path.write_bytes(other)
    assert main(["inspect", str(path), "--live", "--name", gate.name]) == 3
    assert "enforces policy" in capsys.readouterr().err
