"""What a method of the second factor is: a plug-in that makes a secret and judges answers.

There are four forms, by what a login needs. `Method` judges a code by a secret and the time. `PosingMethod`
judges the answer to a question that it has posed for this login. `RemoteMethod` has no secret here: it asks
elsewhere whether an answer is right. `PosingRemoteMethod` does that for a question of its own.

The first two have no state and wait for nothing: they are given what is stored, and say what is to be stored.
So an answer is judged, counted and spent in one change (see `challenges`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Setup:
    """What a user needs to set a method up, shown once. `uri`: for a QR code. `secret`: the same for typing.
    `expires`: until when it may be confirmed, Unix time."""

    uri: str = field(repr=False)
    secret: str = field(repr=False)
    expires: int


@dataclass(frozen=True, slots=True)
class Begun:
    """A set-up as a method makes it: `secret` is what to store, `uri` and `text` what to show."""

    secret: bytes = field(repr=False)
    uri: str = field(repr=False)
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Accepted:
    """A right answer. `secret`: what to store from now on. `used`: what must not be used again, a number
    that grows with each answer."""

    secret: bytes = field(repr=False)
    used: int


@dataclass(frozen=True, slots=True)
class Question:
    """What a method asks in one login. `state`: what the answer is judged by; the gateway keeps it, and shows
    it to nobody. `text`: for the user to read, or for the page's script. `url`: where the user goes for the
    answer, by HTTPS or HTTP, and comes back from to `/login/return/METHOD` with `state` (the ticket) and
    `code` (the answer) in the query; ValueError where it is another."""

    state: bytes = field(repr=False)
    text: str = field(repr=False, default="")
    url: str = field(repr=False, default="")

    def __post_init__(self) -> None:
        if self.url and not self.url.startswith(("https://", "http://")):
            raise ValueError("a question's url begins with https:// or http://")


@dataclass(frozen=True, slots=True)
class Challenge:
    """A login that was begun: the question, and the `ticket` that its answer must come with. `expires`: Unix
    time from which on no answer is taken."""

    ticket: str = field(repr=False)
    text: str = field(repr=False)
    url: str = field(repr=False)
    expires: int


class Named(Protocol):
    """What every method has."""

    @property
    def name(self) -> str:
        """As records and the API have it: `totp`."""

    @property
    def label(self) -> str:
        """As people read it."""


class _SetUp(Named, Protocol):
    """Set up by each user. Answers come from whoever tries: of any length, with any characters."""

    def begin(self, account: str) -> Begun:
        """A new secret for a user."""

    def confirm(self, secret: bytes, answer: str, at: int) -> Accepted | None:
        """Whether the answer shows that the user has what `begin` made; None: it does not. `at`: Unix
        time."""


class Method(_SetUp, Protocol):
    """A method whose users know the answer without being asked anything."""

    def verify(self, secret: bytes, answer: str, used: int, at: int) -> Accepted | None:
        """Whether the answer is right at `at` and newer than `used`; None: it is not. Takes the same time
        for every answer of the right form."""


@runtime_checkable
class PosingMethod(_SetUp, Protocol):
    """A method that poses a question for each login."""

    def pose(self, secret: bytes, ticket: str, at: int) -> Question:
        """A new question, which nobody can foresee. `ticket`: names this login, and comes back with the
        answer."""

    def judge(self, secret: bytes, state: bytes, answer: str, used: int, at: int) -> Accepted | None:
        """Whether the answer is right for the question of `state`; None: it is not. It is asked once for
        each question, and not after its time."""


class RemoteMethod(Named, Protocol):
    """A method that asks elsewhere: a directory, a provider. Its users set nothing up here, and every user
    has it."""

    async def judge(self, user: str, state: bytes, answer: str, at: int) -> bool:
        """Whether the answer is this user's. `state`: of the question, or empty where none was posed. It may
        wait, in a thread of its own where it must block, for `challenges.PATIENCE_S` at most. BusyError where
        who is asked does not answer; the try stays counted."""


@runtime_checkable
class PosingRemoteMethod(RemoteMethod, Protocol):
    """One that sends the user elsewhere, or poses a question of its own."""

    def pose(self, user: str, ticket: str, at: int) -> Question:
        """As of PosingMethod. It waits for nothing."""
