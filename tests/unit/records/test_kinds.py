"""Records come back as they were written, and no two lie under one key."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wardgate.gateway import records
from wardgate.gateway.errors import CorruptError
from wardgate.gateway.records import CREDENTIALS, DEVICES, USERS, Failures, Kind

KINDS = [value for value in vars(records).values() if isinstance(value, Kind)]
TEXTS = st.text(st.characters(codec="utf-8"), max_size=10)
NUMBERS = st.integers(0, (1 << 64) - 1)
VALUES: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXTS,
    int: NUMBERS,
    bool: st.booleans(),
    tuple[str, ...]: st.lists(TEXTS, max_size=3).map(tuple),
    str | None: st.none() | TEXTS,
    int | None: st.none() | st.integers(0, 100),
    tuple[Failures, ...]: st.lists(st.builds(Failures, TEXTS, NUMBERS, NUMBERS, NUMBERS), max_size=3).map(
        tuple
    ),
    Mapping[str, str]: st.dictionaries(TEXTS, TEXTS, max_size=3),
}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.prefix)
@given(data=st.data())
def test_a_record_comes_back(kind: Kind[Any], data: st.DataObject) -> None:
    hints = get_type_hints(kind.record)
    values = {field.name: data.draw(VALUES[hints[field.name]]) for field in dataclasses.fields(kind.record)}
    record = kind.record(**values)
    assert kind.decode("key", kind.encode(record)) == record


def test_no_kind_lies_within_another() -> None:
    assert len(KINDS) == len({kind.prefix for kind in KINDS})
    assert not any(a.prefix.startswith(b.prefix) for a in KINDS for b in KINDS if a is not b)


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=8), min_size=1, max_size=2))
def test_names_come_back_from_a_key(names: list[str]) -> None:
    assert CREDENTIALS.names(CREDENTIALS.key(*names)) == tuple(names)


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        b"[" * 100_000,
        b'{"name": 3}',
        b'{"name": "a", "groups": [], "locked": 0, "created": 1}',
    ],
)
def test_what_is_no_record_is_an_error(damage: bytes) -> None:
    with pytest.raises(CorruptError, match="users/alice"):
        USERS.decode("users/alice", damage)


def test_an_unknown_field_is_an_error() -> None:
    record = {"name": "a", "groups": [], "locked": False, "created": 1, "admin": True}
    with pytest.raises(CorruptError, match="unknown"):
        USERS.decode("users/a", json.dumps(record).encode())
    assert DEVICES.key("../x") == "devices/..%2Fx"
