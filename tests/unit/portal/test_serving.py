"""On real sockets: slow and many clients, sizes, TLS, both versions of IP, events, and an end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from portal_desk import MemoryDesk, office
from portal_server import LIMITS, Served, read_all, served
from wardgate.gateway.portal import NeedsLoginEvent, PortalSettings, portal_app
from wardgate.gateway.portal.connection import Patience
from wardgate.gateway.portal.guard import MOST_HEADERS
from wardgate.gateway.portal.listening import ListenError, listen
from wardgate.gateway.portal.serving import Server, Tls, TlsError

SETTINGS = PortalSettings(("127.0.0.1", "::1"))
GET = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
POST = (
    b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://127.0.0.1\r\nContent-Length: 100\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n\r\ncode=1"
)
HASTY = replace(LIMITS, patience=Patience(0.3, 0.3, 0.3), handshake_s=0.3, keep_alive_s=1)


@pytest.fixture
def desk():
    return office()


def head(answer: bytes) -> bytes:
    return answer.partition(b"\r\n")[0]


def test_peers_are_told_apart_by_their_address(desk: MemoryDesk) -> None:
    with served(portal_app(desk, SETTINGS)) as portal:
        spoofed = GET.replace(
            b"Connection", b"X-Forwarded-For: 127.0.0.1\r\nForwarded: for=127.0.0.1\r\nConnection"
        )
        assert b"<strong>alice</strong>" in portal.exchange(GET)
        assert b"<strong>bob</strong>" in portal.exchange(spoofed, "127.0.0.2")
        assert b"Unknown device" in portal.exchange(spoofed, "127.0.0.77")
        assert b"uvicorn" not in portal.exchange(GET).lower()


def test_ipv6(desk: MemoryDesk) -> None:
    desk.devices["::1"] = desk.devices["127.0.0.1"]
    with served(portal_app(desk, SETTINGS), address="::1") as portal:
        with socket.create_connection(("::1", portal.port)) as sock:
            sock.sendall(GET.replace(b"127.0.0.1", b"[::1]"))
            assert b"<strong>alice</strong>" in read_all(sock)
        with pytest.raises(ConnectionRefusedError):
            portal.connect()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GET / HT",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ",
        POST,
        GET.replace(b"Connection: close\r\n", b"") + b"GET / HTTP/1.1\r\nHost",
    ],
    ids=["nothing", "line", "headers", "body", "second request"],
)
def test_a_client_that_stops_is_given_up(desk: MemoryDesk, data: bytes) -> None:
    with served(portal_app(desk, SETTINGS), HASTY) as portal:
        portal.exchange(data)
        assert portal.run(lambda: len(portal.server.places)) == 0
        assert desk.challenges.asked == []


def test_a_client_that_sends_a_byte_now_and_then_is_given_up(desk: MemoryDesk) -> None:
    with served(portal_app(desk, SETTINGS), HASTY) as portal, portal.connect() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nX: ")
        while portal.run(lambda: len(portal.server.places)) != 0:
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                sock.sendall(b"a")
        assert read_all(sock) == b""


def test_a_client_that_does_not_read_is_given_up() -> None:
    async def endless(_scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        gone = asyncio.ensure_future(receive())
        while not gone.done():
            await send({"type": "http.response.body", "body": b"a" * 65536, "more_body": True})
            await asyncio.sleep(0)

    with served(endless, HASTY) as portal, portal.connect() as sock:
        sock.sendall(GET)
        while portal.run(lambda: len(portal.server.places)) != 0:
            pass
        assert b"200" in head(read_all(sock))


def test_a_patient_client_keeps_its_connection(desk: MemoryDesk) -> None:
    with served(portal_app(desk, SETTINGS)) as portal, portal.connect() as sock:
        request = b"HEAD / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        for byte in range(len(request)):
            sock.sendall(request[byte : byte + 1])
        for _ in range(3):
            assert b"200" in head(sock.recv(65536))
            sock.sendall(request)


def test_many_connections_of_one_address(desk: MemoryDesk) -> None:
    limits = replace(LIMITS, each=5, total=8)
    with served(portal_app(desk, SETTINGS), limits) as portal:
        open_ones = [portal.connect() for _ in range(5)]
        try:
            assert portal.exchange(b"") == b""
            assert b"200" in head(portal.exchange(GET, "127.0.0.2"))
            others = [portal.connect(f"127.0.0.{number}") for number in (2, 3, 4)]
            open_ones += others
            while portal.run(lambda: len(portal.server.places)) != 8:
                pass
            with portal.connect("127.0.0.5") as late:
                assert read_all(late) == b""
            for sock in open_ones[:5]:
                sock.close()
            while portal.run(lambda: len(portal.server.places)) != 3:
                pass
            assert b"200" in head(portal.exchange(GET))
        finally:
            for sock in open_ones:
                sock.close()


def test_headers_have_a_limit(desk: MemoryDesk) -> None:
    with served(portal_app(desk, SETTINGS)) as portal:
        many = GET[:-2] + b"".join(b"X-%d: a\r\n" % number for number in range(4000)) + b"\r\n"
        for data in (GET[:-2] + b"X: " + b"a" * (2 * MOST_HEADERS), many, b"GET /" + b"a" * 4 * MOST_HEADERS):
            with portal.connect() as sock:
                # It may be refused before all is sent.
                with contextlib.suppress(OSError):
                    sock.sendall(data)
                assert b"200" not in head(read_all(sock))
        assert b"200" in head(portal.exchange(GET))


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"GET / HTTP/1.1\r\n\r\n",
        GET.replace(b"Host", b"Host: evil.example\r\nHost"),
        GET.replace(b"Connection", b"Content-Length: 5\r\nContent-Length: 6\r\nConnection"),
        GET.replace(b"Connection", b"Content-Length: -1\r\nConnection"),
        GET.replace(b"Connection", b"X: a\r\n b\x00c\r\nConnection"),
        GET.replace(b"Connection", b"X : a\r\nConnection"),
        GET.replace(b"GET /", b"GET / /"),
        GET.replace(b"127.0.0.1", b"evil.example\x00"),
    ],
)
def test_requests_that_are_none(desk: MemoryDesk, data: bytes) -> None:
    with served(portal_app(desk, SETTINGS)) as portal:
        assert b" 400 " in head(portal.exchange(data))


def test_smuggled_requests(desk: MemoryDesk) -> None:
    """Two lengths for a body: whoever sits between must not see another request than the portal does."""
    both = (
        b"POST /logout HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    )
    odd = both.replace(b"chunked", b"xchunked").replace(b"Content-Length: 4\r\n", b"")
    with served(portal_app(desk, SETTINGS), HASTY) as portal:
        for data in (both, odd):
            answer = portal.exchange(data)
            assert b"200 OK" not in answer
            assert b" 404 " not in head(answer)
        assert desk.sessions == {}


def read_event(stream) -> tuple[str, dict[str, object]]:
    """The next event of a stream of lines; comments are passed over."""
    name = ""
    while line := stream.readline():
        if line.startswith(b"event: "):
            name = line[7:].strip().decode()
        elif line.startswith(b"data: "):
            return name, json.loads(line[6:])
    return "end", {}


def open_events(portal: Served, source: str = "127.0.0.1"):
    """A socket and its lines, past the headers."""
    sock = portal.connect(source)
    sock.sendall(b"GET /events HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
    stream = sock.makefile("rb")
    status = stream.readline()
    while stream.readline().strip():
        pass
    return sock, stream, status


def test_events_as_they_happen(desk: MemoryDesk) -> None:
    with served(portal_app(desk, SETTINGS)) as portal:
        sock, stream, _ = open_events(portal)
        with sock, stream:
            assert read_event(stream) == ("state", {"state": "none", "remaining_s": 0})
            portal.run(desk.login(desk.devices["127.0.0.1"], type("P", (), {"method": "totp"})))
            assert read_event(stream) == ("session", {"change": "began", "reason": ""})
            hostile = "lab\n\nevent: session\ndata: {}"
            portal.run(lambda: desk.tell("d2", NeedsLoginEvent("10.0.0.1", "", "", "")))
            portal.run(lambda: desk.tell("d1", NeedsLoginEvent("10.1.2.3", "22/tcp", hostile, "needs login")))
            name, data = read_event(stream)
            assert (name, data["destination"], data["rule"]) == ("needs-login", "10.1.2.3", hostile)
            portal.run(lambda: desk.end("d1", "expired"))
            assert read_event(stream) == ("session", {"change": "ended", "reason": "expired"})
            portal.run(lambda: desk.tell("d1", None))
            assert read_event(stream) == ("end", {})
        assert portal.run(lambda: desk.watchers["d1"]) == []


def test_streams_of_a_device_are_few_and_their_places_come_back(desk: MemoryDesk) -> None:
    with served(portal_app(desk, replace(SETTINGS, streams=2))) as portal:
        first, second, third = (open_events(portal) for _ in range(3))
        other = open_events(portal, "127.0.0.2")
        assert [b" 200 " in found[2] for found in (first, second, third, other)] == [True, True, False, True]
        assert b" 429 " in third[2]
        for sock, stream, _ in (first, second, third):
            stream.close()
            sock.close()
        while portal.run(lambda: desk.watchers["d1"]) != []:
            pass
        again = open_events(portal)
        assert b" 200 " in again[2]
        for sock, stream, _ in (again, other):
            stream.close()
            sock.close()


def test_a_stream_ends_when_its_address_is_another_devices(desk: MemoryDesk) -> None:
    with served(portal_app(desk, replace(SETTINGS, ping_s=0.05))) as portal:
        sock, stream, _ = open_events(portal)
        with sock, stream:
            assert read_event(stream)[0] == "state"
            assert stream.readline() == b"\n"
            assert stream.readline() == b": still here\n"
            portal.run(lambda: desk.devices.__setitem__("127.0.0.1", desk.devices["127.0.0.2"]))
            assert read_event(stream) == ("end", {})
        assert portal.run(lambda: desk.watchers["d1"]) == []


def test_a_stream_is_not_for_ever(desk: MemoryDesk) -> None:
    with served(portal_app(desk, replace(SETTINGS, ping_s=0.02, stream_s=0.1))) as portal:
        sock, stream, _ = open_events(portal)
        with sock, stream:
            assert read_event(stream)[0] == "state"
            assert read_event(stream) == ("end", {})


def test_stopping_ends_streams_and_frees_the_port(desk: MemoryDesk) -> None:
    with served(portal_app(desk, SETTINGS)) as portal:
        sock, stream, _ = open_events(portal)
        assert read_event(stream)[0] == "state"
        port = portal.port
    with sock, stream:
        assert read_event(stream) == ("end", {})
    assert desk.watchers["d1"] == []
    listen("127.0.0.1", port).close()


def test_a_start_that_is_given_up_leaves_nothing_open(desk: MemoryDesk) -> None:
    async def run() -> int:
        server = Server(portal_app(desk, SETTINGS), [listen("127.0.0.1", 0)], LIMITS)
        (_, port) = server.addresses[0]
        starting = asyncio.create_task(server.start())
        await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        return port

    listen("127.0.0.1", asyncio.run(run())).close()


def test_signals_are_not_the_servers(desk: MemoryDesk) -> None:
    before = signal.getsignal(signal.SIGTERM)

    async def run() -> None:
        async with Server(portal_app(desk, SETTINGS), [listen("127.0.0.1", 0)], LIMITS):
            assert signal.getsignal(signal.SIGTERM) is before

    asyncio.run(run())


def test_a_port_that_is_taken() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenError, match=f"listen 127.0.0.1:{port}: Address already in use.*ss -ltnp"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize(
    ("address", "port", "device", "says"),
    [
        ("192.0.2.77", 80, None, "bring the device up first"),
        ("2001:db8::77", 80, None, "bring the device up first"),
        ("localhost", 80, None, "give an address"),
        ("127.0.0.1", 70_000, None, "0 to 65535"),
        ("127.0.0.1", 0, "wgnothere", "no such device"),
    ],
)
def test_where_nothing_can_listen(address: str, port: int, device: str | None, says: str) -> None:
    if device and os.geteuid():
        pytest.skip("needs root")
    with pytest.raises(ListenError, match=says):
        listen(address, port, device=device)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    folder = tmp_path_factory.mktemp("tls")
    return self_signed(folder)


def self_signed(folder: Path) -> Tls:
    """A certificate for 127.0.0.1."""
    from datetime import UTC, datetime, timedelta
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "portal")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(*form))
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return Tls(folder / "certificate.pem", folder / "key.pem")


def test_tls(desk: MemoryDesk, tls: Tls) -> None:
    trust = ssl.create_default_context(cafile=str(tls.certificate))
    with served(portal_app(desk, replace(SETTINGS, tls=True)), HASTY, tls=tls) as portal:
        with trust.wrap_socket(portal.connect(), server_hostname="127.0.0.1") as sock:
            sock.sendall(GET)
            answer = read_all(sock)
        assert b"strict-transport-security: max-age=31536000" in answer
        assert b"set-cookie: __Host-wardgate=" in answer
        # Nothing is said, and then nonsense: both are given up, and their places come back.
        assert portal.exchange(b"") == b""
        portal.exchange(GET)
        while portal.run(lambda: len(portal.server.places)) != 0:
            pass


def test_certificates_that_cannot_be_used(tls: Tls, tmp_path: Path) -> None:
    with pytest.raises(TlsError, match="No such file"):
        Tls(tmp_path / "none.pem", tls.key).context()
    (tmp_path / "other").mkdir()
    other = self_signed(tmp_path / "other")
    with pytest.raises(TlsError, match="of one pair"):
        Tls(tls.certificate, other.key).context()
    with pytest.raises(TlsError, match="must be PEM"):
        Tls(tls.certificate, tls.certificate).context()


@pytest.mark.root
@pytest.mark.tool("ip")
def test_a_device_to_listen_on() -> None:
    name = f"wgp{os.getpid()}"
    subprocess.run(["ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}b"], check=True)
    try:
        with listen("127.0.0.1", 0, device=name) as sock, pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", sock.getsockname()[1]))
    finally:
        subprocess.run(["ip", "link", "delete", name], check=True)


def test_old_versions_of_tls_are_refused(tls: Tls) -> None:
    assert tls.context().minimum_version == ssl.TLSVersion.TLSv1_2
