"""Compile the example policy, enforce it on real packets, and show that they fare as it says."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any

from wardgate.cli.demo import isolation, table
from wardgate.cli.demo.gate import WARDGATE, GateError, RunningGate, command
from wardgate.cli.demo.namespace import NetNamespace
from wardgate.cli.demo.network import DEVICE, Network
from wardgate.cli.demo.scenario import ADDRESSES, GATEWAY, STAGES, Check, Stage, remotes
from wardgate.cli.demo.table import Row
from wardgate.cli.demo.traffic import Answerers, Probe, Seen, send
from wardgate.cli.demo.tunnel import KINDS, Client, Tunnel
from wardgate.cli.demo.wireguard import TunnelError

_EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
_POLICY, _DEVICES = _EXAMPLES / "office.yaml", _EXAMPLES / "devices.yaml"
_NAME = "demo"
_PATIENCE = 30.0
"""Seconds in which a packet's fate must show: an answer, or the gate's report of a drop. A fast machine
needs none, an emulated one many."""

_DIFFERS, _USAGE, _REFUSED = 1, 2, 3

Answers = Mapping[tuple[Check, bool], Mapping[str, Any]]
Sections = list[tuple[str, list[Row]]]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _wardgate(arguments: Sequence[str], stdin: str | None = None) -> str:
    """Run `wardgate ARGUMENTS`; its stdout. GateError where it fails."""
    done = subprocess.run(  # noqa: S603 - this Python, and arguments of the demo
        [*WARDGATE, *arguments], input=stdin, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise GateError(arguments, done.returncode, done.stderr)
    return done.stdout


def _compile(folder: Path, compiled: Path | None) -> Path:
    if compiled:
        return compiled
    artefact = folder / "office.o"
    _say(f"wardgate compile examples/{_POLICY.name} -o {artefact.name}")
    _wardgate(["compile", str(_POLICY), "-o", str(artefact)])
    return artefact


def _answers(source: Path, engine: str) -> Answers:
    """What an engine answers about each packet of the demo, without and with a session."""
    asked = [(check, authed) for stage in STAGES for check in stage.checks for authed in (False, True)]
    lines = "".join(json.dumps(check.query(authed)) + "\n" for check, authed in asked)
    said = _wardgate(["explain", str(source), "--engine", engine, "--batch", "-"], lines).splitlines()
    return {question: json.loads(answer) for question, answer in zip(asked, said, strict=True)}


def _place(rule: Mapping[str, Any] | None) -> tuple[int, int] | None:
    return (rule["line"], rule["column"]) if rule else None


def _interpreted(artefact: Path, expected: Answers) -> Sections:
    """Every row from the artefact's own instructions, run by the interpreter."""
    seen = _answers(artefact, "vm")
    sections: Sections = []
    for stage in STAGES:
        rows = []
        for check in stage.checks:
            question = check, check.user in stage.authed
            fate = seen[question]
            rows.append(Row(check, expected[question], fate["reason"], _place(fate["rule"])))
        sections.append((stage.title, rows))
    return sections


def _probe(network: Network, check: Check) -> Probe:
    client, servers = network.clients[check.user], network.servers
    if check.inbound:
        return Probe(servers, check.remote, client, check.device, check.service)
    return Probe(client, check.device, servers, check.remote, check.service)


def _stage(network: Network, gate: RunningGate, stage: Stage, expected: Answers) -> list[Row]:
    checks = [check for check in stage.checks if check.version in network.versions]
    probes = [_probe(network, check) for check in checks]
    with Answerers(probes) as answerers:
        outcomes = send(probes, answerers, lambda flow: gate.drop_of(flow) is not None, _PATIENCE)
    rows = []
    for check, (seen, flow) in zip(checks, outcomes, strict=True):
        report = gate.drop_of(flow) if seen is Seen.DROP else None
        answer = expected[check, check.user in stage.authed]
        fate = report["reason"] if report else seen.value
        rows.append(Row(check, answer, fate, _place(report["rule"]) if report else None))
    return rows


