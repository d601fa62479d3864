"""What `gateway init` writes: what was asked for, private, whole, and nothing of others' touched."""

from __future__ import annotations

import asyncio
import stat
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest
from wardgate.cli.main import main
from wardgate.compiler.language import PolicyError, load_policy
from wardgate.gateway.challenges import Sealer
from wardgate.gateway.errors import ExistsError, GatewayError
from wardgate.gateway.service.preparing import read_private_key
from wardgate.gateway.settings import Settings, initial, read_settings
from wardgate.gateway.settings.initial import Initial, initialise


def wanted(folder: Path) -> Initial:
    return Initial(folder / "etc", folder / "state", "vpn.example.org:51820")


def made(what: Initial) -> Settings:
    return asyncio.run(initialise(what)).settings


def test_a_new_gateway_has_all_files_for_its_owner_alone(tmp_path: Path) -> None:
    settings = made(wanted(tmp_path))
    assert settings == read_settings(tmp_path / "etc" / "gateway.yaml")
    files = [settings.file, settings.policy, settings.private_key, settings.sealing_key, settings.database]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert settings.state.stat().st_mode & 0o777 == 0o700
    read_private_key(settings.private_key)
    Sealer.open(settings.sealing_key)
    policy = load_policy(settings.policy).policy
    assert set(policy.tunnel) == {ip_network("10.9.0.0/16"), ip_network("fd09::/64")}


@pytest.mark.parametrize("name", ["a folder", "b: # {x}", 'c"d', "e\\f", "g'h", "- [i", "j, k", "\u00fc"])
def test_paths_are_what_they_are(tmp_path: Path, name: str) -> None:
    what = replace(wanted(tmp_path), folder=tmp_path / name, state=tmp_path / f"{name} state")
    settings = made(what)
    assert settings.state == what.state
    assert settings.policy == what.folder / "policy.yaml"
    assert settings.private_key.exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"endpoint": "vpn.example.org"},
        {"endpoint": 'x", state: "y:1'},
        {"endpoint": "a:1\nstate: /elsewhere"},
        {"interface": "wg.0"},
        {"interface": "wg0\nport: 7"},
        {"endpoint": "vpn.example.org:0"},
    ],
)
def test_what_makes_no_settings_leaves_none(tmp_path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(PolicyError):
        made(replace(wanted(tmp_path), **wrong))  # type: ignore[arg-type]
    assert list((tmp_path / "etc").iterdir()) == list((tmp_path / "state").iterdir()) == []


def test_what_is_there_is_kept(tmp_path: Path) -> None:
    settings = made(wanted(tmp_path))
    kept = {path: path.read_bytes() for path in (settings.file, settings.policy, settings.private_key)}
    with pytest.raises(ExistsError):
        made(wanted(tmp_path))
    settings.file.unlink()
    made(wanted(tmp_path))
    assert {path: path.read_bytes() for path in kept} == kept


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def test_a_folder_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(0o755)
    made(wanted(tmp_path))
    assert stat.S_IMODE(state.stat().st_mode) == 0o755


@pytest.mark.parametrize("mode", [0o1777, 0o770, 0o702])
def test_a_folder_that_others_write_to_is_refused_and_left_alone(tmp_path: Path, mode: int) -> None:
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(mode)
    with pytest.raises(GatewayError, match="other users may write"):
        made(wanted(tmp_path))
    assert (stat.S_IMODE(state.stat().st_mode), modes(state), modes(tmp_path / "etc")) == (mode, {}, {})


def test_what_fails_can_be_done_again_and_keeps_the_keys(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with pytest.raises(PolicyError):
        made(replace(wanted(tmp_path), endpoint="nonsense"))
    name = made(Initial(tmp_path / "first", tmp_path / "other", "vpn.example.org:51820")).database.name
    database = state / name
    database.mkdir()
    with pytest.raises(Exception, match="cannot be opened"):
        made(wanted(tmp_path))
    assert "gateway.yaml" not in modes(tmp_path / "etc")
    database.rmdir()
    keys = {path: path.read_bytes() for path in state.iterdir()}
    assert len(keys) == 2
    made(wanted(tmp_path))
    assert {path: path.read_bytes() for path in keys} == keys


def test_what_was_interrupted_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(initial.Sealer, "create", interrupted)
        with pytest.raises(KeyboardInterrupt):
            made(wanted(tmp_path))
    key = (tmp_path / "state" / "wireguard.key").read_bytes()
    again = asyncio.run(initialise(wanted(tmp_path)))
    assert [one.name for one in again.kept] == ["policy.yaml", "wireguard.key"]
    assert again.settings.private_key.read_bytes() == key
    assert modes(tmp_path / "etc").keys() == {"gateway.yaml", "policy.yaml"}


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
