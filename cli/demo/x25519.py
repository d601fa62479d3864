"""WireGuard keys: X25519 (RFC 7748 section 5) in plain Python.

Not constant-time, which is fine for the throw-away keys of a demo and nothing else.
"""

from __future__ import annotations

import os
from base64 import b64encode
from dataclasses import dataclass

_P = 2**255 - 19
_A24 = 121_665


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private key and its public key, 32 bytes each."""

    private: bytes
    public: bytes

    @property
    def private_text(self) -> str:
        """Base64, as WireGuard's tools show it."""
        return b64encode(self.private).decode()

    @property
    def public_text(self) -> str:
        """Base64, as WireGuard's tools show it."""
        return b64encode(self.public).decode()


def generate() -> KeyPair:
    """A new key pair."""
    private = _clamp(os.urandom(32))
    return KeyPair(private, multiply(private, (9).to_bytes(32, "little")))


def _clamp(scalar: bytes) -> bytes:
    return bytes([scalar[0] & 248, *scalar[1:31], scalar[31] & 127 | 64])


def multiply(scalar: bytes, point: bytes) -> bytes:
    """The function X25519(scalar, u-coordinate), by the Montgomery ladder of RFC 7748."""
    k = int.from_bytes(_clamp(scalar), "little")
    x1 = int.from_bytes(point, "little") & ((1 << 255) - 1)
    x2, z2, x3, z3 = 1, 0, x1, 1
    for bit in range(254, -1, -1):
        if k >> bit & 1:
            x3, z3, x2, z2 = _step(x1, x3, z3, x2, z2)
        else:
            x2, z2, x3, z3 = _step(x1, x2, z2, x3, z3)
    return (x2 * pow(z2, _P - 2, _P) % _P).to_bytes(32, "little")


def _step(x1: int, x2: int, z2: int, x3: int, z3: int) -> tuple[int, int, int, int]:
    """Doubling of (x2:z2), and the differential addition of both points."""
    a, b = x2 + z2, x2 - z2
    da, cb = (x3 - z3) * a % _P, (x3 + z3) * b % _P
    aa, bb = a * a % _P, b * b % _P
    e = aa - bb
    return aa * bb % _P, e * (aa + _A24 * e) % _P, (da + cb) ** 2 % _P, x1 * (da - cb) ** 2 % _P
