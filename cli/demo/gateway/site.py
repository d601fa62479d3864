"""The demo's gateway in its networks: the real command, in a process of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, Final

from wardgate.cli.demo.gate import WARDGATE, GateError, command
from wardgate.cli.demo.gateway.laptop import Laptop
from wardgate.cli.demo.gateway.networks import OUTSIDE, Networks

DEVICE: Final = "wg0"
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
_TUNNEL: Final = {4: ("10.9.0.1/16", "10.9.0.0/16"), 6: ("fd09::1/64", "fd09::/64")}
_START_SECONDS: Final = 120.0


class Site(Networks):
    """Made in `folder`, which has the gateway's files. Close it, or use it as a context manager."""

    def __init__(self, folder: Path) -> None:
        super().__init__((WIKI, LAB, VAULT, LAB6))
        self.folder = folder
        self.settings = folder / "gateway.yaml"
        self.process: subprocess.Popen[str] | None = None
        self.laptops: list[Laptop] = []
        self._log = folder / "gateway.log"

    def laptop(self, user: str, number: int) -> Laptop:
        """A machine on the internet, without a tunnel."""
        at = f"192.0.2.{10 + number}"
        laptop = Laptop(self.machine(user, at), user, at)
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
        super().close()
