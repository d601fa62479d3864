"""The competitors: published ways to decide the same, each as good as its pattern allows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from benchmarks.competitors import hash_lpm_hash, identity_lpm, linear, user_lpm
from benchmarks.competitors.contestant import Maker

COMPETITORS: Final[Mapping[str, Maker]] = {
    "a": hash_lpm_hash.make,
    "b": user_lpm.make,
    "c": identity_lpm.make,
    "d": linear.make,
}
NAMES: Final[Mapping[str, str]] = {
    "a": hash_lpm_hash.NAME,
    "b": user_lpm.NAME,
    "c": identity_lpm.NAME,
    "d": linear.NAME,
}
