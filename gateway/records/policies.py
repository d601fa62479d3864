"""Policies that were applied, with their text, so that any node can enforce them and go back to them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy that was in force once. `number` counts from 1. `main`: the name of its main file; `files`:
    names of all, as the policy includes them. `parts`: how many entries hold their text (PolicyPart).
    `digest`: SHA-256 in hex of names and texts. `by`: who applied it."""

    number: int
    main: str
    files: tuple[str, ...]
    parts: int
    digest: str
    applied: int
    by: str


@dataclass(frozen=True, slots=True)
class PolicyPart:
    """A piece of a policy's bundle: base64 of the deflated JSON of file names and texts, cut in pieces."""

    data: str


@dataclass(frozen=True, slots=True)
class Applied:
    """Which policy is in force, and which one `rollback` returns to (0: none)."""

    number: int
    previous: int
