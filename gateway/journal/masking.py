"""Takes secrets out of log records: a last defence, behind not putting them there.

It knows secrets by their shape: enrolment tokens, keys that follow a word which says that they are secret,
and the same of passwords, codes and cookies."""

from __future__ import annotations

import logging
import re
from typing import Final

from wardgate.gateway.journal.formats import fields_of

MASK: Final = "[masked]"
_WORDS: Final = "private|preshared|secret|password|passwd|authorization|cookie"
_TOKEN: Final = re.compile(r"\bwg_[A-Za-z0-9_-]{8,}")
"""An enrolment token's text."""
_KEY: Final = r"[A-Za-z0-9+/]{42}[A-Za-z0-9+/=]="
"""32 bytes in base64, as WireGuard writes keys."""
_SAID: Final = re.compile(
    rf"(?i)((?:{_WORDS})\w{{0,40}}['\"]?\s{{0,8}}[:=]\s*)(\"[^\"]*\"|'[^']*'|[^\s,;}}&]+)"
)
"""`word: value`, `word=value`, also quoted. Bounded, so that no text takes long."""
_NEAR: Final = re.compile(rf"(?i)((?:private|preshared)[^\n]{{0,40}}?)({_KEY})")
"""A key a few words behind one that says that it is secret."""
_SEED: Final = re.compile(r"(?i)(otpauth://[^\s?]*\?[^\s]*)")
"""What a QR code of an authenticator holds."""
_SECRET_FIELD: Final = re.compile(rf"(?i)(?:{_WORDS}|token_text|totp|recovery_code)")


def masked(text: str) -> str:
    """`text` with what looks like a secret replaced."""
    text = _TOKEN.sub(MASK, text)
    text = _SEED.sub(f"otpauth:{MASK}", text)
    text = _NEAR.sub(rf"\1{MASK}", text)
    return _SAID.sub(rf"\1{MASK}", text)


class MaskingFilter(logging.Filter):
    """Masks a record's message, its fields and its traceback. For a handler, so that records of all loggers
    pass it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """As logging has it. Never drops a record."""
        try:
            message = record.getMessage()
        except Exception:
            # Arguments that do not fit the message: logging would print both as they are, and whoever logs
            # must not fail for it.
            message = f"log message with wrong arguments: {record.msg!r}"
        record.msg, record.args = masked(message), ()
        for name, value in fields_of(record).items():
            setattr(record, name, self._field(name, value))
        if record.exc_info:
            # The text that formatters use in place of making their own.
            trace = logging.Formatter().formatException(record.exc_info)
            record.exc_info, record.exc_text = None, masked(trace)
        return True

    def _field(self, name: str, value: object) -> object:
        if isinstance(value, bool | int | float) or value is None:
            return value
        if _SECRET_FIELD.search(name):
            return MASK
        if isinstance(value, dict):
            return {key: self._field(str(key), inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self._field(name, inner) for inner in value]
        return masked(str(value))
