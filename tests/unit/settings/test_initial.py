"""The files of `init`: private, whole or to be made again, and nothing of others' is touched."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest
from wardgate.compiler.language import PolicyError
from wardgate.gateway.errors import ExistsError, GatewayError
from wardgate.gateway.settings import Settings
from wardgate.gateway.settings.initial import Initial, initialise


def made(folder: Path, state: Path, endpoint: str = "vpn.example.org:51820") -> Settings:
    return asyncio.run(initialise(Initial(folder, state, endpoint)))


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["state", "a #b", "a: b", 'a"b\\c', "é x", "{a}", "- a"])
def test_what_is_written_is_private_and_is_what_was_asked_for(tmp_path: Path, name: str) -> None:
    state = tmp_path / "var" / name
    settings = made(tmp_path / "etc", state)
    assert (settings.state, settings.endpoint) == (state, "vpn.example.org:51820")
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert set(modes(tmp_path / "etc").values()) | set(modes(state).values()) == {0o600}
    assert len(modes(state)) == 3
    with pytest.raises(ExistsError):
        made(tmp_path / "etc", state)


def test_a_folder_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(0o755)
    made(tmp_path / "etc", state)
    assert stat.S_IMODE(state.stat().st_mode) == 0o755


@pytest.mark.parametrize("mode", [0o1777, 0o770, 0o702])
def test_a_folder_that_others_write_to_is_refused_and_left_alone(tmp_path: Path, mode: int) -> None:
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(mode)
    with pytest.raises(GatewayError, match="other users may write"):
        made(tmp_path / "etc", state)
    assert (stat.S_IMODE(state.stat().st_mode), modes(state), modes(tmp_path / "etc")) == (mode, {}, {})


def test_what_fails_can_be_done_again_and_keeps_the_keys(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with pytest.raises(PolicyError):
        made(tmp_path / "etc", state, "nonsense")
    name = made(tmp_path / "first", tmp_path / "other").database.name
    database = state / name
    database.mkdir()
    with pytest.raises(Exception, match="cannot be opened"):
        made(tmp_path / "etc", state)
    assert "gateway.yaml" not in modes(tmp_path / "etc")
    database.rmdir()
    keys = {path: path.read_bytes() for path in state.iterdir()}
    assert len(keys) == 2
    made(tmp_path / "etc", state)
    assert {path: path.read_bytes() for path in keys} == keys
