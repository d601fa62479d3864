"""What `diff` says: statements about whose access changes, where, and for which services."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wardgate.compiler.analysis.areas import Area
from wardgate.compiler.analysis.people import People
from wardgate.compiler.analysis.service_space import Services
from wardgate.compiler.analysis.view import ALLOW, DENY, LABELS, MFA, Decided
from wardgate.compiler.language.model import Packet
from wardgate.runtime.layout.manifest import RuleSource


@dataclass(frozen=True, slots=True)
class Change:
    """A verdict before and after; `words` is what that is for a user, `inbound_words` where others send."""

    before: int
    after: int
    words: str
    inbound_words: str

    @property
    def widens(self) -> bool:
        """Whether something passes, in one state of the session at least, that did not before."""
        return self.after > self.before

    def __str__(self) -> str:
        return f"{LABELS[self.before]} -> {LABELS[self.after]}"


CHANGES = (
    Change(DENY, ALLOW, "gains access", "can be reached"),
    Change(DENY, MFA, "gains access, with a login", "can be reached, with a login"),
    Change(MFA, ALLOW, "no longer needs a login", "can be reached without a login"),
    Change(ALLOW, MFA, "needs a login now", "can be reached only with a login now"),
    Change(ALLOW, DENY, "loses access", "can no longer be reached"),
    Change(MFA, DENY, "loses access, which took a login", "can no longer be reached with a login"),
)
"""All changes, those first that widen access."""


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
