"""What `diff` says: statements about whose access changes, where, and for which services."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wardgate.compiler.analysis.areas import Area
from wardgate.compiler.analysis.levels import ALLOW, DENY, MFA, level_label, within_of
from wardgate.compiler.analysis.people import People
from wardgate.compiler.analysis.service_space import Services
from wardgate.compiler.analysis.view import Decided
from wardgate.compiler.language.model import Packet
from wardgate.runtime.layout.durations import words
from wardgate.runtime.layout.manifest import RuleSource


@dataclass(frozen=True, slots=True)
class Change:
    """How much passes before and after, as levels."""

    before: int
    after: int

    @property
    def widens(self) -> bool:
        """Whether something passes, in one state of the session at least, that did not before."""
        return self.after > self.before

    @property
    def words(self) -> str:
        """What it is for a user."""
        return self._kind[0].format(login=_login(self.after))

    @property
    def inbound_words(self) -> str:
        """The same where others send."""
        return self._kind[1].format(login=_login(self.after))

    @property
    def order(self) -> tuple[int, int, int]:
        """For sorting: those first that widen access."""
        return [*_KINDS].index(self._key), self.before, self.after

    @property
    def _key(self) -> tuple[int, int, bool]:
        return _coarse(self.before), _coarse(self.after), self.widens

    @property
    def _kind(self) -> tuple[str, str]:
        return _KINDS[self._key]

    def __str__(self) -> str:
        return f"{level_label(self.before)} -> {level_label(self.after)}"


_KINDS = {
    (DENY, ALLOW, True): ("gains access", "can be reached"),
    (DENY, MFA, True): ("gains access, with {login}", "can be reached, with {login}"),
    (MFA, ALLOW, True): ("no longer needs a login", "can be reached without a login"),
    (MFA, MFA, True): ("{login} is enough now", "can be reached with {login} now"),
    (ALLOW, MFA, False): ("needs {login} now", "can be reached only with {login} now"),
    (MFA, MFA, False): ("needs {login} now", "can be reached only with {login} now"),
    (ALLOW, DENY, False): ("loses access", "can no longer be reached"),
    (MFA, DENY, False): ("loses access, which took a login", "can no longer be reached with a login"),
}
"""What a change is, by the verdicts before and after and whether it widens."""


def _coarse(level: int) -> int:
    """MFA whatever the login's age."""
    return level if level in (DENY, ALLOW) else MFA


def _login(level: int) -> str:
    within = within_of(level)
    return f"a login within {words(within)}" if within else "a login"


@dataclass(frozen=True, slots=True)
class Witness:
    """A packet that fares differently: of `user`, in any session for which the verdicts differ."""

    user: str
    packet: Packet
    before: Decided
    after: Decided


@dataclass(frozen=True, slots=True)
class Statement:
    """For all `people`, all `areas` and all `services`, the verdict changes in the same way.

    `inbound`: for packets from there to their devices. `users` counts the named ones among the people.
    `old_rules` and `new_rules` decide about such packets, before and after; none where no rule does.
    """

    change: Change
    inbound: bool
    people: People
    users: int
    areas: tuple[Area, ...]
    services: Services
    witness: Witness
    old_rules: tuple[RuleSource, ...]
    new_rules: tuple[RuleSource, ...]

    @property
    def words(self) -> str:
        """What it is for the people."""
        return self.change.inbound_words if self.inbound else self.change.words


@dataclass(frozen=True, slots=True)
class Membership:
    """Who joined and who left a group that both have."""

    group: str
    joined: tuple[str, ...]
    left: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """How much was compared: all combinations of so many `classes` (pairs of classes of users), `directions`,
    `addresses` and `services` (intervals of them)."""

    classes: int
    directions: int
    addresses: int
    services: int

    @property
    def verdicts(self) -> int:
        """The combinations."""
        return self.classes * self.directions * self.addresses * self.services


@dataclass(frozen=True, slots=True)
class Difference:
    """All that differs in meaning between `old` and `new`, the names of what was compared; and, as what may
    explain it, whose `memberships` changed."""

    old: str
    new: str
    memberships: tuple[Membership, ...]
    statements: Sequence[Statement]
    compared: Compared

    @property
    def widens(self) -> bool:
        """Whether anything passes that did not before."""
        return self.widening > 0

    @property
    def widening(self) -> int:
        """How many statements are about what passes now and did not before."""
        return sum(statement.change.widens for statement in self.statements)
