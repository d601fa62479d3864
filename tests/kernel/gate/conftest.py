"""A gate's surroundings, real: two network namespaces joined by a veth pair, and small artefacts."""

from __future__ import annotations

import ctypes
import ipaddress
import itertools
import json
import os
import select
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from fixture_gates import CLOSED, OPEN, SESSION
from wardgate.runtime.layout import manifest as m
from wardgate.runtime.layout import records

HERE = Path(__file__).parent
_NUMBERS = itertools.count()
_CLONE_NEWNET = 0x40000000
INDEX = ("10.77.0.0", 256)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Be in a network namespace with this thread."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        if libc.setns(there, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        yield
    finally:
        libc.setns(home, _CLONE_NEWNET)
        os.close(home)
        os.close(there)


@dataclass
class Net:
    """`device` in `gateway` leads to `c0` in `client`; 10.77.0.1 and 10.77.0.2 are their addresses,
    and 10.77.0.3 is a second one of the client's."""

    gateway: str
    client: str
    device: str
    gateway_socket: socket.socket
    client_sockets: dict[str, socket.socket]

    GATEWAY = "10.77.0.1"
    CLIENT = "10.77.0.2"
    SECOND = "10.77.0.3"
    PORT = 7000
    PATIENCE = 60.0
    BRIEFLY = 0.15
    """Delivery over veth is done by the softirq of the sender's own CPU, so that what is to come is there
    almost at once: a short wait shows that nothing does."""

    def from_device(self, source: str = CLIENT, wait: float = PATIENCE) -> bool:
        """Whether a datagram from the device's address reaches the gateway within `wait` seconds."""
        return self._passes(self.client_sockets[source], self.gateway_socket, self.GATEWAY, wait)

    def to_device(self, destination: str = CLIENT, wait: float = PATIENCE) -> bool:
        """Whether a datagram from the gateway reaches the device's address within `wait` seconds."""
        return self._passes(self.gateway_socket, self.client_sockets[destination], destination, wait)

    def _passes(self, sender: socket.socket, receiver: socket.socket, address: str, wait: float) -> bool:
        token = os.urandom(8)
        sender.sendto(token, (address, self.PORT))
        while select.select([receiver], [], [], wait)[0]:
            if receiver.recv(64) == token:
                return True
        return False

    @contextmanager
    def at_gateway(self) -> Iterator[None]:
        """Be in the gateway's namespace."""
        with inside(self.gateway):
            yield

    def remake_device(self) -> None:
        """Delete the veth pair and make it again, with another interface index."""
        _ip("-n", self.gateway, "link", "del", self.device)
        _make_pair(self.gateway, self.client, self.device)


def _make_pair(gateway: str, client: str, device: str) -> None:
    macs = {"gateway": "02:00:00:00:00:01", "client": "02:00:00:00:00:02"}
    _ip(
        "-n", gateway, "link", "add", device, "address", macs["gateway"], "type", "veth",
        "peer", "name", "c0", "address", macs["client"], "netns", client,
    )  # fmt: skip
    for namespace, name, addresses in (
        (gateway, device, [Net.GATEWAY]),
        (client, "c0", [Net.CLIENT, Net.SECOND]),
    ):
        for address in addresses:
            _ip("-n", namespace, "addr", "add", f"{address}/24", "dev", name)
        _ip("-n", namespace, "link", "set", name, "up")
    for address in (Net.CLIENT, Net.SECOND):
        _neighbour(gateway, device, address, macs["client"])
    _neighbour(client, "c0", Net.GATEWAY, macs["gateway"])


def _neighbour(namespace: str, device: str, address: str, mac: str) -> None:
    _ip("-n", namespace, "neigh", "replace", address, "lladdr", mac, "dev", device, "nud", "permanent")


@pytest.fixture
def net() -> Iterator[Net]:
    stem = f"wgt{os.getpid()}-{next(_NUMBERS)}"
    gateway, client = f"{stem}-g", f"{stem}-c"
    sockets: list[socket.socket] = []
    try:
        for namespace in (gateway, client):
            _ip("netns", "add", namespace)
            with inside(namespace):
                Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")
                Path("/proc/sys/net/ipv6/conf/all/disable_ipv6").write_text("1")
        _make_pair(gateway, client, "gate0")
        for namespace, address in ((gateway, Net.GATEWAY), (client, Net.CLIENT), (client, Net.SECOND)):
            with inside(namespace):
                made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            made.bind((address, Net.PORT))
            sockets.append(made)
        clients = {Net.CLIENT: sockets[1], Net.SECOND: sockets[2]}
        yield Net(gateway, client, "gate0", sockets[0], clients)
    finally:
        for made in sockets:
            made.close()
        for namespace in (gateway, client):
            subprocess.run(["ip", "netns", "del", namespace], check=False, capture_output=True)


