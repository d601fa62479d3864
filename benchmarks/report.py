"""docs/benchmarks.md and its plots, from a results file: nothing in them is written by hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.bar import cells_of, rows
from benchmarks.competitors import NAMES
from benchmarks.plot import Axis, Series, line_plot

Cells = list[dict[str, Any]]

LETTERS: Final = ("gate", "a", "b", "c", "d")
LABELS: Final = {"gate": "Wardgate", **{letter: f"({letter}) {name}" for letter, name in NAMES.items()}}
_METHOD: Final = Path(__file__).with_name("method.md")
_NS: Final = Axis("added ns a packet, median")


class ReportError(Exception):
    """The results cannot be reported."""


def write(results: dict[str, Any], docs: Path) -> list[Path]:
    """Write the page and its plots below `docs`; the files. ReportError where a part is missing."""
    try:
        plots = _plots(results)
        page = _page(results, list(plots))
    except KeyError as error:
        raise ReportError(f"the results have no {error}: measure again") from None
    folder = docs / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    written = [docs / "benchmarks.md"]
    written[0].write_text(page, encoding="utf-8")
    for name, (_, svg) in plots.items():
        written.append(folder / name)
        written[-1].write_text(svg, encoding="utf-8")
    return written


def _plots(results: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Title and SVG by file name."""
    found: dict[str, tuple[str, str]] = {}
    decisions = results["decisions"]
    for version in (4, 6):
        cells = [c for c in decisions["by_trace"] if c["version"] == version and c["order"] == "uniform"]
        title = f"IPv{version}: cost by distinct packets ({cells[0]['rules']:,} rules)"
        series = [_series(letter, "distinct", cells) for letter in LETTERS]
        svg = line_plot(title, Axis("distinct (device, remote, port) tuples"), _NS, series)
        found[f"cost-by-trace-v{version}.svg"] = (title, svg)
    for version in (4, 6):
        cells = [c for c in decisions["by_rules"] if c["version"] == version]
        hot, cold = min(c["distinct"] for c in cells), max(c["distinct"] for c in cells)
        title = f"IPv{version}: cost by rules ({hot:,} tuples; dashed: {cold:,})"
        series = [
            _series(letter, "rules", [c for c in cells if c["distinct"] == distinct], distinct == cold)
            for letter in LETTERS
            for distinct in (hot, cold)
        ]
        found[f"cost-by-rules-v{version}.svg"] = (title, line_plot(title, Axis("rules"), _NS, series))
    title = f"Kernel memory by rules ({decisions['sizes'][0]['devices']:,} devices)"
    series = [
        Series(
            LABELS[letter],
            sorted((s["rules"], s["bytes"][letter]) for s in decisions["sizes"] if letter in s["bytes"]),
            number,
        )
        for number, letter in enumerate(LETTERS)
    ]
    memory = line_plot(title, Axis("rules"), Axis("bytes of maps and tables", binary=True), series)
    found["bytes-by-rules.svg"] = (title, memory)
    return found


def _series(letter: str, x: str, cells: Cells, dashed: bool = False) -> Series:
    known = [c for c in cells if c["added_ns"].get(letter, {}).get("median", 0) > 0]
    return Series(
        LABELS[letter] + (", cold" if dashed else ""),
        [(c[x], c["added_ns"][letter]["median"]) for c in known],
        LETTERS.index(letter),
        [(max(c["added_ns"][letter]["lower"], 0.1), c["added_ns"][letter]["upper"]) for c in known],
        dashed,
    )


