"""Proves assertions about a policy, or finds a packet that contradicts one.

Users are in finitely many classes, and between any two edges of prefixes and port ranges a class's verdict is
the same. All combinations are looked at, so an assertion that is said to hold holds for every packet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from wardgate.compiler.analysis.address_space import AddressSpace, address_space, example_address
from wardgate.compiler.analysis.errors import AnalysisError
from wardgate.compiler.analysis.levels import ALLOW, FRESH, Openness
from wardgate.compiler.analysis.memberships import (
    Concerned,
    Memberships,
    Somebody,
    concerned,
    supposing,
)
from wardgate.compiler.analysis.policy_view import PolicyTables
from wardgate.compiler.analysis.profiles import Profiles
from wardgate.compiler.analysis.service_space import Mask, ServiceSpace, service_space
from wardgate.compiler.analysis.view import View
from wardgate.compiler.language.model import Assertion, AssertionKind, Packet, Policy
from wardgate.compiler.language.services import service_label
from wardgate.compiler.semantics import Decision, Session, evaluate
from wardgate.compiler.semantics.partition import maximal

_SESSIONS = {
    None: (Session.NONE, Session.AUTHORISED),
    True: (Session.AUTHORISED,),
    False: (Session.NONE,),
}
_LEAST = {Session.NONE: ALLOW, Session.AUTHORISED: FRESH}
"""The least level that passes in a session. One that is authorised is so since a moment ago; what passes
later passes then too, and what passes without a session always does."""

_CELLS = 1 << 20
"""Cells of rows that are looked at at once."""
MOST_CELLS = 1 << 33
"""Pairs of a class of users and a set of addresses up to which a question is tried."""


@dataclass(frozen=True, slots=True)
class Counterexample:
    """A packet that an assertion is wrong about. `decision` is the reference's. `groups`: those that the user
    is supposed to be in, whatever the policy says; None: those that it says."""

    user: str
    packet: Packet
    session: Session
    decision: Decision
    groups: tuple[str, ...] | None = None

    def __str__(self) -> str:
        """The packet, what becomes of it and which rule says so, in words."""
        side = "from" if self.packet.inbound else "to"
        remote = self.packet.remote
        service = service_label(self.packet.protocol, self.packet.port, remote.version)
        fate = "passes" if self.decision.passes else f"is dropped ({self.decision.reason.label})"
        rule = self.decision.rule
        by = f" by `{rule.text}` at {rule.position}" if rule else ""
        login = "logged in" if self.session is Session.AUTHORISED else "not logged in"
        return f"{self._who} ({login}) {side} {remote} {service} {fate}{by}"

    @property
    def _who(self) -> str:
        if self.groups is None:
            return self.user
        return f"{self.user}, in {' and '.join(self.groups) or 'no group'}"


@dataclass(frozen=True, slots=True)
class Proved:
    """An assertion, and a packet that it is wrong about or None.

    `cases` counts the combinations of `classes` of users, address interval, service interval and session
    state that it is about, all of which were looked at where it holds. `memberships`: the users and sets of
    groups that the classes stand for, None where users are in the groups that they are in.
    """

    assertion: Assertion
    counterexample: Counterexample | None
    classes: int
    cases: int
    memberships: Memberships | None

    @property
    def passed(self) -> bool:
        """Whether the assertion holds."""
        return self.counterexample is None


class Prover:
    """Proves assertions about one policy; what several of them need is made once."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._tables = PolicyTables(policy, "the policy")
        self._present: View | None = None

    def prove(self, assertion: Assertion) -> Proved:
        """Proof or counterexample. AnalysisError where the question is too big to be answered."""
        about = concerned(self._policy, self._tables.classes, assertion)
        if not about.people:
            return Proved(assertion, None, 0, 0, about.memberships)
        self._refuse_if_too_big(about, assertion)
        question = _Question(self._view(about), assertion)
        found = question.contradiction(about.people)
        example = None if found is None else self._verified(assertion, *found)
        count = len(about.people)
        return Proved(assertion, example, count, question.cases * count, about.memberships)

    def _view(self, about: Concerned) -> View:
        if about.memberships is not None:
            return self._tables.view(about.classes)
        if self._present is None:
            self._present = self._tables.view()
        return self._present

    def _refuse_if_too_big(self, about: Concerned, assertion: Assertion) -> None:
        cells = len(about.people) * self._tables.destinations
        if cells > MOST_CELLS:
            raise AnalysisError(
                "prove",
                f"`{assertion.text}`",
                f"it is about {len(about.people):,} classes of users and {self._tables.destinations:,} "
                f"prefixes, and only {MOST_CELLS:,} pairs of them are tried",
                "claim it of fewer users, one group at a time",
            )

    def _verified(
        self, assertion: Assertion, somebody: Somebody, packet: Packet, session: Session
    ) -> Counterexample:
        """What the definition says of a packet that contradicts; nothing is claimed that it doesn't say."""
        decision = evaluate(supposing(self._policy, somebody), somebody.user, packet, session)
        if decision.passes is (assertion.kind is AssertionKind.ALWAYS):
            raise AnalysisError(
                "prove",
                f"`{assertion.text}`",
                f"of {somebody.user} and {packet} the reference says something else than the analysis",
                "please report it with the policy; this is a fault of Wardgate",
            )
        return Counterexample(somebody.user, packet, session, decision, somebody.groups)


