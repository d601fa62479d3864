"""What goes wrong now, by part of the gateway: for `status`, and gone when it works again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from wardgate.runtime.errors import WardgateError

_log = logging.getLogger("wardgate.gateway.problems")


@dataclass(frozen=True, slots=True)
class Problem:
    """`part` does not work, `since` (Unix time); `times`: failures in a row."""

    part: str
    cause: str
    remedy: str
    since: int
    times: int


class Problems:
    """The problems that there are. `count` is told the part of each failure."""

    def __init__(self, count: Callable[[str], None] = lambda _: None) -> None:
        self._found: dict[str, Problem] = {}
        self._count = count

    def raised(self, part: str, error: Exception) -> None:
        """`part` failed."""
        self._count(part)
        before = self._found.get(part)
        known = isinstance(error, WardgateError)
        place = f"{error.operation} {error.target}".rstrip() if known else ""  # type: ignore[attr-defined]
        cause = f"{place}: {error.cause}" if known else repr(error)  # type: ignore[attr-defined]
        remedy = error.remedy if known else ""  # type: ignore[attr-defined]
        since = before.since if before else int(time.time())
        self._found[part] = Problem(part, cause, remedy, since, before.times + 1 if before else 1)
        if before is None or before.cause != cause:
            _log.error("%s: %s", part, cause, extra={"part": part}, exc_info=None if known else error)

    def mended(self, part: str) -> None:
        """`part` works."""
        if self._found.pop(part, None):
            _log.info("%s works again", part, extra={"part": part})

    def now(self) -> tuple[Problem, ...]:
        """Those that there are, by part."""
        return tuple(self._found[part] for part in sorted(self._found))
