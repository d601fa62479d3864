"""Clients' configurations: complete, read by WireGuard's own tools, and closed to what would add a line."""

from __future__ import annotations

import re
import subprocess
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from identities import ADMIN, CONFIGURATION, GATEWAY_KEY, PRESHARED, Node, key, on_a_node, pair, seal, unseal
from wardgate.gateway.errors import InvalidError
from wardgate.gateway.identity import (
    PRIVATE_KEY_LINE,
    ClientConfiguration,
    ClientSettings,
    Configurations,
    Pools,
    preshared_context,
)
from wardgate.gateway.records import Device


def test_the_whole_file() -> None:
    assert CONFIGURATION.text(pair(0).private) == (
        "# WireGuard configuration of alice/laptop.\n"
        "# In the WireGuard app: add a tunnel from this file, or scan its QR code.\n"
        "# On Linux: save it as /etc/wireguard/wg-laptop.conf, readable by root alone, then: "
        "wg-quick up wg-laptop\n"
        "# When it is up, log in at http://10.9.0.1/\n"
        "\n"
        "[Interface]\n"
        f"PrivateKey = {pair(0).private}\n"
        "Address = 10.9.0.2/32, fd09::2/128\n"
        "DNS = 10.0.0.53, fd00:1::53, corp.example.com\n"
        "MTU = 1420\n"
        "\n"
        "[Peer]\n"
        f"PublicKey = {GATEWAY_KEY}\n"
        f"PresharedKey = {PRESHARED}\n"
        "Endpoint = vpn.example.com:51820\n"
        "AllowedIPs = 10.0.0.0/8, fd00:1::/48\n"
        "PersistentKeepalive = 25\n"
    )


def test_what_is_not_set_is_not_there() -> None:
    plain = replace(CONFIGURATION, preshared_key=None, login_url=None, dns=(), mtu=None, keepalive=None)
    text = plain.text(None)
    assert not re.search("PresharedKey|DNS|MTU|Persistent|log in|^PrivateKey", text, re.MULTILINE)
    assert text.splitlines().count(PRIVATE_KEY_LINE) == 1
    # The page that made the pair puts the key in its place.
    private = pair(0).private
    done = text.replace(PRIVATE_KEY_LINE, f"PrivateKey = {private}")
    assert f"[Interface]\nPrivateKey = {private}\nAddress" in done


def test_secrets_are_not_in_its_repr() -> None:
    assert PRESHARED not in repr(CONFIGURATION)


def test_a_private_key_of_another_pair() -> None:
    with pytest.raises(InvalidError, match="not that of the device") as caught:
        CONFIGURATION.text(pair(1).private)
    assert pair(1).private not in str(caught.value)
    with pytest.raises(InvalidError):
        CONFIGURATION.text(f"{pair(0).private}\nPostUp = id")


@pytest.mark.parametrize(
    ("name", "file_name"),
    [("laptop", "wg-laptop.conf"), ("a" * 40, f"wg-{'a' * 12}.conf"), ("a..", "wg-a...conf")],
)
def test_the_files_name_is_one_of_an_interface(name: str, file_name: str) -> None:
    assert replace(CONFIGURATION, device=f"alice/{name}").file_name == file_name
    assert re.fullmatch("[a-zA-Z0-9_=+.-]{1,15}", file_name.removesuffix(".conf"))