def _page(results: dict[str, Any], plots: Sequence[str]) -> str:
    decisions = results["decisions"]
    plotted = [f"![{name.removesuffix('.svg')}](benchmarks/{name})" for name in plots]
    quick = ["", "**Taken with `--quick`: small policies and few runs. Not to be quoted.**"]
    return "\n".join(
        [
            "<!-- Written by `python -m benchmarks.run --report`; do not edit. -->",
            "# Benchmarks",
            *(quick if results["quick"] else []),
            "",
            _METHOD.read_text(encoding="utf-8"),
            "## The machine",
            "",
            *_machine(results),
            "",
            *_latency(results["latency"]),
            "",
            "## Goals",
            "",
            *_table(("what", "measured", "goal", ""), (cells_of(row) for row in rows(results))),
            "",
            "## Plots",
            "",
            *("\n".join([one, ""]) for one in plotted),
            "## Cost by distinct packets",
            "",
            *_costs(decisions["by_trace"], ("version", "order", "distinct")),
            "",
            "## Cost by rules",
            "",
            *_costs(decisions["by_rules"], ("version", "distinct", "rules")),
            "",
            "## A bucket of 127 rules",
            "",
            *_costs(decisions["full_bucket"], ("version", "distinct")),
            "",
            "## Cost by kind of packet, of the gate",
            "",
            *_costs(decisions["by_kind"], ("version", "protocol", "verdicts", "distinct")),
            "",
            "By XDP in place of tc:",
            "",
            *_costs(decisions["by_xdp"], ("version", "distinct")),
            "",
            *_filters(results["filters"]),
            "## Memory",
            "",
            *_sizes(decisions["sizes"]),
            "",
            "## Compiling",
            "",
            *_compiling(results["compiling"]),
            "",
            "## Changes",
            "",
            *_changes(results["changes"]),
            "",
            "## Real packets over veth",
            "",
            *_packets(results["packets"]),
            "",
        ]
    )


def _machine(results: dict[str, Any]) -> list[str]:
    m = results["machine"]
    caches = ", ".join(f"{level} {size}" for level, size in m["caches"].items())
    virtual = ", a virtual machine" if m["virtual"] else ""
    taken = f"Taken {m['taken']} in {results['seconds']:,} s; load average before: {m['load']:.1f}."
    return [
        f"- {m['processor']}, {m['cpus']} CPUs{virtual}; {caches}; {m['memory_mib']:,} MiB",
        f"- Linux {m['kernel']}, BPF JIT {m['jit']} (hardening {m['jit_harden']})",
        f"- Python {m['python']}, llvmlite {m['llvmlite']}, {m['nftables']}",
        "",
        taken,
    ]


def _latency(found: Cells) -> list[str]:
    names = [f"{one['bytes'] >> 10:,} KiB" for one in found]
    return [
        "A load that waits for the one before, at a random place of an array of this size, by a BPF program",
        "(ns, median and least). A decision beyond the caches costs a number of these.",
        "",
        *_table(
            ["array", *names],
            [
                ["median", *(f"{one['load_ns']['median']:.1f}" for one in found)],
                ["least", *(f"{one['load_ns']['minimum']:.1f}" for one in found)],
            ],
        ),
    ]


def _table(head: Sequence[str], body: Iterable[Sequence[str]]) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |"

    return [line(head), line(["---"] * len(head)), *(line(cells) for cells in body)]


def _figure(one: dict[str, float] | None) -> str:
    if one is None:
        return "-"
    return f"{one['median']:.0f} ({one['minimum']:.0f}, {one['spread']:.0f})"


_WORDS: Final = {"version": "IP", "distinct": "tuples", "verdicts": "rule"}


def _costs(cells: Cells, keys: Sequence[str]) -> list[str]:
    letters = [letter for letter in LETTERS if any(letter in c["added_ns"] for c in cells)]
    head = [*(_WORDS.get(key, key) for key in keys), *(LABELS[letter] for letter in letters)]
    body = (
        [*(_plain(cell[key]) for key in keys), *(_figure(cell["added_ns"].get(letter)) for letter in letters)]
        for cell in cells
    )
    return _table(head, body)


