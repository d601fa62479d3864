"""What a start looks at before it changes anything: the machine, and the gateway's key."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from wardgate.gateway.errors import GatewayError
from wardgate.gateway.network.preflight import Check, Wanted
from wardgate.gateway.service import preparing
from wardgate.gateway.service.preparing import NotReadyError, read_private_key
from wardgate.gateway.settings import Settings, read_settings
from wardgate.gateway.wireguard import PrivateKey

KEY = PrivateKey(bytes([3] * 32))
LEAST = "addresses: [10.9.0.1/16, 'fd09::1/64']\nendpoint: vpn.example.org:51820\n"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "wire guard.key"
    path.write_text(f"{KEY.reveal()}\n")
    path.chmod(0o600)
    return path


def test_a_key_that_only_its_owner_may_read(key_file: Path) -> None:
    assert read_private_key(key_file) == KEY


def given_to(path: Path) -> None:
    os.chown(path, 65_534, -1)


@pytest.mark.root
def test_a_key_that_is_somebody_elses_is_not_used(key_file: Path) -> None:
    given_to(key_file)
    with pytest.raises(GatewayError, match="others may read it") as caught:
        read_private_key(key_file)
    assert f"chown root '{key_file}'; chmod 600 '{key_file}'" in caught.value.remedy


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610])
def test_a_key_that_others_may_have_read_is_not_used(key_file: Path, mode: int) -> None:
    key_file.chmod(mode)
    with pytest.raises(GatewayError, match="others may read it"):
        read_private_key(key_file)


def as_link(path: Path) -> None:
    path.rename(path.with_suffix(".other"))
    path.symlink_to(path.with_suffix(".other"))


def as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir(0o700)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda path: path.unlink(), "No such file"),
        (as_link, "symbolic links"),
        (as_pipe, "it is no file"),
        (as_folder, "Is a directory"),
        (lambda path: path.write_text(""), "0 characters"),
        (lambda path: path.write_bytes(bytes(range(128, 256))), "characters"),
        (lambda path: path.write_text("A" * 43 + "="), "zeros"),
        (lambda path: path.write_text(KEY.reveal() * 1_000_000), "characters"),
    ],
)
def test_what_is_no_key_is_told_without_it(
    key_file: Path, change: Callable[[Path], object], cause: str
) -> None:
    change(key_file)
    with pytest.raises(GatewayError, match=cause) as caught:
        read_private_key(key_file)
    assert caught.value.remedy
    assert KEY.reveal() not in str(caught.value)


@pytest.mark.parametrize(
    ("forwarding", "failing", "starts"),
    [
        ("check", [], True),
        ("check", ["forwarding"], False),
        ("ignore", ["forwarding"], True),
        ("ignore", ["forwarding", "bpffs"], False),
        ("enable", ["privileges", "interface"], False),
    ],
)
def test_a_machine_that_is_not_ready_is_told_with_all_remedies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forwarding: str, failing: list[str], starts: bool
) -> None:
    asked: list[Wanted] = []

    def found(wanted: Wanted) -> tuple[Check, ...]:
        asked.append(wanted)
        names = ("privileges", "bpffs", "interface", "forwarding")
        return tuple(Check(one, one not in failing, f"about {one}", f"mend {one}") for one in names)

    monkeypatch.setattr(preparing, "preflight", found)
    settings = settings_of(tmp_path, f"network: {{forwarding: {forwarding}, masquerade: true}}\n")
    if starts:
        assert len(preparing.check(settings)) == 4
    else:
        with pytest.raises(NotReadyError) as caught:
            preparing.check(settings)
        for name in failing:
            assert (f"mend {name}" in caught.value.remedy) == (name != "forwarding" or forwarding != "ignore")
    (wanted,) = asked
    assert (wanted.forward, wanted.masquerade) == (forwarding == "enable", True)


def test_all_that_listens_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Wanted] = []
    monkeypatch.setattr(preparing, "preflight", lambda wanted: asked.append(wanted) or ())
    more = "enrolment: {listen: ['192.0.2.1:8443']}\nmetrics: 127.0.0.1:9586\nportal: {port: 8080}\n"
    preparing.check(settings_of(tmp_path, more))
    assert [(str(address), port) for address, port in asked[0].listeners] == [
        ("10.9.0.1", 8080), ("fd09::1", 8080), ("192.0.2.1", 8443), ("127.0.0.1", 9586),
    ]  # fmt: skip
    assert {str(prefix) for prefix in asked[0].prefixes} == {"10.9.0.0/16", "fd09::/64"}


def settings_of(folder: Path, more: str) -> Settings:
    path = folder / "gateway.yaml"
    path.write_text(LEAST + more)
    return read_settings(path)
