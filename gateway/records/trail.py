"""The audit log: who did what when, each entry bound to the one before it by a hash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Entry `number`, from 1. `action` is a verb phrase in the past ("added user"), `target` what it was done
    to, `details` what else there is to know, never a secret. `previous` and `hash`: SHA-256 in hex, see
    ledger.chain."""

    number: int
    at: int
    actor: str
    action: str
    target: str
    details: Mapping[str, str]
    previous: str
    hash: str


@dataclass(frozen=True, slots=True)
class AuditHead:
    """The last entry's number and hash."""

    number: int
    hash: str
