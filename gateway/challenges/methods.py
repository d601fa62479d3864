"""What a method of the second factor is: a plug-in that makes a secret and judges answers.

A method has no state and waits for nothing: it is given the secret that is stored for the user, and says
what is to be stored. So an answer is judged, counted and spent in one change (see `challenges`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


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


class Method(Protocol):
    """A method. Answers come from whoever tries to log in: of any length, with any characters."""

    @property
    def name(self) -> str:
        """As records and the API have it: `totp`."""

    @property
    def label(self) -> str:
        """As people read it."""

    def begin(self, account: str) -> Begun:
        """A new secret for a user."""

    def confirm(self, secret: bytes, answer: str, at: int) -> Accepted | None:
        """Whether the answer shows that the user has what `begin` made; None: it does not. `at`: Unix
        time."""

    def verify(self, secret: bytes, answer: str, used: int, at: int) -> Accepted | None:
        """Whether the answer is right at `at` and newer than `used`; None: it is not. Takes the same time
        for every answer of the right form."""
