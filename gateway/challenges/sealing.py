"""Secrets in the store are sealed with a key that is not in the store: who steals only one of both has none.

A sealed text is base64 of: format (1 byte), key id (4), nonce (12), ciphertext, tag (16). It is
AES-256-GCM (NIST SP 800-38D) with random nonces, and its associated data are format, key id and a context
that names whose secret it is, so that a text that was moved to another user or device does not open. The
keys for sealing and for digests are derived from the one in the file by HKDF (RFC 5869).
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from wardgate.gateway.challenges.errors import KeyFileError
from wardgate.gateway.errors import CorruptError
from wardgate.gateway.store.keys import segment

_LABEL: Final = b"wardgate-sealing-key-1 "
"""How the key's file begins; the rest is the key in base64 and a line feed."""
_KEY_BYTES: Final = 32
_FORMAT: Final = b"\x01"
_ID_BYTES: Final = 4
_NONCE_BYTES: Final = 12
_MOST_FILE_BYTES: Final = 4_096


def credential_context(user: str, method: str) -> str:
    """What a user's secret for a method is sealed for."""
    return f"credential/{segment(user)}/{segment(method)}"


class Sealer:
    """Seals, opens, and makes digests, with one key of 32 bytes. Made by `create` or `open`."""

    def __init__(self, key: bytes) -> None:
        if len(key) != _KEY_BYTES:
            raise ValueError(f"a key of {len(key)} bytes, and it has {_KEY_BYTES}")
        self._aead = AESGCM(_derived(key, b"seal"))
        self._digest_key = _derived(key, b"digest")
        self._header = _FORMAT + _derived(key, b"id")[:_ID_BYTES]

    @classmethod
    def create(cls, path: Path) -> Sealer:
        """A new key in a new file that only its owner may read. KeyFileError, also where it exists: what was
        sealed with the key in it would be lost."""
        key = secrets.token_bytes(_KEY_BYTES)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
            with open(os.open(path, flags, 0o600), "wb") as file:  # noqa: PTH123 - of a descriptor
                file.write(_LABEL + base64.b64encode(key) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            # The name, too, must outlive a power cut that comes before the first secret.
            folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except FileExistsError:
            raise KeyFileError(
                "make sealing key", str(path), "the file exists", "keep it, or choose another place"
            ) from None
        except OSError as error:
            raise KeyFileError("make sealing key", str(path), str(error.strerror)) from error
        return cls(key)

    @classmethod
    def open(cls, path: Path) -> Sealer:
        """With the key in the file at `path`. KeyFileError where there is none, or others may read it."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            with open(descriptor, "rb") as file:  # noqa: PTH123 - of a descriptor
                _check_private(path, os.fstat(descriptor))
                content = file.read(_MOST_FILE_BYTES)
        except FileNotFoundError:
            raise KeyFileError(
                "read sealing key",
                str(path),
                "there is no such file",
                "restore it from the backup; a new key does not open what the old one sealed",
            ) from None
        except OSError as error:
            raise KeyFileError("read sealing key", str(path), str(error.strerror)) from error
        return cls(_key_in(path, content))

    def seal(self, secret: bytes, context: str) -> str:
        """`secret`, readable with the same key and context only; another text each time."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._aead.encrypt(nonce, secret, self._header + context.encode())
        return base64.b64encode(self._header + nonce + sealed).decode()

    def unseal(self, text: str, context: str) -> bytes:
        """What `seal` was given. CorruptError where it was another key or context, or the text is damaged."""
        try:
            content = base64.b64decode(text.encode(), validate=True)
        except (binascii.Error, UnicodeEncodeError):
            raise _unreadable(context, "it is no base64") from None
        body = content[len(self._header) :]
        if content[:1] != _FORMAT:
            raise _unreadable(context, "it has a format that this release does not know")
        if content[: len(self._header)] != self._header:
            raise _unreadable(context, "it was sealed with another key")
        try:
            return self._aead.decrypt(
                body[:_NONCE_BYTES], body[_NONCE_BYTES:], self._header + context.encode()
            )
        except (InvalidTag, ValueError):
            raise _unreadable(context, "it is damaged, or was sealed for something else") from None

    def digest(self, secret: str, context: str) -> str:
        """HMAC-SHA-256 in hex, by which `secret` can be recognised with the same key and context."""
        # The context has a length, so that no other pair gives the same bytes.
        name = context.encode()
        return hmac.digest(
            self._digest_key, len(name).to_bytes(4, "big") + name + secret.encode(), "sha256"
        ).hex()


def _derived(key: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), _KEY_BYTES, salt=None, info=b"wardgate sealing 1: " + purpose).derive(key)


def _check_private(path: Path, found: os.stat_result) -> None:
    """KeyFileError where it is no file, or not its user's alone."""
    if not stat.S_ISREG(found.st_mode):
        raise KeyFileError("read sealing key", str(path), "it is no file", "choose another place")
    if found.st_mode & 0o077:
        raise KeyFileError("read sealing key", str(path), "others may read or write it", f"chmod 600 {path}")
    if found.st_uid not in (0, os.geteuid()):
        raise KeyFileError(
            "read sealing key", str(path), f"it belongs to uid {found.st_uid}", f"chown {os.geteuid()} {path}"
        )


def _key_in(path: Path, content: bytes) -> bytes:
    try:
        key = base64.b64decode(content.removeprefix(_LABEL).removesuffix(b"\n"), validate=True)
    except binascii.Error:
        key = b""
    if not content.startswith(_LABEL) or len(key) != _KEY_BYTES:
        raise KeyFileError(
            "read sealing key",
            str(path),
            f"it is not one line of {_LABEL.decode().strip()} and a key of {_KEY_BYTES} bytes",
            "restore it from the backup",
        )
    return key


def _unreadable(context: str, cause: str) -> CorruptError:
    return CorruptError(
        "unseal", context, cause, "restore key file and store from the same backup, or set the secret anew"
    )
