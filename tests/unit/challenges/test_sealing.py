"""Sealed texts open with their key and context only, and the key's file is its owner's."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wardgate.gateway.challenges import KeyFileError, Sealer
from wardgate.gateway.challenges.sealing import credential_context
from wardgate.gateway.errors import CorruptError

SEALER = Sealer(bytes(range(32)))
TEXT = st.text(st.characters(codec="utf-8"), max_size=30)


@given(st.binary(max_size=200), TEXT)
def test_what_was_sealed_opens(secret: bytes, context: str) -> None:
    sealed = SEALER.seal(secret, context)
    assert SEALER.unseal(sealed, context) == secret
    assert SEALER.seal(secret, context) != sealed
    assert Sealer(bytes(range(32))).unseal(sealed, context) == secret


@given(TEXT, TEXT)
def test_it_opens_for_nobody_else(one: str, other: str) -> None:
    sealed = SEALER.seal(b"secret", one)
    if one != other:
        with pytest.raises(CorruptError, match="sealed for something else"):
            SEALER.unseal(sealed, other)
        assert SEALER.digest("code", one) != SEALER.digest("code", other)


def test_another_key_opens_nothing() -> None:
    other = Sealer(bytes(32))
    with pytest.raises(CorruptError, match="another key"):
        other.unseal(SEALER.seal(b"secret", "x"), "x")
    assert other.digest("code", "x") != SEALER.digest("code", "x")
    # Not even where the key's id is forged.
    sealed = bytearray(base64.b64decode(SEALER.seal(b"secret", "x")))
    sealed[1:5] = base64.b64decode(other.seal(b"", "x"))[1:5]
    with pytest.raises(CorruptError, match="damaged"):
        other.unseal(base64.b64encode(sealed).decode(), "x")


def test_each_damaged_byte_is_noticed() -> None:
    sealed = base64.b64decode(SEALER.seal(b"secret", "x"))
    for place in range(len(sealed)):
        damaged = bytearray(sealed)
        damaged[place] ^= 1
        with pytest.raises(CorruptError):
            SEALER.unseal(base64.b64encode(damaged).decode(), "x")
    for size in range(len(sealed)):
        with pytest.raises(CorruptError):
            SEALER.unseal(base64.b64encode(sealed[:size]).decode(), "x")


@given(st.text(max_size=60))
def test_any_other_text_is_an_error_that_does_not_show_it(text: str) -> None:
    with pytest.raises(CorruptError) as caught:
        SEALER.unseal(text, "x")
    assert len(text) < 20 or text not in str(caught.value)


def test_contexts_are_told_apart() -> None:
    assert credential_context("alice", "totp") == "credential/alice/totp"
    assert credential_context("a/b", "c") != credential_context("a", "b/c")
    # A pair of context and secret is not another pair with the border moved.
    assert SEALER.digest("bc", "a") != SEALER.digest("c", "ab")


@pytest.mark.parametrize("umask", [0, 0o077, 0o777])
def test_a_new_key_is_its_owner_s(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "key"
    before = os.umask(umask)
    try:
        sealed = Sealer.create(path).seal(b"secret", "x")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o177 == 0
    path.chmod(0o600)
    assert Sealer.open(path).unseal(sealed, "x") == b"secret"


def test_a_key_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "key"
    Sealer.create(path)
    content = path.read_bytes()
    with pytest.raises(KeyFileError, match="exists"):
        Sealer.create(path)
    assert path.read_bytes() == content
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyFileError, match="exists"):
        Sealer.create(link)
    assert not (tmp_path / "elsewhere").exists()
    with pytest.raises(KeyFileError, match="No such file"):
        Sealer.create(tmp_path / "missing" / "key")


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)


GOOD = b"wardgate-sealing-key-1 " + base64.b64encode(bytes(32))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda _: None, "restore it from the backup"),
        (lambda path: path.mkdir(), "directory"),
        (lambda path: os.mkfifo(path, 0o600), "it is no file"),
        (lambda path: path.symlink_to("/etc/passwd"), "symbolic link"),
        (lambda path: _write(path, b""), "a key of 32 bytes"),
        (lambda path: _write(path, GOOD[:-4]), "a key of 32 bytes"),
        (lambda path: _write(path, GOOD + b"\n\n"), "a key of 32 bytes"),
        (lambda path: _write(path, GOOD + b"AAAA"), "a key of 32 bytes"),
        (lambda path: _write(path, GOOD.replace(b"-1", b"-2")), "a key of 32 bytes"),
        (lambda path: _write(path, base64.b64encode(bytes(32))), "a key of 32 bytes"),
        (lambda path: _write(path, bytes(10_000)), "a key of 32 bytes"),
    ],
)
def test_what_is_no_key_file_is_refused(tmp_path: Path, make: Callable[[Path], None], said: str) -> None:
    path = tmp_path / "key"
    make(path)
    with pytest.raises(KeyFileError, match=said):
        Sealer.open(path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o777])
def test_a_file_that_others_may_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    _write(path, GOOD + b"\n")
    Sealer.open(path)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=f"chmod 600 {path}"):
        Sealer.open(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a file away")
def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    _write(path, GOOD + b"\n")
    os.chown(path, 12345, -1)
    with pytest.raises(KeyFileError, match="uid 12345"):
        Sealer.open(path)


def test_a_key_of_another_length() -> None:
    with pytest.raises(ValueError, match="31 bytes"):
        Sealer(bytes(31))
