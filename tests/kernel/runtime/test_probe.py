"""Features, by trying them on this kernel."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from bpf_objects import bpf_fds
from wardgate.runtime import probe as probing
from wardgate.runtime.errors import UnsupportedError
from wardgate.runtime.probe import Feature, FeatureReport, probe

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def report() -> FeatureReport:
    return probe()


@pytest.mark.parametrize(
    "name",
    [
        probing.BTF, probing.FUNCTION_INFO, probing.PROGRAM_TC, probing.PROGRAM_XDP, probing.BOOT_CLOCK,
        probing.RING_BUFFER, probing.GLOBAL_DATA, probing.MMAPABLE, probing.BATCH, probing.TEST_RUN,
    ],
)  # fmt: skip
def test_what_every_supported_kernel_has(report: FeatureReport, name: str) -> None:
    assert report[name].present, report[name].evidence


def test_every_feature_has_evidence(report: FeatureReport) -> None:
    assert all(feature.evidence for feature in report)
    assert len({feature.name for feature in report}) == len(list(report))


def test_links_are_tried_away_from_this_machines_traffic() -> None:
    before, threads = bpf_fds(), threading.active_count()
    namespace = Path("/proc/self/ns/net").readlink()
    links = _links()
    probe()
    assert Path("/proc/self/ns/net").readlink() == namespace
    assert (bpf_fds(), threading.active_count()) == (before, threads)
    assert _links() == links


def _links() -> str:
    lines = Path("/proc/net/dev").read_text().splitlines()
    return "\n".join(line.split(":")[0] for line in lines)


def test_what_is_absent_is_named() -> None:
    report = FeatureReport(
        (
            Feature("tcx link", False, "attach: EINVAL"),
            Feature("xdp link", None, "not tried"),
            Feature("btf", True, ""),
        )
    )
    report.require("xdp link", "btf")
    with pytest.raises(UnsupportedError, match="lacks tcx link \\(attach: EINVAL\\)"):
        report.require("btf", "tcx link")
    with pytest.raises(KeyError):
        report["flying"]
