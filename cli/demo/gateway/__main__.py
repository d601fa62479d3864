"""Run a gateway with two users in namespaces, and show what it does with their packets."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType

from wardgate.cli.demo import isolation
from wardgate.cli.demo.gate import GateError
from wardgate.cli.demo.gateway.laptop import make_device
from wardgate.cli.demo.gateway.portal import PortalError
from wardgate.cli.demo.gateway.site import Site
from wardgate.cli.demo.gateway.story import Story
from wardgate.cli.demo.gateway.told import Telling
from wardgate.cli.demo.namespace import NetNamespace
from wardgate.cli.demo.wireguard import TunnelError

_DIFFERS, _REFUSED = 1, 3
_INSTALL = (
    "load the wireguard module (modprobe wireguard), or install wireguard-go (apt install wireguard-go)"
)


def _refuse(cause: str, remedy: str) -> int:
    print(f"gateway-demo: {cause}\n  help: {remedy}", file=sys.stderr, flush=True)
    return _REFUSED


def _told() -> int:
    try:
        with NetNamespace("try") as namespace:
            make_device(namespace, "wgtry").close()
    except TunnelError as error:
        return _refuse(str(error), _INSTALL)
    began = time.monotonic()
    folder = isolation.RUN / "wardgate-demo"
    folder.mkdir()
    # Where the commands find the settings, as they would in /etc/wardgate.
    os.environ["WARDGATE_GATEWAY_SETTINGS"] = str(folder / "gateway.yaml")
    os.environ.pop("WARDGATE_GATEWAY_SOCKET", None)
    telling = Telling()
    try:
        with Site(folder) as site:
            Story(site, telling).tell()
    except (GateError, TunnelError, PortalError, OSError) as error:
        return _refuse(str(error), "the lines above say how far it came")
    right = telling.lines - telling.wrong
    print(f"\n{right} of {telling.lines} lines as expected, in {time.monotonic() - began:.0f} s.", flush=True)
    return _DIFFERS if telling.wrong else 0


def _terminated(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo. 0: all is as expected; 1: something is not; 3: the system refused."""
    argparse.ArgumentParser(prog="python -m wardgate.cli.demo.gateway", description=__doc__).parse_args(
        arguments
    )
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _terminated)
    if os.geteuid() != 0:
        return _refuse("You are not root: there is no gateway without a kernel.", "sudo make gateway-demo")
    try:
        return isolation.run(_told)
    except isolation.IsolationError as error:
        return _refuse(
            f"This root may not make namespaces ({error}).",
            "run it on a machine, or in a container with CAP_SYS_ADMIN and CAP_NET_ADMIN",
        )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
