"""What the control API is an API of: the gateway's parts, as it calls them.

`actor` is who asks, for the audit log; the API takes it from the socket and never from a request. Every
operation raises GatewayError where it is not done, and has changed nothing then. Where one returns `object`,
nobody looks at what that is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

from wardgate.gateway.challenges.state import UserState
from wardgate.gateway.compiling.bundles import Bundle
from wardgate.gateway.compiling.plans import Plan
from wardgate.gateway.control.views import DeviceSession, PolicyInForce, Status
from wardgate.gateway.ledger import Verified
from wardgate.gateway.records import AuditEntry, AuditHead, Device, Policy, Token, User


class Users(Protocol):
    """Users and their groups."""

    async def add(self, actor: str, name: str, groups: Sequence[str] = ()) -> User:
        """Add a user, as a member of `groups` (`group:NAME`). ExistsError, InvalidError."""

    async def remove(self, actor: str, name: str) -> object:
        """Remove a user with devices, tokens and credentials. NotFoundError."""

    async def join(self, actor: str, name: str, group: str) -> User:
        """Make a user a member of a group."""

    async def leave(self, actor: str, name: str, group: str) -> User:
        """End a user's membership; RefusedError where it is the policy's text that gives it."""

    async def lock(self, actor: str, name: str) -> User:
        """Let nothing of the user's pass that needs a session, and nobody log in."""

    async def unlock(self, actor: str, name: str) -> User:
        """End that."""

    async def get(self, name: str) -> User:
        """A user. NotFoundError."""

    async def list(self) -> Sequence[User]:
        """All users, by name."""


class Devices(Protocol):
    """Devices of users: WireGuard peers."""

    async def add(
        self,
        actor: str,
        user: str,
        name: str,
        public_key: str,
        *,
        addresses: Sequence[str] = (),
        preshared: bool = True,
        keepalive: int | None = None,
    ) -> Device:
        """Add a device; without `addresses` it gets free ones."""

    async def rename(self, actor: str, device: str, name: str) -> Device:
        """Give the device with this id another name."""

    async def replace_key(self, actor: str, device: str, public_key: str) -> Device:
        """Give it another public key; its session ends."""

    async def lock(self, actor: str, device: str) -> Device:
        """Let nothing of the device's pass that needs a session, and nobody log in there."""

    async def unlock(self, actor: str, device: str) -> Device:
        """End that."""

    async def remove(self, actor: str, device: str) -> object:
        """Remove it."""

    async def find(self, text: str) -> Device:
        """The device with this id, `USER/NAME`, tunnel address or public key. NotFoundError."""

    async def list(self, user: str | None = None) -> Sequence[Device]:
        """All devices, or a user's."""


class Tokens(Protocol):
    """Permissions to enrol a device."""

    async def issue(
        self,
        actor: str,
        user: str,
        *,
        uses: int = 1,
        lifetime_s: int,
        groups: Sequence[str] = (),
        addresses: Sequence[str] = (),
        replaces: str | None = None,
    ) -> tuple[Token, str]:
        """A new token, and its text, which is a secret and kept nowhere."""

    async def revoke(self, actor: str, token: str) -> object:
        """Take back the token with this id. NotFoundError."""

    async def list(self) -> Sequence[Token]:
        """All tokens that may still be used."""


class Challenges(Protocol):
    """Second factors."""

    async def reset(self, actor: str, user: str) -> object:
        """Forget a user's second factors and recovery codes: they are set up anew at the next login."""

    async def unlock(self, actor: str, user: str) -> object:
        """Let a user try again who failed too often."""

    async def state(self, user: str) -> UserState:
        """What a user has set up, and whether logins are refused for now."""


class Sessions(Protocol):
    """Sessions, as the kernel has them."""

    async def list(self) -> Sequence[DeviceSession]:
        """Of each device."""

    async def end(self, actor: str, device: str) -> object:
        """End the session of the device with this id, at once. NotFoundError: it has none."""


class Policies(Protocol):
    """The policy in force, and those before it."""

    async def show(self, number: int | None = None) -> PolicyInForce:
        """The policy in force, or the one with a number, with its files. NotFoundError."""

    async def history(self) -> Sequence[Policy]:
        """All that were in force and are still known, the latest last."""

    async def plan(self, bundle: Bundle) -> Plan:
        """What applying it would do; see compiling.plans."""

    async def apply(self, actor: str, bundle: Bundle, plan_digest: str) -> Policy:
        """Check and compare again, and bring it into force. PolicyRefusedError where its tests or assertions
        fail; StalePlanError where it would not change what the plan with this digest said."""

    async def rollback(self, actor: str, number: int) -> Policy:
        """Bring back the policy before the one in force, which is `number`. StalePlanError where another is
        in force; NotFoundError where there is none before."""


class Audit(Protocol):
    """The audit log."""

    async def entries(self, after: int, limit: int) -> Sequence[AuditEntry]:
        """The entries that follow number `after`, at most `limit` of them."""

    async def head(self) -> AuditHead:
        """The last entry's number and hash; 0 and the hash of nothing where there is none."""

    async def verify(self) -> Verified:
        """Follow the chain from its first entry to the last."""


class Control(Protocol):
    """All of it."""

    @property
    def users(self) -> Users:
        """See Users."""

    @property
    def devices(self) -> Devices:
        """See Devices."""

    @property
    def tokens(self) -> Tokens:
        """See Tokens."""

    @property
    def challenges(self) -> Challenges:
        """See Challenges."""

    @property
    def sessions(self) -> Sessions:
        """See Sessions."""

    @property
    def policies(self) -> Policies:
        """See Policies."""

    @property
    def audit(self) -> Audit:
        """See Audit."""

    @property
    def enrolment_page(self) -> str:
        """Where people enrol a device; empty where there is no page."""

    async def configuration(self, device: Device) -> str:
        """What a device's WireGuard needs, in wg-quick form, without its private key."""

    async def status(self) -> Status:
        """How the gateway is."""

    def events(self) -> AsyncIterator[Mapping[str, Any]]:
        """What happens from now on. Each has `event` (`login`, `logout`, `roam`, ...) and `time` (UTC, ISO
        8601), and what else there is to know, never a secret. Whoever reads too slowly is told how many
        were left out, by the event `lost` with `count`."""

    async def metrics(self) -> str:
        """In Prometheus' text form."""