HOSTILE = ("x\nPostUp = id", "x\rPostUp = id", "10.9.0.2\nPostUp = id", "", "a b", "é", "x\0", "x;id", "x#")


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize(
    "field",
    ["device", "public_key", "addresses", "gateway_key", "preshared_key", "endpoint", "allowed_ips",
     "login_url", "dns"],
)  # fmt: skip
def test_nothing_adds_a_line(field: str, text: str) -> None:
    value: object = (text,) if field in ("addresses", "allowed_ips", "dns") else text
    with pytest.raises(InvalidError) as caught:
        replace(CONFIGURATION, **{field: value})  # type: ignore[arg-type]
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("device", f"alice/{'x' * 41}"),
        ("device", "group:x/laptop"),
        ("device", "alice"),
        ("addresses", ()),
        ("addresses", ("fe80::1%eth0\nPostUp = id",)),
        ("dns", ("fe80::1%eth0\nPostUp = id",)),
        ("dns", ("1.2.3",)),
        ("dns", ("-x.example.com",)),
        ("allowed_ips", ("fe80::%x\nPostUp = id/64",)),
        ("endpoint", "vpn.example.com"),
        ("endpoint", "vpn.example.com:0"),
        ("endpoint", "vpn.example.com:65536"),
        ("endpoint", "vpn.example.com:051820"),
        ("endpoint", "fd00::1:51820"),
        ("endpoint", "[vpn.example.com]:51820"),
        ("endpoint", "[fe80::1%eth0]:51820"),
        ("endpoint", "10.0.0.256:51820"),
        ("endpoint", f"{'a' * 64}.example.com:51820"),
        ("endpoint", f"{'a.' * 127}com:51820"),
        ("endpoint", "vpn.example.com:51820\n"),
        ("endpoint", "vpn.example.com:١"),  # noqa: RUF001 - a digit that is none of ASCII's
        ("login_url", "javascript:alert(1)"),
        ("login_url", "http://10.9.0.1/\n"),
        ("mtu", 1279),
        ("mtu", 70_000),
        ("keepalive", 0),
        ("keepalive", 65_536),
    ],
)
def test_values_that_no_client_could_use(field: str, value: object) -> None:
    with pytest.raises(InvalidError):
        replace(CONFIGURATION, **{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "endpoint", ["10.0.0.1:1", "[fd00::1]:65535", "[::ffff:10.0.0.1]:51820", "a:51820", "a-b.c3:51820"]
)
def test_endpoints(endpoint: str) -> None:
    assert f"\nEndpoint = {endpoint}\n" in replace(CONFIGURATION, endpoint=endpoint).text(None)


texts = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ["10.9.0.2", "fd09::2", "10.0.0.0/8", "10.0.0.0/255.0.0.0", "vpn.example.com:51820", "a/b", *HOSTILE]
)


@given(
    texts, st.lists(texts, max_size=2), texts, st.lists(texts, max_size=2), st.lists(texts, max_size=2), texts
)
def test_whatever_is_accepted_has_the_lines_that_it_should(
    device: str, addresses: list[str], endpoint: str, allowed: list[str], dns: list[str], login_url: str
) -> None:
    changes: list[dict[str, object]] = [
        {"device": device},
        {"addresses": tuple(addresses)},
        {"endpoint": endpoint},
        {"allowed_ips": tuple(allowed)},
        {"dns": tuple(dns)},
        {"login_url": login_url},
    ]
    form = [
        (line.partition(" = ")[0], line.startswith("#"))
        for line in CONFIGURATION.text(None).splitlines()
        if not line.startswith("#")
    ]
    for change in changes:
        try:
            text = replace(CONFIGURATION, **change).text(None)  # type: ignore[arg-type]
        except InvalidError:
            continue
        assert text.isascii()
        assert set(text) - {"\n"} <= set(map(chr, range(32, 127)))
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        names = [(line.partition(" = ")[0], False) for line in lines]
        absent = {"DNS"} if change.get("dns") == () else set()
        absent |= {"AllowedIPs"} if change.get("allowed_ips") == () else set()
        assert names == [entry for entry in form if entry[0] not in absent]


