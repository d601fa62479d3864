"""A gateway that is killed at any moment, while its users log in, move and log out.

`WARDGATE_CRASHES` is how often it is killed, `WARDGATE_CRASHES_SEED` what decides when.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
from gateway_api import Api
from gateway_probes import Deeds, Prober, Span
from gateway_site import GROUP, LAB, OPEN, Machine, Site, eventually, site
from wardgate.cli.demo.x25519 import generate
from wardgate.runtime.gate import Gate

pytestmark = [pytest.mark.root, pytest.mark.tool("wireguard-go")]

CRASHES = int(os.environ.get("WARDGATE_CRASHES", "5"))
SEED = int(os.environ.get("WARDGATE_CRASHES_SEED", "1"))


class Person(threading.Thread):
    """Somebody with a device, who logs in, moves and logs out as the dice say, while a gateway serves."""

    def __init__(self, site: Site, machine: Machine, user: str, serves: threading.Event, seed: str) -> None:
        super().__init__(daemon=True, name=user)
        self.site = site
        self.machine = machine
        self.user = user
        self.deeds = Deeds()
        self.keeps_session = False
        """Whether there is a session for sure, that nothing may have ended."""
        self.logins = 0
        self.failure: BaseException | None = None
        self._serves = serves
        self._dice = random.Random(seed)
        self._codes: list[str] = []
        self._is_restricted = False
        self._over = threading.Event()

    def run(self) -> None:
        """Until `end`. What fails because the gateway was killed is done no more."""
        try:
            while not self._over.is_set():
                if self._serves.wait(0.1):
                    with contextlib.suppress(httpx.HTTPError), Api(self.site.socket) as api:
                        self._act(api)
        except BaseException as error:
            self.failure = error
            raise

    def end(self) -> None:
        """Stop, and wait for that."""
        self._over.set()
        self.join()

    def _act(self, api: Api) -> None:
        deeds = (self.log_out, self.move, self.be_locked, self.leave, self.log_in)
        if self._is_restricted:
            self._restore(api)
        elif self.keeps_session:
            self._dice.choice(deeds)(api)
        else:
            self.log_in(api)
        self._over.wait(self._dice.uniform(0, 0.4))

    def log_in(self, api: Api) -> None:
        """By a recovery code, of which a set-up gives ten."""
        if not self._codes:
            self._set_up(api)
        browser = self.machine.browser
        self.keeps_session = False
        with self.deeds.login():
            browser.get("/login?method=recovery")
            browser.submit("/login", code=self._codes.pop())
        if "Log out" in browser.text:
            self.keeps_session = True
            self.logins += 1

    def _set_up(self, api: Api) -> None:
        with contextlib.suppress(httpx.HTTPStatusError):
            api.post(f"/users/{self.user}/reset-mfa")
        # A set-up is not a login, but none knows what a broken gateway takes it for.
        self._codes = list(self.machine.set_up())

    def log_out(self, _: Api) -> None:
        """By the portal."""
        browser = self.machine.browser
        self.keeps_session = False
        with self.deeds.end():
            browser.get("/")
            browser.submit("/logout")
            if "logged out" not in browser.text:
                raise httpx.HTTPError("the gateway ended meanwhile")

    def move(self, _: Api) -> None:
        """To another address; the session is over when the gateway says so, now or after its next start."""
        self.keeps_session = False
        with self.deeds.end():
            self.machine.move()
            eventually(lambda: self._over.is_set() or self._is_over())
            if self._over.is_set():
                raise httpx.HTTPError("there is no time left to see it")

    def _is_over(self) -> bool:
        self._serves.wait()
        with contextlib.suppress(httpx.HTTPError), Api(self.site.socket) as api:
            (mine,) = (one for one in api.get("/sessions") if one["device"]["user"] == self.user)
            return bool(mine["state"] != "authorised")
        return False

    def be_locked(self, api: Api) -> None:
        """By an administrator, who thinks better of it."""
        self.keeps_session = False
        self._is_restricted = True
        with self.deeds.end():
            api.post(f"/users/{self.user}/lock")
        self.deeds.closed.append(Span(time.monotonic()))

    def leave(self, api: Api) -> None:
        """Leave the group that may log in to the laboratory, for a while; the session goes on."""
        self._is_restricted = True
        api.delete(f"/users/{self.user}/groups/{GROUP}")
        self.deeds.closed.append(Span(time.monotonic()))

    def _restore(self, api: Api) -> None:
        """Take back what closed the way, or may have: the answer may have been lost."""
        for span in self.deeds.closed:
            span.done = min(span.done, time.monotonic())
        api.post(f"/users/{self.user}/unlock")
        api.post(f"/users/{self.user}/groups", group=GROUP)
        self._is_restricted = False


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("site"), settings="sessions: {lifetime: 8h}\n") as made:
        yield made


def agrees(site: Site, people: list[Person]) -> None:
    """Store, gate and WireGuard say the same, and nothing that may not be lost was lost."""
    with Api(site.socket) as api:
        assert api.get("/audit/verify")["broken"] is None
        assert api.get("/status")["gate"]["enforcing"]
        assert api.get("/status")["problems"] == []

        def sessions_agree() -> bool:
            listed = api.get("/sessions")
            in_kernel = {
                str(one.addresses[0]): one.state.value for one in Gate.open(site.interface).sessions.list()
            }
            # Only the store knows how somebody logged in.
            stored = {one["device"]["id"] for one in listed if one["method"]}
            if stored != {one["device"]["id"] for one in listed if one["state"] == "authorised"}:
                return False
            return {one["device"]["addresses"][0]: one["state"] for one in listed} == in_kernel

        eventually(sessions_agree)
        devices = {one["public_key"] for one in api.get("/devices")}
        assert site.peers() == devices
        authorised = {one["device"]["user"] for one in api.get("/sessions") if one["state"] == "authorised"}
        for person in people:
            assert person.failure is None
            assert not person.keeps_session or person.user in authorised, f"{person.user} lost the session"


def test_whenever_it_is_killed_nothing_passes_that_may_not(running: Site) -> None:
    dice = random.Random(SEED)
    serves = threading.Event()
    people = [
        Person(running, running.connected(f"laptop{n}", user), user, serves, f"{SEED} {user}")
        for n, user in enumerate(("alice", "bob", "carol"))
    ]
    probers = [Prober(person.machine, person.deeds) for person in people]
    serves.set()
    for person in people:
        person.start()
    try:
        eventually(lambda: all(person.logins or person.failure for person in people))
        crashes = 0
        while crashes < CRASHES:
            with Api(running.socket) as api:
                # A device comes and another goes: some of these end in the midst.
                change = threading.Thread(target=come_and_go, args=(api, crashes), daemon=True)
                change.start()
                time.sleep(dice.uniform(0, 2))
                serves.clear()
                running.kill()
                change.join()
            crashes += 1
            while dice.random() < 0.35:
                # Again, before it has begun to serve.
                running.begin()
                time.sleep(dice.uniform(0, 5))
                running.kill()
                crashes += 1
            running.start()
            agrees(running, people)
            serves.set()
            print(f"{crashes} crashes, {sum(person.logins for person in people)} logins", flush=True)
    finally:
        serves.set()
        for person in people:
            person.end()
        for prober in probers:
            prober.close()
    agrees(running, people)
    assert [one for prober in probers for one in prober.violations] == []
    for person, prober in zip(people, probers, strict=True):
        assert person.logins > CRASHES / 10
        assert prober.answers[OPEN] > 10 * CRASHES
        assert prober.answers[LAB] > CRASHES


def come_and_go(api: Api, number: int) -> None:
    """Add a device, and remove the one of two times before; the gateway may be killed meanwhile."""
    with contextlib.suppress(httpx.HTTPError):
        api.post("/devices", user="dave", name=f"device{number}", public_key=generate().public_text)
        for one in api.get("/devices?user=dave")[:-2]:
            api.delete(f"/devices/{one['id']}")
