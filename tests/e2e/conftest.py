"""Networks with a gate in the middle, for tests that send real packets and use the real command.

Everything lives in network namespaces without a name, held by file descriptors: it goes with the test
process. What is pinned is named for the process and removed by the fixtures.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import warm_command
from wardgate.cli.demo.links import Links
from wardgate.cli.demo.namespace import NetNamespace
from wardgate.cli.demo.network import Network
from wardgate.cli.demo.traffic import Answerers, Flow, Probe, Seen, send
from wardgate.cli.demo.tunnel import KERNEL, MTU, TUN, USERSPACE, Client, Tunnel

WARDGATE = Path(sys.executable).with_name("wardgate")
ADDRESSES = {
    "alice": ("10.9.0.2", "fd09::2"),
    "bob": ("10.9.0.3", "fd09::3"),
    "carol": ("10.9.0.4", "fd09::4"),
}
GATEWAY = ("10.9.0.1/24", "fd09::1/64")
ALLOWED, MFA, ELSEWHERE = ("10.0.0.5", "fd00::5"), ("10.1.2.3", "fd00:1::8"), ("10.0.0.9", "fd00::9")
SERVERS = (*ALLOWED, *MFA, *ELSEWHERE)
POLICY = """\
version: 1
tunnel: [10.9.0.0/24, "fd09::/64"]
groups: {group:contractors: [carol]}
hosts:
  open: [10.0.0.5, "fd00::5"]
  lab: [10.1.0.0/16, "fd00:1::/48"]
policies:
  "*":
    allow: ["open 80/tcp 53/udp 4000/udp 1234/udp icmp"]
    mfa: ["lab"]
  group:contractors:
    deny: ["lab 22/tcp"]
inbound:
  alice:
    allow: ["open 9100/tcp 9100/udp"]
"""
PATIENCE = 60.0
"""Seconds in which a packet's fate must show; a loaded machine may need many, a fast one needs none."""

_counter = itertools.count()


def unique(prefix: str) -> str:
    """A name that no other test, worker or run has, of at most 13 bytes for a 3-byte prefix."""
    return f"{prefix}{os.getpid()}-{next(_counter)}"


