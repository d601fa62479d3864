"""Names in rules, while a gateway runs: their records change, and their name server dies."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import pytest
from gateway_api import Api
from gateway_site import BRIEFLY_S, LAB, NAMED, OPEN, Machine, Site, eventually
from name_server import NameServer

pytestmark = [pytest.mark.root, pytest.mark.tool("wireguard-go")]

NAME = "wiki.example.org"
RECORD = (f"{NAME}.", "A")
GRACE_S = 8
POLICY = f"""\
version: 1
tunnel: [10.9.0.0/16, "fd09::/64"]
policies:
  "*":
    allow: ["{NAME}"]
"""


class Zone:
    """The name server of a site's gateway; `records` are those of its zone."""

    def __init__(self, site: Site) -> None:
        self.records = {RECORD: (0, [OPEN])}
        self._site = site
        self._server: NameServer | None = None
        self.begin()

    def begin(self) -> None:
        """Answer, at the address where the gateway asks."""
        with self._site.gateway.enter():
            self._server = NameServer(self.records, ("127.0.0.1", 53))

    def end(self) -> None:
        """Answer no more."""
        if self._server is not None:
            self._server.close()
            self._server = None


@pytest.fixture
def made(tmp_path: Path) -> Iterator[tuple[Site, Zone, Machine]]:
    """A site whose gateway runs, the zone that it asks for, and a device that is connected."""
    resolv = tmp_path / "resolv.conf"
    resolv.write_text("nameserver 127.0.0.1\n")
    hidden = f'mount --bind {shlex.quote(str(resolv))} /etc/resolv.conf && exec "$@"'
    settings = f"names: {{shortest: 1s, grace: {GRACE_S}s}}\n"
    with ExitStack() as stack:
        site = stack.enter_context(Site(tmp_path, settings=settings, policy=POLICY))
        site.prefix = ("unshare", "--mount", "sh", "-c", hidden, "sh")
        zone = Zone(site)
        stack.callback(zone.end)
        site.start()
        machine = site.client("laptop")
        assert machine.enrol(site.token("alice")).status_code == 200
        # What clients send into the tunnel is of no matter here.
        machine.configuration = re.sub(r"AllowedIPs = .*", "AllowedIPs = 10.0.0.0/8", machine.configuration)
        machine.connect()
        yield site, zone, machine


def moment_of(log: Path, message: str) -> float:
    """When the gateway said something first."""
    line = next(line for line in log.read_text().splitlines() if message in line)
    return datetime.fromisoformat(line.split()[0]).timestamp()


def problems(site: Site) -> dict[str, str]:
    """What the gateway says is wrong, by part."""
    with Api(site.socket) as api:
        return {one["part"]: one["cause"] for one in api.get("/status")["problems"]}


def test_a_record_that_changes_and_a_server_that_dies(made: tuple[Site, Zone, Machine]) -> None:
    site, zone, machine = made
    eventually(lambda: machine.reaches(OPEN, wait_s=BRIEFLY_S))
    assert not machine.reaches(NAMED, wait_s=0.3)

    # The name moves: the new address passes, and the old one for a while.
    zone.records[RECORD] = 0, [NAMED]
    eventually(lambda: machine.reaches(NAMED, wait_s=0.3))
    went = f"{OPEN} is kept no longer for {NAME}"
    assert machine.reaches(OPEN) or went in site.log.read_text()
    # What it opens is told once it is open.
    widens = "names in rules have other addresses, which widens access"
    eventually(lambda: NAMED in site.log.read_text().partition(widens)[2])

    # Killed meanwhile, and started without a name server: what it knew it knows, and prolongs nothing.
    site.kill()
    zone.end()
    site.start()
    assert machine.reaches(NAMED)
    eventually(lambda: not machine.reaches(OPEN, wait_s=0.3))
    left = moment_of(site.log, f"{NAME} no longer has {OPEN}, which is kept for {GRACE_S} s")
    assert moment_of(site.log, went) - left >= GRACE_S

    # No answer changes nothing, and is told.
    eventually(lambda: problems(site).get("names", "").endswith(f"{NAME} (no name server answers)"))
    assert f"{NAME} cannot be resolved, and keeps its addresses" in site.log.read_text()
    assert machine.reaches(NAMED)

    # It answers again.
    zone.records[RECORD] = 0, [LAB, NAMED]
    zone.begin()
    eventually(lambda: machine.reaches(LAB, wait_s=0.3))
    assert machine.reaches(NAMED)
    assert not machine.reaches(OPEN, wait_s=0.3)
    eventually(lambda: not problems(site))
