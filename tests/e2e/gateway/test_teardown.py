"""What a tunnel takes of a machine is given back: all of it is looked at before and after."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from ipaddress import ip_interface, ip_network
from pathlib import Path

import pytest
from wardgate.cli.demo.links import Links
from wardgate.cli.demo.namespace import NetNamespace
from wardgate.gateway.network.forwarding import Forwarding
from wardgate.gateway.network.masquerading import Masquerade, apply_masquerade, remove_masquerade
from wardgate.gateway.network.tunnel import TunnelNetwork
from wardgate.gateway.wireguard import Kind, Peer, PrivateKey, open_device
from wireguard_peers import key

pytestmark = [pytest.mark.root, pytest.mark.tool("wireguard-go", "ip", "nft")]

NAME = f"t{os.getpid()}"
TUNNEL = TunnelNetwork(
    NAME,
    (ip_interface("10.9.0.1/24"), ip_interface("fd09::1/64")),
    (ip_network("10.9.0.0/16"), ip_network("fd09::/56")),
)
VOLATILE = re.compile(r"stable_secret|/neigh/|route/flush|/netfilter/nf_conntrack_count")
"""Settings that can't be read, or that count."""
OTHERS = """
table inet filter {
    chain forward { type filter hook forward priority 0; policy accept; counter; }
}
table ip nat { chain post { type nat hook postrouting priority 100; oifname "eth" masquerade; }; }
"""


def start(state: Path) -> None:
    """All that a gateway does to the network."""
    device = open_device(NAME, Kind.USERSPACE)
    device.configure(PrivateKey(bytes([3] * 32)), 51820)
    TUNNEL.prepare()
    TUNNEL.activate()
    Forwarding(state).enable((4, 6))
    apply_masquerade(Masquerade(NAME, TUNNEL.prefixes, (ip_network("10.0.0.0/8"),)))
    device.reconcile([Peer(key(number), (ip_network((0x0A090000 + number, 32)),)) for number in range(2, 50)])


def stop(state: Path) -> None:
    """All of it again."""
    remove_masquerade(NAME)
    open_device(NAME).destroy()
    Forwarding(state).restore()


def snapshot(folder: Path) -> dict[str, str]:
    """The machine, as far as a gateway could change it."""
    shown = {
        command: subprocess.run(command.split(), check=True, capture_output=True, text=True).stdout
        for command in (
            "ip -details link", "ip address", "ip -4 route show table all", "ip -6 route show table all",
            "ip -4 rule", "ip -6 rule", "nft list ruleset",
        )
    }  # fmt: skip
    for path in sorted(Path("/proc/sys/net").rglob("*")):
        if path.is_file() and os.access(path, os.R_OK) and not VOLATILE.search(str(path)):
            try:
                shown[str(path)] = path.read_text()
            except OSError as error:
                shown[str(path)] = str(error)
    for place in (Path("/var/run/wireguard"), Path("/sys/fs/bpf"), folder):
        # Other tests have theirs there, meanwhile.
        ours = sorted(str(path) for path in place.rglob("*") if NAME in path.name or place == folder)
        shown[str(place)] = "\n".join(ours)
    return shown


@pytest.fixture
def machine():
    """A namespace with an interface, routes, rules and tables of others."""
    with NetNamespace("gateway") as made, NetNamespace("router") as router, Links(made) as links:
        made.sysctl("ipv6/conf/default/accept_dad", "0")
        router.sysctl("ipv6/conf/default/accept_dad", "0")
        links.add_veth("eth", router, "eth")
        with Links(router) as there:
            there.up("eth")
        links.up("lo")
        links.address("eth", "192.0.2.1/24")
        links.address("eth", "2001:db8::1/64")
        links.up("eth")
        links.route("0.0.0.0/0", "eth", via="192.0.2.2")
        with made.enter():
            subprocess.run(["nft", "-f", "-"], input=OTHERS, text=True, check=True)
            subprocess.run(["ip", "rule", "add", "from", "10.66.0.0/16", "lookup", "77"], check=True)
            Path("/proc/sys/net/ipv4/conf/eth/forwarding").write_text("1")
            while "NO-CARRIER" in subprocess.run(["ip", "link"], capture_output=True, text=True).stdout:
                pass
            while not re.search(r"fe80::\S+ .*link \n", shown_addresses()):
                pass
            yield made


def shown_addresses() -> str:
    """`ip address`."""
    return subprocess.run(["ip", "address"], capture_output=True, text=True, check=True).stdout


@pytest.mark.usefixtures("machine")
def test_a_tunnel_leaves_nothing_behind(tmp_path):
    state = tmp_path / "settings.json"
    before = snapshot(tmp_path)
    start(state)
    between = snapshot(tmp_path)
    for what in ("ip address", "ip -4 route show table all", "nft list ruleset", "/var/run/wireguard",
                 "/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"):  # fmt: skip
        assert between[what] != before[what], "the snapshot would not see it"
    stop(state)
    assert snapshot(tmp_path) == before


@pytest.mark.usefixtures("machine")
def test_nor_does_one_whose_process_was_killed(tmp_path):
    """It is started by one process, which is killed, adopted by a second, and stopped by a third."""
    state = tmp_path / "settings.json"
    before = snapshot(tmp_path)
    script = (
        "import importlib.util, os, signal, sys\n"
        "from dataclasses import replace\n"
        "from pathlib import Path\n"
        "sys.path.insert(0, sys.argv[3])\n"
        "spec = importlib.util.spec_from_file_location('teardown', sys.argv[1])\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "module.NAME = sys.argv[4]\n"
        "module.TUNNEL = replace(module.TUNNEL, interface=sys.argv[4])\n"
        "module.start(Path(sys.argv[2]))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    support = Path(__file__).parents[2] / "support"
    command = [sys.executable, "-c", script, __file__, str(state), str(support), NAME]
    try:
        for _ in range(2):
            assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
            assert open_device(NAME).adopted
        between = snapshot(tmp_path)
        assert between["nft list ruleset"].count(f"table inet wardgate_{NAME} ") == 1
    finally:
        stop(state)
    assert snapshot(tmp_path) == before
