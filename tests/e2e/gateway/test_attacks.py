"""What others try with a gateway that runs: each fails as it should, and harms nobody else."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from gateway_api import Api
from gateway_site import (
    BRIEFLY_S,
    ENROLMENT_PORT,
    GROUP,
    LAB,
    OPEN,
    OUTSIDE,
    TUNNEL4,
    TUNNEL6,
    Machine,
    Site,
    eventually,
    site,
)
from portal_browser import Browser
from wardgate.cli.demo.links import Links
from wardgate.cli.demo.x25519 import generate

pytestmark = [pytest.mark.root, pytest.mark.tool("wireguard-go")]

ATTEMPTS = 3


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with site(folder, settings=f"login: {{attempts: {ATTEMPTS}, delay: 10m}}\n") as made:
        yield made


@pytest.fixture(scope="module")
def api(running: Site) -> Iterator[Api]:
    with Api(running.socket) as found:
        yield found


def token(api: Api, user: str, **more: object) -> str:
    text: str = api.post("/tokens", user=user, groups=[GROUP], **more)["text"]
    return text


def connected(running: Site, api: Api, user: str, name: str) -> Machine:
    machine = running.client(name)
    answer = machine.enrol(token(api, user))
    assert answer.status_code == 200, answer.text
    machine.connect()
    eventually(lambda: machine.reaches(OPEN, wait_s=BRIEFLY_S))
    return machine


@pytest.fixture(scope="module")
def alice(running: Site, api: Api) -> Machine:
    """A device whose user has a second factor, and recovery codes."""
    machine = connected(running, api, "alice", "laptop")
    machine.set_up()
    return machine


@pytest.fixture(scope="module")
def tablet(running: Site, api: Api, alice: Machine) -> Machine:
    """Another device of the same user."""
    machine = connected(running, api, "alice", "tablet")
    machine.app = alice.app
    return machine


@pytest.fixture(scope="module")
def mallory(running: Site, api: Api) -> Machine:
    """Somebody who is let in, and wants more."""
    return connected(running, api, "mallory", "box")


def recover(machine: Machine, code: str, browser: Browser | None = None) -> str:
    """Try a login by a recovery code; what the page says."""
    browser = browser or machine.browser
    browser.get("/login?method=recovery")
    browser.submit("/login", code=code)
    return browser.text


def authorised(api: Api) -> set[str]:
    return {
        f"{one['device']['user']}/{one['device']['name']}"
        for one in api.get("/sessions")
        if one["state"] == "authorised"
    }


def post_enrolment(machine: Machine, document: object, **headers: str) -> httpx.Response:
    with machine.namespace.enter(), httpx.Client(timeout=60) as http:
        return http.post(f"http://{OUTSIDE}:{ENROLMENT_PORT}/enrol/api", json=document, headers=headers)


def raw(machine: Machine, sent: bytes, host: str = TUNNEL4, port: int = 80) -> bytes:
    """What a server answers to these bytes until it closes."""
    with machine.namespace.enter():
        connection = socket.create_connection((host, port), timeout=60)
    received = b""
    with connection:
        try:
            connection.sendall(sent)
            while data := connection.recv(65536):
                received += data
        except ConnectionError:
            # It closes on those who send on.
            return received
    return received


def test_two_machines_race_for_one_token_and_one_wins(running: Site, api: Api) -> None:
    text = token(api, "racer")
    machines = [running.client(f"racer{number}") for number in range(2)]
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda one: one.enrol(text), machines))
    assert sorted(one.status_code for one in answers) == [200, 403]
    assert len(api.get("/devices?user=racer")) == 1
    again = running.client("late").enrol(text)
    assert again.status_code == 403
    assert len(api.get("/devices?user=racer")) == 1


def test_nobody_enrols_with_the_key_or_the_address_of_another(
    running: Site, api: Api, alice: Machine
) -> None:
    thief = running.client("thief")
    text = token(api, "mallory")
    assert thief.enrol(text, "copy", keys=alice.keys).status_code == 409
    own = api.get("/status")["interface"]["public_key"]
    document = {"token": text, "name": "own", "public_key": own}
    assert post_enrolment(thief, document).status_code in (400, 409)
    wish = {**document, "public_key": generate().public_text, "addresses": list(alice.addresses)}
    taken = post_enrolment(thief, wish)
    with pytest.raises(httpx.HTTPStatusError):
        token(api, "mallory", addresses=[alice.addresses[0]])
    assert taken.status_code == 400 or not set(taken.json()["addresses"]) & set(alice.addresses)
    (device,) = (one for one in api.get("/devices") if one["public_key"] == alice.keys.public_text)
    assert device["user"] == "alice"
    assert set(device["addresses"]) == set(alice.addresses)


def test_a_device_sends_with_its_own_addresses_only(alice: Machine, mallory: Machine) -> None:
    recover(alice, alice.recovery[0])
    assert alice.reaches(LAB)
    victim = alice.addresses[0]
    # Another's address on the machine's own tunnel: WireGuard drops what comes with it.
    with Links(mallory.namespace) as links:
        links.address(mallory.interface, f"{victim}/32")
    with mallory.namespace.enter():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sock:
        sock.bind((victim, 0))
        sock.settimeout(0.5)
        for address in (LAB, OPEN):
            sock.sendto(b"spoofed", (address, 7000))
            with pytest.raises(TimeoutError):
                sock.recv(16)
    assert alice.reaches(LAB)


def test_a_code_that_two_devices_send_at_once_is_good_on_one(
    api: Api, alice: Machine, tablet: Machine
) -> None:
    assert alice.app is not None
    # That of the next step is good already, and was not used for the set-up.
    code = alice.app.code(time.time() + 30)
    for machine in (alice, tablet):
        machine.browser.get("/login")
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda one: one.browser.submit("/login", code=code), (alice, tablet)))
    alice.browser.get("/login")
    alice.browser.submit("/login", code=code)
    told = [one for one in api.get("/audit?limit=1000") if one["action"] in ("logged in", "refused login")]
    assert [one["action"] for one in told if one["details"]["method"] == "totp"].count("logged in") == 1
    assert [one["action"] for one in told if one["details"]["method"] == "totp"].count("refused login") == 2


def test_the_cookie_of_another_opens_nothing(alice: Machine, mallory: Machine) -> None:
    alice.browser.get("/")
    (cookie,) = alice.browser.http.cookies.jar
    page = alice.browser.text
    thief = Browser(mallory.namespace, TUNNEL4)
    thief.http.cookies.set(cookie.name, cookie.value or "", domain=TUNNEL4)
    thief.get("/")
    assert "mallory" in thief.text
    assert "alice" not in thief.text
    thief.text = page
    thief.http.cookies.clear()
    thief.http.cookies.set(cookie.name, cookie.value or "", domain=TUNNEL4)
    thief.submit("/logout")
    assert thief.status == 403
    assert alice.reaches(LAB)
    thief.close()


def test_a_form_is_sent_from_the_page_that_had_it_and_once(alice: Machine) -> None:
    browser = alice.browser
    browser.get("/")
    form = re.search(r'action="/logout".*?name="form" value="([^"]+)"', browser.text, re.DOTALL)
    assert form, browser.text
    good = {"origin": browser.base}
    tries: list[tuple[dict[str, str], dict[str, str]]] = [
        ({}, good),
        ({"form": ""}, good),
        ({"form": "guessed"}, good),
        ({"form": form[1]}, {"origin": "http://evil.example"}),
        ({"form": form[1]}, {"origin": "null"}),
        ({"form": form[1]}, {**good, "sec-fetch-site": "cross-site"}),
        ({"form": form[1]}, {}),
    ]
    for fields, headers in tries:
        with alice.namespace.enter():
            answer = browser.http.post(f"{browser.base}/logout", data=fields, headers=headers)
        assert answer.status_code == (403 if fields else 400), (fields, headers)
    with alice.namespace.enter():
        assert browser.http.get(f"{browser.base}/logout").status_code in (404, 405)
    assert alice.reaches(LAB)


def test_a_login_changes_the_cookie_and_a_planted_one_is_not_taken(alice: Machine) -> None:
    browser = Browser(alice.namespace, TUNNEL4)
    browser.http.cookies.set("wardgate", "planted-by-somebody", domain=TUNNEL4)
    browser.get("/")
    values = {one.value for one in browser.http.cookies.jar if one.domain.startswith(TUNNEL4)}
    assert values != {"planted-by-somebody"}
    browser.http.cookies.clear()
    browser.get("/login?method=recovery")
    (before,) = (one.value for one in browser.http.cookies.jar)
    browser.submit("/login", code=alice.recovery[1])
    (after,) = (one.value for one in browser.http.cookies.jar)
    assert "Log out" in browser.text
    assert before != after
    old = Browser(alice.namespace, TUNNEL4)
    old.http.cookies.set("wardgate", before or "", domain=TUNNEL4)
    old.text = browser.text
    old.submit("/logout")
    assert old.status == 403
    assert alice.reaches(LAB)
    browser.close()
    old.close()


def test_what_is_forwarded_for_is_nobodys_word(api: Api, alice: Machine, mallory: Machine) -> None:
    names = ("x-forwarded-for", "x-real-ip", "client-ip", "x-client-ip")
    lies = {**dict.fromkeys(names, alice.addresses[0]), "forwarded": f"for={alice.addresses[0]}"}
    with mallory.namespace.enter(), httpx.Client(timeout=60) as http:
        page = http.get(f"http://{TUNNEL4}/", headers=lies).text
    assert "mallory" in page
    assert "alice" not in page
    # Each a new address, if one believed it; the limit on attempts does not.
    document = {"token": "wg_nothing_nothing", "name": "x", "public_key": generate().public_text}
    statuses = [
        post_enrolment(mallory, document, **{"x-forwarded-for": f"203.0.113.{number}"}).status_code
        for number in range(24)
    ]
    assert 429 in statuses
    assert set(statuses) <= {403, 429}
    assert api.get("/devices?user=mallory")[0]["name"] == "box"


@pytest.mark.parametrize("port", [80, ENROLMENT_PORT])
def test_hosts_that_are_not_ours_are_not_served(alice: Machine, port: int) -> None:
    server = TUNNEL4 if port == 80 else OUTSIDE
    for host, status in [
        (b"evil.example", b"421"),
        (b"%s.evil.example" % server.encode(), b"421"),
        (b"", b"400"),
        (b"a\x80b", b"400"),
        (b"[::1", b"400"),
        (b"%s@evil.example" % server.encode(), b"400"),
        (b"../../etc/passwd", b"400"),
    ]:
        head = b"GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % host
        answer = raw(alice, head, server, port)
        assert answer.split()[1:2] == [status], (host, answer)
        assert b"evil.example" not in answer.partition(b"\r\n\r\n")[2]
    both = b"GET / HTTP/1.1\r\nHost: %s\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    assert raw(alice, both % server.encode(), server, port).split()[1] == b"400"


@pytest.mark.parametrize("port", [80, ENROLMENT_PORT])
def test_paths_lead_nowhere_else_and_bodies_end(alice: Machine, port: int) -> None:
    server = TUNNEL4 if port == 80 else OUTSIDE
    prefix = b"/static" if port == 80 else b"/enrol/static"
    for path in (
        b"/../../../../etc/passwd",
        b"/..%2f..%2f..%2fetc%2fpasswd",
        b"/%2e%2e/%2e%2e/settings.py",
        b"/....//....//etc/passwd",
        b"//etc/passwd",
        b"/%00",
        b"/..\\..\\settings.py",
    ):
        head = b"GET %s%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n"
        answer = raw(alice, head % (prefix, path, server.encode()), server, port)
        assert answer.split()[1] in (b"400", b"404"), (path, answer)
        assert b"root:" not in answer
    large = b"x" * (1 << 20)
    where = b"/login" if port == 80 else b"/enrol"
    for framing, body in [
        (b"Content-Length: 1048576", large),
        (b"Transfer-Encoding: chunked", b"100000\r\n" + large + b"\r\n0\r\n\r\n"),
    ]:
        head = b"POST %s HTTP/1.1\r\nHost: %s\r\nOrigin: http://%s\r\nContent-Type: %s\r\n%s\r\n\r\n" % (
            where,
            b"%s:%d" % (server.encode(), port),
            b"%s:%d" % (server.encode(), port),
            b"application/x-www-form-urlencoded",
            framing,
        )
        answer = raw(alice, head + body, server, port)
        assert answer == b"" or answer.split()[1] in (b"400", b"413"), answer[:200]
    long = b"GET /%s HTTP/1.1\r\nHost: %s\r\n\r\n" % (b"a" * 100_000, server.encode())
    assert raw(alice, long, server, port).split()[1:2] in ([b"431"], [b"400"], [])


def test_slow_clients_keep_nobody_waiting(alice: Machine, mallory: Machine) -> None:
    slow = []
    with mallory.namespace.enter():
        for number in range(50):
            server = (TUNNEL4, 80) if number % 2 else (OUTSIDE, ENROLMENT_PORT)
            connection = socket.create_connection(server)
            connection.sendall(b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nX-Slow: ")
            slow.append(connection)
    try:
        for _ in range(5):
            alice.browser.get("/")
            assert alice.browser.status == 200
        with alice.namespace.enter():
            assert httpx.get(f"http://{OUTSIDE}:{ENROLMENT_PORT}/enrol", timeout=60).status_code == 200
    finally:
        for connection in slow:
            connection.close()


def test_the_portal_is_in_the_tunnel_and_nowhere_else(running: Site, alice: Machine) -> None:
    outsider = running.client("outsider")
    with Links(outsider.namespace) as links:
        links.route(f"{TUNNEL4}/32", "eth0", via=OUTSIDE)
    for namespace in (outsider.namespace, running.servers):
        for host in (OUTSIDE, TUNNEL4, "198.51.100.1"):
            with namespace.enter(), pytest.raises(OSError):  # noqa: PT011 - whatever keeps it out
                socket.create_connection((host, 80), timeout=1).close()
    with running.servers.enter(), pytest.raises(OSError):  # noqa: PT011
        socket.create_connection((TUNNEL6, 80), timeout=1).close()
    # From another tunnel's inside, the gateway's other addresses are not open either.
    with alice.namespace.enter(), pytest.raises(OSError):  # noqa: PT011
        socket.create_connection(("198.51.100.1", 80), timeout=1).close()


def test_a_user_is_no_group(running: Site, api: Api) -> None:
    for name in (GROUP, "group:new", "*", "a/b", "../x", "-x", "a b", "", "ålice"):
        with pytest.raises(httpx.HTTPStatusError) as refused:
            api.post("/users", name=name)
        assert refused.value.response.status_code in (400, 422), name
        with pytest.raises(httpx.HTTPStatusError) as refused:
            api.post("/tokens", user=name)
        assert refused.value.response.status_code in (400, 422), name
    running.wardgate("gateway", "users", "add", GROUP, status=2)
    assert not any(one["name"].startswith("group") for one in api.get("/users"))


def test_the_control_socket_is_roots(running: Site) -> None:
    assert running.socket.stat().st_mode & 0o777 == 0o600
    program = (
        "import os, socket, sys; os.setgroups([]); os.setgid(65534); os.setuid(65534);"
        "s = socket.socket(socket.AF_UNIX); s.settimeout(20); s.connect(sys.argv[1]);"
        "s.sendall(b'GET /v1/users HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n');"
        "print(s.recv(100))"
    )
    folders = [folder for folder in running.socket.parents if folder.stat().st_uid == 0]
    modes = {folder: folder.stat().st_mode & 0o7777 for folder in folders}
    mode = running.socket.stat().st_mode & 0o7777
    try:
        # However careless the modes around it and its own are.
        for folder in folders:
            folder.chmod(modes[folder] | 0o111)
        running.socket.chmod(0o666)
        done = subprocess.run(
            [sys.executable, "-I", "-c", program, str(running.socket)],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
        )
    finally:
        running.socket.chmod(mode)
        for folder, before in modes.items():
            folder.chmod(before)
    assert " 200 " not in done.stdout, done.stdout
    # It closes at once, or says that it does not answer.
    refusals = ("ConnectionResetError", "BrokenPipeError")
    assert done.stdout == "b''\n" or " 403 " in done.stdout or any(one in done.stderr for one in refusals), (
        done
    )


def test_guesses_at_once_are_no_more_than_those_one_by_one(api: Api, alice: Machine, tablet: Machine) -> None:
    # After a login, what went wrong before counts no more.
    recover(tablet, alice.recovery[3])
    tablet.browser.get("/")
    tablet.browser.submit("/logout")
    browsers = [Browser(tablet.namespace, TUNNEL4) for _ in range(6)]
    for browser in browsers:
        browser.get("/login")

    def guess(browser: Browser) -> None:
        browser.submit("/login", code="000000")

    def refused() -> int:
        return sum(
            one["action"] == "refused login" and one["details"]["device"] == device
            for one in api.get("/audit?limit=1000")
        )

    device = api.get("/devices?find=alice/tablet")[0]["id"]
    before = refused()
    with ThreadPoolExecutor(len(browsers)) as pool:
        list(pool.map(guess, browsers))
    assert refused() - before <= ATTEMPTS
    assert api.get("/users/alice/factors")["failures"] <= ATTEMPTS
    # Here, nothing is tried now; on another device of the user's a code is good.
    tablet.browser.get("/login?method=recovery")
    assert 'action="/login"' not in tablet.browser.text
    assert "alice/tablet" not in authorised(api)
    assert "You are logged in" in recover(alice, alice.recovery[2])
    for browser in browsers:
        browser.close()


def test_all_of_it_is_in_a_log_that_holds_together(running: Site, api: Api) -> None:
    assert api.get("/audit/verify")["broken"] is None
    assert api.get("/status")["problems"] == []
    log = running.log.read_text()
    assert "Traceback" not in log, log[log.index("Traceback") - 500 :][:3000]
