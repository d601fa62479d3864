"""gateway.yaml: what it means, what is left out, and that each mistake has its place and a remedy."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path

import pytest
from wardgate.compiler.language import PolicyError
from wardgate.gateway.settings import Settings, Tls, read_settings

LEAST = 'addresses: [10.9.0.1/16, "fd09::1/64"]\nendpoint: vpn.example.org:51820\n'
ALL = """
interface: wg7
port: 51821
endpoint: "[2001:db8::1]:51821"
addresses: 10.9.0.1/16
mtu: 1400
device_slots: 20000
policy: rules/policy.yaml
state: state
control: {socket: control.sock, group: vpn-admins}
portal: {port: 8443, names: [Portal.example.org], tls: {certificate: a.pem, key: b.pem}}
enrolment:
  listen: ["0.0.0.0:8443", "[::]:8443"]
  names: [vpn.example.org]
  trusted_proxies: [10.0.0.8/32]
sessions: {lifetime: 8h, idle: 30m}
login: {issuer: Example VPN, attempts: 3, delay: 1m, longest_delay: 2h}
roaming: {on_roam: handshake, detector: underlay, interval: 10s}
network: {masquerade: true, exclude: [10.0.0.0/8], forwarding: enable}
client: {dns: [10.0.0.53], allowed_ips: [0.0.0.0/0, "::/0"], keepalive: 25, mtu: 1380}
names: {shortest: 1m, grace: 10m}
metrics: 127.0.0.1:9586
log: {form: json, level: debug}
"""


def read(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "gateway.yaml"
    path.write_text(text)
    return read_settings(path)


def test_what_is_left_out_has_a_safe_value(tmp_path: Path) -> None:
    found = read(tmp_path, LEAST)
    assert found.addresses == (ip_interface("10.9.0.1/16"), ip_interface("fd09::1/64"))
    assert (found.interface, found.port, found.mtu) == ("wg0", 51820, 1420)
    assert found.policy == tmp_path / "policy.yaml"
    assert found.database == Path("/var/lib/wardgate/gateway.db")
    assert found.control.group is None
    assert found.enrolment is None
    assert found.metrics is None
    assert (found.roaming.on_roam, found.roaming.detector) == ("challenge", "auto")
    assert (found.network.masquerade, found.network.forwarding) == (False, "check")
    assert found.client.allowed_ips is None


def test_all_can_be_said(tmp_path: Path) -> None:
    found = read(tmp_path, ALL)
    assert found.endpoint == "[2001:db8::1]:51821"
    assert found.control.socket == tmp_path / "control.sock"
    assert found.portal.tls == Tls(tmp_path / "a.pem", tmp_path / "b.pem")
    assert found.portal.names == ("portal.example.org",)
    assert found.enrolment is not None
    assert found.enrolment.listen == ((ip_address("0.0.0.0"), 8443), (ip_address("::"), 8443))  # noqa: S104
    assert (found.sessions.lifetime, found.sessions.idle) == (28_800, 1_800)
    assert found.login.longest_delay == 7_200
    assert (found.roaming.detector, found.roaming.interval) == ("underlay", 10)
    assert found.network.exclude == (ip_network("10.0.0.0/8"),)
    assert found.client.allowed_ips == (ip_network("0.0.0.0/0"), ip_network("::/0"))
    assert found.metrics == (ip_address("127.0.0.1"), 9586)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("interface: this-name-is-too-long", "no name of a tunnel"),
        ("interface: wg/0", "no name of a tunnel"),
        ("interface: wg.0", "no name of a tunnel"),
        ("interface: all", "no name of a tunnel"),
        ("port: 0", "no number from 1 to 65535"),
        ("port: 5e3", "no number"),
        ("mtu: 500", "no number from 1280"),
        ("mtu: 65500", "no number from 1280 to 65455"),
        ("client: {mtu: 65500}", "no number from 1280 to 65455"),
        ("client: {dns: ['fe80::1%eth0']}", "an address of one link"),
        ("network: {exclude: ['fe80::%eth0/64']}", "an address of one link"),
        ("metrics: '[fe80::1%eth0]:9586'", "an address of one link"),
        ("metrics: 9586", "does not appear to be an IPv4"),
        ("metrics: '::1:9586'", "needs brackets"),
        ("metrics: '[127.0.0.1]:1'", "IPv4 address in brackets"),
        ("control: {group: 'a b'}", "no name of a group"),
        ("control: {gruop: a}", "did you mean"),
        ("portal: {names: ['a b']}", "no host name"),
        ("portal: {names: ['-a']}", "no host name"),
        ("portal: {tls: {key: a}}", "lacks `certificate`"),
        ("enrolment: {names: [a]}", "lacks `listen`"),
        ("sessions: {lifetime: 12}", "not a duration"),
        ("sessions: {idle: 0s}", "not between"),
        ("login: {issuer: 'a:b'}", "without a colon"),
        ("login: {attempts: 0}", "no number from 1"),
        ("roaming: {on_roam: maybe}", "none of: challenge, handshake, ignore"),
        ("network: {masquerade: yes}", "neither true nor false"),
        ("network: {exclude: [10.0.0.1/8]}", "host bits set"),
        ("client: {dns: [ns.example.org]}", "does not appear"),
        ("log: text", "should be a mapping"),
        ("unheard: 1", "has no key"),
        ("port: [1]", "should be a text"),
    ],
)
def test_a_mistake_has_its_place(tmp_path: Path, wrong: str, said: str) -> None:
    with pytest.raises(PolicyError) as caught:
        read(tmp_path, LEAST + wrong + "\n")
    (diagnostic,) = caught.value.errors
    assert said in diagnostic.message + diagnostic.remedy
    assert diagnostic.position.line == 3
    assert diagnostic.remedy


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("interface: wg0\n", "lacks `addresses`"),
        (LEAST.replace("10.9.0.1/16", "10.9.0.1"), "no prefix length"),
        (LEAST.replace("10.9.0.1/16", "10.9.0.0/16"), "a network, not an address"),
        (LEAST.replace("fd09::1/64", "fe80::1%x/64"), "an address of one link"),
        (LEAST.replace('"fd09::1/64"', "10.8.0.1/16"), "two addresses of the same version"),
        (LEAST.replace("vpn.example.org:51820", "vpn.example.org"), "not HOST:PORT"),
        (LEAST.replace("vpn.example.org:51820", "2001:db8::1:51820"), "not HOST:PORT"),
        (LEAST.replace("10.9.0.1/16", "10.9.255.255/16"), "broadcast address"),
        *(
            (LEAST.replace("fd09::1/64", one), "no address that an interface")
            for one in ("fe80::1/64", "ff02::1/64", "::1/128", "::/128", "::ffff:10.9.0.1/112")
        ),
        *(
            (LEAST.replace("10.9.0.1/16", one), "no address that an interface")
            for one in ("127.0.0.1/8", "224.0.0.1/8", "169.254.0.1/16", "0.0.0.0/32")
        ),
        ("- a\n", "should be a mapping"),
        (LEAST + LEAST, "key `addresses`"),
    ],
)
def test_what_is_missing_or_no_settings(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(PolicyError) as caught:
        read(tmp_path, text)
    assert any(said in one.message for one in caught.value.errors), caught.value


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(PolicyError) as caught:
        read(tmp_path, LEAST + "port: 0\nmtu: 1\nlog: {form: xml}\n")
    assert len(caught.value.errors) == 3


@pytest.mark.parametrize("broken", ["state: a: b\n", "state: [\n", "state: {a: " * 100 + "\n"])
def test_of_a_file_that_is_no_yaml_nothing_is_missing(tmp_path: Path, broken: str) -> None:
    with pytest.raises(PolicyError) as caught:
        read(tmp_path, LEAST + broken)
    assert not any("lacks" in one.message for one in caught.value.errors), caught.value
    assert caught.value.errors