def _join(kinds: Sequence[str], gateway: NetNamespace, device: str, clients: Sequence[Client]) -> Tunnel:
    tunnel = Tunnel(gateway, device, clients, kinds)
    _say(f"tunnel between clients and gateway: {tunnel.kind}")
    for refusal in tunnel.refused:
        _say(f"  ({refusal})")
    return tunnel


def _enforced(folder: Path, expected: Answers, kinds: Sequence[str], compiled: Path | None) -> Sections:
    """Every row from packets that a gate judged."""
    artefact = _compile(folder, compiled)
    sections: Sections = []
    with ExitStack() as stack:
        network = stack.enter_context(Network(ADDRESSES, remotes(), lambda *ends: _join(kinds, *ends)))
        gate = RunningGate(network.gateway, artefact, DEVICE, _DEVICES, _NAME)
        stack.callback(gate.stop)
        hooks = ", ".join(f"{hook['hook']} by {hook['way']}" for hook in gate.attached["hooks"])
        _say(f"wardgate run office.o --device {DEVICE} --devices examples/{_DEVICES.name}\n  {hooks}")
        network.up(GATEWAY, [])
        for stage in STAGES:
            for arguments in stage.commands:
                _say(f"wardgate {' '.join(arguments)}")
                command(network.gateway, *arguments, "--name", _NAME)
            sections.append((stage.title, _stage(network, gate, stage, expected)))
        command(network.gateway, "detach", "--name", _NAME)
        _say("wardgate detach")
    return sections


def _conclude(sections: Sections, judge: str) -> int:
    print(table.render(sections))
    rows = [row for _, section in sections for row in section]
    wrong = sum(not row.agrees for row in rows)
    print(f"\n{len(rows) - wrong} of {len(rows)} packets fared as the reference says: {judge} judged.")
    return _DIFFERS if wrong else 0


def _without_kernel(expected: Answers, reason: str, compiled: Path | None) -> int:
    _say(f"{reason}: no packets are sent.\nThe artefact's instructions run in the interpreter instead.")
    with tempfile.TemporaryDirectory(prefix="wardgate-demo-") as folder:
        sections = _interpreted(_compile(Path(folder), compiled), expected)
    return _conclude(sections, "the interpreter")


def _with_kernel(expected: Answers, kinds: Sequence[str], compiled: Path | None) -> int:
    folder = isolation.RUN / "wardgate-demo"
    folder.mkdir()
    try:
        sections = _enforced(folder, expected, kinds, compiled)
    except TunnelError as error:
        return _without_kernel(expected, str(error), compiled)
    return _conclude(sections, "the loaded gate")


def _guarded(work: Callable[[], int]) -> int:
    try:
        return work()
    except GateError as error:
        _say(f"demo: {error}")
        return _REFUSED


def _terminated(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo. 0: every row agrees; 1: one differs; 3: the system refused."""
    parser = argparse.ArgumentParser(prog="python -m wardgate.cli.demo", description=__doc__)
    parser.add_argument("--tunnel", choices=KINDS, help="a kind of tunnel, instead of the best there is")
    parser.add_argument(
        "--artefact", metavar="FILE", type=Path,
        help="the example policy, compiled already: for a machine without a compiler",
    )  # fmt: skip
    chosen = parser.parse_args(arguments)
    if not _POLICY.exists():
        _say(f"demo: {_POLICY} is not there; the demo runs from a checkout of the project")
        return _USAGE
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _terminated)
    compiled = chosen.artefact.absolute() if chosen.artefact else None
    return _guarded(lambda: _demo([chosen.tunnel] if chosen.tunnel else KINDS, compiled))


def _demo(kinds: Sequence[str], compiled: Path | None) -> int:
    expected = _answers(_POLICY, "reference")
    if os.geteuid() != 0:
        return _without_kernel(expected, "You are not root", compiled)
    try:
        return isolation.run(lambda: _guarded(lambda: _with_kernel(expected, kinds, compiled)))
    except isolation.IsolationError as error:
        return _without_kernel(expected, f"This root may not make namespaces ({error})", compiled)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
