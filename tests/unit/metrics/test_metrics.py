"""A scrape says what was counted and what is so now, also where a part of the gateway is broken."""

from __future__ import annotations

import asyncio
import http.client
import re
import socket
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from wardgate.gateway.enforcement import Problems
from wardgate.gateway.errors import GatewayError
from wardgate.gateway.ledger import Ledger
from wardgate.gateway.metrics import (
    METRICS,
    Counters,
    Metrics,
    Network,
    Roams,
    Stored,
    Supplies,
    stored,
    table,
)
from wardgate.gateway.metrics.endpoint import MetricsServer
from wardgate.gateway.metrics.exposition import samples
from wardgate.gateway.records import DEVICES, USERS, Device, User
from wardgate.gateway.store import SqliteStore
from wardgate.runtime.layout.codes import Direction, LinkHeader, Reason
from wardgate.runtime.sessions import SessionState
from wardgate.runtime.status import Count, GateStatus

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "metrics.md"


def gate_status() -> GateStatus:
    """A gate that enforces."""
    return GateStatus(
        name="wg0", device="wg0", ifindex=3, link_header=LinkHeader.NONE, hook="tc", hooks=(), enforcing=True,
        generation=4, previous=3, digest="ab" * 32, files=(), tunnel=("10.9.0.0/24",), devices=3, slots=256,
        sessions={SessionState.AUTHORISED: 2, SessionState.NONE: 1},
        counters={
            Direction.FROM_DEVICE: {Reason.PASS: Count(10, 1_000), Reason.NEEDS_LOGIN: Count(3, 180)},
            Direction.TO_DEVICE: {Reason.PASS: Count(8, 900)},
        },
        rule_hits=(), unruled=Count(0, 0),
    )  # fmt: skip


def whole() -> Supplies:
    """Every part has something to say."""

    async def store():
        return Stored(77, 5, 6, 7)

    return Supplies(
        gate=gate_status,
        network=lambda: Network(6, 1_234, 4_321),
        roams=lambda: {"fentry": Roams(9, 0, 3), "underlay": Roams(1, 2, 0)},
        store=store,
    )


