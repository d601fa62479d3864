"""From a token to a closed door: a device enrols, connects, logs in, and loses what the login gave."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from gateway_api import Api
from gateway_site import BRIEFLY_S, DENIED, GREETING, LAB, LAB6, OPEN, Machine, Site, eventually, site
from wardgate.cli.demo.namespace import NetNamespace
from wardgate.gateway.records import SESSIONS
from wardgate.gateway.store import Put, SqliteStore, Transaction
from wardgate.runtime.gate import Gate

pytestmark = [pytest.mark.root, pytest.mark.tool("wireguard-go")]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    settings = "sessions: {lifetime: 1h}\nlogin: {attempts: 3, delay: 30s}\n"
    with site(tmp_path_factory.mktemp("site"), settings=settings) as made:
        yield made


@pytest.fixture(scope="module")
def alice(running: Site) -> Machine:
    """A device that is enrolled and connected, whose user has not logged in."""
    return running.connected("laptop", "alice")


def is_closed(machine: Machine) -> bool:
    """Whether nothing of what needs a login is open, by IPv4 and IPv6, TCP and UDP."""
    return not any(machine.reaches(address, udp=udp, wait_s=0.3) for address in (LAB, LAB6) for udp in (0, 1))


def is_open(machine: Machine) -> bool:
    """Whether all of it is."""
    return all(machine.reaches(address, udp=udp) for address in (LAB, LAB6) for udp in (0, 1))


def test_a_token_goes_as_soon_as_it_has_expired(running: Site) -> None:
    # What is gone is not good again when somebody puts the clock back.
    running.token("bob", "--for", "1s")
    with Api(running.socket) as api:
        eventually(lambda: api.get("/tokens") == [])


def test_without_a_login_only_what_needs_none_is_open(alice: Machine) -> None:
    eventually(lambda: alice.reaches(OPEN, wait_s=BRIEFLY_S))
    assert is_closed(alice)
    assert not alice.reaches(DENIED, wait_s=BRIEFLY_S)


def test_the_portal_is_inside_of_the_tunnel_only(running: Site, alice: Machine) -> None:
    outsider = running.client("outsider")
    with pytest.raises(OSError, match="refused"):
        outsider.browser.connect(running.outside, 80)
    alice.browser.get("/")
    assert alice.browser.status == 200
    assert "alice" in alice.browser.text


def test_a_login_opens_what_it_should_and_nothing_else(running: Site, alice: Machine) -> None:
    alice.log_in()
    assert is_open(alice)
    assert not alice.reaches(DENIED, wait_s=BRIEFLY_S)
    (listed,) = running.sessions()
    assert listed["device"]["user"] == "alice"


def test_a_code_is_good_once(alice: Machine) -> None:
    alice.answer("totp", alice.spent)
    assert GREETING not in alice.browser.text
    assert is_open(alice)


def test_a_logout_cuts_connections_that_the_login_had_opened(alice: Machine) -> None:
    with alice.connection(LAB) as connection:
        connection.sendall(b"before")
        assert connection.recv(16) == b"before"
        alice.browser.get("/")
        alice.browser.submit("/logout")
        assert is_closed(alice)
        connection.settimeout(0.5)
        connection.sendall(b"after")
        with pytest.raises(TimeoutError):
            connection.recv(16)
    assert alice.reaches(OPEN)


def test_a_renewal_cuts_nothing(alice: Machine) -> None:
    alice.log_in_again()
    with alice.connection(LAB) as connection:
        alice.log_in_again()
        connection.sendall(b"still")
        assert connection.recv(16) == b"still"


def test_a_lock_takes_effect_on_the_next_packet(running: Site, alice: Machine) -> None:
    assert is_open(alice)
    running.wardgate("gateway", "users", "lock", "alice")
    assert is_closed(alice)
    alice.browser.get("/")
    assert GREETING not in alice.browser.text
    running.wardgate("gateway", "users", "unlock", "alice")
    assert is_closed(alice)
    alice.log_in_again()
    assert is_open(alice)


def test_leaving_a_group_takes_effect_at_once(running: Site, alice: Machine) -> None:
    running.wardgate("gateway", "users", "leave", "alice", "group:admins")
    assert is_closed(alice)
    running.wardgate("gateway", "users", "join", "alice", "group:admins")
    assert is_open(alice)


def test_wrong_codes_lock_the_login_and_not_what_is_open(running: Site, alice: Machine) -> None:
    alice.browser.get("/")
    alice.browser.submit("/logout")
    for _ in range(3):
        alice.answer("totp", "000000")
    alice.browser.get("/login?method=recovery")
    assert "too many wrong codes" in alice.browser.text
    assert is_closed(alice)
    assert alice.reaches(OPEN)
    running.wardgate("gateway", "users", "unlock-login", "alice")
    alice.log_in_again()
    assert is_open(alice)


def test_a_recovery_code_is_good_once(alice: Machine) -> None:
    code = alice.recovery[-1]
    alice.log_in_again()
    alice.browser.get("/")
    alice.browser.submit("/logout")
    alice.answer("recovery", code)
    assert GREETING not in alice.browser.text
    assert is_closed(alice)
    alice.log_in_again()


def test_sessions_survive_the_process_and_not_the_boot(running: Site, alice: Machine) -> None:
    assert is_open(alice)
    running.kill()
    assert is_open(alice)
    running.start()
    assert is_open(alice)
    assert len(running.sessions()) == 1
    running.kill()
    with_another_boot(running)
    running.start()
    assert is_closed(alice)
    assert running.sessions() == []
    alice.log_in_again()


def test_a_removed_device_is_nobody(running: Site, alice: Machine) -> None:
    assert is_open(alice)
    running.wardgate("gateway", "devices", "remove", "alice/laptop")
    assert is_closed(alice)
    assert not alice.reaches(OPEN, wait_s=BRIEFLY_S)


def test_the_audit_log_tells_it_all_and_no_secret(running: Site, alice: Machine) -> None:
    assert running.wardgate("gateway", "audit", "verify")["broken"] is None
    told = str(running.wardgate("gateway", "audit", "list", "--last", "1000"))
    for action in ("enrolled", "logged in", "ended session", "locked", "removed device"):
        assert action in told
    assert alice.app is not None
    log = running.log.read_text() + told
    for secret in (alice.keys.private_text, *alice.recovery):
        assert secret not in log


def test_sessions_expire_and_fall_idle_in_the_kernel(tmp_path: Path) -> None:
    with Site(
        tmp_path,
        settings="sessions: {lifetime: 12s, idle: 4s}\n",
    ) as made:
        before = state_of(made.gateway)
        made.start()
        machine = made.connected("phone", "bob")
        machine.log_in()
        begun = time.monotonic()
        while time.monotonic() < begun + 8:
            assert machine.reaches(LAB)
            time.sleep(0.5)
        eventually(lambda: not machine.reaches(LAB, wait_s=0.3))
        assert time.monotonic() >= begun + 11
        machine.log_in_again()
        assert machine.reaches(LAB)
        time.sleep(6)
        assert not machine.reaches(LAB, wait_s=BRIEFLY_S)
        eventually(lambda: not made.sessions())
        entries = made.wardgate("gateway", "audit", "list", "--last", "1000")
        reasons = {one["details"].get("reason") for one in entries}
        assert {"expired", "idle for too long"} <= reasons
        made.wardgate("gateway", "stop")
        assert state_of(made.gateway) == before
        assert made.interface not in Gate.list()


def state_of(namespace: NetNamespace) -> Mapping[str, str]:
    """What a gateway could have left in a network namespace."""
    commands = (
        "ip -br addr",
        "ip route",
        "ip -6 route",
        "ip rule",
        "nft list ruleset",
        "sysctl -a --pattern forward|rp_filter",
    )
    with namespace.enter():
        return {
            command: subprocess.run(command.split(), capture_output=True, text=True, check=True).stdout
            for command in commands
        }


def with_another_boot(running: Site) -> None:
    """Have the store say that its sessions are of another boot of the machine."""

    async def change() -> None:
        async with await SqliteStore.open(running.folder / "state" / "gateway.db") as store:
            for entry in (await store.snapshot(SESSIONS.prefix)).entries:
                session = replace(SESSIONS.decode(entry.key, entry.value), boot="another")
                await store.commit(Transaction((Put(entry.key, SESSIONS.encode(session)),)))

    asyncio.run(change())
