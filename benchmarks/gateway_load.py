"""What a gateway with many devices costs, while idle, while people log in, and for a single change.

    python -m benchmarks.gateway_load [--devices N] [--per-minute N] [--seconds N] [--json] [--profile FILE]

Needs root, and wireguard-go or kernel WireGuard; everything is made in namespaces of its own. The gateway is
the real one (service.Gateway: store, gate, WireGuard device with a peer for each device, roaming detector,
control socket), in this process. Devices are entered in bulk through the ledger before it starts, with
preshared keys; as many users as will log in have TOTP set up, through Challenges. Each peer of wireguard-go
is given a place, as if it had sent something.

A login is three requests (the form, the code, the page that it leads to) to the portal's ASGI application in
this process, each from the device's own tunnel address: everything but TCP and the HTTP parser, for which
10,000 real tunnels would be needed. What the driver itself takes is in the CPU seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import math
import os
import re
import secrets
import socket
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import pyotp
from wardgate.cli.demo import isolation
from wardgate.cli.demo.links import Links
from wardgate.cli.demo.namespace import NetNamespace
from wardgate.gateway.challenges import Challenges, ChallengeSettings, Sealer, Totp
from wardgate.gateway.identity import holdings, preshared_context
from wardgate.gateway.ledger import Change, Ledger
from wardgate.gateway.portal import PortalSettings, portal_app
from wardgate.gateway.records import USERS, Device, User
from wardgate.gateway.service import Gateway, take_down
from wardgate.gateway.settings import Settings, read_settings
from wardgate.gateway.settings.initial import Initial, initialise
from wardgate.gateway.store import SqliteStore
from wardgate.gateway.wireguard import DeviceChange, Endpoint, Kind, PublicKey
from wardgate.gateway.wireguard.changes import PeerChange
from wardgate.gateway.wireguard.uapi import set_request
from wardgate.gateway.wireguard.userspace import socket_path

_POLICY: Final = """\
version: 1
tunnel: [10.9.0.0/16, "fd09::/64"]
groups:
  group:staff: []
policies:
  "*":
    allow: ["10.0.0.5 443/tcp"]
  group:staff:
    mfa: [10.1.0.0/16]
    deny: [10.1.9.0/24]
"""
_PORTAL: Final = "10.9.0.1"
_GROUP: Final = "group:staff"
_BATCH: Final = 20
_LONG_AGO_S: Final = 3600
_IDLE_S: Final = 10.0
_FIRST_PLACE: Final = ip_address("11.0.0.1")
_CHANGES: Final = 7
_DUMPS: Final = 7
_FORM: Final = re.compile(rb'<form[^>]*action="/login".*?</form>', re.DOTALL)
_HIDDEN: Final = re.compile(rb'<input type="hidden" name="([^"]+)" value="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds of the process, and of its threads by name."""

    at: float
    cpu: float
    threads: Mapping[str, float]

    @classmethod
    def now(cls) -> Usage:
        """As it is."""
        threads = {}
        for thread in threading.enumerate():
            if thread.ident is not None:
                threads[thread.name] = time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
        return cls(time.monotonic(), time.process_time(), threads)

    def since(self, before: Usage) -> dict[str, Any]:
        """Seconds that passed, and those of CPU."""
        spent = {name: used - before.threads.get(name, 0) for name, used in self.threads.items()}
        return {
            "seconds": self.at - before.at,
            "cpu": self.cpu - before.cpu,
            "threads": {name: used for name, used in sorted(spent.items()) if used >= 0.01},
        }


