"""TOTP again, of RFC 6238 and RFC 4226 alone: what an authenticator app does, for tests of the gateway."""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
from urllib.parse import parse_qs, unquote, urlsplit


def code(secret: bytes, at: float, *, digits: int = 6, step_s: int = 30, algorithm: str = "sha1") -> str:
    """The code that an app with this secret shows at `at` (Unix time)."""
    mac = hmac.new(secret, struct.pack(">Q", int(at) // step_s), getattr(hashlib, algorithm)).digest()
    start = mac[-1] & 15
    (word,) = struct.unpack(">I", mac[start : start + 4])
    return f"{(word & 0x7FFFFFFF) % 10**digits:0{digits}}"


class App:
    """An authenticator app that has scanned an otpauth URI, or in which its secret was typed."""

    def __init__(self, uri: str) -> None:
        parts = urlsplit(uri)
        if (parts.scheme, parts.netloc) != ("otpauth", "totp"):
            raise ValueError("no otpauth URI for TOTP")
        fields = {name: values[0] for name, values in parse_qs(parts.query, strict_parsing=True).items()}
        self.label = unquote(parts.path.removeprefix("/"))
        self.issuer = fields["issuer"]
        self.secret = secret_of(fields["secret"])
        self._digits = int(fields.get("digits", "6"))
        self._step_s = int(fields.get("period", "30"))
        self._algorithm = fields.get("algorithm", "SHA1").lower()

    def code(self, at: float) -> str:
        """What it shows at `at` (Unix time)."""
        return code(self.secret, at, digits=self._digits, step_s=self._step_s, algorithm=self._algorithm)


def secret_of(text: str) -> bytes:
    """The secret that is written so: base32, with or without blanks and padding."""
    bare = text.replace(" ", "").rstrip("=").upper()
    return base64.b32decode(bare + "=" * (-len(bare) % 8))
