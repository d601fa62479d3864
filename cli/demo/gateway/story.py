"""What happens in the demo, scene by scene."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any, Final

from wardgate.cli.demo.gateway import traces
from wardgate.cli.demo.gateway.laptop import Laptop
from wardgate.cli.demo.gateway.packets import PATIENCE_S, Echo, Query, fate, reference
from wardgate.cli.demo.gateway.site import (
    DEVICE,
    ENROLMENT,
    LAB,
    LAB6,
    PORTAL,
    VAULT,
    WIKI,
    Site,
)
from wardgate.cli.demo.gateway.told import Telling
from wardgate.cli.demo.traffic import Seen
from wardgate.runtime.gate import Gate
from wardgate.runtime.sessions import SessionState

_WEB, _SSH, _NAMES = "443/tcp", "22/tcp", "53/udp"
_OK, _FORBIDDEN = "200", "403"
_ELSEWHERE: Final = "192.0.2.111"
_GLANCE_S: Final = 0.005
_SILENCE_S: Final = 1.0
"""After so long there is no answer, where an answer took milliseconds before."""


class Story:
    """Told once, on a site without a gateway yet."""

    def __init__(self, site: Site, telling: Telling) -> None:
        self._site = site
        self._telling = telling
        self._answers: Mapping[Query, Mapping[str, Any]] = {}
        self._authed: set[str] = set()

    def tell(self) -> None:
        """All of it. GateError, TunnelError, PortalError, OSError where something does not work at all."""
        before = traces.look(self._site.gateway, DEVICE)
        self._begin()
        self._alice, self._bob = self._enrol()
        self._without_login()
        self._log_in()
        self._roam()
        self._kill()
        self._lock()
        self._end(before)

    def _run(self, *arguments: str) -> Any:
        self._telling.command("wardgate", *arguments)
        return self._site.command(*arguments)

    def _begin(self) -> None:
        site, told = self._site, self._telling
        told.title("a gateway")
        told.note(
            "Settings, keys and the database are made; the policy and two settings are the demo's. The gate "
            "is on the tunnel before the first peer."
        )
        self._run(*site.init_arguments())
        lines = site.write()
        self._answers = reference(site.folder / "policy.yaml", self._queries())
        told.text((site.folder / "policy.yaml").read_text())
        told.note("gateway.yaml gets, for forwarding and the public page:")
        told.text(lines)
        told.command("wardgate", "gateway", "start")
        began = time.monotonic()
        site.start()
        status = site.command("gateway", "status")
        interface, roaming = status["interface"], status["roaming"]
        told.note(
            f"It is open after {time.monotonic() - began:.1f} s: {interface['name']} "
            f"({interface['implementation']}), gate by {status['gate']['hook']}, roaming by "
            f"{roaming['detector']}."
        )

    def _enrol(self) -> tuple[Laptop, Laptop]:
        site, told = self._site, self._telling
        told.title("Alice and Bob enrol a laptop each, over HTTP, from the internet")
        told.note("A token is good for one device. The private key never leaves the laptop.")
        laptops = (site.laptop("alice", 1), site.laptop("bob", 2))
        told.header()
        for laptop in laptops:
            token = self._run("gateway", "tokens", "issue", laptop.user)["text"]
            status, document = laptop.enrol(ENROLMENT, token, "laptop")
            told.row(laptop.user, "POST /enrol/api", _OK, str(status))
            told.note(f"    {document['device']} has {' and '.join(laptop.addresses)}")
            again, _ = laptop.enrol(ENROLMENT, token, "another")
            told.row(laptop.user, "the same token again", _FORBIDDEN, str(again))
            laptop.connect()
        return laptops

    def _without_login(self) -> None:
        self._telling.title("both are connected, and nobody has logged in")
        self._telling.header()
        self._packet(self._alice, WIKI, _WEB)
        self._packets(self._alice)
        self._packet(self._alice, WIKI, _SSH)
        self._packet(self._bob, WIKI, _WEB)
        self._packet(self._bob, LAB, _SSH)

    def _log_in(self) -> None:
        told = self._telling
        told.title(f"Alice logs in: {PORTAL}/ is inside of the tunnel only")
        told.note(
            "The portal shows a secret and its QR code; an authenticator (RFC 6238, not the gateway's own) "
            "makes codes of it."
        )
        told.header()
        spent = self._alice.set_up(PORTAL)
        codes = len(self._alice.recovery)
        told.row("alice", f"set up with code {spent}", "10 spare", f"{codes} spare")
        told.row("alice", "the same code to log in", "refused", _login(self._alice.try_code(PORTAL, spent)))
        worked, shown = self._alice.log_in(PORTAL)
        told.row("alice", f"log in with code {shown}", "logged in", _login(worked))
        self._authed.add("alice")
        self._packets(self._alice)
        self._packet(self._bob, LAB, _SSH)

    def _roam(self) -> None:
        site, told, alice = self._site, self._telling, self._alice
        told.title("in the middle of a connection, Alice's laptop moves to another network")
        told.header()
        with closing(Echo(site, LAB, 5432, alice)) as connection:
            told.row("alice", "on a connection to the lab", "pass", connection.fate(b"before"))
            before = alice.at
            alice.move(_ELSEWHERE)
            told.note(f"    eth0 of the laptop: {before} -> {alice.at}")
            self._packet(alice, WIKI, _WEB)
            since = time.monotonic()
            ended = self._session_ends()
            self._authed.discard("alice")
            told.row("alice", "her session", "ended", "ended" if ended else "goes on")
            told.note(f"    {1000 * (time.monotonic() - since):.0f} ms after that answer")
            told.row("alice", "on the same connection", "needs login", connection.fate(b"after"))
        self._packets(alice)
        entry = self._run("gateway", "audit", "list", "--last", "1")[-1]
        told.text(f"{entry['actor']}: {entry['action']}: {entry['details'].get('reason', '')}")
        told.note("She logs in again, from there:")
        worked, shown = alice.log_in(PORTAL, ahead=1)
        told.row("alice", f"log in with code {shown}", "logged in", _login(worked))
        self._authed.add("alice")
        self._packet(alice, LAB, _SSH)

    def _session_ends(self) -> bool:
        deadline = time.monotonic() + PATIENCE_S
        with self._site.gateway.enter():
            gate = Gate.open(DEVICE)
            while gate.status().sessions.get(SessionState.AUTHORISED, 0):
                if time.monotonic() > deadline:
                    return False
                time.sleep(_GLANCE_S)
        return True

    def _kill(self) -> None:
        site, told = self._site, self._telling
        told.title("the gateway's process is killed: the kernel goes on enforcing")
        if site.process is not None:
            told.command(f"kill -9 {site.process.pid}")
        site.kill()
        told.header()
        self._packets(self._alice)
        self._packet(self._bob, LAB, _SSH)
        told.command("wardgate", "gateway", "start")
        site.start()
        sessions = [one for one in self._run("gateway", "sessions", "list") if one["state"] == "authorised"]
        users = ", ".join(one["device"]["user"] for one in sessions) or "nobody"
        told.row("-", "whose sessions go on", "alice", users)

    def _lock(self) -> None:
        told = self._telling
        told.title("Alice is locked, and Bob's laptop removed: from the next packet on")
        self._run("gateway", "users", "lock", "alice")
        self._run("gateway", "devices", "remove", "bob/laptop")
        told.header()
        self._packet(self._alice, WIKI, _WEB)
        told.row("alice", f"to {LAB} {_SSH}", "locked", fate(self._site, self._alice, LAB, _SSH))
        lost = Seen.LOST.value
        told.row("bob", f"to {WIKI} {_WEB}", lost, fate(self._site, self._bob, WIKI, _WEB, _SILENCE_S))
        told.note("A lock closes what a login had opened. WireGuard does not know Bob's laptop any more.")

    def _end(self, before: Any) -> None:
        site, told = self._site, self._telling
        told.title("the gateway is taken off the machine")
        told.command("wardgate", "gateway", "stop")
        site.stop()
        told.header()
        after = traces.look(site.gateway, DEVICE)
        found = traces.differences(before, after)
        for kind in before:
            same = before[kind] == after[kind]
            told.row("-", kind, "as before", "as before" if same else "changed")
        for line in found:
            told.text(line)

    def _queries(self) -> list[Query]:
        """All that is asked about packets."""
        packets = [(WIKI, _WEB), (WIKI, _SSH), (LAB, _SSH), (VAULT, _SSH)]
        if 6 in self._site.versions:
            packets.append((LAB6, _NAMES))
        return [
            (user, to, service, authed)
            for user in ("alice", "bob")
            for to, service in packets
            for authed in (False, True)
        ]

    def _packets(self, laptop: Laptop) -> None:
        """What needs a login, and what no login opens."""
        self._packet(laptop, LAB, _SSH)
        if 6 in self._site.versions:
            self._packet(laptop, LAB6, _NAMES)
        self._packet(laptop, VAULT, _SSH)

    def _packet(self, laptop: Laptop, to: str, service: str) -> None:
        answer = self._answers[laptop.user, to, service, laptop.user in self._authed]
        rule = answer["rule"]
        line = f'{rule["line"]} "{rule["text"]}"' if rule else "-"
        seen = fate(self._site, laptop, to, service)
        self._telling.row(laptop.user, f"to {to} {service}", answer["reason"], seen, line)


def _login(worked: bool) -> str:
    return "logged in" if worked else "refused"
