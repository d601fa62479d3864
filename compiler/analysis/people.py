"""Sets of users in the fewest names: everybody, groups, groups without others, users."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

EVERYBODY_TEXT = "everybody"

_CANDIDATES = 8
"""Groups that are tried for what a set is a part of: the smallest ones."""
_TRIED = 4
"""Of them, and of what two have in common: those closest to the set."""


class Kind(Enum):
    """What a name is of; the values are the keys of the JSON form."""

    EVERYBODY = "everybody"
    UNNAMED = "unnamed"
    """The users whom no policy in question names."""
    GROUP = "group"
    OLD_GROUP = "old_group"
    """A group, with the members that it had before."""
    USER = "user"


@dataclass(frozen=True, slots=True)
class Term:
    """Users by one name."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{self.name} as it was" if self.kind is Kind.OLD_GROUP else self.name


EVERYBODY = Term(Kind.EVERYBODY, EVERYBODY_TEXT)
UNNAMED = Term(Kind.UNNAMED, "users without a name in the policy")


@dataclass(frozen=True, slots=True)
class People:
    """The users of any of `terms`, or with `both` of each of them; but those of no one in `excepting`."""

    terms: tuple[Term, ...]
    excepting: tuple[Term, ...] = ()
    both: bool = False

    def __str__(self) -> str:
        names = " and in ".join(map(str, self.terms)) if self.both else ", ".join(map(str, self.terms))
        names = f"whoever is in {names}" if self.both else names
        left_out = ", ".join(map(str, self.excepting))
        return f"{names} except {left_out}" if left_out else names

    @property
    def size(self) -> int:
        """How many names it takes."""
        return len(self.terms) + len(self.excepting)


class Directory:
    """Users and groups, to describe sets of users by. Sets are numbers whose bits are users: those of `mask`
    for named ones, and `unnamed` for all others."""

    def __init__(
        self,
        users: Iterable[str],
        groups: Mapping[str, frozenset[str]],
        old_groups: Mapping[str, frozenset[str]] | None = None,
    ) -> None:
        self.users = tuple(sorted(users))
        self._place = {user: place for place, user in enumerate(self.users)}
        self.unnamed = 1 << len(self.users)
        self._full = 2 * self.unnamed - 1
        terms = [(Term(Kind.GROUP, name), members) for name, members in sorted(groups.items())]
        terms += [(Term(Kind.OLD_GROUP, name), m) for name, m in sorted((old_groups or {}).items())]
        self._groups: dict[int, Term] = {}
        for term, members in terms:
            self._groups.setdefault(self.mask(members), term)
        self._groups.pop(0, None)
        self._known: dict[int, People] = {}

    def mask(self, users: Iterable[str]) -> int:
        """The set of these named users."""
        data = bytearray(len(self.users) // 8 + 1)
        for user in users:
            place = self._place[user]
            data[place >> 3] |= 1 << (place & 7)
        return int.from_bytes(data, "little")

    def members(self, term: Term) -> int:
        """The users of a term of this directory."""
        if term.kind is Kind.EVERYBODY:
            return self._full
        if term.kind is Kind.UNNAMED:
            return self.unnamed
        if term.kind is Kind.USER:
            return self.mask([term.name])
        return next(users for users, known in self._groups.items() if known == term)

    def example(self, users: int) -> str | None:
        """A user in a set: a named one, if there is one; None: one whom nobody names."""
        named = users & ~self.unnamed
        return self.users[(named & -named).bit_length() - 1] if named else None

    def describe(self, users: int, subjects: Collection[str] = ()) -> People:
        """A set of users, in as few names as were found. `subjects` are those whose rules it is about: a
        single user goes by the name of a group of one where it is about the group."""
        if users not in self._known:
            self._known[users] = self._described(users)
        group = self._groups.get(users)
        if group is not None and group.kind is Kind.GROUP and group.name in subjects:
            named = self.named(users)
            if len(named) == 1 and named[0] not in subjects:
                return People((group,))
        return self._known[users]

    def _described(self, users: int) -> People:
        if users == self._full:
            return People((EVERYBODY,))
        best = People(tuple(self._covering(users, allowed=users, most=users.bit_count()) or ()))
        around = [(group, term) for group, term in self._groups.items() if not users & ~group]
        around.sort(key=lambda found: found[0].bit_count())
        del around[_CANDIDATES:]
        bases: list[tuple[int, tuple[Term, ...]]] = [(self._full, (EVERYBODY,))]
        bases += [(group, (term,)) for group, term in around]
        for place, (group, term) in enumerate(around):
            bases += [(group & other, (term, second)) for other, second in around[:place]]
        # Where little is to be left out, few names may do. Of equally short ones, the plain ones come first.
        bases.sort(key=lambda base: ((base[0] & ~users).bit_count(), len(base[1])))
        for base, terms in bases[:_TRIED]:
            room = best.size - len(terms) - 1
            left_out = self._covering(base & ~users, allowed=self._full & ~users, most=room)
            if left_out is not None:
                best = People(terms, tuple(left_out), both=len(terms) > 1)
        return best

    def _covering(self, users: int, *, allowed: int, most: int) -> Sequence[Term] | None:
        """Terms for all of `users`, and for nobody who is not `allowed`: the largest groups first. None where
        it takes more than `most`."""
        found: list[Term] = []
        if most < bool(users):
            return None
        groups = [group for group in self._groups if not group & ~allowed]
        while users.bit_count() > 1 and groups:
            counts = [(group & users).bit_count() for group in groups]
            largest = max(counts)
            if largest < 2:
                break
            if len(found) == most:
                return None
            group = groups[counts.index(largest)]
            found.append(self._groups[group])
            users &= ~group
            groups = [group for group, count in zip(groups, counts, strict=True) if count > 1]
        if len(found) + users.bit_count() > most:
            return None
        if users & self.unnamed:
            found.append(UNNAMED)
            users &= ~self.unnamed
        return [*found, *(Term(Kind.USER, user) for user in self.named(users))]

    def named(self, users: int) -> list[str]:
        """The named users of a set, in order."""
        data = np.frombuffer(users.to_bytes(len(self.users) // 8 + 1, "little"), np.uint8)
        places = np.flatnonzero(np.unpackbits(data, bitorder="little", count=len(self.users)))
        return [self.users[place] for place in places.tolist()]
