"""WireGuard's keys: 32 bytes, written in base64 (44 characters) by people and tools.

Reading is strict: a text is taken only if it is what WireGuard's own tools would write for the same bytes, so
that a key has one text, by which it can be looked up and compared. Keys that consist of zeros mean "none" in
both of WireGuard's interfaces, and are never keys here.
"""

from __future__ import annotations

import binascii
import hmac
import secrets
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from typing import Final, NoReturn, Self

from wardgate.gateway.wireguard.errors import KeyFormatError

KEY_BYTES: Final = 32
_TEXT_CHARACTERS: Final = 44
_SHOWN: Final = 60


@dataclass(frozen=True, slots=True, order=True)
class PublicKey:
    """A peer's or a device's public key, by which it is known. KeyFormatError."""

    data: bytes

    def __post_init__(self) -> None:
        _check("public key", self.data, "")

    @classmethod
    def parse(cls, text: str) -> Self:
        """The key of a base64 text; KeyFormatError."""
        return cls(_decode("public key", text, shown=_shorten(text)))

    def __str__(self) -> str:
        return b64encode(self.data).decode()

    def __repr__(self) -> str:
        return f"PublicKey({self})"


@dataclass(frozen=True, slots=True, eq=False)
class _Secret:
    """32 bytes that no message, log or traceback shows; compared in constant time."""

    secret: bytes = field(repr=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Secret) or type(other) is not type(self):
            return NotImplemented
        return hmac.compare_digest(self.secret, other.secret)

    def __hash__(self) -> int:
        return hash((type(self), self.secret))

    def reveal(self) -> str:
        """The base64 text, for where a key has to be written: a file, a client's configuration."""
        return b64encode(self.secret).decode()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(hidden)"

    __str__ = __repr__


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PrivateKey(_Secret):
    """A device's private key, clamped (RFC 7748 section 5), as WireGuard keeps it. KeyFormatError."""

    def __post_init__(self) -> None:
        _check("private key", self.secret, "")
        data = self.secret
        clamped = bytes([data[0] & 248, *data[1:31], data[31] & 127 | 64])
        object.__setattr__(self, "secret", clamped)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The key of a base64 text; KeyFormatError, which does not show the text."""
        return cls(_decode("private key", text))

    @classmethod
    def generate(cls) -> Self:
        """A new key."""
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        return cls(X25519PrivateKey.generate().private_bytes_raw())

    def public_key(self) -> PublicKey:
        """The public key that belongs to it."""
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        private = X25519PrivateKey.from_private_bytes(self.secret)
        return PublicKey(private.public_key().public_bytes_raw())


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PresharedKey(_Secret):
    """A secret of a device and one peer, besides their keys. KeyFormatError."""

    def __post_init__(self) -> None:
        _check("preshared key", self.secret, "")

    @classmethod
    def parse(cls, text: str) -> Self:
        """The key of a base64 text; KeyFormatError, which does not show the text."""
        return cls(_decode("preshared key", text))

    @classmethod
    def generate(cls) -> Self:
        """A new key."""
        return cls(secrets.token_bytes(KEY_BYTES))


def _decode(kind: str, text: str, shown: str = "") -> bytes:
    if len(text) != _TEXT_CHARACTERS:
        _refuse(kind, shown, f"it has {len(text)} characters, and a key {_TEXT_CHARACTERS}")
    try:
        # Not `validate` alone: that takes "=" in the midst, and bits that belong to no byte.
        data = b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        _refuse(kind, shown, "it is not base64")
    if len(data) != KEY_BYTES:
        _refuse(kind, shown, f"it stands for {len(data)} bytes, and a key has {KEY_BYTES}")
    if b64encode(data).decode() != text:
        _refuse(kind, shown, "its last character has bits that belong to no byte, as no tool writes them")
    _check(kind, data, shown)
    return data


def _check(kind: str, data: bytes, shown: str) -> None:
    if len(data) != KEY_BYTES:
        _refuse(kind, shown, f"it has {len(data)} bytes, and a key {KEY_BYTES}")
    if not any(data):
        _refuse(kind, shown, "it consists of zeros, which stands for no key")


def _refuse(kind: str, shown: str, cause: str) -> NoReturn:
    remedy = {
        "public key": "copy all of it, from `wg show` or `wg pubkey`",
        "private key": "copy all of it, or make a new one: wg genkey",
        "preshared key": "copy all of it, or make a new one: wg genpsk",
    }[kind]
    raise KeyFormatError(f"read {kind}", shown, cause, remedy)


def _shorten(text: str) -> str:
    return ascii(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
