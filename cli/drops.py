"""How an event is shown: a dropped packet, or one that passed, as a line of text and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wardgate.runtime.events import DropEvent


def text(event: DropEvent) -> str:
    """One line: `dropped alice 10.9.0.2 -> 10.1.2.3 22/tcp: needs login, office.yaml:12:12 "lab"`.

    A packet of which nothing but that it passed is to be said has the line of its rule alone.
    """
    who = f"{event.user} " if event.user else ""
    ends = f"{event.source} -> {event.destination} {event.service}" if event.source else "a packet"
    rule = event.rule
    line = f', {rule.file}:{rule.line}:{rule.column} "{rule.text}"' if rule else ""
    more = f" ({event.suppressed} more not shown)" if event.suppressed else ""
    if event.reason.label == "pass":
        return f"passed {who}{ends}{line.replace(', ', ': ', 1)}"
    return f"dropped {who}{ends}: {event.reason.label}{line}{more}"


def document(event: DropEvent) -> dict[str, Any]:
    """The event as `run --json` and `watch --json` print it; docs/json.md describes it."""
    rule = event.rule
    return {
        "event": "pass" if event.reason.label == "pass" else "drop",
        "time": event.time.isoformat(),
        "user": event.user,
        "direction": event.direction.name.lower(),
        "source": str(event.source) if event.source else None,
        "source_port": event.source_port,
        "destination": str(event.destination) if event.destination else None,
        "destination_port": event.destination_port,
        "protocol": event.protocol,
        "service": event.service,
        "length": event.length,
        "reason": event.reason.label,
        "verdict": event.verdict.label,
        "prefix": event.prefix,
        "rule": {"file": rule.file, "line": rule.line, "column": rule.column, "text": rule.text}
        if rule
        else None,
        "suppressed": event.suppressed,
        "generation": event.generation,
    }
