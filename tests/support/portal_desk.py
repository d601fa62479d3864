"""A gateway's rest, as the portal sees it, in memory: devices, second factors, sessions, tokens.

It keeps the promises of gateway/portal/desk.py and none of the kernel's or the store's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from wardgate.gateway.errors import ExistsError, RefusedError
from wardgate.gateway.portal.desk import PortalEvent, SessionEvent, SessionView
from wardgate.gateway.records import Device, Session

HOSTILE = "<script>window.hurt=1</script><img src=x onerror='window.hurt=1'>"
SETUP_TEXT = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
GATEWAY_KEY = "Z2F0ZXdheS1wdWJsaWMta2V5LW9mLTMyLWJ5dGVzISE="
NO_SESSION = SessionView("none", 0, None, 0, "")


def device(number: str, user: str, name: str, *addresses: str, locked: bool = False) -> Device:
    """A device."""
    return Device(number, user, name, GATEWAY_KEY, addresses, None, None, locked, 0)


@dataclass(frozen=True)
class Named:
    """A method."""

    name: str
    label: str


@dataclass(frozen=True)
class Begun:
    """A set-up."""

    uri: str
    secret: str


@dataclass(frozen=True)
class Asked:
    """A login that was begun."""

    ticket: str
    text: str
    url: str
    expires: int


@dataclass(frozen=True)
class Shown:
    """A proof."""

    user: str
    method: str


@dataclass(frozen=True)
class Locks:
    """The state of a user's challenges."""

    locked_until: int


TOTP = Named("totp", "Authenticator app")


class MemoryChallenges:
    """`codes`: by (user, method), those that are right; each is right once. `confirmed`: users' methods.
    `posing`: those whose logins begin with a question; `questions`: what was asked of devices."""

    def __init__(self) -> None:
        self.methods: Sequence[Named] = (TOTP,)
        self.posing: set[str] = set()
        self.questions: dict[str, Asked] = {}
        self.question = ("", "")
        self.confirmed: dict[str, list[Named]] = {}
        self.pending: dict[str, str] = {}
        self.codes: dict[tuple[str, str], list[str]] = {}
        self.locked: dict[str, int] = {}
        self.asked: list[tuple[str, str, str, str]] = []

    async def methods_of(self, user: str) -> Sequence[Named]:
        return tuple(self.confirmed.get(user, ()))

    async def begin_setup(self, actor: str, user: str, method: str) -> Begun:
        assert actor.startswith("device:")
        self.pending[user] = method
        return Begun(f"otpauth://totp/Wardgate:{user}?secret={SETUP_TEXT}&issuer=Wardgate", SETUP_TEXT)

    async def confirm_setup(self, user: str, method: str, code: str) -> Sequence[str]:
        if self.pending.get(user) != method:
            raise RefusedError("confirm", method, "no set-up is under way", "begin it anew")
        self._spend(user, method, code)
        self.confirmed.setdefault(user, []).append(TOTP)
        self.codes[user, "recovery"] = [f"k{number}wq-7hfz-m2x{number}" for number in range(8)]
        return tuple(self.codes[user, "recovery"])

    async def recovery_left(self, user: str) -> int | None:
        return len(self.codes[user, "recovery"]) if (user, "recovery") in self.codes else None

    async def pose(self, user: str, method: str, *, device: str) -> Asked:
        assert method in self.posing
        del user
        asked = Asked(f"ticket-{len(self.questions)}", *self.question, int(time.time()) + 300)
        self.questions[device] = asked
        return asked

    async def verify(self, user: str, method: str, code: str, *, device: str, ticket: str = "") -> Shown:
        self._try(user, method, code, device, ticket)
        return Shown(user, method)

    async def renew_recovery(
        self, user: str, method: str, code: str, *, device: str, ticket: str = ""
    ) -> Sequence[str]:
        self._try(user, method, code, device, ticket)
        self.codes[user, "recovery"] = [f"n{number}wq-7hfz-m2x{number}" for number in range(8)]
        return tuple(self.codes[user, "recovery"])

    def _try(self, user: str, method: str, code: str, device: str, ticket: str) -> None:
        self.asked.append((user, method, code, device))
        if self.locked.get(user, 0) > time.time():
            raise RefusedError("log in", user, "too many codes were wrong", "try again later")
        if method in self.posing:
            asked = self.questions.get(device)
            if asked is None or asked.ticket != ticket:
                raise RefusedError("log in", user, "this login was begun too long ago", "begin it anew")
            del self.questions[device]
        self._spend(user, method, code)

    async def state(self, user: str, device: str | None = None) -> Locks:
        del device
        return Locks(self.locked.get(user, 0))

    def _spend(self, user: str, method: str, code: str) -> None:
        right = self.codes.get((user, method), [])
        if code not in right:
            raise RefusedError("log in", user, "the code is wrong or was used before", "enter the next one")
        right.remove(code)


@dataclass(frozen=True)
class Enrolled:
    """A new device."""

    device: Device


