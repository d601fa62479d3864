"""The demo's networks, and the gateway in them: the real command, in a process of its own.

laptops -- internet (a bridge) -- gateway -- servers
"""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from wardgate.cli.demo.gate import WARDGATE, GateError, command
from wardgate.cli.demo.gateway.laptop import Laptop
from wardgate.cli.demo.links import Links
from wardgate.cli.demo.namespace import NetNamespace
from wardgate.cli.demo.network import has_ipv6
from wardgate.cli.demo.traffic import allow_ping

DEVICE: Final = "wg0"
OUTSIDE: Final = "192.0.2.1"
"""The gateway on the internet (RFC 5737)."""
PORT, ENROLMENT_PORT = 51_820, 8080
ENROLMENT: Final = f"http://{OUTSIDE}:{ENROLMENT_PORT}"
PORTAL: Final = "http://10.9.0.1"
WIKI, LAB, VAULT, LAB6 = "10.0.0.5", "10.1.2.3", "10.1.9.1", "fd00:1::3"
POLICY: Final = """\
version: 1
tunnel: [{tunnel}]
groups:
  group:engineers: [alice, bob]
hosts:
  wiki:  10.0.0.5
  lab:   [10.1.0.0/16, "fd00:1::/48"]
  vault: 10.1.9.0/24
services:
  web: 443/tcp
policies:
  "*":
    allow: ["wiki web"]
  group:engineers:
    mfa:   ["lab"]       # while logged in with a second factor
    deny:  ["vault"]     # logged in or not
"""
_WIRES: Final = {4: ("198.51.100.1", "198.51.100.2", 24), 6: ("2001:db8::1", "2001:db8::2", 64)}
_TUNNEL: Final = {4: ("10.9.0.1/16", "10.9.0.0/16"), 6: ("fd09::1/64", "fd09::/64")}
_EVERYTHING: Final = {4: "0.0.0.0/0", 6: "::/0"}
_START_SECONDS: Final = 120.0


class Site:
    """Made in `folder`, which has the gateway's files. Close it, or use it as a context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = folder / "gateway.yaml"
        self.versions = (4, 6) if has_ipv6() else (4,)
        self.process: subprocess.Popen[str] | None = None
        self.laptops: list[Laptop] = []
        self._log = folder / "gateway.log"
        self._made = ExitStack()
        try:
            self.gateway, self.internet, self.servers = map(
                self._namespace, ("gateway", "internet", "servers")
            )
            self._lay_cables()
        except BaseException:
            self.close()
            raise

    def _namespace(self, label: str) -> NetNamespace:
        namespace = self._made.enter_context(NetNamespace(label))
        allow_ping(namespace)
        if 6 in self.versions:
            namespace.sysctl("ipv6/conf/all/disable_ipv6", "0")
            namespace.sysctl("ipv6/conf/default/disable_ipv6", "0")
            namespace.sysctl("ipv6/conf/default/accept_dad", "0")
            # A drop that the table shows is of the packet in the table, and not of one like these.
            namespace.sysctl("ipv6/conf/default/router_solicitations", "0")
        with Links(namespace) as links:
            links.up("lo")
        return namespace

    def _lay_cables(self) -> None:
        with Links(self.internet) as internet, Links(self.gateway) as gateway, Links(self.servers) as office:
            internet.add("br0", "bridge")
            internet.up("br0")
            internet.add_veth("gateway", self.gateway, "eth0")
            internet.enslave("gateway", "br0")
            internet.up("gateway")
            gateway.address("eth0", f"{OUTSIDE}/24")
            gateway.up("eth0")
            gateway.add_veth("lan0", self.servers, "lan0")
            for version in self.versions:
                here, there, length = _WIRES[version]
                gateway.address("lan0", f"{here}/{length}")
                office.address("lan0", f"{there}/{length}")
            gateway.up("lan0")
            office.up("lan0")
            for address in self.addresses:
                version, bits = (6, 128) if ":" in address else (4, 32)
                office.address("lo", f"{address}/{bits}")
                gateway.route(f"{address}/{bits}", "lan0", via=_WIRES[version][1])
            for version in self.versions:
                office.route(_EVERYTHING[version], "lan0", via=_WIRES[version][0])

    @property
    def addresses(self) -> tuple[str, ...]:
        """The servers'."""
        return (WIKI, LAB, VAULT, *([LAB6] if 6 in self.versions else []))

    def laptop(self, user: str, number: int) -> Laptop:
        """A machine on the internet, without a tunnel."""
        namespace = self._namespace(user)
        laptop = Laptop(namespace, user, f"192.0.2.{10 + number}")
        with Links(self.internet) as internet, Links(namespace) as links:
            internet.add_veth(user, namespace, "eth0")
            internet.enslave(user, "br0")
            internet.up(user)
            links.address("eth0", f"{laptop.at}/24")
            links.up("eth0")
        self._made.callback(laptop.close)
        self.laptops.append(laptop)
        return laptop

    def init_arguments(self) -> tuple[str, ...]:
        """Of `wardgate`, for the files of a new gateway."""
        own = [f"--address={_TUNNEL[version][0]}" for version in self.versions]
        return ("gateway", "init", f"--folder={self.folder}", f"--state={self.folder}/state",
                f"--endpoint={OUTSIDE}:{PORT}", *own)  # fmt: skip

    def write(self) -> str:
        """Write the policy, and what the demo needs of settings; those lines."""
        tunnel = ", ".join(f'"{_TUNNEL[version][1]}"' for version in self.versions)
        (self.folder / "policy.yaml").write_text(POLICY.format(tunnel=tunnel))
        lines = f'network: {{forwarding: enable}}\nenrolment: {{listen: ["{OUTSIDE}:{ENROLMENT_PORT}"]}}\n'
        with self.settings.open("a") as file:
            file.write(lines)
        return lines

    def command(self, *arguments: str) -> Any:
        """Run `wardgate ARGUMENTS --json` in the gateway's namespace; its document. GateError."""
        return command(self.gateway, *arguments)

    def start(self) -> None:
        """Start the gateway; return when it serves. GateError."""
        with self.gateway.enter(), self._log.open("a") as log:
            self.process = subprocess.Popen(  # noqa: S603 - this Python, and arguments of the demo
                [*WARDGATE, "gateway", "start", "--json"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        if self.process.stdout is None or '"started"' not in self.process.stdout.readline():
            self.process.kill()
            raise GateError(("gateway", "start"), self.process.wait(), self._log.read_text())

    def kill(self) -> None:
        """kill -9 the gateway's process."""
        if self.process is not None:
            self.process.kill()
            self._ended(self.process)

    def stop(self) -> None:
        """Take the gateway off the machine, by the command; GateError."""
        self.command("gateway", "stop")
        if self.process is not None:
            self._ended(self.process)

    def _ended(self, process: subprocess.Popen[str]) -> None:
        process.wait(_START_SECONDS)
        if process.stdout is not None:
            process.stdout.close()
        self.process = None

    def close(self) -> None:
        """Remove the networks, and end what runs in them."""
        self.kill()
        self._made.close()

    def __enter__(self) -> Site:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
