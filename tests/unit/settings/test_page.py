"""docs/gateway.md explains each setting, and no other; so does the file that `init` writes."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from wardgate.gateway.network import preflight
from wardgate.gateway.settings import initial, read, read_settings

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "gateway.md").read_text(encoding="utf-8")
TLS = ("portal.tls", "enrolment.tls")
EXAMPLES = {"portal.names", "portal.tls.certificate", "portal.tls.key", "client.keepalive", "metrics",
            "client.allowed_ips", "control.group", "sessions.idle"}  # fmt: skip
"""Settings without a default, of which the file of `init` shows an example."""
OWN = {"state", "client.mtu"}
"""Settings of which the file says what is so here."""


def read_keys() -> set[str]:
    """All keys that the reader takes, with dots."""
    found: dict[str, list[str]] = {}
    for node in ast.walk(ast.parse(inspect.getsource(read))):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "_section"
        ):
            _, name, *keys = node.args
            if isinstance(name, ast.Constant):
                found[str(name.value)] = [str(key.value) for key in keys if isinstance(key, ast.Constant)]
            else:
                found["tls"] = [str(key.value) for key in keys if isinstance(key, ast.Constant)]
    top = {key for key in read._KEYS if key not in found}
    sections = {f"{name}.{key}" for name, keys in found.items() if name not in ("", "tls") for key in keys}
    return (top | sections | {f"{one}.{key}" for one in TLS for key in found["tls"]}) - set(TLS)


def page_rows() -> dict[str, str]:
    """Keys of the page's table, and their defaults as it shows them."""
    section = PAGE.partition("\n## Settings\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `([a-z_.]+)` \|(.*?)\|", section, re.MULTILINE))


def flat(document: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Keys with dots, and their values."""
    for key, value in document.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """The file of `init`, with all that is commented out taken in; what is prose stays a comment."""
    text = initial._SETTINGS.format(
        interface="wg0",
        port=51820,
        endpoint="vpn.example.org:51820",
        addresses='"10.9.0.1/16"',
        state=tmp_path,
    )
    path = tmp_path / "gateway.yaml"
    path.write_text(re.sub(r"^# (\w+:|  \w+:)", r"\1", text, flags=re.MULTILINE))
    return path


def test_the_page_has_every_setting_and_no_other() -> None:
    assert page_rows().keys() == read_keys()
    assert len(page_rows()) >= 40


def test_the_file_of_init_has_settings_that_exist(whole: Path) -> None:
    keys = {key for key, _ in flat(yaml.safe_load(whole.read_text()))}
    assert keys <= read_keys()
    assert read_keys() - keys <= {"enrolment.names"}
    assert read_settings(whole).portal.port == 80


def test_defaults_on_the_page_and_in_the_file_are_the_reader_s(whole: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.yaml"
    bare.write_text('endpoint: "vpn.example.org:51820"\naddresses: ["10.9.0.1/16"]\n')
    defaults, commented = read_settings(bare), read_settings(whole)
    rows = page_rows()
    for key, shown in flat(yaml.safe_load(whole.read_text())):
        section, _, name = key.rpartition(".")
        if key in EXAMPLES or section == "enrolment" or section in TLS:
            continue
        mine: Any = getattr(defaults, section) if section else defaults
        theirs: Any = getattr(commented, section) if section else commented
        if key != "state":
            assert getattr(mine, name) == getattr(theirs, name), key
        told = re.findall(r"`([^`]+)`", rows[key])
        if told and key not in OWN:
            assert told[0] == (str(shown).lower() if isinstance(shown, bool) else str(shown)), key


def test_the_page_has_every_check_of_a_start() -> None:
    """By the first words of its name: `listen on ADDRESS port N` has more."""
    source = inspect.getsource(preflight)
    names = set(re.findall(r'(?:Check\(|name = f?)"([a-zA-Z ]+?) ?(?:\{|")', source))
    section = PAGE.partition("## When it does not start")[2]
    rows = set(re.findall(r"^\| ([a-zA-Z ]+?)(?: ADDRESS)? \|", section, re.MULTILINE)) - {"check"}
    assert rows == names
    assert len(names) == 8
