"""WireGuard devices of wireguard-go, in namespaces of the test's own: made, adopted, reconciled, removed."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path

import pytest
from hypothesis import given, settings
from wardgate.cli.demo.links import Links
from wardgate.cli.demo.namespace import NetNamespace
from wardgate.gateway.network.errors import NetworkError
from wardgate.gateway.network.tunnel import TunnelNetwork
from wardgate.gateway.wireguard import (
    DeviceGoneError,
    DeviceRefusedError,
    DeviceUnavailableError,
    Endpoint,
    Kind,
    Peer,
    PresharedKey,
    PrivateKey,
    find_device,
    kernel,
    open_device,
    userspace,
)
from wireguard_peers import key, peer_sets, preshared

pytestmark = [pytest.mark.root, pytest.mark.tool("wireguard-go")]

_numbers = itertools.count()


def unique() -> str:
    """An interface name that no other test or run has."""
    return f"w{os.getpid()}-{next(_numbers)}"


@pytest.fixture
def namespace():
    with NetNamespace("gateway") as made:
        yield made


@pytest.fixture
def elsewhere():
    with NetNamespace("client") as made:
        yield made


@pytest.fixture
def opened(request):
    """Open a device in a namespace; it is gone after the test."""

    def make(namespace: NetNamespace, name: str, prefer: Kind | None = Kind.USERSPACE):
        def destroy():
            with namespace.enter():
                found = find_device(name)
                if found is not None:
                    found.destroy()

        with namespace.enter():
            request.addfinalizer(destroy)
            return open_device(name, prefer)

    return make


def daemon(name: str) -> int | None:
    """The process of a device."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"wireguard-go") and name.encode() in words:
            return int(path.parent.name)
    return None


def wait_until(condition) -> None:
    """Until it is so: the tests' runner ends what never ends."""
    while not condition():
        time.sleep(0.01)


def test_a_device_is_made_and_found_again(namespace, opened):
    name, own = unique(), PrivateKey.generate()
    made = opened(namespace, name)
    with namespace.enter():
        assert (made.kind, made.adopted, made.refused) == (Kind.USERSPACE, False, ())
        made.configure(own, 41000, fwmark=9)
        made.add([Peer(key(1), (ip_network("10.9.0.1/32"),))])
        with Links(namespace) as links:
            assert name in links.names()
        assert not Path(f"/sys/class/net/{name}").exists(), "it is in its namespace alone"
        for found in (open_device(name), open_device(name, Kind.KERNEL), find_device(name)):
            assert (found.kind, found.adopted) == (Kind.USERSPACE, True)
            assert found.state() == made.state()
            assert found.peers() == made.peers()
        state = made.state()
        assert (state.private_key, state.listen_port, state.fwmark) == (own, 41000, 9)
        assert state.public_key == own.public_key()


def test_the_daemon_knows_nothing_of_our_environment(namespace, opened, monkeypatch):
    name = unique()
    monkeypatch.setenv("A_SECRET", "of-ours")
    monkeypatch.setenv("GOMAXPROCS", "2")
    opened(namespace, name)
    environment = Path(f"/proc/{daemon(name)}/environ").read_bytes()
    assert b"of-ours" not in environment
    assert b"GOMAXPROCS=2" in environment


def test_nothing_is_left_of_a_device_that_is_destroyed(namespace, opened):
    name = unique()
    made = opened(namespace, name)
    process = daemon(name)
    with namespace.enter():
        made.destroy()
        assert find_device(name) is None
        made.destroy()
    assert not userspace.socket_path(name).exists()
    assert process is not None
    wait_until(lambda: daemon(name) is None)
    with namespace.enter(), pytest.raises(DeviceGoneError) as caught:
        made.peers()
    assert caught.value.remedy


def test_a_device_is_made_right_after_somebody_removed_its_interface(namespace, opened):
    name = unique()
    opened(namespace, name)
    for _ in range(5):
        with namespace.enter(), Links(namespace) as links:
            links.remove(name)
            again = open_device(name, Kind.USERSPACE)
            assert not again.adopted
            assert again.peers() == {}


