"""The page and its plots: made of the results alone, whatever these have or lack."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import bar, run
from benchmarks.plot import Axis, Series, line_plot
from benchmarks.report import ReportError, write
from benchmarks.sampling import Summary

SVG = "{http://www.w3.org/2000/svg}"


def summary(value: float) -> dict:
    return Summary.of([value - 1, value, value + 1]).to_json()


def cell(version: int, distinct: int, rules: int = 1_000, **more: object) -> dict:
    costs = {"gate": 10.0, "a": 200.0, "b": 300.0, "c": 400.0}
    return {
        "version": version, "distinct": distinct, "order": "uniform", "protocol": "tcp", "verdicts": "mixed",
        "hook": "tc", "rules": rules, "prefixes": 5, "classes": 5, "devices": 100, "packets_a_run": 10,
        "empty_ns": summary(30), "added_ns": {letter: summary(ns) for letter, ns in costs.items()}, **more,
    }  # fmt: skip


@pytest.fixture
def results() -> dict:
    both = (4, 6)
    sizes = {"prefixes": 5, "classes": 5, "devices": 100}
    memory = {"gate": 1 << 20, "a": 1 << 21}
    change = {
        name: summary(2)
        for name in (
            "edit_s", "compile_s", "reassign_s", "new_class_s", "new_class_compile_s", "swap_s",
            "rollback_s", "switch_s", "link_update_s", "revoke_call_s",
        )
    }  # fmt: skip
    guard = {"taken": summary(2), "of_none": Summary.of([0.98, 0.99, 1.0]).to_json()}
    return {
        "format": run.FORMAT, "quick": False, "seconds": 60,
        "machine": {
            "processor": "a processor", "cpus": 2, "virtual": True, "caches": {"L1": "32K"},
            "memory_mib": 1_000, "kernel": "6.18", "jit": "1", "jit_harden": "0", "python": "3.11",
            "wardgate": "0.1", "llvmlite": "0.50", "nftables": "nftables v1",
            "taken": "2026-01-01T00:00:00+00:00", "load": 0.1,
        },
        "decisions": {
            "by_trace": [cell(v, n) for v in both for n in (1, 4_096, 1_000_000)],
            "by_kind": [
                cell(v, n, protocol=p, verdicts=w)
                for v in both for n in (1, 256) for p in ("tcp", "udp") for w in ("allow", "mfa")
            ],
            "by_xdp": [cell(v, 1, hook="xdp") for v in both],
            "by_rules": [
                cell(v, n, rules) for v in both for n in (256, 65_536) for rules in (1_000, 100_000)
            ],
            "full_bucket": [cell(v, n) for v in both for n in (256, 1_000_000)],
            "sizes": [
                {"rules": 10, **sizes, "bytes": memory, "refused": {"d": "too long"}},
                {"rules": 1_000, **sizes, "bytes": memory, "refused": {}},
            ],
        },
        "filters": [],
        "latency": [{"bytes": 1 << 20, "load_ns": summary(20)}],
        "compiling": [
            {"rules": rules, "prefixes": 5, "classes": 5, "devices": 100_000, "seconds": summary(3),
             "artefact_bytes": 1_000, "table_bytes": 900, "kernel_bytes": 1 << 24,
             "verified": {"gate_ingress": 4_000}}
            for rules in (10_000, 100_000)
        ],
        "changes": {"rules": 10_000, "devices": 100, **change, "revoke_store_ns": 300.0},
        "packets": {
            "rules": 10, "devices": 5, "bulk_mib": 4, "refused": {"nftables": "not installed"},
            "bulk": {"none": guard, "tcx": guard}, "small": {"none": guard, "tcx": guard},
        },
    }  # fmt: skip


def test_goals_are_met_or_missed_by_the_figures(results) -> None:
    found = {row.what: row for row in bar.rows(results)}
    assert found["IPv4 segment, an allow rule, 1 tuple"].met
    assert found["compile 10,000 rules to an artefact"].met is False
    assert found["compile 100,000 rules to an artefact"].met
    assert found["less than (b) at 127 rules, hot (256 tuples)"].figure == pytest.approx(30)
    assert found["less than (c) at 4,096 tuples and more, IPv4"].met
    assert found["IPv4, 100,000 rules against 1,000, cold"].figure == pytest.approx(1)
    assert found["memory, 100,000 devices, 10,000 rules"].figure == 16
    assert found["bulk TCP by TCX, of no gate"].met
    assert all(row.met is not None for row in found.values())


def test_a_goal_without_a_figure_is_neither(results) -> None:
    results["decisions"]["by_trace"] = [cell(4, 1), cell(6, 1)]
    results["compiling"] = results["compiling"][:1]
    found = {row.what: row for row in bar.rows(results)}
    assert found["IPv4 segment, 1,000,000 tuples"].met is None
    assert found["compile 100,000 rules to an artefact"].met is None
    assert "not measured" in bar.table(found.values())


def test_a_competitor_that_was_refused_has_no_ratio(results) -> None:
    for one in results["decisions"]["full_bucket"]:
        del one["added_ns"]["b"]
    row = next(row for row in bar.rows(results) if "127 rules, hot" in row.what)
    assert row.figure is None


def test_the_page_and_its_plots(results, tmp_path: Path) -> None:
    written = write(results, tmp_path)
    page = (tmp_path / "benchmarks.md").read_text()
    for path in written[1:]:
        assert f"(benchmarks/{path.name})" in page
        assert ElementTree.parse(path).getroot().tag == f"{SVG}svg"  # noqa: S314 - our own file
    assert "a processor" in page
    assert "(d) chain of comparisons, 10 rules: too long" in page
    assert "nftables: not installed" in page
    assert "--quick" not in page.split("## The machine")[0].split("## How")[0]
    widths = {line.count("|") for line in page.split("## Goals")[1].split("## Plots")[0].splitlines() if line}
    assert widths == {5}


def test_the_same_results_give_the_same_bytes(results, tmp_path: Path) -> None:
    first = [path.read_bytes() for path in write(results, tmp_path / "one")]
    second = [path.read_bytes() for path in write(copy.deepcopy(results), tmp_path / "two")]
    assert first == second


def test_filter_sets_and_quick_runs_are_named(results, tmp_path: Path) -> None:
    results["quick"] = True
    sizes = results["decisions"]["sizes"][0]
    results["filters"] = [{"name": "acl_sample", "verdicts": 12_345, "cells": [cell(4, 256)], **sizes}]
    write(results, tmp_path)
    page = (tmp_path / "benchmarks.md").read_text()
    assert "acl_sample" in page
    assert "Not to be quoted" in page


def test_results_that_lack_a_part_are_an_error(results, tmp_path: Path, capsys) -> None:
    del results["packets"]
    with pytest.raises(ReportError, match="packets"):
        write(results, tmp_path)
    path = tmp_path / "results.json"
    for text in ("{", json.dumps({"format": 99}), json.dumps(results)):
        path.write_text(text)
        assert run.main(["--report", str(path)]) == 1
        assert "cannot report" in capsys.readouterr().err
    assert run.main(["--report", str(tmp_path / "absent.json")]) == 1


def test_an_absent_filter_set_is_a_usage_error(capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        run.main(["--quick", "--filters", "/nonexistent/filters"])
    assert stopped.value.code == 2
    assert "/nonexistent/filters" in capsys.readouterr().err


def test_a_plot_puts_larger_values_higher_and_names_lines() -> None:
    series = [
        Series("<one> & more", [(1, 10), (10, 400)], 0, ranges=[(9, 12), (300, 500)]),
        Series("none", [], 1),
    ]
    root = ElementTree.fromstring(line_plot("a < b", Axis("x"), Axis("y"), series))  # noqa: S314 - our own text
    circles = [(float(c.get("cx")), float(c.get("cy"))) for c in root.iter(f"{SVG}circle")]
    assert circles[0][0] < circles[1][0]
    assert circles[0][1] > circles[1][1]
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert {"a < b", "<one> & more", "10", "500", "x", "y"} <= set(texts)
    assert "none" not in texts


def test_a_single_point_and_bytes_can_be_plotted() -> None:
    text = line_plot("t", Axis("x"), Axis("y", binary=True), [Series("s", [(5, 3 << 20)], 0)])
    labels = {one.text for one in ElementTree.fromstring(text).iter(f"{SVG}text")}  # noqa: S314
    assert {"1 MiB", "4 MiB"} <= labels
