"""Profiles: what a bucket lets pass of each atom of services, numbered alike for all views.

Two buckets have one profile exactly if no packet can tell them apart, whatever rules they are made of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b

import numpy as np
from wardgate.compiler.analysis.levels import Openness
from wardgate.compiler.analysis.service_space import ServiceSpace
from wardgate.compiler.analysis.view import View
from wardgate.compiler.lowering.ragged import Integers

_CELLS = 1 << 22
"""Entries of rows that are looked at at once."""
_DIGEST = 16
"""Bytes that stand for a row: that two rows have the same is out of the question."""


class Profiles:
    """The profiles of the buckets of some views, over a space of services."""

    def __init__(self, views: Sequence[View], space: ServiceSpace) -> None:
        self._views = views
        self._space = space
        self._numbers: dict[bytes, int] = {}
        self._sample: list[tuple[int, int, int]] = []
        self.of_bucket: Sequence[Integers] = [self._of_buckets(place) for place in range(len(views))]
        """Of each view, the profile of each bucket, of bucket 0 first."""

    def __len__(self) -> int:
        return len(self._sample)

    def _of_buckets(self, place: int) -> Integers:
        view = self._views[place]
        # The same row says another thing of ICMP for another IP version. Bucket 0 says nothing, of either.
        keys, of_bucket = np.unique(view.alike()[view.pattern] * 8 + view.version, return_inverse=True)
        found = np.zeros(len(keys), np.int64)
        step = max(1, _CELLS // max(view.width, self._space.count))
        versions = keys % 8
        for version in (0, 4, 6):
            mine = np.flatnonzero(versions == version)
            for start in range(0, len(mine), step):
                some = mine[start : start + step]
                rows = self._rows(place, keys[some] // 8, version)
                for at, row in zip(some.tolist(), rows, strict=True):
                    digest = blake2b(row.tobytes(), digest_size=_DIGEST).digest()
                    number = self._numbers.setdefault(digest, len(self._sample))
                    if number == len(self._sample):
                        self._sample.append((place, int(keys[at]) // 8, version))
                    found[at] = number
        profiles: Integers = found[of_bucket]
        return profiles

    def _rows(self, place: int, patterns: Integers, version: int) -> Openness:
        return self._views[place].openness(patterns, self._space.classes[place][version or 4])

    def rows(self, numbers: Iterable[int]) -> Mapping[int, Openness]:
        """What these profiles let pass of each atom, as levels."""
        alike: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for number in numbers:
            place, pattern, version = self._sample[number]
            alike.setdefault((place, version), []).append((number, pattern))
        return {
            number: row
            for (place, version), found in alike.items()
            for (number, _), row in zip(
                found, self._rows(place, np.array([p for _, p in found]), version), strict=True
            )
        }
