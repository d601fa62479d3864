"""An artefact that a gate runs: what the kernel says of its programs, and what its rules decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from wardgate.cli import columns
from wardgate.cli.failures import SYSTEM_REFUSED, CommandError
from wardgate.cli.gates import open_gate

if TYPE_CHECKING:
    from wardgate.compiler.inspect import Inspection
    from wardgate.runtime.statistics import ProgramStatistics
    from wardgate.runtime.status import GateStatus

_MOST_RULES = 20


@dataclass(frozen=True, slots=True)
class Running:
    """A gate, its programs as the kernel has them, and for how many seconds their runs were counted."""

    status: GateStatus
    programs: Sequence[ProgramStatistics]
    seconds: float

    @classmethod
    def of(cls, inspection: Inspection, name: str | None, seconds: float) -> Running:
        """The gate called `name`, or the only one; CommandError where it runs another artefact."""
        from wardgate.runtime.statistics import read_statistics

        gate = open_gate(name)
        status = gate.status()
        own = inspection.manifest.digest
        if status.digest != own:
            theirs = status.digest[:16] or "none"
            raise CommandError(
                f"gate {status.name} enforces policy {theirs}, the artefact is of {own[:16]}",
                "give the artefact that the gate runs, or wardgate swap to this one",
                SYSTEM_REFUSED,
            )
        programs = read_statistics(gate.name, seconds)
        return cls(gate.status(), programs, seconds)

    def document(self) -> dict[str, Any]:
        """As docs/json.md describes it."""
        return {
            "name": self.status.name,
            "device": self.status.device,
            "generation": self.status.generation,
            "seconds": self.seconds,
            "programs": [{**asdict(one), "hook": one.hook.value} for one in self.programs],
            "rules": [
                {"id": hit.rule.id, "packets": hit.count.packets, "bytes": hit.count.bytes}
                for hit in self.status.rule_hits
            ],
        }

    def text(self) -> str:
        """For people: programs, then the rules that decided most."""
        status = self.status
        rows = [
            (
                one.name,
                f"{one.id}",
                f"{one.slots:,}",
                f"{one.jited:,}",
                f"{one.verified:,}",
                "-" if one.runs is None else f"{one.runs:,}",
                _each(one),
            )
            for one in self.programs
        ]
        header = ("program", "id", "slots", "machine code", "verified", "runs", "ns a run")
        where = f"gate {status.name} on {status.device}, generation {status.generation}"
        parts = [f"{where}; runs counted for {self.seconds:g} s", columns.align(rows, header)]
        hits = sorted(status.rule_hits, key=lambda hit: -hit.count.packets)
        shown = [
            (
                f"{hit.count.packets:,}",
                f"{hit.count.bytes:,}",
                hit.rule.action,
                f'{hit.rule.file}:{hit.rule.line} "{hit.rule.text}"',
            )
            for hit in hits[:_MOST_RULES]
        ]
        if shown:
            parts.append(columns.align(shown, ("packets", "bytes", "action", "rule")))
        if len(hits) > len(shown):
            parts.append(f"and {len(hits) - len(shown):,} rules more")
        return "\n\n".join(parts)


def _each(one: ProgramStatistics) -> str:
    if not one.runs or one.nanoseconds is None:
        return "-"
    return f"{one.nanoseconds / one.runs:.1f}"
