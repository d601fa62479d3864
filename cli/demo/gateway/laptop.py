"""A user's machine: its keys, its tunnel, and what its user does with the portal."""

from __future__ import annotations

import re
import socket
import time
from base64 import b64decode
from contextlib import ExitStack
from typing import Any

from wardgate.cli.demo.gateway import authenticator
from wardgate.cli.demo.gateway.portal import Browser, PortalError
from wardgate.cli.demo.links import Links
from wardgate.cli.demo.namespace import NetNamespace
from wardgate.cli.demo.tunnel import MTU
from wardgate.cli.demo.wireguard import Device, KernelDevice, RemotePeer, TunnelError, UserspaceDevice
from wardgate.cli.demo.x25519 import generate

_PATIENCE_S = 60.0
_SECRET = re.compile(r'<code class="secret">\s*([A-Z2-7 ]+?)\s*</code>')
_CODES = re.compile(r"<li><code>([^<]+)</code>")


def make_device(namespace: NetNamespace, name: str) -> Device:
    """A WireGuard device, the kernel's if it can be; TunnelError where there is neither."""
    try:
        return KernelDevice(namespace, name)
    except TunnelError as error:
        try:
            return UserspaceDevice(namespace, name)
        except TunnelError as other:
            raise TunnelError(f"{error}; {other}") from None


class Laptop:
    """In `namespace`, where `eth0` leads to the internet and has the address `at` in a /24."""

    def __init__(self, namespace: NetNamespace, user: str, at: str) -> None:
        self.namespace = namespace
        self.user = user
        self.at = at
        self.addresses: tuple[str, ...] = ()
        """In the tunnel."""
        self.recovery: tuple[str, ...] = ()
        self._keys = generate()
        self._configuration = ""
        self._secret = ""
        self._browser: Browser | None = None
        self._tunnel = f"wg-{user}"
        self._made = ExitStack()

    def enrol(self, gateway: str, token: str, name: str) -> tuple[int, dict[str, Any]]:
        """Send the public key to the enrolment API; the HTTP status and the document."""
        import httpx

        body = {"token": token, "name": name, "public_key": self._keys.public_text}
        with self.namespace.enter(), httpx.Client(timeout=_PATIENCE_S, trust_env=False) as http:
            answer = http.post(f"{gateway}/enrol/api", json=body)
        document: dict[str, Any] = answer.json()
        if answer.status_code == httpx.codes.OK:
            self._configuration = document["configuration"]
            self.addresses = tuple(document["addresses"])
        return answer.status_code, document

    def connect(self) -> None:
        """Bring the tunnel up by the configuration that the gateway gave."""
        said = dict(re.findall(r"^(\w+) = (.*)$", self._configuration, re.MULTILINE))
        allowed = tuple(said["AllowedIPs"].split(", "))
        host, _, port = said["Endpoint"].rpartition(":")
        shared = b64decode(said["PresharedKey"]) if "PresharedKey" in said else None
        key = said["PublicKey"]
        peer = RemotePeer(b64decode(key), key, allowed, (host.strip("[]"), int(port)), shared)
        device = make_device(self.namespace, self._tunnel)
        self._made.callback(device.close)
        device.configure(self._keys, 0, [peer])
        with Links(self.namespace) as links:
            for address in self.addresses:
                links.address(device.name, f"{address}/{128 if ':' in address else 32}")
            links.up(device.name, MTU)
            for prefix in allowed:
                links.route(prefix, device.name)

    def move(self, there: str) -> None:
        """Change the address on the internet, as a laptop does that is carried into another network."""
        with Links(self.namespace) as links:
            # In this order: with the first address of a network the kernel removes the others in it.
            links.remove_address("eth0", f"{self.at}/24")
            links.address("eth0", f"{there}/24")
        self.at = there

    def browse(self, portal: str) -> Browser:
        """The portal at `portal`, as `http://HOST`."""
        if self._browser is None:
            self._browser = Browser(self.namespace, portal)
            self._made.callback(self._browser.close)
        return self._browser

    def set_up(self, portal: str) -> str:
        """Have the portal show a secret, put it into the authenticator, confirm by its code; the code."""
        browser = self.browse(portal)
        browser.open("/setup")
        browser.submit("/setup/begin", method="totp")
        found = _SECRET.search(browser.text)
        if found is None:
            raise PortalError("the portal shows no secret to set an authenticator up with")
        self._secret = found[1]
        shown = self._code(-1)
        browser.submit("/setup/confirm", code=shown)
        self.recovery = tuple(_CODES.findall(browser.text))
        return shown

    def log_in(self, portal: str, ahead: int = 0) -> tuple[bool, str]:
        """Log in with the code of now, or of so many steps ahead; whether the portal says that it worked,
        and the code."""
        shown = self._code(ahead)
        return self.try_code(portal, shown), shown

    def try_code(self, portal: str, shown: str) -> bool:
        """Log in with a code; whether the portal says that it worked."""
        browser = self.browse(portal)
        browser.open("/login")
        browser.submit("/login", code=shown)
        return "You are logged in." in browser.text

    def _code(self, ahead: int) -> str:
        """Clocks differ, so the gateway takes the codes just before and after the one of now, too. The demo
        uses all three: each works once, and nobody has to wait 30 seconds for the next."""
        return authenticator.code(self._secret, time.time() + ahead * authenticator.STEP_S)

    def connection(self, address: str, port: int) -> socket.socket:
        """A TCP connection through the tunnel; OSError."""
        with self.namespace.enter():
            return socket.create_connection((address, port), timeout=_PATIENCE_S)

    def close(self) -> None:
        """Remove the tunnel."""
        self._made.close()
