"""What leaves the tunnel for other networks has the gateway's address, and nothing of others' changes."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest
from wardgate.gateway.network import masquerading
from wardgate.gateway.network.errors import NetworkError
from wardgate.gateway.network.forwarding import Forwarding
from wardgate.gateway.network.masquerading import Masquerade, apply_masquerade, remove_masquerade

pytestmark = [pytest.mark.tool("nft"), pytest.mark.usefixtures("alone")]

WANTED = Masquerade(
    "tunnel",
    (ip_network("10.9.0.0/16"), ip_network("10.9.0.0/24"), ip_network("fd09::/64")),
    (ip_network("10.0.0.0/8"), ip_network("10.1.0.0/16"), ip_network("2001:db8:1::/48")),
)
OTHERS = """
table inet wardgate_tunnel2 { chain own { type filter hook input priority 0; policy accept; }; }
table ip nat { chain postrouting { type nat hook postrouting priority 100; oifname "nothing" masquerade; }; }
"""


@pytest.fixture
def forwarding(alone, state_file):
    Forwarding(state_file).enable((4, 6))
    return alone


@pytest.mark.parametrize("version", [4, 6])
def test_the_server_sees_the_gateway(forwarding, version):
    device, gateway = ("10.9.0.2", "192.0.2.1") if version == 4 else ("fd09::2", "2001:db8::1")
    assert forwarding.source_seen(version) == device
    apply_masquerade(WANTED)
    assert forwarding.source_seen(version) == gateway
    remove_masquerade("tunnel")
    assert forwarding.source_seen(version) == device


def test_excluded_ranges_see_the_device(forwarding, system):
    with forwarding.server.enter():
        for address in ("10.1.0.5/32", "10.200.0.5/32", "2001:db8:1::5/128", "2001:db8:2::5/128"):
            system.run("ip", "address", "add", address, "dev", "eth", *(["nodad"] if ":" in address else []))
    system.run("ip", "route", "add", "10.0.0.0/8", "via", "192.0.2.2")
    system.run("ip", "route", "add", "2001:db8::/32", "via", "2001:db8::2")
    apply_masquerade(WANTED)
    assert forwarding.source_seen(4, "10.1.0.5") == "10.9.0.2"
    assert forwarding.source_seen(4, "10.200.0.5") == "10.9.0.2"
    assert forwarding.source_seen(6, "2001:db8:1::5") == "fd09::2"
    assert forwarding.source_seen(6, "2001:db8:2::5") == "2001:db8::1"


def test_other_sources_keep_theirs(forwarding):
    apply_masquerade(replace(WANTED, sources=(ip_network("10.8.0.0/16"), ip_network("fd08::/64"))))
    assert forwarding.source_seen(4) == "10.9.0.2"
    assert forwarding.source_seen(6) == "fd09::2"


def test_what_stays_in_the_tunnel_keeps_its_source(forwarding):
    """From the tunnel's point of view the server is another device."""
    apply_masquerade(replace(WANTED, interface="eth"))
    assert forwarding.source_seen(4) == "10.9.0.2"


def test_nothing_of_others_is_touched(system, tmp_path):
    (tmp_path / "others.nft").write_text(OTHERS)
    system.run("nft", "-f", str(tmp_path / "others.nft"))
    before = system.run("nft", "list", "ruleset")
    apply_masquerade(WANTED)
    after = system.run("nft", "list", "ruleset")
    assert before in after
    remove_masquerade("tunnel")
    assert system.run("nft", "list", "ruleset") == before


def test_again_and_with_other_ranges(system):
    apply_masquerade(WANTED)
    once = system.run("nft", "list", "ruleset")
    apply_masquerade(WANTED)
    assert system.run("nft", "list", "ruleset") == once
    assert once.count("masquerade") == 2
    apply_masquerade(replace(WANTED, sources=WANTED.sources[:1], excluded=()))
    changed = system.run("nft", "list", "ruleset")
    assert changed.count("masquerade") == 1
    assert "daddr" not in changed
    for _ in range(2):
        remove_masquerade("tunnel")
        assert system.run("nft", "list", "ruleset") == ""


def test_without_nft(monkeypatch, caplog):
    monkeypatch.setattr(masquerading, "find_nft", lambda: None)
    with pytest.raises(NetworkError) as caught:
        apply_masquerade(WANTED)
    assert "apt install nftables" in caught.value.remedy
    remove_masquerade("tunnel")
    assert "nft is not installed" in caplog.text


def test_what_nft_says_is_told(monkeypatch):
    monkeypatch.setattr(masquerading, "transaction", lambda _: "nonsense")
    with pytest.raises(NetworkError, match="syntax error"):
        apply_masquerade(WANTED)