def _plain(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _bytes(value: float) -> str:
    return f"{value / (1 << 20):,.1f} MiB" if value >= 1 << 20 else f"{value / 1024:,.0f} KiB"


def _sizes(sizes: Cells) -> list[str]:
    body = []
    for one in sizes:
        row = [_plain(one[key]) for key in ("rules", "prefixes", "classes", "devices")]
        row += [_bytes(one["bytes"][x]) if x in one["bytes"] else "-" for x in LETTERS]
        body.append(row)
    head = ["rules", "prefixes", "policy classes", "devices", *(LABELS[letter] for letter in LETTERS)]
    refused = [
        f"- {LABELS[letter]}, {one['rules']:,} rules: {why}"
        for one in sizes
        for letter, why in one["refused"].items()
    ]
    return [
        "What the kernel says that maps and tables take (of an LPM trie it counts no inner nodes).",
        "",
        *_table(head, body),
        *(["", "Not measured, because it cannot be made:", "", *refused] if refused else []),
    ]


def _filters(found: Cells) -> list[str]:
    if not found:
        return []
    lines = ["## ClassBench filter sets", ""]
    proved = ", ".join(f"{one['name']} {one['verdicts']:,}" for one in found)
    lines += [f"Each artefact was proved to mean its policy; verdicts that were compared: {proved}.", ""]
    cells = [{**cell, "set": one["name"]} for one in found for cell in one["cells"]]
    lines += _costs(cells, ("set", "rules", "distinct"))
    lines += ["", *_sizes(found), ""]
    return lines


def _compiling(found: Cells) -> list[str]:
    body = [
        [
            f"{c['rules']:,}",
            f"{c['prefixes']:,}",
            f"{c['classes']:,}",
            f"{c['seconds']['median']:.2f} ({c['seconds']['minimum']:.2f})",
            _bytes(c["artefact_bytes"]),
            _bytes(c["table_bytes"]),
            _bytes(c["kernel_bytes"]),
            ", ".join(f"{name} {count:,}" for name, count in c["verified"].items()),
        ]
        for c in found
    ]
    head = ["rules", "prefixes", "policy classes", "seconds (least)", "artefact", "tables",
            f"kernel, {found[0]['devices']:,} devices", "verifier's instructions"]  # fmt: skip
    return [
        "From the policy's file to the artefact, in a process that has compiled before.",
        "",
        *_table(head, body),
    ]


_CHANGES: Final = (
    ("edit_s", "somebody joins the groups that others are in together: from edit to enforced"),
    ("compile_s", "of that, reading, and proving that it is another class of those there are"),
    ("reassign_s", "of that, until it is enforced: one store, and the manifest"),
    ("new_class_s", "somebody joins one group more than anybody: from edit to enforced"),
    ("new_class_compile_s", "of that, compiling"),
    ("swap_s", "of that, loading beside the old policy and switching"),
    ("rollback_s", "going back to a policy that is loaded, through the API"),
    ("switch_s", "of that, the switch of all hooks"),
    ("link_update_s", "the kernel's part of a switch: a link update"),
    ("revoke_call_s", "a session ended through the API, lock and look-ups included"),
)


def _changes(found: dict[str, Any]) -> list[str]:
    body = [
        [words, *(f"{found[key][x] * 1e3:,.3f}" for x in ("median", "minimum", "spread"))]
        for key, words in _CHANGES
    ]
    store = found["revoke_store_ns"] / 1e6
    body.append(["of that, the store that ends it (mean)", f"{store:,.6f}", "-", "-"])
    return [
        f"A live gate with {found['rules']:,} rules and {found['devices']:,} devices; milliseconds.",
        "",
        *_table(("what", "median", "least", "spread"), body),
    ]


def _packets(found: dict[str, Any]) -> list[str]:
    body = []
    for name, bulk in found["bulk"].items():
        small = found["small"][name]
        speed = found["bulk_mib"] * 8.388608e-3 / bulk["taken"]["median"]
        body.append(
            [
                name,
                f"{speed:.1f}",
                f"{bulk['of_none']['median'] * 100:.1f} ({bulk['of_none']['spread'] * 100:.1f})",
                f"{small['taken']['median']:,.0f}",
                f"{small['of_none']['median'] * 100:.1f} ({small['of_none']['spread'] * 100:.1f})",
            ]
        )
    head = ("on the gateway", "bulk TCP, Gbit/s", "% of none (spread)", "datagram, ns", "% of none (spread)")
    refused = [f"- {name}: {why}" for name, why in found["refused"].items()]
    where = "Client, gateway and server are namespaces, joined by veth pairs."
    size = f"{found['rules']:,} rules, {found['devices']:,} devices."
    return [
        f"{where} {size} Ratios are within a round. A datagram's time is that of the whole path, sockets",
        "included. `nftables` judges each packet, as the gate does; with conntrack only those that open.",
        "",
        *_table(head, body),
        *refused,
    ]
