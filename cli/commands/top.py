"""`wardgate top`: what a gate's rules decide right now, and which of them decide nothing."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
from wardgate.cli import columns, options
from wardgate.cli.console import Console
from wardgate.cli.gates import open_gate
from wardgate.cli.watching import until_stopped
from wardgate.runtime.layout import durations

if TYPE_CHECKING:
    from wardgate.runtime.activity import Activity, Rate, Rates
    from wardgate.runtime.gate import Gate
    from wardgate.runtime.layout.manifest import RuleSource
    from wardgate.runtime.status import Count

_NS = 1_000_000_000
_CLEAR = "\x1b[H\x1b[J"
"""Cursor to the top left, and clear from there on (ECMA-48)."""
_MOST_RULES = 20
_DIRECTIONS = {"FROM_DEVICE": "from devices", "TO_DEVICE": "to devices"}


@click.command("top")
@click.option(
    "--interval", "seconds", metavar="DURATION", default="2s", show_default=True,
    callback=options.as_duration, help="How long to count before the next picture.",
)  # fmt: skip
@click.option("--once", is_flag=True, help="Show the totals once, and no rates.")
@click.option("--uncovered", is_flag=True, help="Show the rules that decided nothing yet, once.")
@options.gate_name
@options.common
@options.pass_console
def top_command(console: Console, seconds: int, once: bool, uncovered: bool, name: str | None) -> None:
    """Show what a gate's rules decide, the busiest first, and what is dropped, until Ctrl-C.

    With --uncovered: the rules that no packet has met since the policy was loaded. Whether a rule could ever
    be met is said by `wardgate check`.
    """
    if once and uncovered:
        raise click.UsageError("--uncovered shows its list once anyway")
    gate = open_gate(name)
    if uncovered:
        _show_uncovered(console, gate.activity())
        return
    if once:
        found = gate.activity()
        if console.json:
            console.document(_document(found, None))
        else:
            console.text("\n".join(_picture(found, None, math.inf)))
        return
    console.stream = True
    with until_stopped():
        _follow(console, gate, seconds)


def _follow(console: Console, gate: Gate, seconds: int) -> None:
    from wardgate.runtime.activity import rates

    before = gate.activity()
    screen = sys.stdout.isatty()
    if screen and not console.json:
        sys.stdout.write(_CLEAR + "\n".join(_picture(before, None, _height())) + "\n")
        sys.stdout.flush()
    while True:
        time.sleep(seconds)
        after = gate.activity()
        grown = rates(before, after)
        if console.json:
            console.line(_document(after, grown))
        else:
            lines = _picture(after, grown, _height() if screen else math.inf)
            sys.stdout.write((_CLEAR if screen else "") + "\n".join(lines) + ("\n" if screen else "\n\n"))
            sys.stdout.flush()
        before = after


def _height() -> int:
    import shutil

    return shutil.get_terminal_size((80, 24)).lines


def _since(found: Activity) -> str:
    passed = durations.show(int((datetime.now(UTC) - found.loaded).total_seconds() * _NS))
    return f"since {found.loaded:%Y-%m-%d %H:%M:%S} UTC ({passed})"


def _show_uncovered(console: Console, found: Activity) -> None:
    rules = found.uncovered
    if console.json:
        console.document(
            {
                **_head(found),
                "rules": len(found.rules),
                "uncovered": [_rule_document(rule) for rule in rules],
            }
        )
        return
    count = f"{len(rules)} of {len(found.rules)} rules decided nothing {_since(found)}"
    console.text(f"{found.name}: {count}")
    if rules:
        rows = [(f"{rule.file}:{rule.line}", _whose(rule), rule.action, f'"{rule.text}"') for rule in rules]
        console.text("\n" + columns.align(rows, ("rule", "of", "action", "")))


def _whose(rule: RuleSource) -> str:
    side = ", inbound" if rule.inbound else ""
    return f"{'everyone' if rule.policy == '*' else rule.policy}{side}"


def _picture(found: Activity, grown: Rates | None, height: float) -> list[str]:
    """The lines of a screen of so many lines."""
    lines = [f"{found.name} on {found.device}, generation {found.generation}, {_since(found)}", ""]
    fates = list(_fates(found, grown))
    if fates:
        lines += columns.align(fates, ("direction", "fate", *_HEADS[: 4 if grown else 2])).splitlines()
        lines.append("")
    busiest = sorted(
        (hit for hit in found.rules if hit.count.packets),
        key=lambda hit: (-(grown.rules[hit.rule.id].packets if grown else 0), -hit.count.packets),
    )
    room = max(min(height - len(lines) - 3, _MOST_RULES), 1)
    shown = busiest if math.isinf(room) else busiest[: int(room)]
    rows = [
        (
            *_numbers(hit.count, grown.rules[hit.rule.id] if grown else None),
            hit.rule.action,
            f"{hit.rule.file}:{hit.rule.line}",
            f'"{hit.rule.text}"',
        )
        for hit in shown
    ]
    if found.unruled.packets:
        rows.append((*_numbers(found.unruled, grown.unruled if grown else None), "-", "no rule", ""))
    if rows:
        heads = (*_HEADS[: 4 if grown else 2], "action", "rule", "")
        lines += columns.align(rows, heads).splitlines()
    idle = len(found.uncovered)
    lines.append(
        f"{idle} of {len(found.rules)} rules decided nothing" if idle else "every rule decided something"
    )
    return lines


_HEADS = ("packets", "bytes", "packets/s", "bytes/s")


def _numbers(count: Count, rate: Rate | None) -> tuple[str, ...]:
    totals = (str(count.packets), str(count.bytes))
    return (*totals, f"{rate.packets:.1f}", f"{rate.bytes:.0f}") if rate else totals


def _fates(found: Activity, grown: Rates | None) -> Iterator[tuple[str, ...]]:
    for direction, counts in found.counters.items():
        for reason, count in counts.items():
            rate = grown.counters[direction][reason] if grown else None
            yield _DIRECTIONS[direction.name], reason.label, *_numbers(count, rate)


def _head(found: Activity) -> dict[str, Any]:
    return {
        "name": found.name,
        "device": found.device,
        "generation": found.generation,
        "since": found.loaded.isoformat(timespec="seconds"),
    }


def _rule_document(rule: RuleSource) -> dict[str, Any]:
    return {
        "file": rule.file,
        "line": rule.line,
        "column": rule.column,
        "text": rule.text,
        "action": rule.action,
        "policy": rule.policy,
        "inbound": rule.inbound,
    }


def _document(found: Activity, grown: Rates | None) -> dict[str, Any]:
    """A picture as JSON; docs/json.md describes it."""

    def counted(count: Count, rate: Rate | None) -> dict[str, Any]:
        totals: dict[str, Any] = {"packets": count.packets, "bytes": count.bytes}
        if rate is not None:
            totals["packets_per_second"] = round(rate.packets, 3)
            totals["bytes_per_second"] = round(rate.bytes, 3)
        return totals

    return {
        **_head(found),
        "seconds": round(grown.seconds, 3) if grown else None,
        "counters": {
            direction.name.lower(): {
                reason.label: counted(count, grown.counters[direction][reason] if grown else None)
                for reason, count in counts.items()
            }
            for direction, counts in found.counters.items()
        },
        "rules": [
            {
                **_rule_document(hit.rule),
                **counted(hit.count, grown.rules[hit.rule.id] if grown else None),
            }
            for hit in found.rules
        ],
        "unruled": counted(found.unruled, grown.unruled if grown else None),
    }