def resident(process: int | str = "self") -> int:
    """Bytes of memory of a process."""
    text = Path(f"/proc/{process}/status").read_text()
    found = re.search(r"^VmRSS:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def cpu_of(process: int | None) -> float:
    """CPU seconds of another process; 0 where there is none."""
    if process is None:
        return 0.0
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wireguard_process() -> int | None:
    """wireguard-go's, among the processes of this namespace."""
    for folder in Path("/proc").glob("[0-9]*"):
        if (folder / "comm").read_text().startswith("wireguard-go"):
            return int(folder.name)
    return None


class Visitor:
    """A browser at a tunnel address, which talks to the portal's application."""

    def __init__(self, app: Any, address: str) -> None:
        self._app = app
        self._address = address
        self._cookie = b""

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """A request; status and body of the answer."""
        headers = [(b"host", _PORTAL.encode()), (b"user-agent", b"benchmark")]
        if self._cookie:
            headers.append((b"cookie", self._cookie))
        if method == "POST":
            headers += [
                (b"origin", f"http://{_PORTAL}".encode()),
                (b"sec-fetch-site", b"same-origin"),
                (b"content-type", b"application/x-www-form-urlencoded"),
                (b"content-length", str(len(body)).encode()),
            ]
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method,
            "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"",
            "root_path": "", "headers": headers, "client": (self._address, 40_000), "server": (_PORTAL, 80),
        }  # fmt: skip
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        for name, value in sent[0]["headers"]:
            if name == b"set-cookie":
                self._cookie = value.partition(b";")[0]
        return sent[0]["status"], b"".join(one.get("body", b"") for one in sent[1:])

    async def log_in(self, code: str) -> bool:
        """The form, the code, the page after it; whether it worked."""
        _, page = await self.ask("GET", "/login")
        form = _FORM.search(page)
        if form is None:
            return False
        fields = [(name.decode(), value.decode()) for name, value in _HIDDEN.findall(form[0])]
        status, _ = await self.ask("POST", "/login", urlencode([*fields, ("code", code)]).encode())
        _, page = await self.ask("GET", "/")
        return status == 303 and b"You are logged in." in page


@dataclass(frozen=True, slots=True)
class Person:
    """Who will log in."""

    address: str
    secret: str


def _public_key() -> str:
    """As any program writes one: below 2^255."""
    drawn = secrets.token_bytes(32)
    return b64encode(drawn[:31] + bytes([drawn[31] & 0x7F])).decode()


def _device(number: int, sealer: Sealer, at: int) -> Device:
    name = holdings.new_id()
    return Device(
        id=name,
        user=f"user{number}",
        name="laptop",
        public_key=_public_key(),
        addresses=(str(ip_address("10.9.1.0") + number), str(ip_address("fd09::100") + number)),
        preshared_key=sealer.seal(secrets.token_bytes(32), preshared_context(name)),
        keepalive=None,
        locked=False,
        created=at,
    )


async def fill(settings: Settings, devices: int, people: int) -> list[Person]:
    """Enter users with a device each, and set TOTP up for some, as of an hour ago."""
    sealer = Sealer.open(settings.sealing_key)
    async with await SqliteStore.open(settings.database) as store:
        ledger = Ledger(store, now=lambda: time.time() - _LONG_AGO_S)
        made = [_device(number, sealer, 0) for number in range(devices)]
        for first in range(0, devices, _BATCH):
            batch = made[first : first + _BATCH]

            async def work(change: Change, batch: Sequence[Device] = batch) -> None:
                for device in batch:
                    change.put(USERS, User(device.user, (_GROUP,), False, change.at), device.user)
                    await holdings.enter(change, device)

            await ledger.run("benchmark", work)
        challenge = ChallengeSettings("Benchmark")
        challenges = Challenges(ledger, sealer, [Totp("Benchmark", challenge.drift_steps)], challenge)
        found = []
        for device in made[:people]:
            setup = await challenges.begin_setup("benchmark", device.user, "totp")
            secret = setup.secret.replace(" ", "")
            await challenges.confirm_setup(
                device.user, "totp", pyotp.TOTP(secret).at(int(time.time()) - _LONG_AGO_S)
            )
            found.append(Person(device.addresses[0], secret))
        return found


