"""Questions that logins wait to be answered.

A device has one at a time, and another begun there takes its place. What an answer is judged by is sealed for
device, user, method and ticket, so a record that was moved does not open. Whoever takes a question removes it
in the same change: of two answers at once, at several nodes too, one is judged.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass

from wardgate.gateway.challenges.sealing import Sealer
from wardgate.gateway.ledger import Change
from wardgate.gateway.records import POSED, Posed
from wardgate.gateway.store.keys import segment


@dataclass(frozen=True, slots=True)
class Place:
    """Where a question is posed, and who alone may answer: a user by a method, from the device with this
    id."""

    user: str
    method: str
    device: str


def new_ticket() -> str:
    """192 random bits, as they may be in a URL."""
    return secrets.token_urlsafe(24)


def put(change: Change, place: Place, ticket: str, state: bytes, expires: int, sealer: Sealer) -> None:
    """Store the question of `ticket`, with what its answer is judged by."""
    sealed = sealer.seal(state, _context(place, ticket))
    change.put(POSED, Posed(place.device, place.user, place.method, ticket, sealed, expires), place.device)


async def take(change: Change, place: Place, ticket: str, sealer: Sealer) -> bytes | None:
    """What the answer that came with `ticket` is judged by; nobody gets it again. None: there is no such
    question, or it is over."""
    found = await change.get(POSED, place.device)
    if found is None or (found.user, found.method) != (place.user, place.method):
        return None
    if found.expires <= change.at or not _same(found.ticket, ticket):
        return None
    change.delete(POSED, place.device)
    return sealer.unseal(found.sealed, _context(place, found.ticket))


def _same(one: str, other: str) -> bool:
    # What comes with a form has any characters.
    return hmac.compare_digest(one.encode(), other.encode("utf-8", "replace"))


def _context(place: Place, ticket: str) -> str:
    return "/".join(["posed", *map(segment, (place.device, place.user, place.method, ticket))])
