"""What an authenticator app does: TOTP as RFC 6238 and RFC 4226 have it, apart from the gateway's own."""

from __future__ import annotations

import base64
import hmac
import struct
from typing import Final

STEP_S: Final = 30
"""Seconds for which an app shows a code."""
_DIGITS: Final = 6


def code(secret: str, at: float) -> str:
    """The code at `at` (Unix time) for a secret in base32, blanks or not."""
    bare = secret.replace(" ", "").upper()
    key = base64.b32decode(bare + "=" * (-len(bare) % 8))
    mac = hmac.digest(key, struct.pack(">Q", int(at) // STEP_S), "sha1")
    start = mac[-1] & 15
    (word,) = struct.unpack_from(">I", mac, start)
    return f"{(word & 0x7FFFFFFF) % 10**_DIGITS:0{_DIGITS}}"