def test_a_daemon_that_does_not_end(namespace, monkeypatch):
    """It listens without an interface of its own."""
    name = unique()
    monkeypatch.setattr(userspace, "_END_SECONDS", 0.1)
    with namespace.enter(), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        userspace.SOCKETS.mkdir(mode=0o700, exist_ok=True)
        other.bind(str(userspace.socket_path(name)))
        other.listen()
        try:
            with pytest.raises(DeviceUnavailableError, match="still runs") as caught:
                open_device(name, Kind.USERSPACE)
        finally:
            userspace.socket_path(name).unlink()
    assert "ss -xlp" in caught.value.remedy


def test_a_device_outlives_the_process_that_made_it(namespace, opened):
    name = unique()
    script = (
        "import os, signal, sys\n"
        "from ipaddress import ip_network\n"
        "from wardgate.gateway.wireguard import Kind, Peer, PrivateKey, PublicKey, open_device\n"
        "device = open_device(sys.argv[1], Kind.USERSPACE)\n"
        "device.configure(PrivateKey(bytes([7] * 32)), 41001)\n"
        "device.add([Peer(PublicKey(bytes([9] * 32)), (ip_network('10.9.0.1/32'),))])\n"
        "print('made', flush=True)\n"
        "os.killpg(0, signal.SIGKILL)\n"
    )
    with namespace.enter():
        done = subprocess.run(
            [sys.executable, "-c", script, name], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
    assert (done.stdout, done.returncode) == ("made\n", -signal.SIGKILL)
    process = daemon(name)
    adopted = opened(namespace, name)
    with namespace.enter():
        assert adopted.adopted
        assert adopted.state().listen_port == 41001
        assert len(adopted.peers()) == 1
        assert not adopted.configure(PrivateKey(bytes([7] * 32)), 41001)
    assert process == daemon(name)


def test_a_daemon_that_was_killed_is_told_and_started_anew(namespace, opened):
    name = unique()
    made = opened(namespace, name)
    os.kill(daemon(name), signal.SIGKILL)
    with namespace.enter():
        wait_until(lambda: find_device_or_none(name) is None)
        for use in (made.peers, made.state, lambda: made.add([]), lambda: made.reconcile([])):
            with pytest.raises(DeviceGoneError):
                use()
        assert userspace.socket_path(name).exists(), "it could not take its socket along"
        again = open_device(name, Kind.USERSPACE)
        assert not again.adopted
        assert not again.peers()


def find_device_or_none(name):
    """While a daemon ends, its socket may be closed and its interface still there."""
    try:
        return find_device(name)
    except DeviceUnavailableError as error:
        return error


def test_random_peers_are_reconciled(namespace, opened):
    device = opened(namespace, unique())

    @settings(max_examples=25)
    @given(peer_sets(), peer_sets())
    def check(before, wanted):
        with namespace.enter():
            for peers in (before, wanted):
                device.reconcile(peers)
                has = device.peers().values()
                assert {
                    one.public_key: (one.allowed_ips, one.preshared_key, one.keepalive) for one in has
                } == {one.public_key: (one.allowed_ips, one.preshared_key, one.keepalive) for one in peers}
                assert not device.reconcile(peers)

    check()


def test_calls_from_threads_beside_a_running_loop(namespace, opened):
    name = unique()
    device = opened(namespace, name)

    def work(number: int) -> None:
        with namespace.enter():
            for step in range(5):
                device.add([Peer(key(1 + number * 5 + step), ())])
                assert open_device(name).adopted
                device.peers()

    async def main() -> None:
        await asyncio.gather(*(asyncio.to_thread(work, number) for number in range(6)))

    asyncio.run(main())
    with namespace.enter():
        assert device.peers().keys() == {key(number) for number in range(1, 31)}
        device.remove(map(key, range(1, 31)))
        assert not device.peers()


def test_the_name_of_something_else(namespace):
    name = unique()
    with namespace.enter(), Links(namespace) as links:
        links.add(name, "bridge")
        with pytest.raises(DeviceUnavailableError, match="that of a bridge interface") as caught:
            open_device(name)
        assert f"ip link delete {name}" in caught.value.remedy
        with pytest.raises(NetworkError, match="1 to 15"):
            open_device("a/b")


def test_a_tun_interface_of_another_program(namespace):
    name = unique()
    with namespace.enter():
        subprocess.run(["ip", "tuntap", "add", "dev", name, "mode", "tun"], check=True)
        with pytest.raises(DeviceUnavailableError, match="without a wireguard-go"):
            open_device(name)
        subprocess.run(["ip", "link", "delete", name], check=True)


def test_a_name_in_two_namespaces(namespace, opened):
    name = unique()
    first = opened(namespace, name)
    with NetNamespace("other") as other:
        with other.enter():
            with pytest.raises(DeviceUnavailableError, match="another network namespace"):
                open_device(name, Kind.USERSPACE)
            # A TUN interface of this name here is not that device.
            subprocess.run(["ip", "tuntap", "add", "dev", name, "mode", "tun"], check=True)
            with pytest.raises(DeviceUnavailableError, match="without a wireguard-go"):
                open_device(name)
        with namespace.enter():
            assert first.peers() == {}


def test_where_no_kind_can_be_had_each_says_why(namespace, monkeypatch):
    def refuse(name, _kind):
        raise NetworkError.of("make interface", name, 95)

    monkeypatch.setattr(kernel, "add_link", refuse)
    monkeypatch.setattr(userspace.shutil, "which", lambda *_, **__: None)
    with namespace.enter(), pytest.raises(DeviceUnavailableError) as caught:
        open_device(unique())
    assert "this kernel has no WireGuard" in caught.value.cause
    assert "wireguard-go is not installed" in caught.value.cause
    assert "modprobe wireguard" in caught.value.remedy
    assert "apt install wireguard-go" in caught.value.remedy


def test_a_device_that_cannot_be_made_says_why(namespace, monkeypatch):
    name = unique()
    monkeypatch.setenv("WG_TUN_FD", "999")
    monkeypatch.setenv("LOG_LEVEL", "verbose")
    with namespace.enter(), Links(namespace) as links:
        links.add(name, "bridge")
        with pytest.raises(DeviceUnavailableError, match="Failed to create TUN device") as caught:
            userspace.UserspaceDevice.create(name)
    assert "/dev/net/tun" in caught.value.remedy


@pytest.fixture
def pair(namespace, elsewhere, opened):
    """A gateway and a client, each with a device that is up, joined by a cable."""
    with Links(namespace) as here, Links(elsewhere) as there:
        here.add_veth("cable", elsewhere, "cable")
        for links, address in ((here, "192.0.2.1/30"), (there, "192.0.2.2/30")):
            links.address("cable", address)
            links.up("cable")
    devices, keys = [], []
    for where, address in ((namespace, "10.9.0.1/24"), (elsewhere, "10.9.0.2/24")):
        device, own = opened(where, unique()), PrivateKey.generate()
        with where.enter():
            device.configure(own, 41010)
            tunnel = TunnelNetwork(device.name, (ip_interface(address),), ())
            tunnel.prepare()
            tunnel.activate()
        devices.append(device)
        keys.append(own.public_key())
    with contextlib.closing(Pair(namespace, elsewhere, *devices, *keys)) as made:
        yield made


class Pair:
    """Both ends of a tunnel."""

    def __init__(self, here, there, gateway, client, gateway_key, client_key):
        self.here, self.there, self.gateway, self.client = here, there, gateway, client
        self.client_key, self.gateway_key = client_key, gateway_key
        self.secret = PresharedKey.generate()
        self.wanted = Peer(client_key, (ip_network("10.9.0.2/32"),), self.secret)
        endpoint = Endpoint(ip_address("192.0.2.1"), 41010)
        self._server = Peer(gateway_key, (ip_network("10.9.0.0/24"),), self.secret, None, endpoint)
        with there.enter():
            self._out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with here.enter():
            self._in = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._in.bind(("10.9.0.1", 7))
        self._in.setblocking(False)

    def begin(self) -> None:
        """Have the client begin a new session with its next packet."""
        with self.there.enter():
            self.client.remove([self.gateway_key])
            self.client.add([self._server])

    def arrives(self, *, anew: bool = True) -> None:
        """Send until one arrives; `anew`: in a new session, since the gateway may have forgotten the old."""
        if anew:
            self.begin()
        while True:
            self._out.sendto(b"x", ("10.9.0.1", 7))
            time.sleep(0.02)
            try:
                self._in.recv(10)
            except BlockingIOError:
                continue
            return

    def passes_no_more(self) -> bool:
        """Whether of packets that are sent now none arrives, though they arrive at the device's socket."""
        self.drain()
        for _ in range(20):
            self._out.sendto(b"x", ("10.9.0.1", 7))
            time.sleep(0.01)
        return not self.drain()

    def drain(self) -> int:
        """Take what has arrived."""
        count = 0
        while True:
            try:
                self._in.recv(10)
            except BlockingIOError:
                return count
            count += 1

    def state(self):
        """The client as the gateway knows it."""
        with self.here.enter():
            return self.gateway.peers()[self.client_key]

    def reconcile(self, *peers):
        """Reconcile the gateway's peers."""
        with self.here.enter():
            return self.gateway.reconcile(peers)

    def close(self) -> None:
        self._in.close()
        self._out.close()


def test_sessions_go_on_while_other_peers_change(pair):
    pair.reconcile(pair.wanted)
    began = time.time_ns()
    pair.arrives()
    first = pair.state()
    assert first.endpoint == Endpoint(ip_address("192.0.2.2"), 41010)
    assert abs(first.last_handshake - began) < 3600 * 10**9
    assert first.received > 0
    assert first.sent > 0
    assert first.preshared_key == pair.secret

    others = [Peer(key(number), (ip_network((0x0A090100 + number, 32)),)) for number in range(1, 300)]
    assert len(pair.reconcile(pair.wanted, *others).added) == 299
    assert pair.reconcile(pair.wanted, *others[:-1]).removed == (key(299),)
    # Its own allowed IPs and keepalive change too, and one of another's moves to it.
    more = replace(
        pair.wanted, allowed_ips=(*pair.wanted.allowed_ips, ip_network("10.9.1.1/32")), keepalive=9
    )
    done = pair.reconcile(replace(others[0], allowed_ips=()), more, *others[1:-1])
    assert set(done.changed) == {pair.client_key, key(1)}
    pair.arrives(anew=False)
    last = pair.state()
    assert (last.last_handshake, last.endpoint) == (first.last_handshake, first.endpoint)
    assert last.received > first.received
    assert last.allowed_ips == more.allowed_ips


def test_what_is_taken_away_passes_no_more(pair):
    pair.reconcile(pair.wanted)
    pair.arrives()
    # No allowed IP: what the client sends has a source that isn't its own.
    pair.reconcile(replace(pair.wanted, allowed_ips=()))
    assert pair.passes_no_more()
    pair.reconcile(pair.wanted)
    pair.arrives()
    with pair.here.enter():
        pair.gateway.remove([pair.client_key])
    assert pair.passes_no_more()
    with pair.here.enter():
        pair.gateway.add([pair.wanted])
    pair.arrives()


def test_another_preshared_key_is_another_tunnel(pair):
    pair.reconcile(replace(pair.wanted, preshared_key=preshared(5)))
    pair.begin()
    assert pair.passes_no_more()
    assert pair.state().last_handshake == 0
    pair.reconcile(pair.wanted)
    pair.arrives()


def test_a_port_that_another_program_has(pair):
    with pair.here.enter(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("", 0))
        port = other.getsockname()[1]
        with pytest.raises(DeviceRefusedError) as caught:
            pair.gateway.configure(pair.gateway.state().private_key, port)
    assert caught.value.errno == 98
    assert "another port" in caught.value.remedy or "another program" in caught.value.remedy


def test_a_daemon_that_says_nothing_is_not_waited_for_for_ever(namespace, opened, monkeypatch):
    name = unique()
    device = opened(namespace, name)
    process = daemon(name)
    monkeypatch.setattr(userspace, "_LONGEST_WAIT", 0.2)
    os.kill(process, signal.SIGSTOP)
    try:
        with pytest.raises(DeviceRefusedError, match="timed out"):
            device.peers()
    finally:
        os.kill(process, signal.SIGCONT)
    monkeypatch.undo()
    assert device.peers() == {}


def test_an_operation_waits_for_the_one_before(namespace, opened):
    device = opened(namespace, unique())
    wanted = [Peer(key(number), (ip_network((0x0A090000 + number, 32)),)) for number in range(1, 1_000)]
    outcomes = []
    threads = [threading.Thread(target=lambda: outcomes.append(device.reconcile(wanted))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(one.added) for one in outcomes) == [0, 0, 0, 999]
