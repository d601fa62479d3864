"""A site with a gateway: namespaces for it, the internet, a network behind it, and clients' machines.

The gateway is the real command in a process of its own; clients have wireguard-go, and a browser that is a
few lines of HTTP. All of it goes with the test: namespaces have no names, and what is pinned is named for the
process.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import warm_command
from portal_browser import Browser
from totp import App
from wardgate.cli.demo.gateway.networks import OUTSIDE, Networks
from wardgate.cli.demo.links import Links
from wardgate.cli.demo.namespace import NetNamespace
from wardgate.cli.demo.wireguard import UserspaceDevice
from wardgate.cli.demo.x25519 import KeyPair, generate

TOO_MANY = 429
"""Of a login, where a device has tried more often than people do."""
GREETING = "You are logged in."
STEP_S = 30
"""After which an authenticator app shows another code."""
_NUMBERS = itertools.count()
PATIENCE_S = 60.0
"""How long to wait for what must come."""
BRIEFLY_S = 1.0
"""How long for what must not come, or is asked for again."""
TUNNEL4, TUNNEL6 = "10.9.0.1", "fd09::1"
PORT, ENROLMENT_PORT, SERVICE_PORT = 51_820, 8080, 7000
OPEN, LAB, DENIED, NAMED = "10.0.0.5", "10.1.2.3", "10.2.0.9", "10.3.0.7"
LAB6 = "fd00:1::3"
GROUP = "group:admins"
POLICY = f"""\
version: 1
tunnel: [10.9.0.0/16, "fd09::/64"]
groups:
  group:admins: []
policies:
  "*":
    allow: ["{OPEN}"]
  group:admins:
    mfa: ["10.1.0.0/16", "fd00:1::/48"]
    deny: ["{DENIED}"]
"""


class Site(Networks):
    """See the module. `settings` are more lines for gateway.yaml, `policy` the first policy."""

    def __init__(self, folder: Path, *, settings: str = "", policy: str = POLICY) -> None:
        super().__init__((OPEN, LAB, DENIED, NAMED, LAB6))
        self.interface = f"wg{os.getpid()}{chr(97 + next(_NUMBERS) % 26)}"
        self.outside = OUTSIDE
        self.folder = folder
        self.file = folder / "gateway.yaml"
        self.socket = folder / "control.sock"
        self.log = folder / "gateway.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.prefix: Sequence[str] = ()
        """Of the command that starts the gateway."""
        self._clients = 0
        try:
            self.answerers = Answerers(self.servers)
            self._made.callback(self.answerers.close)
            self._write(settings, policy)
        except BaseException:
            self.close()
            raise

    def _write(self, settings: str, policy: str) -> None:
        endpoint = f"{OUTSIDE}:{PORT}"
        self.wardgate(
            "gateway", "init", "--folder", self.folder, "--state", self.folder / "state",
            "--endpoint", endpoint, "--interface", self.interface,
        )  # fmt: skip
        (self.folder / "policy.yaml").write_text(policy)
        with self.file.open("a") as file:
            file.write(f"control: {{socket: {self.socket}}}\n")
            file.write("network: {forwarding: enable}\n")
            file.write(f"enrolment: {{listen: ['{OUTSIDE}:{ENROLMENT_PORT}']}}\n")
            file.write(settings)

    def wardgate(self, *words: object, status: int = 0) -> Any:
        """Run a command in the gateway's namespace; its JSON. Another exit status is a failure."""
        with self.gateway.enter():
            done = warm_command.run(*words, "--json", env=self.environment())
        assert done.returncode == status, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout) if done.stdout.strip() else None

    def environment(self) -> Mapping[str, str]:
        """Of commands about this gateway."""
        return {
            **os.environ,
            "WARDGATE_GATEWAY_SOCKET": str(self.socket),
            "WARDGATE_GATEWAY_SETTINGS": str(self.file),
        }

    def start(self) -> None:
        """Start the gateway, and wait until it serves."""
        process = self.begin()
        assert process.stdout is not None
        line = process.stdout.readline()
        assert b"started" in line, self.log.read_text()

    def begin(self) -> subprocess.Popen[bytes]:
        """Start the gateway, and wait for nothing; its process."""
        command = [*self.prefix, sys.executable, "-m", "wardgate.cli.main", "gateway", "start", "--json"]
        with self.gateway.enter(), self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, env=self.environment(), start_new_session=True
            )
        return self.process

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End the gateway's process by a signal, and wait for that."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(PATIENCE_S)
            if self.process.stdout is not None:
                self.process.stdout.close()
            self.process = None

    def client(self, name: str) -> Machine:
        """A machine on the internet, without a tunnel yet."""
        self._clients += 1
        machine = Machine(self, name, self._clients)
        self._made.callback(machine.close)
        return machine

    def connected(self, name: str, user: str) -> Machine:
        """A machine of a user in group:admins: enrolled and connected, and not logged in."""
        machine = self.client(name)
        answer = machine.enrol(self.token(user, "--group", GROUP))
        assert answer.status_code == 200, answer.text
        machine.connect()
        return machine

    def token(self, user: str, *options: object) -> str:
        """A new token for `user`, made by the command."""
        found: str = self.wardgate("gateway", "tokens", "issue", user, *options)["text"]
        return found

    def sessions(self) -> list[Any]:
        """The sessions that the store has, as the command lists them: those that are authorised."""
        listed = self.wardgate("gateway", "sessions", "list")
        return [one for one in listed if one["state"] == "authorised"]

    def peers(self) -> set[str]:
        """Public keys of the peers that WireGuard has, in base64."""
        return {
            base64.b64encode(bytes.fromhex(line.partition("=")[2])).decode()
            for line in _uapi(self.interface, ["get=1"]).splitlines()
            if line.startswith("public_key=")
        }

    def close(self) -> None:
        """Take the gateway down, and all that was made."""
        with contextlib.ExitStack() as closing:
            closing.callback(super().close)
            closing.callback(self.kill)
            if self.file.exists():
                closing.callback(self.wardgate, "gateway", "stop")


