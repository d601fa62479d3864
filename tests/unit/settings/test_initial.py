"""The files of a new gateway: whatever was interrupted is done again, and nothing is replaced."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from wardgate.cli.main import main
from wardgate.gateway.errors import ExistsError
from wardgate.gateway.settings import initial, read_settings
from wardgate.gateway.settings.initial import Initial, initialise


def make(folder: Path, state: str = "state") -> initial.Made:
    return asyncio.run(initialise(Initial(folder, folder / state, "vpn.example.org:51000")))


def test_every_file_is_there_once(tmp_path: Path) -> None:
    made = make(tmp_path)
    assert (len(made.written), made.kept) == (5, [])
    assert {path.stat().st_mode & 0o777 for path in made.written} == {0o600}
    settings = read_settings(tmp_path / "gateway.yaml")
    assert (settings, settings.port) == (made.settings, 51_000)
    with pytest.raises(ExistsError):
        make(tmp_path)
    assert {one.name for one in tmp_path.iterdir()} == {"gateway.yaml", "policy.yaml", "state"}


def test_what_was_interrupted_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(initial.Sealer, "create", interrupted)
        with pytest.raises(KeyboardInterrupt):
            make(tmp_path)
    key = (tmp_path / "state" / "wireguard.key").read_bytes()
    made = make(tmp_path)
    assert [one.name for one in made.kept] == ["policy.yaml", "wireguard.key"]
    assert made.settings.private_key.read_bytes() == key
    assert {one.name for one in tmp_path.iterdir()} == {"gateway.yaml", "policy.yaml", "state"}


@pytest.mark.parametrize("name", ['a "b" #c', "a: b", "[x]", "a\\b", "\u00fc"])
def test_whatever_the_folder_is_called(tmp_path: Path, name: str) -> None:
    assert make(tmp_path, name).settings.state == tmp_path / name


@pytest.mark.parametrize(
    "options",
    [
        ("--endpoint", "vpn.example.org"), ("--endpoint", "vpn:99999"), ("--endpoint", 'a"b:1'),
        ("--interface", "wg.0"), ("--interface", "a b"), ("--address", "10.0.0.0/8"),
        ("--address", "10.9.0.1/16", "--address", "10.8.0.1/16"),
    ],
)  # fmt: skip
def test_wrong_options_are_usage_and_write_nothing(tmp_path, capsys, options) -> None:
    words = ["gateway", "init", "--folder", str(tmp_path / "a"), "--state", str(tmp_path / "b")]
    endpoint = [] if "--endpoint" in options else ["--endpoint", "vpn:1"]
    assert main([*words, *endpoint, *options]) == 2
    assert options[0] in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