def values(text: str) -> dict:
    """Each sample's value, by name and labels."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scraped(counters: Counters, supplies: Supplies) -> dict:
    """What a scrape says."""
    return values(asyncio.run(Metrics(counters, supplies).text()))


def test_what_is_read_is_told():
    found = scraped(Counters(), whole())
    expected = {
        ("wardgate_gate_enforcing",): 1, ("wardgate_gate_generation",): 4,
        ("wardgate_packets_total", ("direction", "from_device"), ("reason", "needs login")): 3,
        ("wardgate_bytes_total", ("direction", "to_device"), ("reason", "pass")): 900,
        ("wardgate_sessions", ("state", "authorised")): 2, ("wardgate_peers",): 6,
        ("wardgate_wireguard_received_bytes",): 1_234, ("wardgate_wireguard_sent_bytes",): 4_321,
        ("wardgate_roams_total", ("detector", "fentry")): 9,
        ("wardgate_roaming_dumps_total", ("detector", "underlay")): 2,
        ("wardgate_roaming_missed_packets_total", ("detector", "fentry")): 3,
        ("wardgate_users",): 5,
        ("wardgate_devices",): 6, ("wardgate_tokens",): 7, ("wardgate_store_revision",): 77,
        ("wardgate_policy_info", ("digest", "ab" * 32)): 1,
        ("wardgate_scrape_failed", ("part", "gate")): 0,
    }  # fmt: skip
    assert {key: found.get(key) for key in expected} == expected


def test_what_happens_is_counted():
    counters = Counters(("totp",), now=lambda: 1234.5)
    before = scraped(counters, Supplies())
    # A series that appears with its first failure would hide that failure from a rate.
    assert before[("wardgate_logins_total", ("method", "totp"), ("result", "wrong"))] == 0
    counters.login("totp", "ok")
    counters.login("totp", "wrong")
    counters.login("totp", "wrong")
    counters.enrolment("refused")
    counters.failed("store")
    found = scraped(counters, Supplies())
    assert found[("wardgate_logins_total", ("method", "totp"), ("result", "ok"))] == 1
    assert found[("wardgate_logins_total", ("method", "totp"), ("result", "wrong"))] == 2
    assert found[("wardgate_enrolments_total", ("result", "refused"))] == 1
    assert found[("wardgate_failures_total", ("part", "store"))] == 1
    assert found[("wardgate_last_failure_timestamp_seconds", ("part", "store"))] == 1234.5


def test_nobody_can_make_series_by_choosing_words():
    counters = Counters(("totp",))
    for number in range(50):
        counters.login(f"method{number}", "refused")
    found = scraped(counters, Supplies())
    methods = {dict(key[1:])["method"] for key in found if key[0] == "wardgate_logins_total"}
    assert methods == {"totp", "unknown"}


def test_a_part_that_fails_is_said_and_hides_nothing_else():
    def broken():
        raise OSError("no such device")

    async def closed():
        raise RuntimeError("closed")

    supplies = whole()
    found = scraped(Counters(), Supplies(broken, supplies.network, broken, closed))
    assert found[("wardgate_peers",)] == 6
    failed = {
        dict(key[1:])["part"]: value for key, value in found.items() if key[0] == "wardgate_scrape_failed"
    }
    assert failed == {"gate": 1, "network": 0, "roaming": 1, "store": 1}
    assert not any(key[0].startswith(("wardgate_gate", "wardgate_users", "wardgate_roam")) for key in found)


def test_nothing_is_asked_until_somebody_scrapes():
    def never():
        raise AssertionError("it was asked")

    Metrics(Counters(), Supplies(never, never, never, never))


def test_gateways_in_one_process_do_not_share_counters():
    first, second = Counters(("totp",)), Counters(("totp",))
    first.login("totp", "ok")
    assert scraped(second, Supplies())[("wardgate_logins_total", ("method", "totp"), ("result", "ok"))] == 0


def test_the_store_is_counted(tmp_path):
    async def work():
        async with await SqliteStore.open(tmp_path / "store") as store:
            ledger = Ledger(store)

            async def add(change):
                change.put(USERS, User("alice", (), False, 1), "alice")
                for name in ("a", "b"):
                    device = Device(name, "alice", name, "k", (), None, None, False, 1)
                    change.put(DEVICES, device, name)

            await ledger.run("gateway", add)
            found = await stored(ledger)
            assert (found.users, found.devices, found.tokens) == (1, 2, 0)
            assert found.revision == (await store.snapshot("")).revision

    asyncio.run(work())


def test_every_metric_is_in_the_catalogue_and_each_of_it_is_told():
    counters = Counters(("totp",))
    counters.failed("store")
    found = scraped(counters, whole())
    named = {key[0] for key in found if not key[0].startswith("process_")}
    assert named == {metric.exposed for metric in METRICS}
    for metric in METRICS:
        labels = {tuple(name for name, _ in key[1:]) for key in found if key[0] == metric.exposed}
        assert labels == {tuple(sorted(metric.labels))}, metric.name


def test_each_failure_of_a_part_is_counted():
    counters = Counters(("totp",))
    problems = Problems(counters.failed)
    for _ in range(2):
        problems.raised("policy", OSError("no"))
    problems.mended("policy")
    assert scraped(counters, Supplies())[("wardgate_failures_total", ("part", "policy"))] == 2


def test_names_are_as_prometheus_asks():
    for metric in METRICS:
        assert re.fullmatch(r"wardgate[a-z_]*", metric.name)
        assert not metric.name.endswith(("_total", "_info"))
        assert metric.help.endswith(".")


def test_the_documents_table_is_what_the_code_has():
    assert table() in DOCUMENT.read_text()


def test_plain_data_of_a_scrape():
    text = asyncio.run(Metrics(Counters(), whole()).text())
    assert {"name": "wardgate_sessions", "labels": {"state": "authorised"}, "value": 2.0} in samples(text)


def ask(place, method="GET", path="/metrics"):
    """What the endpoint answers: status, type and text."""
    connection = http.client.HTTPConnection(*place)
    connection.request(method, path)
    answer = connection.getresponse()
    try:
        return answer.status, answer.getheader("content-type"), answer.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_the_endpoint_answers_scrapes_and_nothing_else(address):
    async def work():
        server = MetricsServer(Metrics(Counters(), whole()), address, 0)
        await server.start()
        try:
            status, kind, text = await asyncio.to_thread(ask, server.bound)
            assert (status, kind.split(";")[0]) == (200, "text/plain")
            assert values(text)[("wardgate_peers",)] == 6
            for method, path in (
                ("GET", "/"),
                ("GET", "/v1/users"),
                ("POST", "/metrics"),
                ("GET", "/metrics/"),
            ):
                status, _, _ = await asyncio.to_thread(ask, server.bound, method, path)
                assert status in (404, 405), (method, path)
        finally:
            await server.stop()
        with pytest.raises(OSError, match=r"refused"):
            await asyncio.to_thread(ask, server.bound)

    asyncio.run(work())


def test_an_address_that_is_taken_is_an_error_with_a_remedy():
    async def work(port):
        server = MetricsServer(Metrics(Counters(), Supplies()), "127.0.0.1", port)
        with pytest.raises(GatewayError, match="in use") as caught:
            await server.start()
        assert caught.value.remedy
        await server.stop()

    with socket.create_server(("127.0.0.1", 0)) as taken:
        asyncio.run(work(taken.getsockname()[1]))
