"""A client's configuration brings up a real tunnel, by WireGuard's own tools."""

from __future__ import annotations

import os
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest
from identities import ADMIN, Node, on_a_node, pair, unseal
from wardgate.cli.demo.links import Links
from wardgate.cli.demo.namespace import NetNamespace
from wardgate.cli.demo.wireguard import UserspaceDevice
from wardgate.gateway.identity import ClientConfiguration, ClientSettings, Configurations

GATEWAY = pair(-1)
PORT = 51_820
OUTER, INNER = "192.0.2.1", "192.0.2.2"


def run(namespace: NetNamespace, *command: object, **environment: str) -> str:
    """A command's output, in a namespace."""
    with namespace.enter():
        done = subprocess.run(
            [*map(str, command)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **environment},
        )
    assert done.returncode == 0, done.stderr
    return done.stdout


def enrolled(folder: Path) -> ClientConfiguration:
    """The configuration of a device that enrolled with a token."""

    async def work(node: Node) -> ClientConfiguration:
        _, text = await node.tokens.issue(ADMIN, "alice", lifetime_s=60)
        found = await node.enrolment.enrol(text, "laptop", pair(0).public)
        settings = ClientSettings(f"{OUTER}:{PORT}", portal=("10.9.0.1", "fd09::1"), mtu=1400, keepalive=25)
        reach = ("10.0.0.0/9", "10.128.0.0/9", "192.0.2.0/24")
        return Configurations(settings, GATEWAY.public, lambda _: reach, unseal).of(found.device)

    return on_a_node(folder, work)


@pytest.mark.root
@pytest.mark.tool("wg", "wg-quick", "wireguard-go", "ip", "ping")
def test_wg_quick_brings_it_up_and_packets_pass(tmp_path: Path) -> None:
    configuration = enrolled(tmp_path)
    gateway_name, client_name = f"ig{os.getpid()}", f"ic{os.getpid()}"
    file = tmp_path / f"{client_name}.conf"
    file.touch(0o600)
    file.write_text(configuration.text(pair(0).private))
    secrets = tmp_path / "gateway.conf"
    secrets.write_text(
        f"[Interface]\nPrivateKey = {GATEWAY.private}\nListenPort = {PORT}\n"
        f"[Peer]\nPublicKey = {configuration.public_key}\nPresharedKey = {configuration.preshared_key}\n"
        f"AllowedIPs = {', '.join(configuration.addresses)}\n"
    )
    with ExitStack() as stack:
        gateway, client = (stack.enter_context(NetNamespace(label)) for label in ("gateway", "client"))
        with Links(gateway) as here, Links(client) as there:
            here.add_veth("cable", client, "cable")
            here.address("cable", f"{OUTER}/30")
            here.up("cable")
            there.address("cable", f"{INNER}/30")
            there.up("cable")
        device = UserspaceDevice(gateway, gateway_name)
        stack.callback(device.close)
        run(gateway, "wg", "setconf", gateway_name, secrets)
        with Links(gateway) as here:
            here.address(gateway_name, "10.9.0.1/16")
            here.address(gateway_name, "fd09::1/64")
            here.up(gateway_name, 1400)
        quick = {"WG_QUICK_USERSPACE_IMPLEMENTATION": "wireguard-go"}
        run(client, "wg-quick", "up", file, **quick)
        stack.callback(run, client, "wg-quick", "down", file, **quick)

        for address in ("10.9.0.1", "fd09::1"):
            assert " 0% packet loss" in run(client, "ping", "-c", 2, "-W", 20, address)
        own, peer = (line.split("\t") for line in run(client, "wg", "show", client_name, "dump").splitlines())
        assert own[1] == pair(0).public
        assert peer[:3] == [GATEWAY.public, configuration.preshared_key, f"{OUTER}:{PORT}"]
        assert peer[3].split(",") == list(configuration.allowed_ips)
        assert peer[7] == "25"
        # The cable is in a prefix of the policy's, and the tunnel's packets still go through it.
        assert "dev cable" in run(client, "ip", "route", "get", OUTER)
        assert f"dev {client_name}" in run(client, "ip", "route", "get", "192.0.2.9")
        assert "mtu 1400" in run(client, "ip", "link", "show", client_name)