@pytest.mark.tool("wg-quick")
def test_wg_quick_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "wg-laptop.conf"
    path.write_text(CONFIGURATION.text(pair(0).private))
    path.chmod(0o600)
    stripped = subprocess.run(["wg-quick", "strip", path], capture_output=True, text=True, check=True).stdout
    settings = [line for line in stripped.splitlines() if line and not line.startswith("#")]
    assert settings == [
        "[Interface]",
        f"PrivateKey = {pair(0).private}",
        "[Peer]",
        f"PublicKey = {GATEWAY_KEY}",
        f"PresharedKey = {PRESHARED}",
        "Endpoint = vpn.example.com:51820",
        "AllowedIPs = 10.0.0.0/8, fd00:1::/48",
        "PersistentKeepalive = 25",
    ]


DEVICE = Device(
    "a" * 12, "alice", "laptop", key(0), ("10.9.0.2", "fd09::2"), None, None, False, 1
)  # fmt: skip


def reach(user: str) -> tuple[str, ...]:
    return {"alice": ("10.0.0.0/9", "10.128.0.0/9", "198.51.100.7/32", "fd00:1::/48")}.get(user, ())


def configuration(settings: ClientSettings, device: Device = DEVICE) -> ClientConfiguration:
    return Configurations(settings, GATEWAY_KEY, reach, unseal).of(device)


def test_allowed_ips_are_what_the_policy_reaches_and_the_portal() -> None:
    settings = ClientSettings("198.51.100.7:51820", portal=("10.9.0.1", "fd09::1"), keepalive=20)
    found = configuration(settings)
    # Not the endpoint itself, through which the tunnel goes.
    assert found.allowed_ips == ("10.0.0.0/8", "fd00:1::/48", "fd09::1/128")
    assert found.keepalive == 20
    only_four = replace(DEVICE, addresses=("10.9.0.2",), keepalive=5)
    assert configuration(settings, only_four).allowed_ips == ("10.0.0.0/8",)
    assert configuration(settings, only_four).keepalive == 5
    stranger = replace(DEVICE, user="bob")
    assert configuration(settings, stranger).allowed_ips == ("10.9.0.1/32", "fd09::1/128")
    named = replace(settings, endpoint="vpn.example.com:51820")
    assert "198.51.100.7/32" in configuration(named).allowed_ips


def test_the_pages_example_is_what_is_printed() -> None:
    settings = ClientSettings(
        "vpn.example.com:51820",
        portal=("10.9.0.1", "fd09::1"),
        login_url="http://10.9.0.1/",
        keepalive=25,
    )
    sealed = seal(bytes(range(32)), preshared_context(DEVICE.id))
    made = Configurations(
        settings, GATEWAY_KEY, lambda _: ("10.0.0.0/9", "10.128.0.0/9", "fd00:1::/48"), unseal
    ).of(replace(DEVICE, preshared_key=sealed))
    page = (Path(__file__).parents[3] / "docs" / "devices.md").read_text()
    assert textwrap.indent(made.text(None), "    ") in page


def test_what_the_operator_names_wins() -> None:
    settings = ClientSettings("198.51.100.7:51820", portal=("10.9.0.1",), allowed_ips=("0.0.0.0/0", "::/0"))
    assert configuration(settings).allowed_ips == ("0.0.0.0/0", "::/0")
    with pytest.raises(InvalidError, match="empty"):
        ClientSettings("198.51.100.7:51820", allowed_ips=())


def test_a_configuration_of_a_device_from_the_store(tmp_path: Path) -> None:
    async def work(node: Node) -> None:
        node.devices.pools = Pools.of(["10.9.0.0/24"], ["10.9.0.1"])
        _, text = await node.tokens.issue(ADMIN, "alice", lifetime_s=60)
        enrolled = await node.enrolment.enrol(text, "laptop", key(0))
        device = await node.devices.find("alice/laptop")
        found = configuration(ClientSettings("vpn.example.com:51820", portal=("10.9.0.1",)), device)
        assert found.preshared_key == enrolled.preshared_key
        assert found.addresses == ("10.9.0.2",)
        assert f"PresharedKey = {enrolled.preshared_key}\n" in found.text(pair(0).private)

    on_a_node(tmp_path, work)