def place_peers(gateway: Gateway) -> None:
    """Let each peer be somewhere, as one that has sent something is."""
    changes = [
        PeerChange(
            PublicKey.parse(device.public_key),
            update_only=True,
            endpoint=Endpoint(_FIRST_PLACE + number, 20_000 + number % 40_000),
        )
        for number, device in enumerate(gateway.world.devices.values())
    ]
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(str(socket_path(gateway.settings.interface)))
        connection.sendall(set_request(DeviceChange(), changes))
        answer = connection.recv(100)
    if answer != b"errno=0\n\n":
        raise RuntimeError(f"wireguard-go refused the places: {answer!r}")


async def log_in(gateway: Gateway, people: Sequence[Person], per_minute: int) -> dict[str, Any]:
    """Have each log in once, one after the other at that rate; what it took."""
    app = portal_app(gateway.desk, PortalSettings((_PORTAL,)))
    took: list[float] = []
    failed = 0

    async def one(person: Person) -> None:
        nonlocal failed
        began = time.perf_counter()
        worked = await Visitor(app, person.address).log_in(pyotp.TOTP(person.secret).now())
        took.append(time.perf_counter() - began)
        failed += not worked

    before, begin = Usage.now(), time.monotonic()
    tasks = []
    for number, person in enumerate(people):
        await asyncio.sleep(max(0.0, begin + number * 60 / per_minute - time.monotonic()))
        tasks.append(asyncio.create_task(one(person)))
    await asyncio.gather(*tasks)
    usage = Usage.now().since(before)
    return {"logins": len(took), "failed": failed, **spread(took), **usage}


async def changes(gateway: Gateway) -> dict[str, Any]:
    """What single changes take until they are in force."""
    found: dict[str, list[float]] = {}

    async def timed(name: str, work: Awaitable[Any]) -> Any:
        began = time.perf_counter()
        result = await work
        found.setdefault(name, []).append(time.perf_counter() - began)
        return result

    for number in range(_CHANGES):
        user = f"user{number}"
        key = _public_key()
        device = await timed(
            "add device", gateway.people.devices.add("benchmark", user, f"second{number}", key)
        )
        await timed("remove device", gateway.people.devices.remove("benchmark", device.id))
        await timed("lock user", gateway.people.users.lock("benchmark", user))
        await timed("unlock user", gateway.people.users.unlock("benchmark", user))
        await timed("leave group", gateway.people.users.leave("benchmark", user, _GROUP))
        await timed("join group", gateway.people.users.join("benchmark", user, _GROUP))
    return {name: spread(each) for name, each in found.items()}


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """Percentiles, in seconds."""
    ordered = sorted(seconds)

    def at(share: float) -> float:
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)]

    return {"p50": at(0.5), "p99": at(0.99), "max": ordered[-1]}


async def started(settings: Settings) -> tuple[Gateway, dict[str, Any]]:
    """A gateway that serves, and what that took."""
    before = Usage.now()
    gateway = Gateway(settings)
    await gateway.start()
    return gateway, {**Usage.now().since(before), "resident": resident()}


