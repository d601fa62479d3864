"""`wardgate status`: where a gate stands, what decides there, what it has counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click
from wardgate.cli import columns, options
from wardgate.cli.console import Console
from wardgate.cli.failures import SYSTEM_REFUSED
from wardgate.cli.gates import open_gate

if TYPE_CHECKING:
    from wardgate.runtime.status import Count, GateStatus, HookStatus

_MOST_RULES = 10
_DIRECTIONS = {"FROM_DEVICE": "from devices", "TO_DEVICE": "to devices"}


@click.command("status")
@options.gate_name
@options.common
@options.pass_console
def status_command(console: Console, name: str | None) -> int:
    """Show a gate: its policy, hooks, sessions, packets by reason, and the busiest rules.

    Exit status 3 if the gate does not enforce: its device or a program is gone.
    """
    gate = open_gate(name)
    status = gate.status()
    if console.json:
        console.document(document(status))
    else:
        console.text(_text(status))
    return 0 if status.enforcing else SYSTEM_REFUSED


def hook_document(hook: HookStatus) -> dict[str, Any]:
    """A hook as JSON shows it; `way` is how its program is attached."""
    return {
        "hook": hook.hook.value,
        "way": hook.rung.value if hook.rung else None,
        "alive": hook.alive,
        "generation": hook.generation,
        "refused": [{"way": refusal.rung.value, "cause": refusal.cause} for refusal in hook.refused],
    }


def document(status: GateStatus) -> dict[str, Any]:
    """The status as JSON; docs/json.md describes it."""
    return {
        "name": status.name,
        "device": status.device,
        "ifindex": status.ifindex,
        "hook": status.hook,
        "hooks": [hook_document(hook) for hook in status.hooks],
        "enforcing": status.enforcing,
        "generation": status.generation,
        "previous": status.previous,
        "digest": status.digest,
        "files": [file.name for file in status.files],
        "tunnel": list(status.tunnel),
        "devices": status.devices,
        "slots": status.slots,
        "sessions": {state.value: count for state, count in status.sessions.items()},
        "passed": _count(status.passed),
        "dropped": _count(status.dropped),
        "counters": {
            direction.name.lower(): {reason.label: _count(count) for reason, count in counts.items()}
            for direction, counts in status.counters.items()
        },
        "rules": [
            {
                "file": hit.rule.file,
                "line": hit.rule.line,
                "column": hit.rule.column,
                "text": hit.rule.text,
                "action": hit.rule.action,
                **_count(hit.count),
            }
            for hit in status.rule_hits
        ],
        "unruled": _count(status.unruled),
    }


def _count(count: Count) -> dict[str, int]:
    return {"packets": count.packets, "bytes": count.bytes}


def _text(status: GateStatus) -> str:
    policy = " ".join(file.name for file in status.files)
    rows = [
        ("gate", f"{status.name} on {status.device}" + ("" if status.enforcing else ", NOT ENFORCING")),
        ("policy", f"{policy}  {status.digest[:12]}" if policy else "none"),
        ("generation", _generation(status)),
        *(("hook", _hook(hook)) for hook in status.hooks),
        ("devices", f"{status.devices} of at most {status.slots - 1}"),
        ("sessions", _sessions({state.value: count for state, count in status.sessions.items()})),
    ]
    parts = [columns.align(rows)]
    counted = [
        (_DIRECTIONS[direction.name], reason.label, str(count.packets), str(count.bytes))
        for direction, counts in status.counters.items()
        for reason, count in counts.items()
    ]
    if counted:
        parts.append(columns.align(counted, ("direction", "fate", "packets", "bytes")))
    busiest = sorted(status.rule_hits, key=lambda hit: -hit.count.packets)[:_MOST_RULES]
    if busiest:
        hits = [
            (
                str(hit.count.packets),
                hit.rule.action,
                f"{hit.rule.file}:{hit.rule.line}",
                f'"{hit.rule.text}"',
            )
            for hit in busiest
        ]
        parts.append(columns.align(hits, ("packets", "action", "rule", "")))
    return "\n\n".join(parts)


def _generation(status: GateStatus) -> str:
    previous = f", rollback goes to {status.previous}" if status.previous is not None else ""
    return f"{status.generation}{previous}" if status.generation is not None else "none"


def _hook(hook: HookStatus) -> str:
    way = hook.rung.value if hook.rung else "nothing attached"
    dead = "" if hook.alive or not hook.rung else ", but its device is gone"
    refused = "".join(f"; {refusal.rung.value} refused: {refusal.cause}" for refusal in hook.refused)
    return f"{hook.hook.value} by {way}{dead}{refused}"


def _sessions(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "no devices"