class _Question:
    """An assertion about the users of a view."""

    def __init__(self, view: View, assertion: Assertion) -> None:
        self._view = view
        self._inbound = assertion.inbound
        self._wanted = assertion.kind is AssertionKind.ALWAYS
        self._sessions = _SESSIONS[assertion.authed]
        self._addresses: AddressSpace = address_space([view], maximal(assertion.destinations))
        self._services: ServiceSpace = service_space([view], assertion.services)
        self._profiles = Profiles([view], self._services)

    @property
    def cases(self) -> int:
        """The combinations for each class of users."""
        intervals = {4: 0, 6: 0}
        for version, found in zip(self._addresses.version, self._addresses.intervals, strict=True):
            intervals[version] += len(found)
        pieces = np.array([len(found) for found in self._services.pieces])
        packets = sum(intervals[v] * int(pieces[self._services.asked[v]].sum()) for v in intervals)
        return packets * len(self._sessions)

    def contradiction(self, people: Sequence[Somebody]) -> tuple[Somebody, Packet, Session] | None:
        """The first of `people` of whom it is wrong, with a packet and a session; None: it holds."""
        wrong = self._wrong_profiles()
        six = self._addresses.versions == 6
        cells = len(six)
        step = max(1, _CELLS // max(1, cells))
        for start in range(0, len(people), step):
            classes = np.array([one.number for one in people[start : start + step]], np.int64)
            buckets = self._view.buckets(classes, self._addresses.classes[0], inbound=self._inbound)
            found = np.flatnonzero(wrong[six.astype(np.int64), self._profiles.of_bucket[0][buckets]])
            if len(found):
                row, cell = divmod(int(found[0]), cells)
                return people[start + row], *self._packet(cell, int(buckets[row, cell]))
        return None

    def _wrong_profiles(self) -> npt.NDArray[np.bool_]:
        """Whether a service that is asked about fares otherwise than claimed, by IP version (0: 4, 1: 6) and
        profile."""
        found = np.zeros((2, len(self._profiles)), bool)
        step = max(1, _CELLS // self._services.count)
        for start in range(0, len(self._profiles), step):
            numbers = range(start, min(start + step, len(self._profiles)))
            rows = self._profiles.rows(numbers)
            stacked = np.stack([rows[number] for number in numbers])
            for place, version in enumerate((4, 6)):
                wrong = self._wrong(stacked, version)
                found[place, numbers.start : numbers.stop] = wrong.any(axis=-1)
        return found

    def _wrong(self, rows: Openness, version: int) -> Mask:
        """Of each atom of rows of profiles, whether it is asked about and fares otherwise in some session."""
        passing = [rows >= _LEAST[session] for session in self._sessions]
        wrong: Mask = np.any([found != self._wanted for found in passing], axis=0)
        return wrong & self._services.asked[version]

    def _packet(self, cell: int, bucket: int) -> tuple[Packet, Session]:
        version = self._addresses.version[cell]
        number = int(self._profiles.of_bucket[0][bucket])
        row = self._profiles.rows([number])[number]
        atom = self._services.best(self._wrong(row, version), version)
        session = next(s for s in self._sessions if bool(row[atom] >= _LEAST[s]) is not self._wanted)
        remote = example_address(self._addresses.intervals[cell], version)
        return Packet(remote, *self._services.example(atom, version), self._inbound), session


def prove(policy: Policy, assertion: Assertion) -> Proved:
    """Proof of one assertion, or counterexample; see Prover."""
    return Prover(policy).prove(assertion)
