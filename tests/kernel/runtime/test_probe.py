"""Features, by trying them on this kernel."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from bpf_objects import bpf_fds
from wardgate.runtime.errors import UnsupportedError
from wardgate.runtime.layout import features
from wardgate.runtime.probe import Feature, FeatureReport, probe

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def report() -> FeatureReport:
    return probe()


@pytest.mark.parametrize(
    "name", [*features.ARTEFACT_FEATURES, features.PROGRAM_TC, features.PROGRAM_XDP, features.FUNCTION_INFO]
)
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


def test_only_what_is_asked_for_is_tried() -> None:
    assert [feature.name for feature in probe([features.BTF])] == [features.BTF]
    with pytest.raises(UnsupportedError, match="newer release"):
        probe(["flying"])