async def measure(folder: Path, wanted: argparse.Namespace) -> dict[str, Any]:
    """All of it."""
    settings = (await initialise(Initial(folder, folder / "state", "192.0.2.1:51820"))).settings
    settings.policy.write_text(_POLICY)
    with settings.file.open("a") as file:
        file.write("network: {forwarding: enable}\nlog: {level: error}\n")
    settings = read_settings(settings.file)
    people = min(wanted.devices, wanted.per_minute * wanted.seconds // 60)
    began = time.monotonic()
    persons = await fill(settings, wanted.devices, people)
    found: dict[str, Any] = {"devices": wanted.devices, "fill": time.monotonic() - began}
    _progress(f"{wanted.devices} devices entered in {found['fill']:.1f} s")
    gateway, found["start"] = await started(settings)
    _progress(f"started in {found['start']['seconds']:.1f} s")
    try:
        if gateway.wireguard.kind is Kind.USERSPACE:
            await asyncio.to_thread(place_peers, gateway)
        process = wireguard_process()
        found["implementation"] = gateway.wireguard.kind.value
        found["detector"] = gateway.detector.status().detector
        before = Usage.now()
        await asyncio.sleep(_IDLE_S)
        found["idle"] = Usage.now().since(before)
        found["dump"] = spread([await _took(gateway.endpoints) for _ in range(_DUMPS)])
        profile = cProfile.Profile()
        if wanted.profile:
            profile.enable()
        spent = cpu_of(process)
        found["load"] = await log_in(gateway, persons, wanted.per_minute)
        found["wireguard_cpu"] = cpu_of(process) - spent
        if wanted.profile:
            profile.disable()
            profile.dump_stats(wanted.profile)
        _progress(f"{len(persons)} have logged in")
        before = Usage.now()
        await asyncio.sleep(_IDLE_S)
        found["with_sessions"] = Usage.now().since(before)
        found["changes"] = await changes(gateway)
        found["resident"] = resident()
        found["wireguard_resident"] = resident(process) if process else None
        found["problems"] = [one.cause for one in gateway.problems.now()]
    finally:
        await gateway.stop()
    gateway, found["restart"] = await started(settings)
    found["sessions_after_restart"] = len(gateway.world.sessions)
    await gateway.stop()
    await asyncio.to_thread(take_down, settings)
    return found


async def _took(work: Callable[[], Awaitable[Any]]) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def shown(found: Mapping[str, Any]) -> str:
    """The figures, for people."""
    load, start = found["load"], found["start"]

    def ms(spread: Mapping[str, float]) -> str:
        return ", ".join(f"{name} {1000 * spread[name]:.1f} ms" for name in ("p50", "p99", "max"))

    def cpu(usage: Mapping[str, Any]) -> str:
        return f"{usage['cpu']:.2f} s of CPU in {usage['seconds']:.1f} s"

    threads = ", ".join(f"{name} {used:.1f} s" for name, used in load["threads"].items())
    lines = [
        f"{found['devices']:,} devices, {found['implementation']}, roaming by {found['detector']}",
        f"start:    {cpu(start)}, then {start['resident'] / 1e6:.0f} MB",
        f"idle:     {cpu(found['idle'])}",
        f"dump:     {ms(found['dump'])}",
        f"logins:   {load['logins']:,}, {load['failed']} failed: {ms(load)}",
        f"          {cpu(load)}, wireguard-go {found['wireguard_cpu']:.2f} s",
        f"          threads: {threads}",
        f"sessions: {cpu(found['with_sessions'])}",
        *(f"{name + ':':15}{ms(each)}" for name, each in found["changes"].items()),
        f"restart:  {cpu(found['restart'])}, {found['sessions_after_restart']:,} sessions go on",
        f"memory:   {found['resident'] / 1e6:.0f} MB"
        + (
            f", wireguard-go {found['wireguard_resident'] / 1e6:.0f} MB"
            if found["wireguard_resident"]
            else ""
        ),
        *(f"problem:  {one}" for one in found["problems"]),
    ]
    return "\n".join(lines)


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gateway_load", description=__doc__)
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--per-minute", type=int, default=1_000, help="logins")
    parser.add_argument("--seconds", type=int, default=60, help="for how long people log in")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--profile", metavar="FILE", type=Path, help="cProfile's of the event loop")
    wanted = parser.parse_args()
    if wanted.profile:
        wanted.profile = wanted.profile.absolute()

    def work() -> int:
        folder = isolation.RUN / "wardgate-load"
        folder.mkdir()
        with NetNamespace("gateway") as namespace, namespace.enter():
            with Links(namespace) as links:
                links.up("lo")
            found = asyncio.run(measure(folder, wanted))
        print(json.dumps(found, indent=1) if wanted.json else shown(found))
        return 0

    return isolation.run(work)


if __name__ == "__main__":
    sys.exit(main())
