"""`wardgate gateway status`: whether the gateway enforces, and how it does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
from wardgate.cli import gateway_words, options
from wardgate.cli.console import Console
from wardgate.cli.control import Client, gateway
from wardgate.cli.failures import SYSTEM_REFUSED


@click.command("status")
@gateway
@options.common
@options.pass_console
def status_command(console: Console, gateway: Client) -> int:
    """Show the gateway: its WireGuard device, gate, policy, roaming detector, and what goes wrong.

    Exit status 3 if it does not enforce.
    """
    status = gateway.get("status")
    if console.json:
        console.document(status)
    else:
        console.text(_text(status))
    return 0 if status["gate"]["enforcing"] else SYSTEM_REFUSED


def _text(status: Mapping[str, Any]) -> str:
    interface, gate, roaming = status["interface"], status["gate"], status["roaming"]
    policy = f"{gate['policy']}  {gate['digest'][:12]}" if gate["policy"] else "none: everything is dropped"
    sessions = ", ".join(f"{count} {state}" for state, count in status["sessions"].items() if count)
    rows = [
        ("gateway", f"wardgate {status['version']}, process {status['pid']}"),
        ("since", f"{gateway_words.moment(status['started'])} UTC"),
        ("device", f"{interface['name']} ({interface['implementation']}), port {interface['listen_port']}"),
        ("public key", interface["public_key"]),
        ("addresses", f"{gateway_words.listed(interface['addresses'])}, MTU {interface['mtu']}"),
        (
            "gate",
            f"{gate['name']} by {gate['hook']}, "
            + ("enforcing" if gate["enforcing"] else "NOT ENFORCING")
            + (f", generation {gate['generation']}" if gate["generation"] is not None else ""),
        ),
        ("policy", policy),
        ("packets", f"{gate['passed']:,} passed, {gate['dropped']:,} dropped"),
        ("roaming", f"by {roaming['detector']}, then {roaming['on_roam']}"),
        *(("", f"not by {name}: {cause}") for name, cause in roaming["refused"].items()),
        ("portal", status["portal"]),
        ("enrolment", status["enrolment"] or "no page"),
        ("users", f"{status['users']:,}"),
        ("devices", f"{status['devices']:,}, {interface['peers']:,} peers, {status['tokens']:,} tokens"),
        ("sessions", sessions or "none"),
        ("store", f"{status['store']}, revision {status['revision']:,}"),
    ]
    lines = [gateway_words.table(rows)]
    for problem in status["problems"]:
        since = gateway_words.moment(problem["since"])
        told = f"problem: {problem['part']}: {problem['cause']}, since {since} UTC"
        lines += [gateway_words.plain(told), gateway_words.plain(f"  help: {problem['remedy']}")]
    return "\n".join(lines)