@dataclass
class MemoryEnrolment:
    """`tokens`: by their text, the user and how often they may be used."""

    tokens: dict[str, tuple[str, int]] = field(default_factory=dict)
    made: list[Device] = field(default_factory=list)
    asked: int = 0

    async def enrol(self, token_text: str, device_name: str, public_key: str) -> Enrolled:
        self.asked += 1
        user, uses = self.tokens.get(token_text, ("", 0))
        if not uses:
            raise RefusedError("enrol device", "", "the token was used", "ask for another token")
        if any(one.public_key == public_key for one in self.made):
            raise ExistsError("enrol device", "", "another device has this key", "make a new pair")
        self.tokens[token_text] = (user, uses - 1)
        number = len(self.made)
        made = Device(
            f"new{number}", user, device_name, public_key, (f"10.9.1.{number}",), None, None, False, 0
        )
        self.made.append(made)
        return Enrolled(made)


@dataclass(frozen=True)
class Configuration:
    """As gateway.identity writes it; `routes`: how many prefixes AllowedIPs has."""

    device: Device
    routes: int = 4

    @property
    def file_name(self) -> str:
        return f"wg-{self.device.name}.conf"[:20]

    def text(self, private_key: str | None) -> str:
        line = f"PrivateKey = {private_key}" if private_key else "# PrivateKey = (made on this device)"
        prefixes = ", ".join(f"10.{number}.0.0/16" for number in range(self.routes))
        return (
            f"# WireGuard configuration of {self.device.user}/{self.device.name}.\n"
            "# First replace the line that begins with `# PrivateKey` by the device's own key.\n\n"
            f"[Interface]\n{line}\nAddress = {self.device.addresses[0]}/32\n\n"
            f"[Peer]\nPublicKey = {GATEWAY_KEY}\nEndpoint = vpn.example.com:51820\nAllowedIPs = {prefixes}\n"
        )


class MemoryDesk:
    """All of it. `devices`: by tunnel address."""

    def __init__(self, *devices: Device) -> None:
        self.devices = {address: one for one in devices for address in one.addresses}
        self.challenges = MemoryChallenges()
        self.enrolment = MemoryEnrolment()
        self.sessions: dict[str, SessionView] = {}
        self.logins: list[tuple[str, str]] = []
        self.watchers: dict[str, list[asyncio.Queue[PortalEvent | None]]] = {}
        self.routes = 4
        self.looks = 0
        """How often a session was looked up: by a page, and then by its stream of events."""

    async def device_at(self, address: str) -> Device | None:
        return self.devices.get(address)

    async def login(self, device: Device, proof: Shown) -> Session:
        change = "renewed" if self.sessions.get(device.id, NO_SESSION).state == "authorised" else "began"
        self.logins.append((device.id, proof.method))
        self.sessions[device.id] = SessionView("authorised", 3600, 600, 0, proof.method)
        self.tell(device.id, SessionEvent(change))
        return Session(device.id, device.user, proof.method, 0, 0, 0, 0, 0, "", "")

    async def logout(self, device: Device) -> None:
        self.end(device.id, "you logged out")

    def end(self, device_id: str, reason: str, state: str = "none") -> None:
        """End a session."""
        self.sessions[device_id] = SessionView(state, 0, None, 0, "")
        self.tell(device_id, SessionEvent("ended", reason))

    async def session(self, device_id: str) -> SessionView:
        self.looks += 1
        return self.sessions.get(device_id, NO_SESSION)

    def tell(self, device_id: str, event: PortalEvent | None) -> None:
        """To all who watch; None ends their watch."""
        for queue in self.watchers.get(device_id, []):
            queue.put_nowait(event)

    async def events(self, device_id: str) -> AsyncIterator[PortalEvent]:
        queue: asyncio.Queue[PortalEvent | None] = asyncio.Queue()
        self.watchers.setdefault(device_id, []).append(queue)
        try:
            while (event := await queue.get()) is not None:
                yield event
        finally:
            self.watchers[device_id].remove(queue)

    async def configuration(self, device: Device) -> Configuration:
        return Configuration(device, self.routes)


def office() -> MemoryDesk:
    """alice has a second factor on her laptop, bob has none, carol's device is locked."""
    desk = MemoryDesk(
        device("d1", "alice", "laptop", "127.0.0.1", "10.9.0.2", "fd09::2"),
        device("d2", "bob", "phone", "127.0.0.2", "10.9.0.3"),
        device("d3", "carol", "tablet", "127.0.0.3", "10.9.0.4", locked=True),
    )
    desk.challenges.confirmed = {"alice": [TOTP], "carol": [TOTP]}
    desk.challenges.codes = {
        ("alice", "totp"): ["111111", "222222", "333333"],
        ("alice", "recovery"): ["k1wq-7hfz"],
        ("bob", "totp"): ["444444", "555555"],
        ("carol", "totp"): ["666666"],
    }
    desk.enrolment.tokens = {"wg_good_token": ("alice", 1), "wg_twice": ("bob", 2)}
    return desk
