"""Artefacts as other tools see them: libbpf loads them unmodified, readelf has nothing to complain of."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sample_gate import MANIFEST, OFFICE, TABLES, UNIT
from wardgate.compiler.artefact import assemble
from wardgate.compiler.backend import BACKENDS, Backend, build_object


@pytest.fixture(params=BACKENDS)
def artefact(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The sample's artefact, by each backend."""
    backend: Backend = request.param
    path = tmp_path / "gate.o"
    path.write_bytes(assemble(build_object(UNIT, backend=backend).data, TABLES, MANIFEST))
    return path


@pytest.fixture
def pins() -> Iterator[Path]:
    """A folder of pins that is removed at the end."""
    folder = Path("/sys/fs/bpf") / f"wardgate-t{os.getpid()}-artefact"
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def output(*command: str) -> str:
    """What a command prints; its failure fails the test."""
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    return process.stdout


@pytest.mark.tool("readelf")
def test_readelf_has_no_complaint(artefact: Path) -> None:
    process = subprocess.run(["readelf", "-aW", str(artefact)], capture_output=True, text=True, check=True)
    assert process.stderr == ""
    assert "Linux BPF" in process.stdout


@pytest.mark.tool("bpftool")
def test_bpftool_reads_the_types(artefact: Path) -> None:
    types = json.loads(output("bpftool", "-j", "btf", "dump", "file", str(artefact)))["types"]
    sections = {entry["name"]: entry for entry in types if entry["kind"] == "DATASEC"}
    sizes = {name: entry["size"] for name, entry in sections.items()}
    first, second = sorted(sections[".maps"]["vars"], key=lambda variable: variable["offset"])
    assert (first["offset"], second["offset"]) == (0, first["size"])
    assert sizes == {
        ".maps": first["size"] + second["size"],
        ".rodata.config": 16,
        ".rodata.t_narrow": 128,
        ".rodata.t_wide": 64,
        "license": 13,
    }


@pytest.mark.root
@pytest.mark.tool("bpftool")
def test_libbpf_loads_it_unmodified(artefact: Path, pins: Path) -> None:
    output("bpftool", "prog", "loadall", str(artefact), str(pins))
    assert {path.name for path in pins.iterdir()} == {"gate_ingress", "gate_egress", "gate_xdp"}
    listing = output("bpftool", "prog", "dump", "xlated", "pinned", str(pins / "gate_ingress"), "linum")
    assert f"; {OFFICE.splitlines()[3].strip()} [file:office.yaml line_num:4" in listing


@pytest.mark.root
@pytest.mark.tool("bpftool")
def test_the_kernel_has_the_tables(artefact: Path, pins: Path) -> None:
    output("bpftool", "prog", "loadall", str(artefact), str(pins))
    program = json.loads(output("bpftool", "-j", "prog", "show", "pinned", str(pins / "gate_egress")))
    values = {}
    for number in program["map_ids"]:
        entries = json.loads(output("bpftool", "-j", "map", "dump", "id", str(number)))
        shown = json.loads(output("bpftool", "-j", "map", "show", "id", str(number)))
        if shown["type"] == "array" and shown.get("frozen") and entries:
            values[shown["name"]] = bytes(int(byte, 16) for byte in entries[0]["value"])
    assert values[".rodata.t_narro"] == TABLES[".rodata.t_narrow"]
    assert values[".rodata.t_wide"] == TABLES[".rodata.t_wide"]
