"""The goals, and what a results file says of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

Cells = list[dict[str, Any]]

GATE: Final = "gate"


@dataclass(frozen=True, slots=True)
class Row:
    """A goal. `figure` is what was measured, None where these results do not have it; it meets the goal
    if it is at most the limit, or at least, where `at_least` is set. `note`: the least of the runs."""

    what: str
    figure: float | None
    limit: float
    unit: str
    at_least: bool = False
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None: not measured."""
        if self.figure is None:
            return None
        return self.figure >= self.limit if self.at_least else self.figure <= self.limit


def rows(results: dict[str, Any]) -> list[Row]:
    """All goals, in the order of the table."""
    found = results["decisions"]
    return [
        *_hot(found["by_kind"]),
        *_flows(found["by_kind"]),
        *_cold(found["by_trace"]),
        *_flatness(found["by_rules"]),
        *_against(found),
        *_compiling(results["compiling"]),
        *_changes(results["changes"]),
        *_kernel(results["compiling"]),
        _bulk(results["packets"]),
    ]


def find(cells: Cells, **wanted: object) -> dict[str, Any] | None:
    """The first cell with these values."""
    return next((c for c in cells if all(c[name] == value for name, value in wanted.items())), None)


def _median(cell: dict[str, Any] | None, letter: str = GATE) -> float | None:
    if cell is None or letter not in cell["added_ns"]:
        return None
    return float(cell["added_ns"][letter]["median"])


def _least(cell: dict[str, Any] | None, letter: str = GATE) -> str:
    return f"least {cell['added_ns'][letter]['minimum']:.0f}" if cell and letter in cell["added_ns"] else ""


def _hot(cells: Cells) -> Iterator[Row]:
    for version, limit in ((4, 15), (6, 40)):
        for verdict, words in (("allow", "an allow rule"), ("mfa", "an mfa rule, with its session")):
            for distinct in (1, 256):
                cell = find(cells, version=version, protocol="tcp", verdicts=verdict, distinct=distinct)
                what = f"IPv{version} segment, {words}, {distinct} tuple{'s' * (distinct > 1)}"
                yield Row(what, _median(cell), limit, "ns", note=_least(cell))


def _flows(cells: Cells) -> Iterator[Row]:
    for version in (4, 6):
        datagram, segment = (
            _median(find(cells, version=version, protocol=p, verdicts="allow", distinct=256))
            for p in ("udp", "tcp")
        )
        difference = None if datagram is None or segment is None else datagram - segment
        yield Row(f"IPv{version} datagram of a known flow, above a segment", difference, 45, "ns")


def _cold(cells: Cells) -> Iterator[Row]:
    for version, distinct, limit in ((4, 4_096, 30), (4, 1_000_000, 70), (6, 1_000_000, 110)):
        cell = find(cells, version=version, distinct=distinct, order="uniform")
        yield Row(f"IPv{version} segment, {distinct:,} tuples", _median(cell), limit, "ns", note=_least(cell))


def _flatness(cells: Cells) -> Iterator[Row]:
    traces = sorted({cell["distinct"] for cell in cells})
    for version in (4, 6):
        for distinct, limit in zip(traces, (1.5, 2.0), strict=False):
            pair = [
                _median(find(cells, version=version, distinct=distinct, rules=rules))
                for rules in (100_000, 1_000)
            ]
            word = "hot" if distinct == traces[0] else "cold"
            yield Row(f"IPv{version}, 100,000 rules against 1,000, {word}", _ratio(*pair), limit, "x")


def _against(found: dict[str, Any]) -> Iterator[Row]:
    full = found["full_bucket"]
    for distinct, limit, word in ((256, 10, "hot"), (max(c["distinct"] for c in full), 20, "cold")):
        cell = find(full, version=4, distinct=distinct)
        figure = _ratio(_median(cell, "b"), _median(cell))
        yield Row(f"less than (b) at 127 rules, {word} ({distinct:,} tuples)", figure, limit, "x", True)
    for letter, limit in (("a", 10), ("c", 20)):
        ratios = [
            _ratio(_median(cell, letter), _median(cell))
            for cell in found["by_trace"]
            if cell["version"] == 4 and cell["distinct"] >= 4_096 and cell["order"] == "uniform"
        ]
        known = [ratio for ratio in ratios if ratio is not None]
        figure = min(known) if known else None
        yield Row(f"less than ({letter}) at 4,096 tuples and more, IPv4", figure, limit, "x", True)


def _ratio(over: float | None, under: float | None) -> float | None:
    return None if over is None or not under or under <= 0 else over / under


def _compiling(found: Cells) -> Iterator[Row]:
    for rules, limit in ((10_000, 2), (100_000, 15)):
        cell = find(found, rules=rules)
        figure = cell["seconds"]["median"] if cell else None
        yield Row(f"compile {rules:,} rules to an artefact", figure, limit, "s")


def _changes(found: dict[str, Any]) -> Iterator[Row]:
    at_size = found["rules"] == 10_000
    for key, words in (("edit_s", "whose class is there"), ("new_class_s", "which needs a new class")):
        figure = found[key]["median"] * 1e3 if at_size else None
        yield Row(f"a group edit at 10,000 rules, {words}, enforced", figure, 100, "ms")
    yield Row("the switch to another generation", found["switch_s"]["median"] * 1e3, 1, "ms")
    yield Row("revoking a session: the store", found["revoke_store_ns"] / 1e3, 1, "us")


def _kernel(found: Cells) -> Iterator[Row]:
    for rules, limit in ((10_000, 32), (100_000, 128)):
        cell = find(found, rules=rules, devices=100_000)
        figure = cell["kernel_bytes"] / (1 << 20) if cell else None
        yield Row(f"memory, 100,000 devices, {rules:,} rules", figure, limit, "MiB")
    counts = [max(cell["verified"].values()) for cell in found]
    yield Row("instructions that the verifier processes, at most", max(counts), 5_000, "")
    spread = max(counts) / min(counts)
    # Masks and strides are constants of a policy, so that counts may differ by a few.
    yield Row("the same, of all numbers of rules the most against the least", spread, 1.05, "x")


def _bulk(found: dict[str, Any]) -> Row:
    tcx = found["bulk"].get("tcx")
    figure = tcx["of_none"]["median"] * 100 if tcx else None
    return Row("bulk TCP by TCX, of no gate", figure, 97, "%", True)


def table(found: Iterable[Row], line: Callable[[list[str]], str] | None = None) -> str:
    """The goals as text; `line` makes a line of cells."""
    shape = line or (lambda cells: f"{cells[0]:62}{cells[1]:>12}{cells[2]:>14}  {cells[3]}")
    return "\n".join(shape(cells_of(row)) for row in found)


def cells_of(row: Row) -> list[str]:
    """A row's texts: what, measured, goal, met and note."""
    figure = "not measured" if row.figure is None else f"{row.figure:,.{_digits(row)}f} {row.unit}".strip()
    sign = ">=" if row.at_least else "<="
    met = {None: "", True: "met", False: "missed"}[row.met]
    return [row.what, figure, f"{sign} {row.limit:,g} {row.unit}".strip(), f"{met} {row.note}".strip()]


def _digits(row: Row) -> int:
    if row.unit in ("x", "s", "ms", "us", "%"):
        return 2
    return 0
