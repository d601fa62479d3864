"""Recovery codes: many bits, readable, each once, and nothing of them in the store."""

from __future__ import annotations

import re

import pytest
from wardgate.gateway.challenges import Sealer, recovery

SEALER = Sealer(bytes(32))


def test_codes_have_80_bits_in_groups() -> None:
    codes = recovery.make(200)
    assert len(set(codes)) == 200
    assert all(re.fullmatch(r"(?:[0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}", code) for code in codes)
    # All of the alphabet is used: 5 bits a character.
    assert len(set("".join(codes)) - {"-"}) == 32
    assert 32 ** len(codes[0].replace("-", "")) == 1 << 80


def test_a_code_is_used_up() -> None:
    codes = recovery.make(3)
    stored = recovery.recorded(codes, "alice", 7, SEALER)
    assert not any(code in str(stored) or code.replace("-", "") in str(stored) for code in codes)
    left = recovery.without(stored, codes[1], SEALER)
    assert left is not None
    assert left.digests == (stored.digests[0], stored.digests[2])
    assert recovery.without(left, codes[1], SEALER) is None
    assert recovery.without(left, codes[2], SEALER) is not None


@pytest.mark.parametrize(
    "typed", ["7rq2m0xk93tdv5hb", " 7RQ2 M0XK 93TD V5HB ", "7RQ2-MOXK-93TD-V5HB", "7rq2-moxk93td v5hb"]
)
def test_it_may_be_typed_in_other_ways(typed: str) -> None:
    stored = recovery.recorded(("7RQ2-M0XK-93TD-V5HB",), "alice", 7, SEALER)
    assert recovery.without(stored, typed, SEALER)


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "7RQ2-M0XK-93TD-V5H",
        "7RQ2-M0XK-93TD-V5HBB",
        "\ud800",
        "7RQ2-M0XK-93TD-V5HB\n",
        "\0" * 100_000,
        "7RQ2-M0XK-93TD-V5HB" * 10,
    ],
    ids=range(7),
)
def test_anything_else_is_no_code(typed: str) -> None:
    stored = recovery.recorded(("7RQ2-M0XK-93TD-V5HB",), "alice", 7, SEALER)
    assert recovery.without(stored, typed, SEALER) is None


def test_digests_are_of_a_key_and_a_user() -> None:
    codes = recovery.make(1)
    found = {
        recovery.recorded(codes, user, 7, sealer).digests
        for user in ("alice", "bob")
        for sealer in (SEALER, Sealer(b"x" * 32))
    }
    assert len(found) == 4
