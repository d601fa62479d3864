"""What is written for the kernel and for wireguard-go says what was meant, and their answers are understood.

Each is read by a second reader: pyroute2's for netlink, one of a few lines for the text.
"""

from __future__ import annotations

import socket
import struct
from base64 import b64decode
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wardgate.gateway.wireguard import DeviceChange, Endpoint, PrivateKey, messages, uapi
from wardgate.gateway.wireguard.changes import PeerChange
from wardgate.gateway.wireguard.generic_netlink import attribute, attributes, nested
from wardgate.gateway.wireguard.peers import DeviceState, Dump, PeerState, in_order
from wardgate.gateway.wireguard.places import Places
from wireguard_peers import ENDPOINTS, KEEPALIVES, NETWORKS, key, preshared

OWN = PrivateKey(bytes([1] * 32))
ALLOWED = st.lists(st.sampled_from(NETWORKS), unique=True).map(tuple)
CHANGES = st.builds(
    PeerChange,
    st.integers(1, 1000).map(key),
    update_only=st.booleans(),
    replace_allowed_ips=st.booleans(),
    allowed_ips=ALLOWED,
    preshared_key=st.none() | st.binary(min_size=32, max_size=32),
    keepalive=st.none() | st.integers(0, 65535),
    endpoint=st.none() | ENDPOINTS,
) | st.builds(PeerChange, st.integers(1, 1000).map(key), remove=st.just(True), update_only=st.booleans())
STATES = st.builds(
    PeerState,
    st.integers(1, 1000).map(key),
    ALLOWED.map(in_order),
    st.none() | st.integers(1, 9).map(preshared),
    KEEPALIVES,
    st.none() | ENDPOINTS,
    st.integers(0, 2**62),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**64 - 1),
)
DUMPS = st.builds(
    lambda state, peers: Dump(state, {peer.public_key: peer for peer in peers}),
    st.builds(
        lambda private, port, mark: DeviceState(
            private, private.public_key() if private else None, port, mark
        ),
        st.none() | st.just(OWN),
        st.integers(0, 65535),
        st.integers(0, 2**32 - 1),
    ),
    st.lists(STATES, max_size=8),
)


def written(dump: Dump) -> bytes:
    """A dump as wireguard-go writes it."""
    state, lines = dump.device, []
    if state.private_key:
        lines.append(f"private_key={state.private_key.secret.hex()}")
    lines += [f"listen_port={state.listen_port}"] if state.listen_port else []
    lines += [f"fwmark={state.fwmark}"] if state.fwmark else []
    for peer in dump.peers.values():
        secret = peer.preshared_key.secret if peer.preshared_key else bytes(32)
        lines += [f"public_key={peer.public_key.data.hex()}", f"preshared_key={secret.hex()}"]
        lines += ["protocol_version=1", "a_key_of_the_future=7"]
        lines += [f"endpoint={peer.endpoint}"] if peer.endpoint else []
        lines += [f"last_handshake_time_sec={peer.last_handshake // 10**9}"]
        lines += [f"last_handshake_time_nsec={peer.last_handshake % 10**9}"]
        lines += [f"tx_bytes={peer.sent}", f"rx_bytes={peer.received}"]
        lines += [f"persistent_keepalive_interval={peer.keepalive or 0}"]
        lines += [f"allowed_ip={network}" for network in peer.allowed_ips]
    return "\n".join(lines).encode()


def encoded(dump: Dump, in_one: int) -> list[bytes]:
    """A dump as the kernel writes it; `in_one` are the allowed IPs after which a peer goes on elsewhere."""
    state = dump.device
    bodies = [
        attribute(1, struct.pack("=I", 5))
        + attribute(2, b"wg0\0")
        + (attribute(3, state.private_key.secret) if state.private_key else b"")
        + (attribute(4, state.public_key.data) if state.public_key else b"")
        + attribute(6, struct.pack("=H", state.listen_port))
        + attribute(7, struct.pack("=I", state.fwmark))
    ]
    for peer in dump.peers.values():
        identity = attribute(1, peer.public_key.data)
        body = identity + attribute(2, peer.preshared_key.secret if peer.preshared_key else bytes(32))
        body += attribute(6, struct.pack("=qq", *divmod(peer.last_handshake, 10**9)))
        body += attribute(5, struct.pack("=H", peer.keepalive or 0))
        body += attribute(8, struct.pack("=Q", peer.sent)) + attribute(7, struct.pack("=Q", peer.received))
        body += attribute(10, struct.pack("=I", 1))
        if peer.endpoint:
            body += attribute(4, messages._encode_endpoint(peer.endpoint))
        for start in range(0, max(len(peer.allowed_ips), 1), in_one):
            some = b"".join(map(messages._encode_allowed, peer.allowed_ips[start : start + in_one]))
            bodies.append(nested(8, nested(0, (identity if start else body) + nested(9, some))))
    return bodies


@given(DUMPS)
def test_answers_of_wireguard_go_are_understood(dump):
    assert uapi.read_dump(written(dump)) == dump


