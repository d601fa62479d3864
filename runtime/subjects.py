"""Subject ids: the numbers by which programs know users.

A user keeps an id for the life of the gate, whatever policies come and go; each policy generation has
its own table from id to policy class. Ids count from 1; 0 marks a free device slot.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Final

from wardgate.runtime.errors import WardgateError
from wardgate.runtime.layout.records import SUBJECT_NAME_BYTES
from wardgate.runtime.maps import NO_EXIST, TypedMap

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,62}")


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
    """The pinned table from name to id."""

    def __init__(self, table: TypedMap) -> None:
        self._table = table

    def ids(self) -> dict[str, int]:
        """Every known user's id."""
        found = self._table.raw.items()
        return {key.rstrip(b"\0").decode(): int.from_bytes(number, "little") for key, number in found}

    def names(self) -> dict[int, str]:
        """Every id's user."""
        return {number: name for name, number in self.ids().items()}

    def name(self, subject: int) -> str:
        """The user of an id, empty for none."""
        mark = subject.to_bytes(4, "little")
        for key, value in self._table.raw.items():
            if value == mark:
                return key.rstrip(b"\0").decode()
        return ""

    def assign(self, users: Iterable[str], used: Collection[int]) -> dict[str, int]:
        """The ids of `users`, made for those who have none yet.

        `used` are the ids that devices hold: when all ids have been given out, one that no device
        holds and that is not asked for here goes to another user. SubjectError when none is left.
        """
        known = self.ids()
        wanted = set(users)
        capacity = self._table.raw.info.max_entries
        following = max(known.values(), default=0) + 1
        spare = [name for name, number in sorted(known.items()) if name not in wanted and number not in used]
        for user in sorted(wanted - set(known)):
            if following < capacity:
                number, following = following, following + 1
            elif spare:
                number = known[spare[-1]]
                self._table.discard(_key(spare.pop()))
            else:
                raise SubjectError(
                    "add user",
                    user,
                    f"the gate has room for {capacity - 1} users",
                    "detach it and create it with more device slots",
                )
            self._table.update(_key(user), number, NO_EXIST)
            known[user] = number
        return {user: known[user] for user in wanted}


def _key(user: str) -> bytes:
    return check_user(user).encode().ljust(SUBJECT_NAME_BYTES, b"\0")
