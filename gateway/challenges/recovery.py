"""Recovery codes: what a user writes down for the day when the phone is gone.

Each has 80 random bits in Crockford's base32, which has no letters that look like digits, and works once.
Stored are digests keyed by the sealer, so that the store alone does not even tell whether a code is right.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import replace
from typing import Final

from wardgate.gateway.challenges.sealing import Sealer
from wardgate.gateway.records import Recovery
from wardgate.gateway.store.keys import segment

METHOD: Final = "recovery"
"""What `verify` calls them."""

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CHARACTERS: Final = 16
_GROUP: Final = 4
_MOST_TYPED: Final = 64
_MEANT: Final = str.maketrans({"O": "0", "I": "1", "L": "1", "-": "", " ": ""})


def make(count: int) -> tuple[str, ...]:
    """New codes, as `7RQ2-M0XK-93TD-V5HB`."""
    return tuple("-".join(_group() for _ in range(_CHARACTERS // _GROUP)) for _ in range(count))


def recorded(codes: tuple[str, ...], user: str, at: int, sealer: Sealer) -> Recovery:
    """What to store of a user's codes."""
    return Recovery(user, tuple(_digest(code, user, sealer) for code in codes), at)


def without(recovery: Recovery, typed: str, sealer: Sealer) -> Recovery | None:
    """`recovery` after the code that was typed is used; None where it is none of them."""
    digest = _digest(typed, recovery.user, sealer)
    # All of them, whichever fits: the time that it takes does not tell.
    left = tuple(one for one in recovery.digests if not hmac.compare_digest(one, digest))
    return replace(recovery, digests=left) if len(left) < len(recovery.digests) else None


def _group() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(_GROUP))


def _digest(typed: str, user: str, sealer: Sealer) -> str:
    # What is too long for a code stays so when it is cut.
    meant = typed[:_MOST_TYPED].upper().translate(_MEANT)
    return sealer.digest(meant.encode("utf-8", "replace").decode(), f"recovery/{segment(user)}")