@given(DUMPS)
def test_endpoints_alone_are_those_of_the_whole_answer(dump):
    endpoints = {key.data: one.endpoint for key, one in dump.peers.items()}
    answer = written(dump) + b"\n"
    places = Places(uapi.key_of, uapi.endpoint_of)
    assert places.now(uapi.read_places(answer, {})) == endpoints
    assert uapi.read_places(answer, places.told) == places.told


@given(DUMPS, st.lists(st.none() | ENDPOINTS, min_size=8, max_size=8), st.booleans())
def test_endpoints_are_those_of_the_last_answer(first, others, usual):
    """Where peers have moved since, and where lines come in another order than usual."""
    places = Places(uapi.key_of, uapi.endpoint_of)
    moved = {
        key: replace(one, endpoint=at) for (key, one), at in zip(first.peers.items(), others, strict=False)
    }
    for dump in (first, Dump(first.device, moved), first):
        answer = written(dump) + b"\n"
        if usual:
            answer = answer.replace(b"a_key_of_the_future=7\n", b"")
        endpoints = {key.data: one.endpoint for key, one in dump.peers.items()}
        assert places.now(uapi.read_places(answer, places.told)) == endpoints


@given(DUMPS, st.integers(1, 4))
def test_endpoints_alone_are_those_of_the_whole_dump(dump, in_one):
    endpoints = {key.data: one.endpoint for key, one in dump.peers.items()}
    told = messages.read_places(encoded(dump, in_one))
    assert Places(bytes, messages.decode_endpoint).now(told) == endpoints


@pytest.mark.parametrize(
    "answer", [b"public_key=zz", b"public_key=00", b"public_key=" + b"11" * 32 + b"\nendpoint=10.0.0.1"]
)
def test_a_damaged_place_is_an_error(answer):
    with pytest.raises(uapi.AnswerError):
        Places(uapi.key_of, uapi.endpoint_of).now(uapi.read_places(answer + b"\n", {}))


@given(DUMPS, st.integers(1, 4))
def test_dumps_of_the_kernel_are_understood(dump, in_one):
    assert messages.read_dump(encoded(dump, in_one)) == dump


@settings(max_examples=25)
@given(st.lists(CHANGES, max_size=12), st.booleans())
def test_what_the_kernel_is_told_is_what_was_meant(changes, device):
    wanted = DeviceChange(OWN, 51820, 7) if device else DeviceChange()
    bodies = list(messages.set_requests("wg0", wanted, changes))
    assert bool(bodies) == bool(changes or device)
    read = [decoded(body) for body in bodies]
    assert all(one["WGDEVICE_A_IFNAME"] == "wg0" for one in read)
    if device:
        assert read[0]["WGDEVICE_A_PRIVATE_KEY"].decode() == OWN.reveal()
        assert (read[0]["WGDEVICE_A_LISTEN_PORT"], read[0]["WGDEVICE_A_FWMARK"]) == (51820, 7)
    assert [peer for one in read for peer in one.get("WGDEVICE_A_PEERS", [])] == [
        expected(change) for change in changes
    ]


def decoded(body: bytes) -> dict:
    """A request as pyroute2 reads it."""
    from pyroute2.netlink.generic.wireguard import wgmsg

    message = wgmsg(struct.pack("=IHHIIBBxx", 20 + len(body), 0, 0, 0, 0, 1, 1) + body)
    message.decode()
    found = dict(message["attrs"])
    found["WGDEVICE_A_PEERS"] = [dict(peer["attrs"]) for peer in found.get("WGDEVICE_A_PEERS", [])]
    for peer in found["WGDEVICE_A_PEERS"]:
        for name in ("WGPEER_A_PUBLIC_KEY", "WGPEER_A_PRESHARED_KEY"):
            if name in peer:
                peer[name] = b64decode(peer[name])
        if "WGPEER_A_ENDPOINT" in peer:
            endpoint = peer["WGPEER_A_ENDPOINT"]
            peer["WGPEER_A_ENDPOINT"] = (endpoint["addr"], endpoint["port"])
        if "WGPEER_A_ALLOWEDIPS" in peer:
            peer["WGPEER_A_ALLOWEDIPS"] = [one["addr"] for one in peer["WGPEER_A_ALLOWEDIPS"]]
    return found


def expected(change: PeerChange) -> dict:
    """The same of what was meant."""
    flags = change.remove * 1 + change.replace_allowed_ips * 2 + change.update_only * 4
    found = {"WGPEER_A_PUBLIC_KEY": change.public_key.data, "WGPEER_A_FLAGS": flags}
    if change.preshared_key is not None:
        found["WGPEER_A_PRESHARED_KEY"] = change.preshared_key
    if change.endpoint is not None:
        # The system's own way to write an address, which pyroute2 uses, is not always Python's.
        found["WGPEER_A_ENDPOINT"] = (system_text(change.endpoint.address), change.endpoint.port)
    if change.keepalive is not None:
        found["WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL"] = change.keepalive
    if change.allowed_ips:
        found["WGPEER_A_ALLOWEDIPS"] = [str(network) for network in change.allowed_ips]
    return found


