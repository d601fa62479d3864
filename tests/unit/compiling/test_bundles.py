"""Policies as one piece: what may be in it, and that a store gives back what was put there or says so."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wardgate.gateway.compiling.bundles import MOST_BYTES, MOST_FILES, Bundle
from wardgate.gateway.compiling.stored import bundle_of_parts, stored_parts
from wardgate.gateway.errors import CorruptError, InvalidError

MAIN = {"policy.yaml": "version: 1\n"}


@pytest.mark.parametrize(
    "name",
    [
        "", "/etc/passwd", "../other.yaml", "a/../../b", "a/..", "./a", "a//b", "a/", ".", "..",
        "a\\b", "a\nb", "a\0b", "\ud800", "a" * 1_025, "\u00fc" * 600,
    ],
)  # fmt: skip
def test_no_name_leads_out_of_the_folder_or_is_another_ones(name: str) -> None:
    with pytest.raises(InvalidError):
        Bundle("policy.yaml", {**MAIN, name: ""})


@pytest.mark.parametrize("name", ["a", "a/b.yaml", "...", "a..b", ".hidden", "\u00fc b", "a" * 1_024])
def test_names_in_the_folder_are_fine(name: str) -> None:
    assert Bundle("policy.yaml", {**MAIN, name: ""}).files[name] == ""


def test_the_main_file_is_one_of_them() -> None:
    with pytest.raises(InvalidError, match="main file"):
        Bundle("other.yaml", MAIN)


def test_there_are_so_many_files_and_so_much_text_at_most() -> None:
    Bundle("0", {str(number): "" for number in range(MOST_FILES)})
    with pytest.raises(InvalidError, match="1,001 files"):
        Bundle("0", {str(number): "" for number in range(MOST_FILES + 1)})
    Bundle("0", {"0": "x" * (MOST_BYTES - 1)})
    with pytest.raises(InvalidError, match="bytes"):
        Bundle("0", {"0": "x" * MOST_BYTES})
    with pytest.raises(InvalidError, match="bytes"):
        Bundle("0", {"0": "\u20ac" * (MOST_BYTES // 3 + 1)})


TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)
NAMES = st.text("ab", min_size=1, max_size=4)
FILES = st.dictionaries(NAMES, TEXTS, min_size=1, max_size=4)


@given(FILES, FILES)
@settings(max_examples=50)
def test_a_digest_is_of_names_and_texts_and_of_nothing_else(one: dict[str, str], two: dict[str, str]) -> None:
    first, second = Bundle(next(iter(one)), one), Bundle(next(iter(two)), two)
    backwards = Bundle(first.main, dict(reversed(one.items())))
    assert backwards.digest == first.digest
    assert (first.digest == second.digest) == (first == second)
    assert bundle_of_parts(stored_parts(first), first.digest) == first
    if first != second:
        with pytest.raises(CorruptError):
            bundle_of_parts(stored_parts(second), first.digest)


def packed(document: object) -> list[str]:
    return [base64.b64encode(zlib.compress(json.dumps(document).encode())).decode()]


@pytest.mark.parametrize(
    "parts",
    [
        [],
        ["%"],
        ["AAAA"],
        packed([]),
        packed({"main": "policy.yaml"}),
        packed({"main": "policy.yaml", "files": {"policy.yaml": 1}}),
        packed({"main": "policy.yaml", "files": {**MAIN, "../a": ""}}),
        packed({"main": ["policy.yaml"], "files": MAIN}),
        [base64.b64encode(zlib.compress(b"[" * 100_000)).decode()],
        [base64.b64encode(zlib.compress(bytes(7 * MOST_BYTES))).decode()],
        [stored_parts(Bundle("policy.yaml", MAIN))[0][:-8]],
    ],
)
def test_what_is_damaged_is_told(parts: list[str]) -> None:
    with pytest.raises(CorruptError) as caught:
        bundle_of_parts(parts, Bundle("policy.yaml", MAIN).digest)
    assert caught.value.remedy


def test_what_is_packed_too_well_is_not_unpacked_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    class Unpacker:
        def decompress(self, _data: bytes, most: int = 0) -> bytes:
            asked.append(most)
            return b""

    monkeypatch.setattr("wardgate.gateway.compiling.stored.zlib.decompressobj", Unpacker)
    with pytest.raises(CorruptError):
        bundle_of_parts(packed({}), hashlib.sha256(b"").hexdigest())
    assert 0 < asked[0] <= 6 * MOST_BYTES
