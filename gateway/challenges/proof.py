"""What a good login gives, and nothing else does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Proof:
    """That `user` has shown the second factor `method` at `at` (Unix time). Made by `Challenges.verify` only:
    whoever asks for one has asked for a login."""

    user: str
    method: str
    at: int
