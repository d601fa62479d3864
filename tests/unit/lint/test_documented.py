"""docs/lint.md shows what the command prints, and has every code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from wardgate.cli.main import main
from wardgate.compiler.lint import CODES

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "lint.md").read_text()


def shown() -> list[str]:
    """The outputs on the page, block by block."""
    blocks = re.findall(r"(?:^    .*\n)+", PAGE.split("```yaml", 1)[1].split("```", 1)[1], re.MULTILINE)
    return [re.sub(r"^    ", "", block, flags=re.MULTILINE) for block in blocks]


def test_every_code_has_its_place() -> None:
    titles = [word for line in re.findall(r"^## (.*)$", PAGE, re.MULTILINE) for word in line.split(", ")]
    assert set(CODES) <= set(titles)


def test_findings_are_those_of_the_policy_on_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = PAGE.split("```yaml\n", 1)[1].split("```", 1)[0]
    (tmp_path / "office.yaml").write_text(policy)
    monkeypatch.chdir(tmp_path)
    assert main(["check", "office.yaml", "-v", "--resolve", "wiki.example.org=10.1.0.5"]) == 0
    printed = capsys.readouterr().err
    findings = [block for block in shown() if block.startswith("office.yaml:")]
    assert len(findings) >= len(CODES)
    for block in findings:
        assert block in printed
    assert {code for code in CODES if f"[{code}]" in printed} == set(CODES)


def test_coverage_is_that_of_the_example(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    (block,) = (block for block in shown() if block.startswith("$ wardgate check examples/office.yaml"))
    command, _, output = block.partition("\n")
    assert main(command.split()[2:]) == 0
    assert capsys.readouterr().out == output
