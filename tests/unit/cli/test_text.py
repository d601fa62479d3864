"""Durations, tables and files: the small things that every command uses."""

import os
import stat
from pathlib import Path

import pytest
from wardgate.cli import columns, outfile
from wardgate.cli.console import Console
from wardgate.runtime.layout import durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("10m", 600), ("2h", 7200), ("1d", 86_400), ("1h30m", 5400), ("1d2h3m4s", 93_784)],
)
def test_durations(text, seconds):
    assert durations.parse(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "m", "-1m", "1.5h", "30m1h", "0s", "10 m", "٣m", "9999d", "1w"])
def test_not_durations(text):
    with pytest.raises(ValueError, match=r"duration|between"):
        durations.parse(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (-5, "0s"), (59.9, "59s"), (600, "10m"), (599, "9m59s"), (3_661, "1h1m"), (90_061, "1d1h")],
)
def test_durations_shown(seconds, text):
    assert durations.show(int(seconds * 1e9)) == text


def test_columns_align_and_fit():
    text = columns.align([("a", "10", "x" * 200), ("bcd", "7", "short")], ("name", "n", "text"), 40)
    first, second, third = text.splitlines()
    assert first == "name  n   text"
    assert len(second) == 40
    assert second.endswith("…")
    assert third == "bcd   7   short"


def test_no_rows_are_no_text():
    assert columns.align([]) == ""


def test_write_is_whole_or_not_at_all(tmp_path, monkeypatch):
    target = tmp_path / "out.o"
    target.write_bytes(b"old")
    target.chmod(0o640)
    outfile.write(target, b"new")
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640

    def fail(_fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        outfile.write(target, b"newer")
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_new_file_has_the_usual_mode(tmp_path):
    before = os.umask(0o027)
    try:
        outfile.write(tmp_path / "out.o", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out.o").stat().st_mode) == 0o640


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    link = tmp_path / "link"
    link.symlink_to("real")
    outfile.write(link, b"new")
    assert link.is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_a_device_is_written_to():
    null = Path(os.devnull)
    outfile.write(null, b"x")
    assert stat.S_ISCHR(null.stat().st_mode)


def test_very_many_warnings_are_cut_short(capsys: pytest.CaptureFixture[str]) -> None:
    texts = [f"w{number}" for number in range(1, 31)]
    Console().warnings(texts[:20])
    assert capsys.readouterr().err.split() == texts[:20]
    Console().warnings(texts)
    told = capsys.readouterr().err.splitlines()
    assert told == [*texts[:20], "warning: 10 more like these; --verbose shows them all"]
    Console(verbose=True).warnings(texts)
    assert capsys.readouterr().err.split() == texts
