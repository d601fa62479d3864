"""WireGuard's keys: 32 bytes, base64 in text; public ones are points of Curve25519 (RFC 7748)."""

from __future__ import annotations

import binascii
import secrets
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from wardgate.gateway.errors import InvalidError

KEY_BYTES: Final = 32
_FIELD: Final = 2**255 - 19
_REMEDY: Final = "give what `wg pubkey` prints"


@dataclass(frozen=True, slots=True, repr=False)
class KeyPair:
    """A private key and its public key, both base64."""

    private: str
    public: str


def new_pair() -> KeyPair:
    """A new pair; the private key has the bits set that X25519 sets anyway (RFC 7748 section 5), as
    `wg genkey` does, so that it is also what `wg show` prints."""
    secret = X25519PrivateKey.generate().private_bytes_raw()
    clamped = bytes([secret[0] & 248, *secret[1:31], secret[31] & 127 | 64])
    private = b64encode(clamped).decode()
    return KeyPair(private, public_key_of(private))


def new_preshared_key() -> bytes:
    """32 bytes that nobody can guess; see wg(8), PresharedKey."""
    return secrets.token_bytes(KEY_BYTES)


def public_key_of(private: str) -> str:
    """The public key of a private one; InvalidError, which does not show it."""
    key = X25519PrivateKey.from_private_bytes(key_bytes("read private key", private, shown=False))
    return b64encode(key.public_key().public_bytes_raw()).decode()


def check_public_key(text: str) -> str:
    """`text`, if it is a public key that a device can have; InvalidError.

    A key has one form here, so that none is taken for another: canonical base64 of a canonical coordinate.
    Points of small order are refused: their shared secret is zero with everybody (RFC 7748 section 6.1).
    """
    key = key_bytes("read public key", text, shown=True)
    cause = ""
    if int.from_bytes(key, "little") >= _FIELD:
        cause = "it is not a point of Curve25519 as any program writes it"
    else:
        try:
            X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(key))
        except ValueError:
            cause = "it is a point of small order, which has no private key"
    if cause:
        raise InvalidError("read public key", text, cause, _REMEDY)
    return text


def key_bytes(operation: str, text: str, *, shown: bool) -> bytes:
    """The bytes of a key in base64; InvalidError, which names it where it may be `shown`."""
    try:
        key = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES or b64encode(key).decode() != text:
        target = repr(text[:60]) if shown else ""
        raise InvalidError(
            operation, target, f"it is not the base64 of {KEY_BYTES} bytes", _REMEDY if shown else ""
        )
    return key
