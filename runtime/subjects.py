"""Subject ids: the numbers by which programs know users.

A user keeps an id for the life of the gate, whatever policies come and go; each policy generation has
its own table from id to policy class. Ids count from 1; 0 marks a free device slot.

The names are kept as one text, a name a line in the order of their ids, which is pinned and replaced as a
whole: an entry of a hash takes more than ten times the room of a name, and a system call to set.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wardgate.runtime.errors import WardgateError
from wardgate.runtime.pinned import read_bytes, replace_bytes
from wardgate.runtime.recent import Recent

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,62}")


@dataclass(frozen=True, slots=True)
class _Known:
    """The users in the order of their ids, and the id of each."""

    names: Sequence[str]
    ids: Mapping[str, int]


_KNOWN: Final[Recent[_Known]] = Recent(4)


def _known(path: Path) -> _Known:
    names = read_bytes(path).decode("ascii").split("\n")
    return _Known(names, {name: number for number, name in enumerate(names, 1)})


class SubjectError(WardgateError):
    """A user's name that no policy could have, or more users than the gate has room for."""


def check_user(user: str) -> str:
    """`user`, if it is a name that a policy can have; SubjectError."""
    if _NAME.fullmatch(user):
        return user
    raise SubjectError(
        "name user",
        repr(user),
        "it is not a user's name",
        "use letters, digits and . _ @ + -, beginning with a letter or digit, 63 at most",
    )


class Subjects:
    """The names pinned at `path`, where nothing is until there is one; ids are below `capacity`."""

    def __init__(self, path: Path, capacity: int) -> None:
        self._path = path
        self._capacity = capacity

    def _read(self) -> _Known:
        return _KNOWN.get(self._path, lambda: _known(self._path)) if self._path.exists() else _Known([], {})

    def ids(self) -> dict[str, int]:
        """Every known user's id."""
        return dict(self._read().ids)

    def names(self) -> dict[int, str]:
        """Every id's user."""
        return dict(enumerate(self._read().names, 1))

    def name(self, subject: int) -> str:
        """The user of an id, empty for none."""
        names = self._read().names
        return names[subject - 1] if 0 < subject <= len(names) else ""

    def assign(self, users: Iterable[str], used: Callable[[], Collection[int]]) -> dict[str, int]:
        """The ids of `users`, made for those who have none yet.

        `used` gives the ids that devices hold: when all ids have been given out, one that no device
        holds and that is not asked for here goes to another user. SubjectError, with nothing changed,
        when none is left.
        """
        known, wanted = self._read(), set(users)
        new = sorted(wanted - known.ids.keys())
        if not new:
            return {user: known.ids[user] for user in wanted}
        names = list(known.names)
        room = self._capacity - 1 - len(names)
        spare: list[int] = []
        if len(new) > room:
            held = used()
            spare = [n for name, n in known.ids.items() if name not in wanted and n not in held]
        if len(new) > room + len(spare):
            raise SubjectError(
                "add user",
                new[room + len(spare)],
                f"the gate has room for {self._capacity - 1} users",
                "detach it and create it with more device slots",
            )
        for user, number in zip(new[room:], spare, strict=False):
            names[number - 1] = check_user(user)
        names += map(check_user, new[:room])
        replace_bytes(self._path, "\n".join(names).encode("ascii"))
        return {user: number for number, user in enumerate(names, 1) if user in wanted}
