"""The chain of the audit log: each entry's hash covers all of it and the hash of the one before.

Whoever alters, drops or inserts an entry has to make every later hash anew; who has kept the last hash
somewhere else (an export names it) can tell.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Final

from wardgate.gateway.records import AuditEntry

NOTHING: Final = "0" * 64
"""What the first entry names as the hash before it."""

HEAD: Final = "head"
"""The name of the one AUDIT_HEAD."""


def name_of(number: int) -> str:
    """The name of the AUDIT entry with this number."""
    return f"{number:016}"


@dataclass(frozen=True, slots=True)
class Verified:
    """What is known of a chain: how many entries, the last one's hash, and what is wrong where something is:
    `broken` is the number of the first entry that does not fit."""

    entries: int
    hash: str
    broken: int | None
    cause: str


def hash_of(entry: AuditEntry) -> str:
    """The hash that an entry must have: of the JSON of all its other fields, keys sorted, without blanks."""
    document = asdict(entry)
    del document["hash"]
    text = json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def linked(entry: AuditEntry, number: int, previous: str) -> AuditEntry:
    """`entry` as number `number` behind the one whose hash is `previous`."""
    placed = replace(entry, number=number, previous=previous)
    return replace(placed, hash=hash_of(placed))


def verify(entries: Iterable[AuditEntry], begin: Verified | None = None) -> Verified:
    """Follow the chain from its first entry on, or from behind those that `begin` was found of."""
    count, before = (begin.entries, begin.hash) if begin else (0, NOTHING)
    for entry in entries:
        cause = ""
        if entry.number != count + 1:
            cause = f"entry {count + 1} is missing"
        elif entry.previous != before:
            cause = "it does not name the hash of the entry before it"
        elif entry.hash != hash_of(entry):
            cause = "its hash is not that of its content"
        if cause:
            return Verified(count, before, entry.number, cause)
        count, before = entry.number, entry.hash
    return Verified(count, before, None, "")
