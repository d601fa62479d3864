"""The certificate of an artefact, how it is told, and what a budget does to a compile."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from surveys import MIB
from wardgate.cli import certificate as text
from wardgate.cli.main import main
from wardgate.compiler import Artefact, compile_parsed
from wardgate.compiler.costs import certify, justify
from wardgate.compiler.language import parse_policy_text
from wardgate.compiler.vm.image import Image
from wardgate.runtime.layout.manifest import Certificate, Manifest, Table

OFFICE = """\
version: 1
tunnel: [10.9.0.0/24, "fd09::/64"]
policies:
  "*":
    allow: ["10.0.0.5 80/tcp", "fd00::53 53/any"]
    mfa: ["10.1.0.0/16"]
"""
PAGE = 4096


@pytest.fixture(scope="module")
def artefact() -> Artefact:
    return compile_parsed(parse_policy_text(OFFICE, "office.yaml").policy)


@pytest.fixture
def certificate(artefact: Artefact) -> Certificate:
    assert artefact.manifest.certificate
    return artefact.manifest.certificate


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "office.yaml"
    path.write_text(OFFICE)
    return path


def test_the_artefact_holds_it(artefact: Artefact, certificate: Certificate) -> None:
    stored = Image.from_elf(artefact.data).manifest
    assert stored
    assert Manifest.from_json(stored).certificate == certificate
    again = certify(justify(artefact.lowered.survey, artefact.lowered.plan), artefact.manifest)
    assert again == certificate


def test_tables_have_the_bytes_that_are_certified(artefact: Artefact, certificate: Certificate) -> None:
    sizes = {table.name: len(table.to_bytes()) for table in artefact.lowered.tables}
    assert certificate.table_bytes == sum(sizes.values())
    assert certificate.largest_table == max(sizes.values())
    assert certificate.kernel_table_bytes == sum(PAGE + -(-size // PAGE) * PAGE for size in sizes.values())
    for choice in certificate.choices:
        if not choice.structure.startswith("tunnel"):
            assert choice.bytes == sum(n for name, n in sizes.items() if name.startswith(choice.structure))


def test_what_a_policy_has_not_is_not_certified(certificate: Certificate) -> None:
    assert [path.packet for path in certificate.paths] == [
        f"IPv{version}, {kind}" for version in (4, 6) for kind in ("an allow rule", "an mfa rule", "dropped")
    ]
    only6 = parse_policy_text('{"version": 1, "policies": {"*": {"allow": ["fd00::1"]}}}', "p.json").policy
    manifest = compile_parsed(only6, validate=False).manifest
    assert manifest.certificate
    assert [path.packet for path in manifest.certificate.paths] == ["IPv6, an allow rule", "IPv6, dropped"]
    assert {choice.structure for choice in manifest.certificate.choices} == {"route6", "reach", "judge"}


def test_a_policy_without_rules() -> None:
    nothing = parse_policy_text('{"version": 1, "policies": {}}', "p.json").policy
    manifest = compile_parsed(nothing, validate=False).manifest
    assert manifest.certificate
    assert manifest.certificate.paths == ()
    assert list(text.lines(manifest.certificate))


def test_large_tables_need_a_kernel(artefact: Artefact, certificate: Certificate) -> None:
    assert certificate.linux is None
    decision = justify(artefact.lowered.survey, artefact.lowered.plan)
    for size, linux in ((4 * MIB, None), (4 * MIB + 1, "6.0")):
        table = Table("reach", ".rodata.t_reach", 1, size, "")
        large = certify(decision, replace(artefact.manifest, tables=(table,)))
        assert (large.largest_table, large.linux) == (size, linux)
        assert any("needs Linux 6.0" in line for line in text.lines(large)) == bool(linux)


def test_people_get_it_in_80_columns(certificate: Certificate) -> None:
    lines = list(text.lines(certificate))
    assert max(map(len, lines)) <= 78
    told = "\n".join(lines)
    for choice in certificate.choices:
        assert choice.structure in told
    assert "IPv4, dropped" in told
    assert "map lookups" in told


def test_compile_prints_it(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = policy.with_suffix(".o")
    assert main(["compile", str(policy), "-o", str(output), "--budget", "1MiB", "--json"]) == 0
    printed = capsys.readouterr()
    document = json.loads(printed.out)["certificate"]
    stored = Image.from_elf(output.read_bytes()).manifest
    assert stored
    found = Manifest.from_json(stored).certificate
    assert found
    assert document == json.loads(json.dumps(asdict(found)))
    assert "cost certificate" in printed.err
    assert document["table_bytes"] <= MIB


def test_a_budget_that_nothing_fits(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = policy.with_suffix(".o")
    output.write_bytes(b"older")
    assert main(["compile", str(policy), "-o", str(output), "--budget", "64", "--json"]) == 1
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert not document["ok"]
    assert "the budget is 64 B" in document["message"]
    assert "--budget" in document["remedy"]
    assert {one["code"] for one in document["diagnostics"]} == {"budget"}
    assert {(one["file"], one["line"]) for one in document["diagnostics"]} == {
        ("office.yaml", 5),
        ("office.yaml", 6),
    }
    assert "office.yaml:5:" in printed.err
    assert output.read_bytes() == b"older"
    assert main(["compile", str(policy), "--emit", "tables", "--budget", "64"]) == 1


def test_what_is_no_size(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", str(policy), "--budget", "64MB"]) == 2
    assert "64MiB" in capsys.readouterr().err