def system_text(address) -> str:
    """An address as inet_ntop writes it."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    return socket.inet_ntop(family, address.packed)


@given(st.lists(CHANGES, max_size=12), st.booleans())
def test_what_wireguard_go_is_told_is_what_was_meant(changes, device):
    wanted = DeviceChange(OWN, 51820, 0) if device else DeviceChange()
    text = uapi.set_request(wanted, changes).decode()
    assert text.startswith("set=1\n")
    assert text.endswith("\n\n")
    assert "\n\n" not in text[:-1]
    head, *peers = text.strip("\n").split("\npublic_key=")
    assert head.splitlines()[1:] == (
        [f"private_key={OWN.secret.hex()}", "listen_port=51820", "fwmark=0"] if device else []
    )
    for change, said in zip(changes, peers, strict=True):
        public, *lines = said.splitlines()
        assert public == change.public_key.data.hex()
        assert ("remove=true" in lines) == change.remove
        assert ("update_only=true" in lines) == change.update_only
        assert ("replace_allowed_ips=true" in lines) == change.replace_allowed_ips
        pairs = [tuple(line.split("=", 1)) for line in lines]
        assert [value for name, value in pairs if name == "allowed_ip"] == [
            str(network) for network in change.allowed_ips
        ]
        given_values = dict(pairs)
        secret = change.preshared_key
        assert given_values.get("preshared_key") == (None if secret is None else secret.hex())
        assert given_values.get("endpoint") == (None if change.endpoint is None else str(change.endpoint))
        # What is replaced is replaced before anything is added.
        names = [name for name, _ in pairs]
        if change.replace_allowed_ips and change.allowed_ips:
            assert names.index("replace_allowed_ips") < names.index("allowed_ip")


def test_many_peers_take_few_requests_of_bounded_size():
    changes = [
        PeerChange(
            key(number), replace_allowed_ips=True, preshared_key=bytes(32), keepalive=25,
            allowed_ips=(ip_network((number, 32)), ip_network((number + (1 << 64), 128))),
        )
        for number in range(1, 10_001)
    ]  # fmt: skip
    bodies = list(messages.set_requests("wg0", DeviceChange(OWN), changes))
    assert len(bodies) < 80
    assert all(len(body) < 65_536 for body in bodies)
    peers = [part for body in bodies for kind, value in attributes(body) if kind == 8
             for _, part in attributes(value)]  # fmt: skip
    assert [dict(attributes(part))[1] for part in peers] == [change.public_key.data for change in changes]
    assert sum(3 in dict(attributes(body)) for body in bodies) == 1, "settings are set once"


def test_a_peer_with_very_many_allowed_ips_is_told_in_parts():
    networks = tuple(ip_network((number, 32)) for number in range(5_000))
    change = PeerChange(key(1), replace_allowed_ips=True, allowed_ips=networks, preshared_key=bytes(32))
    bodies = list(messages.set_requests("wg0", DeviceChange(), [change]))
    assert all(len(body) < 65_536 for body in bodies)
    parts = [decoded_peer for body in bodies for decoded_peer in decoded(body)["WGDEVICE_A_PEERS"]]
    assert [part["WGPEER_A_FLAGS"] for part in parts] == [2, *([4] * (len(parts) - 1))]
    assert [one for part in parts for one in part["WGPEER_A_ALLOWEDIPS"]] == [str(one) for one in networks]


def test_a_scope_is_in_the_byte_order_of_the_machine():
    endpoint = Endpoint(ip_address("fe80::1%3"), 9)
    data = messages._encode_endpoint(endpoint)
    assert len(data) == 28
    assert struct.unpack_from("=I", data, 24) == (3,)
    assert messages.decode_endpoint(data) == endpoint
    loopback = messages._encode_endpoint(Endpoint(ip_address("fe80::1%lo"), 9))
    assert struct.unpack_from("=I", loopback, 24) == (1,)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"errno=0\n\n", (b"", 0)),
        (b"private_key=1\nerrno=-22\n\n", (b"private_key=1\n", 22)),
        (b"rx_bytes=" + b"9" * 80 + b"\nerrno=98\n\n", (b"rx_bytes=" + b"9" * 80 + b"\n", 98)),
    ],
)
def test_the_status_of_an_answer(answer, status):
    assert uapi.read_status(answer) == status


@pytest.mark.parametrize(
    "answer",
    [b"", b"\n\n", b"errno\n\n", b"errno=x\n\n", b"error=0\n\n", f"preshared_key={'ab' * 32}\n\n".encode()],
)
def test_an_answer_without_status_is_an_error_without_its_values(answer):
    with pytest.raises(uapi.AnswerError) as caught:
        uapi.read_status(answer)
    assert "abab" not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [b"nonsense", b"listen_port=x", b"public_key=zz", b"public_key=00", f"private_key={'ab' * 31}".encode(),
     b"public_key=" + b"11" * 32 + b"\nallowed_ip=10.0.0.1/33"],
)  # fmt: skip
def test_a_damaged_answer_is_an_error_without_its_values(answer):
    with pytest.raises(uapi.AnswerError) as caught:
        uapi.read_dump(answer)
    assert "ab" * 31 not in str(caught.value)
