"""How the tests are shared out among a run's processes: modules stay whole, and long ones begin early.

A module's tests follow each other in one process: they share what its fixtures make, and in tests/e2e/gateway
each goes on where the one before has left the gateway.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Final

from xdist.scheduler import LoadScopeScheduling

_FIRST: Final = ("tests/kernels", "tests/e2e", "tests/kernel")
"""Folders by how long their tests take; the others follow."""
_MOST: Final = 60
"""Tests of a module that are together; where it has more, its tests need nothing of each other."""
_WHOLE: Final = "tests/e2e/gateway/"
_ONE: Final = "tests/kernels/"
"""A folder whose tests wait for one guest: in one process, so that others do not wait along."""


def rank(nodeid: str) -> int:
    """When a test's turn is: those of the least rank begin."""
    for number, folder in enumerate(_FIRST):
        if nodeid.startswith(f"{folder}/"):
            return number
    return len(_FIRST)


def parts(nodeids: Iterable[str]) -> dict[str, str]:
    """Test to the part that it is of, by names in the order in which they were collected."""
    found = {}
    for module, tests in groupby(nodeids, key=lambda nodeid: nodeid.partition("::")[0]):
        for number, test in enumerate(tests):
            if module.startswith(_ONE):
                found[test] = _ONE
            elif module.startswith(_WHOLE):
                found[test] = module
            else:
                found[test] = f"{module} {number // _MOST}"
    return found


class ByModule(LoadScopeScheduling):
    """Gives each process a part at a time."""

    def _split_scope(self, nodeid: str) -> str:
        if not self._parts:
            self._parts = parts(self.collection or ())
        return self._parts[nodeid]

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.config.option.loadscopereorder = False
        self._parts: dict[str, str] = {}