@pytest.fixture
def gate_name() -> Iterator[str]:
    """A name for a gate, whose pins are removed in the end whatever happened."""
    from wardgate.runtime.pins import GatePins

    name = f"t{os.getpid()}-{next(_NUMBERS)}"
    yield name
    GatePins(name).remove()


def _structs() -> str:
    lines = [
        f"typedef unsigned {c} {n};"
        for n, c in zip(("u8", "u16", "u32", "u64"), ("char", "short", "int", "long long"), strict=True)
    ]
    for record in records.RECORDS:
        fields = "".join(
            f" {field.kind} {field.name}{f'[{field.length}]' if field.length > 1 else ''};"
            for field in record.fields
        )
        lines.append(f"struct {record.name} {{{fields} }};")
    return "\n".join(lines) + "\n"


Build = Callable[..., bytes]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Compile the fixture program: `actions` are what classes 1, 2 and 3 may (OPEN, SESSION, CLOSED),
    `subjects` says who is in which class; everybody else is in class 1. `index` is the part of the tunnel
    that the index covers, first address and size, or None."""
    folder = tmp_path_factory.mktemp("artefacts")
    made: dict[str, bytes] = {}

    def compile_fixture(
        *actions: int,
        subjects: dict[str, int] | None = None,
        index: tuple[str, int] | None = INDEX,
        class_bits: int = 16,
        digest: str = "",
    ) -> bytes:
        actions = (*actions, CLOSED, CLOSED, CLOSED)[:3]
        manifest = _manifest(actions, subjects or {}, index, class_bits, digest)
        key = json.dumps([actions, manifest.to_json().decode()])
        if key not in made:
            place = folder / str(len(made))
            place.mkdir()
            made[key] = _compile(place, actions, manifest)
        return made[key]

    return compile_fixture


def _manifest(
    actions: Sequence[int],
    subjects: dict[str, int],
    index: tuple[str, int] | None,
    class_bits: int,
    digest: str,
) -> m.Manifest:
    words = {OPEN: "allow", SESSION: "mfa", CLOSED: "deny"}
    return m.Manifest(
        format=m.FORMAT_VERSION,
        wardgate="0.1.0",
        digest=digest or "-".join(words[action] for action in actions),
        files=(m.PolicyFile("policy.yaml", "00" * 32),),
        tunnel=("10.77.0.0/24", "fd77::/64"),
        tunnel4=m.TunnelIndex(*index) if index else None,
        tunnel6=None,
        classes=4,
        default_class=1,
        subjects=subjects,
        resolved={},
        rules=tuple(
            m.RuleSource(i, words[action], "*", False, "policy.yaml", 10 + i, 5, f"rule {i}")
            for i, action in enumerate(actions, 1)
        ),
        buckets=(),
        tables=(m.Table("action", ".rodata.t_action", 4, 4, "class to action"),),
        tables_digest=m.digest_of_tables({".rodata.t_action": struct.pack("<4I", 0, *actions)}),
        parameters={"class_bits": class_bits},
        maps=(
            m.MapUse("addresses", "gate", 131072), m.MapUse("devices", "gate", 65536),
            m.MapUse("flows", "gate", 65536), m.MapUse("limits", "gate", 65536),
            m.MapUse("processors", "gate", 1), m.MapUse("events", "gate", 262144),
            m.MapUse("subject_class", "generation", 65536 * class_bits // 64),
            m.MapUse("rule_hits", "generation", 1),
            *([m.MapUse("tunnel4", "generation", index[1])] if index else []),
        ),
        programs=(
            m.ProgramUse("gate_ingress", "tc", "tc"), m.ProgramUse("gate_egress", "tc", "tc"),
            m.ProgramUse("gate_xdp", "xdp", "xdp"),
        ),
        features=(),
        tools={},
    )  # fmt: skip


def _compile(place: Path, actions: Sequence[int], manifest: m.Manifest) -> bytes:
    defines = [
        f"#define RULES {len(manifest.rules)}",
        f"#define ACTIONS {{ 0, {', '.join(map(str, actions))} }}",
        f"#define CLASSES_AN_ENTRY {64 // manifest.parameters['class_bits']}",
        f"#define MANIFEST {{ {', '.join(map(str, manifest.to_json()))} }}",
    ]
    if manifest.tunnel4:
        defines.append(f"#define INDEX_SIZE {manifest.tunnel4.size}")
        defines.append(f"#define INDEX_BASE {int(ipaddress.ip_address(manifest.tunnel4.base))}u")
    source, target = place / "gate.c", place / "gate.o"
    source.write_text("\n".join(defines) + "\n" + _structs() + (HERE / "fixture.c").read_text())
    subprocess.run(
        [
            sys.executable, "-m", "ziglang", "clang", "--target=bpf", "-mcpu=v3", "-O2", "-g", "-nostdinc",
            "-c", "gate.c", "-o", "gate.o",
        ],
        cwd=place, check=True,
    )  # fmt: skip
    return target.read_bytes()
