"""What the portal and the enrolment page ask of the rest of the gateway, and nothing more.

The service implements `Desk`; tests have one of their own. Every refusal is a GatewayError: RefusedError's
cause is shown to the user, so that it must not tell what a guesser would like to know.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from wardgate.gateway.records import Device, Session

AUTHORISED: Final = "authorised"
"""The state of a session that lets pass; the others are `none`, `expired` and `idle`."""

RECOVERY: Final = "recovery"
"""The method that spends a recovery code; whoever has another method may use it."""


@dataclass(frozen=True, slots=True)
class SessionView:
    """A device's session as the kernel has it now. `state`: see runtime.sessions.SessionState.

    `remaining_s`: until its lifetime ends. `idle_s`: until it ends for want of traffic, or None where it has
    no such limit. `login_age_s`: since the last login. `method`: of that login, or empty.
    """

    state: str
    remaining_s: int
    idle_s: int | None
    login_age_s: int
    method: str


@dataclass(frozen=True, slots=True)
class SessionEvent:
    """A device's session began, was renewed or ended; `reason`: why, in words, or empty."""

    change: Literal["began", "renewed", "ended"]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class NeedsLoginEvent:
    """A packet of the device was dropped that a login would let pass. `destination`: address; `service`,
    `rule`, `reason`: as `wardgate explain` writes them."""

    destination: str
    service: str
    rule: str
    reason: str


PortalEvent = SessionEvent | NeedsLoginEvent


class MethodView(Protocol):
    """A way to show a second factor. `name`: in the store and in forms; `label`: for people."""

    @property
    def name(self) -> str: ...
    @property
    def label(self) -> str: ...


class Setup(Protocol):
    """A set-up that was begun. `uri`: for a QR code; `secret`: the same for those who type it."""

    @property
    def uri(self) -> str: ...
    @property
    def secret(self) -> str: ...


class Challenge(Protocol):
    """A question for one login; see challenges.Challenge. `url`: where the user is sent, or empty."""

    @property
    def ticket(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def expires(self) -> int: ...


class Proof(Protocol):
    """That a user has just shown a second factor."""

    @property
    def user(self) -> str: ...
    @property
    def method(self) -> str: ...


class ChallengeState(Protocol):
    """`locked_until`: Unix time before which no login is tried; 0: they are tried now; beyond any date that
    there will be: until an administrator unlocks them."""

    @property
    def locked_until(self) -> int: ...


class Challenges(Protocol):
    """Second factors; see gateway.challenges."""

    @property
    def methods(self) -> Sequence[MethodView]:
        """Those that users may set up."""

    @property
    def posing(self) -> Collection[str]:
        """The names of those whose logins begin with `pose`."""

    async def methods_of(self, user: str) -> Sequence[MethodView]:
        """Those that `user` may log in with."""

    async def recovery_left(self, user: str) -> int | None:
        """How many recovery codes `user` has; None: none were made."""

    async def begin_setup(self, actor: str, user: str, method: str) -> Setup: ...

    async def confirm_setup(self, user: str, method: str, code: str) -> Sequence[str]:
        """The recovery codes, which nobody can ask for again."""

    async def pose(self, user: str, method: str, *, device: str) -> Challenge: ...

    async def verify(self, user: str, method: str, code: str, *, device: str, ticket: str = "") -> Proof: ...

    async def renew_recovery(
        self, user: str, method: str, code: str, *, device: str, ticket: str = ""
    ) -> Sequence[str]:
        """The new ones, which nobody can ask for again."""

    async def state(self, user: str, device: str | None = None) -> ChallengeState:
        """With a device's id, of logins there."""


class ClientConfiguration(Protocol):
    """What a device's WireGuard is set up with; see gateway.identity."""

    @property
    def file_name(self) -> str:
        """What the file should be called."""

    def text(self, private_key: str | None) -> str:
        """In wg-quick's form; None leaves the private key to be filled in."""


class Enrolled(Protocol):
    """A device that has just been enrolled, or got a new key."""

    @property
    def device(self) -> Device: ...


class Enrolment(Protocol):
    """Devices for tokens; see gateway.identity."""

    async def enrol(self, token_text: str, device_name: str, public_key: str, /) -> Enrolled:
        """RefusedError or NotFoundError where the token is no good, InvalidError or ExistsError where name or
        key are not; those must not depend on anything but the arguments until the token is known to be
        good."""


class Desk(Protocol):
    """All that the two web applications can do."""

    @property
    def challenges(self) -> Challenges: ...
    @property
    def enrolment(self) -> Enrolment: ...

    async def device_at(self, address: str) -> Device | None:
        """The device that has the tunnel address (in its usual form)."""

    async def login(self, device: Device, proof: Proof) -> Session:
        """Begin the device's session, or renew it without a cut. RefusedError where device or user are
        locked."""

    async def logout(self, device: Device) -> None: ...

    async def session(self, device_id: str) -> SessionView: ...

    def events(self, device_id: str) -> AsyncIterator[PortalEvent]:
        """What happens to the device from the first `anext` on; closing it ends the watch."""

    async def configuration(self, device: Device) -> ClientConfiguration: ...