def run_wardgate(
    *arguments: object, namespace: NetNamespace | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run the command; the caller looks at the exit status."""
    with namespace.enter() if namespace else contextlib.nullcontext():
        return warm_command.run(*arguments, **options)


def compile_text(policy: str, source: Path) -> Path:
    """An artefact of the policy's text, which is written to `source`."""
    source.write_text(policy)
    done = run_wardgate("compile", source, "-o", source.with_suffix(".o"))
    assert done.returncode == 0, done.stderr
    return source.with_suffix(".o")


class Ethernet:
    """Joins a gateway's veth device to its clients' through a bridge in a namespace of its own."""

    def __init__(self, gateway: NetNamespace, device: str, clients: Sequence[Client]) -> None:
        self._gateway, self._device, self._clients = gateway, device, clients
        self._switch = NetNamespace("switch")
        with Links(self._switch) as switch, Links(gateway) as here:
            switch.add("bridge", "bridge")
            here.add_veth(device, self._switch, "port0")
            for number, client in enumerate(clients, 1):
                switch.add_veth(f"port{number}", client.namespace, client.device)
            for number in range(len(clients) + 1):
                switch.enslave(f"port{number}", "bridge")
                switch.up(f"port{number}")
            switch.up("bridge")

    def up(self, addresses: Sequence[str], _prefixes: Sequence[str]) -> None:
        """Give the gateway and the clients their addresses in the same network."""
        with Links(self._gateway) as links:
            links.up(self._device, MTU)
            for address in addresses:
                links.address(self._device, address)
        for client in self._clients:
            with Links(client.namespace) as links:
                links.up(client.device, MTU)
                for address in client.addresses:
                    four = ":" not in address
                    links.address(client.device, f"{address}/{24 if four else 64}")
                    links.route("0.0.0.0/0" if four else "::/0", client.device, via=_gateway(four))

    def close(self) -> None:
        """Let go of the switch; the devices go with the namespaces."""
        self._switch.close()


def _gateway(four: bool) -> str:
    return GATEWAY[not four].partition("/")[0]


class Run:
    """A `wardgate run` process: attached once the constructor returns; `drops` as it reports them."""

    def __init__(self, namespace: NetNamespace, *arguments: object) -> None:
        with namespace.enter():
            self.process = subprocess.Popen(
                [WARDGATE, "run", *map(str, arguments), "--json"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
        self.attached: dict[str, Any] = {}
        self.drops: list[dict[str, Any]] = []
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()
        first = self._lines.get(timeout=120)
        if first is None:
            raise AssertionError(f"wardgate run ended: {self.process.communicate()[1]}")
        self.attached = json.loads(first)
        assert self.attached["event"] == "attached"

    def _read(self) -> None:
        for line in self.process.stdout:
            report = json.loads(line)
            if report["event"] == "drop":
                self.drops.append(report)
            else:
                self._lines.put(line)
        self._lines.put(None)

    def drop_of(self, flow: Flow) -> dict[str, Any] | None:
        """The report about a packet of this flow."""
        for report in self.drops:
            found = Flow(
                report["protocol"], report["source"], report["source_port"],
                report["destination"], report["destination_port"],
            )  # fmt: skip
            if found == flow:
                return report
        return None

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send the process a signal; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(60)


@dataclass
class Bed:
    """A network, its gate, and questions to it."""

    network: Network
    device: str
    name: str
    folder: Path
    stack: ExitStack = field(default_factory=ExitStack)
    run: Run | None = None

    def compile(self, policy: str, file: str = "policy") -> Path:
        """An artefact of the policy's text."""
        return compile_text(policy, self.folder / f"{file}.yaml")

    def devices(self, addresses: dict[str, Sequence[str]] = ADDRESSES) -> Path:
        """A devices file."""
        path = self.folder / "devices.json"
        path.write_text(
            json.dumps([{"address": list(found), "user": user} for user, found in addresses.items()])
        )
        return path

    def start(self, artefact: Path, *options: object) -> Run:
        """`wardgate run` with the bed's device and name."""
        self.run = Run(
            self.network.gateway, artefact, "--device", self.device, "--devices", self.devices(),
            "--name", self.name, *options,
        )  # fmt: skip
        self.stack.callback(self.run.end, signal.SIGKILL)
        return self.run

    def command(self, *arguments: object, status: int = 0) -> dict[str, Any]:
        """`wardgate ARGUMENTS --name NAME --json`; its document."""
        done = run_wardgate(*arguments, "--name", self.name, "--json", namespace=self.network.gateway)
        assert done.returncode == status, done.stderr
        return json.loads(done.stdout)

    def probe(self, user: str, remote: str, service: str, *, inbound: bool = False, size: int = 8) -> Probe:
        """A packet from the user's device to a server, or with `inbound` to the device."""
        client, device = self.network.clients[user], ADDRESSES[user][":" in remote]
        if inbound:
            return Probe(self.network.servers, remote, client, device, service, size)
        return Probe(client, device, self.network.servers, remote, service, size)

    def fates(self, *probes: Probe) -> list[str]:
        """What becomes of each: `pass`, or the gate's reason for dropping it."""
        with Answerers(probes) as answerers:
            found = send(probes, answerers, lambda flow: self.run.drop_of(flow) is not None, PATIENCE)
        return [self.run.drop_of(flow)["reason"] if seen is Seen.DROP else seen.value for seen, flow in found]

    def close(self) -> None:
        """End the gate and the network."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.stack.close()
        run_wardgate("detach", "--name", self.name, namespace=self.network.gateway)
        self.network.close()


JOINTS = {
    "wireguard": lambda *ends: Tunnel(*ends, kinds=(KERNEL, USERSPACE)),
    "tun": lambda *ends: Tunnel(*ends, kinds=(TUN,)),
    "veth": Ethernet,
}


@contextlib.contextmanager
def make_bed(joint: str, folder: Path) -> Iterator[Bed]:
    """A bed that is not up and has no gate yet."""
    device = unique("wg").replace("-", "")[:13]
    network = Network(ADDRESSES, SERVERS, JOINTS[joint], device)
    bed = Bed(network, device, unique("e2e-"), folder)
    try:
        yield bed
    finally:
        bed.close()


@pytest.fixture(scope="session")
def e2e():
    """This module: test files cannot import it."""
    return sys.modules[__name__]


@pytest.fixture(scope="session")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """POLICY, compiled."""
    folder = tmp_path_factory.mktemp("artefact")
    return compile_text(POLICY, folder / "policy.yaml")


@pytest.fixture
def tun_bed(tmp_path: Path, artefact: Path) -> Iterator[Bed]:
    """A bed on TUN devices, which every machine with root has, gate and network up."""
    with make_bed("tun", tmp_path) as made:
        made.start(artefact)
        made.network.up(GATEWAY, [])
        yield made


def wait_until(condition, seconds: float = PATIENCE) -> bool:
    """Whether `condition` came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@pytest.fixture
def udp(request):
    """Make a UDP socket in a namespace, bound to an address; closed at the end of the test."""

    def make(namespace: NetNamespace, address: str, port: int = 0) -> socket.socket:
        with namespace.enter():
            made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        request.addfinalizer(made.close)
        made.settimeout(PATIENCE)
        made.bind((address, port))
        return made

    return make