class Answerers:
    """Echoes: TCP and UDP, on all addresses of a namespace, at SERVICE_PORT."""

    def __init__(self, namespace: NetNamespace) -> None:
        self._sockets: list[socket.socket] = []
        with namespace.enter():
            for family, kind in ((socket.AF_INET6, socket.SOCK_STREAM), (socket.AF_INET6, socket.SOCK_DGRAM)):
                sock = socket.socket(family, kind)
                self._sockets.append(sock)
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                if kind == socket.SOCK_DGRAM:
                    # Answers come from the address that was asked.
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
                sock.bind(("::", SERVICE_PORT))
        tcp, udp = self._sockets
        tcp.listen(64)
        for work in (lambda: self._accept(tcp), lambda: self._echo(udp)):
            threading.Thread(target=work, daemon=True).start()

    def _accept(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = sock.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(4096):
                connection.sendall(data)

    def _echo(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                data, ancillary, _, sender = sock.recvmsg(2048, 256)
                sock.sendmsg([data], ancillary, 0, sender)

    def close(self) -> None:
        """Answer no more."""
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


class Machine:
    """A client's machine. `at` is its address on the internet; `keys` those of its tunnel."""

    def __init__(self, site: Site, name: str, number: int) -> None:
        self.site = site
        self.name = name
        self.keys: KeyPair = generate()
        self.addresses: tuple[str, ...] = ()
        self.configuration = ""
        self.app: App | None = None
        self.spent = ""
        """The code of the last login."""
        self.recovery: list[str] = []
        self._device: UserspaceDevice | None = None
        self.interface = f"{site.interface}c{number}"
        self._moves = 0
        self._number = number
        self.at = f"192.0.2.{10 + number}"
        self.namespace = site.machine(f"c{number}", self.at)
        self.browser = Browser(self.namespace, TUNNEL4)

    def enrol(self, token: str, name: str | None = None, keys: KeyPair | None = None) -> httpx.Response:
        """Ask the enrolment API for a configuration, and take it if there is one."""
        keys = keys or self.keys
        document = {"token": token, "name": name or self.name, "public_key": keys.public_text}
        with self.namespace.enter(), httpx.Client(timeout=PATIENCE_S) as http:
            answer = http.post(f"http://{OUTSIDE}:{ENROLMENT_PORT}/enrol/api", json=document)
        if answer.status_code == 200:
            self.configuration = answer.json()["configuration"]
            self.addresses = tuple(answer.json()["addresses"])
        return answer

    def configure(self, configuration: str) -> None:
        """Take a configuration that has its private key in it, and connect."""
        said = dict(re.findall(r"^(\w+) = (.*)$", configuration, re.MULTILINE))
        private = said["PrivateKey"]
        self.keys = KeyPair(base64.b64decode(private), self.keys.public)
        self.configuration = configuration
        self.addresses = tuple(address.partition("/")[0] for address in said["Address"].split(", "))
        self.connect()

    def connect(self) -> None:
        """Bring the tunnel up, as the configuration says."""
        said = dict(re.findall(r"^(\w+) = (.*)$", self.configuration, re.MULTILINE))
        if self._device is None:
            self._device = UserspaceDevice(self.namespace, self.interface)
        host, _, port = said["Endpoint"].rpartition(":")
        public = said["PublicKey"]
        allowed = tuple(said["AllowedIPs"].split(", "))
        lines = [
            "set=1", f"private_key={self.keys.private.hex()}", "replace_peers=true",
            f"public_key={_hex(public)}", f"endpoint={host}:{port}",
            *([f"preshared_key={_hex(said['PresharedKey'])}"] if "PresharedKey" in said else []),
            *(f"allowed_ip={prefix}" for prefix in allowed),
        ]  # fmt: skip
        _uapi(self.interface, lines)
        with Links(self.namespace) as links:
            for address in self.addresses:
                with contextlib.suppress(Exception):
                    links.address(self.interface, f"{address}/{128 if ':' in address else 32}")
            links.up(self.interface, 1420)
            for prefix in allowed:
                with contextlib.suppress(Exception):
                    links.route(prefix, self.interface)

    def move(self) -> str:
        """Give the machine another address on the internet; which."""
        self._moves += 1
        there = f"192.0.2.{100 + 10 * self._number % 100 + self._moves % 10}"
        with Links(self.namespace) as links:
            # In this order: with the first address of a network its others go too.
            links.remove_address("eth0", f"{self.at}/24")
            links.address("eth0", f"{there}/24")
        self.at = there
        return there

    def reaches(self, address: str, *, udp: bool = False, wait_s: float = PATIENCE_S) -> bool:
        """Whether the service at `address` answers in time; datagrams are sent again meanwhile."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with self.namespace.enter():
            sock = socket.socket(family, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM)
        deadline = time.monotonic() + wait_s
        with sock:
            sock.settimeout(min(wait_s, 1.0) if udp else wait_s)
            while True:
                try:
                    sock.connect((address, SERVICE_PORT))
                    sock.sendall(b"hello")
                    return sock.recv(16) == b"hello"
                except OSError:
                    if not udp or time.monotonic() >= deadline:
                        return False

    def connection(self, address: str) -> socket.socket:
        """A TCP connection to the service at `address`; OSError."""
        with self.namespace.enter():
            return socket.create_connection((address, SERVICE_PORT), timeout=PATIENCE_S)

    def set_up(self) -> Sequence[str]:
        """Set up the second factor by the portal, for the first time; the recovery codes."""
        self.browser.get("/setup")
        self.browser.submit("/setup/begin", method="totp")
        secret = re.search(r'<code class="secret">\s*([A-Z2-7 ]+?)\s*</code>', self.browser.text)
        assert secret, self.browser.text
        self.app = App(f"otpauth://totp/x?secret={secret[1].replace(' ', '')}&issuer=x")
        self.browser.submit("/setup/confirm", code=self.app.code(time.time()))
        self.recovery = re.findall(r"<li><code>([^<]+)</code>", self.browser.text)
        return self.recovery

    def log_in(self) -> None:
        """Log in by the portal: the first time the second factor is set up."""
        self.browser.get("/")
        if self.app is None:
            self.set_up()
        # That of now is spent on the set-up, and that of the next step is good already.
        self.spent = self.app.code(time.time() + STEP_S)
        self.answer("totp", self.spent)
        assert GREETING in self.browser.text, self.browser.text

    def answer(self, method: str, code: str) -> None:
        """Send a code to the portal, as soon as it takes one."""
        while True:
            self.browser.get(f"/login?method={method}")
            answer = self.browser.submit("/login", code=code)
            if answer.status_code != TOO_MANY:
                return
            time.sleep(int(answer.headers["retry-after"]))

    def log_in_again(self) -> None:
        """Log in by one of the recovery codes, which does not wait for the next code of the app."""
        self.answer("recovery", self.recovery.pop())
        assert GREETING in self.browser.text, self.browser.text

    def close(self) -> None:
        """End the tunnel."""
        self.browser.close()
        if self._device is not None:
            self._device.close()
            self._device = None


def eventually(what: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + patience_s
    while not what():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)


@contextlib.contextmanager
def site(folder: Path, **options: str) -> Iterator[Site]:
    """A site with a gateway that runs."""
    with Site(folder, **options) as made:
        made.start()
        yield made


def _hex(text: str) -> str:
    return base64.b64decode(text).hex()


def _uapi(device: str, lines: Sequence[str]) -> str:
    """Tell or ask wireguard-go's device something, in the protocol of wireguard.com/xplatform."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(PATIENCE_S)
        connection.connect(f"/var/run/wireguard/{device}.sock")
        connection.sendall(("\n".join(lines) + "\n\n").encode())
        answer = b""
        while not answer.endswith(b"\n\n") and (chunk := connection.recv(4096)):
            answer += chunk
    assert b"errno=0\n" in answer, answer
    return answer.decode()
