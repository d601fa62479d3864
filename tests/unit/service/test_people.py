"""What settings mean for the parts that are about people."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from wardgate.gateway.challenges import Sealer
from wardgate.gateway.errors import GatewayError
from wardgate.gateway.ledger import Ledger
from wardgate.gateway.metrics import Counters
from wardgate.gateway.service.people import People
from wardgate.gateway.settings import read_settings
from wardgate.gateway.store import SqliteStore
from wardgate.gateway.wireguard import PrivateKey

SETTINGS = 'addresses: [10.9.0.1/16, "fd09::1/64"]\nendpoint: vpn.example.org:51820\n'


def with_people(folder: Path, more: str, work: Any) -> None:
    """Have `work` look at the people of a gateway with these settings more."""

    async def run() -> None:
        (folder / "gateway.yaml").write_text(SETTINGS + more)
        settings = read_settings(folder / "gateway.yaml")
        keeper = cast(Any, SimpleNamespace(composed=SimpleNamespace(groups=(), reachable=lambda _: ())))
        async with await SqliteStore.open(folder / "store") as store:
            sealer = Sealer.create(folder / "sealing.key")
            own = str(PrivateKey.generate().public_key())
            await work(People(Ledger(store), sealer, keeper, Counters(), settings, own))

    asyncio.run(run())


@pytest.mark.parametrize(
    ("tunnel", "given"),
    [
        (["10.9.0.0/16", "fd09::/64"], ("10.9.0.2", "fd09::2")),
        (["10.9.4.0/24"], ("10.9.4.1",)),
        (["10.0.0.0/8"], ("10.9.0.2",)),
        (["10.8.0.0/16", "10.9.200.0/24", "fd08::/64"], ("10.9.200.1",)),
    ],
)
def test_devices_get_addresses_that_are_the_policys_and_have_a_route(
    tmp_path: Path, tunnel: list[str], given: tuple[str, ...]
) -> None:
    async def work(people: People) -> None:
        people.place(map(ip_network, tunnel))
        key = str(PrivateKey.generate().public_key())
        device = await people.devices.add("gateway", "alice", "laptop", key)
        # fd09:: itself is the network's, as 10.9.4.0 is.
        assert device.addresses == given

    with_people(tmp_path, "", work)


def test_no_device_has_the_gateways_own_key_or_address(tmp_path: Path) -> None:
    async def work(people: People) -> None:
        people.place([ip_network("10.9.0.0/16")])
        own = people.configurations.of(await people.devices.add("gateway", "alice", "a", key())).gateway_key
        with pytest.raises(GatewayError, match="gateway"):
            await people.devices.add("gateway", "alice", "b", own)
        with pytest.raises(GatewayError):
            await people.devices.add("gateway", "alice", "b", key(), addresses=["10.9.0.1"])
        assert [one.name for one in await people.devices.list()] == ["a"]

    def key() -> str:
        return str(PrivateKey.generate().public_key())

    with_people(tmp_path, "", work)


@pytest.mark.parametrize(
    ("portal", "url"),
    [
        ("", "http://10.9.0.1/"),
        ("portal: {port: 8080}\n", "http://10.9.0.1:8080/"),
        ("portal: {names: [vpn.example]}\n", "http://vpn.example/"),
        ("portal: {tls: {certificate: a, key: b}, names: [vpn.example]}\n", "https://vpn.example/"),
        ("portal: {tls: {certificate: a, key: b}, port: 8443}\n", "https://10.9.0.1:8443/"),
    ],
)
def test_configurations_say_where_people_log_in(tmp_path: Path, portal: str, url: str) -> None:
    async def work(people: People) -> None:
        assert people.configurations.settings.login_url == url

    with_people(tmp_path, portal, work)
