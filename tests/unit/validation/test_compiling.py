"""`compile` proves what it made, unless it is told not to, and writes nothing that is wrong."""

from __future__ import annotations

import ast
import json
import struct
from collections.abc import Mapping
from pathlib import Path

import pytest
from validated_policies import OFFICE
from wardgate.cli.main import main
from wardgate.compiler import compile as compiling
from wardgate.compiler import compile_policy
from wardgate.compiler.artefact import assemble, read_sections
from wardgate.compiler.validation import ValidationError, validate
from wardgate.runtime.layout.manifest import Manifest

ROOT = Path(__file__).resolve().parents[3]
ENCODERS = ("lowering", "codegen", "compile", "artefact.describe", "artefact.assemble")
TABLE = ".rodata.t_judge"


def deciding(manifest: Manifest, tables: Mapping[str, bytes]) -> int:
    """Where the table has what a bucket, with a single rule of everyone's, decides of the first class of
    services: that it is allowed."""
    bucket = next(b for b in manifest.buckets if b.prefix == "192.0.2.0/25" and len(b.rules) == 1)
    (record,) = struct.unpack_from("<Q", tables[".rodata.t_buckets"], 8 * bucket.id)
    place = (record >> 32) * manifest.parameters["judge_width"]
    assert tables[TABLE][place] == 1
    return place


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "office.yaml"
    path.write_text(OFFICE)
    return path


@pytest.fixture
def wrong_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler that gets a verdict wrong between its tables and the finished object."""

    def with_a_wrong_verdict(
        obj: bytes, tables: Mapping[str, bytes], manifest: Manifest, described: bytes
    ) -> bytes:
        content = bytearray(tables[TABLE])
        content[deciding(manifest, tables)] ^= 2
        return assemble(obj, {**tables, TABLE: bytes(content)}, manifest, described)

    monkeypatch.setattr(compiling, "assemble", with_a_wrong_verdict)


def test_what_is_proved_of_a_whole_artefact(policy: Path) -> None:
    artefact = compile_policy(policy)
    assert artefact.validation == validate(artefact.data, artefact.lowered.policy)
    assert artefact.validation is not None
    assert artefact.validation.classes == 4
    assert artefact.validation.directions == 2
    assert artefact.validation.verdicts > 10_000
    assert compile_policy(policy, validate=False).validation is None


def test_an_entry_of_the_finished_bytes(policy: Path) -> None:
    artefact = compile_policy(policy)
    sections = read_sections(artefact.data)
    at = artefact.data.index(sections[TABLE]) + deciding(artefact.manifest, sections)
    damaged = bytearray(artefact.data)
    damaged[at] ^= 2
    with pytest.raises(ValidationError) as caught:
        validate(bytes(damaged), artefact.lowered.policy)
    witness = caught.value.witness
    assert witness is not None
    assert (str(witness.first), str(witness.last)) == ("192.0.2.0", "192.0.2.127")


@pytest.mark.usefixtures("wrong_compiler")
def test_an_artefact_that_is_wrong_is_not_written(
    policy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "office.o"
    assert main(["compile", str(policy), "-o", str(output)]) == 3
    assert not output.exists()
    error = capsys.readouterr().err
    assert "cannot validate any user whom the policy does not name, to " in error
    assert "the artefact says bucket 192.0.2.0/25 with rules [4], deny by rule 4 (" in error
    assert "the policy bucket 192.0.2.0/25 with rules [4], allow by rule 4 (" in error
    assert "Traceback" not in error
    with pytest.raises(ValidationError):
        compile_policy(policy)


@pytest.mark.usefixtures("wrong_compiler")
def test_not_to_validate_is_loud(policy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "office.o"
    assert main(["compile", str(policy), "-o", str(output), "--no-validate", "--json"]) == 0
    captured = capsys.readouterr()
    assert "warning: NOT VALIDATED" in captured.err
    assert json.loads(captured.out)["validation"] is None
    assert output.exists()


def test_what_was_proved_is_said(policy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", str(policy), "-o", str(tmp_path / "office.o"), "--json"]) == 0
    captured = capsys.readouterr()
    proved = json.loads(captured.out)["validation"]
    product = proved["classes"] * proved["directions"]
    product *= proved["destination_intervals"] * proved["service_intervals"]
    assert proved["verdicts"] == product
    assert f"validated: {product:,} verdicts" in captured.err
    assert "NOT VALIDATED" not in captured.err


def test_the_proof_shares_no_code_with_what_it_proves() -> None:
    for path in (ROOT / "compiler" / "validation").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = (
                [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            )
            module = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
            for name in (module, *names, *(f"{module}.{name}" for name in names)):
                assert not name.startswith(tuple(f"wardgate.compiler.{part}" for part in ENCODERS)), path
