"""What is run for a query, and how the outcome is read."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from wardgate.compiler.explain import packets, probe
from wardgate.compiler.explain.probe import EngineError
from wardgate.compiler.explain.query import Query
from wardgate.runtime.layout import maps, records
from wardgate.runtime.layout.codes import Reason, Verdict
from wardgate.runtime.layout.manifest import FORMAT_VERSION, Bucket, Manifest, RuleSource, TunnelIndex

RULE = RuleSource(1, "mfa", "alice", inbound=False, file="p.yaml", line=4, column=7, text="lab")


def manifest(**changes: Any) -> Manifest:
    values: dict[str, Any] = {
        "format": FORMAT_VERSION,
        "wardgate": "0",
        "digest": "",
        "files": (),
        "tunnel": ("10.9.0.0/16", "fd09::/64"),
        "tunnel4": TunnelIndex("10.9.0.0", 65_536),
        "tunnel6": None,
        "classes": 3,
        "default_class": 1,
        "subjects": {"alice": 2},
        "resolved": {},
        "rules": (RULE,),
        "buckets": (Bucket(1, "10.1.0.0/16", inbound=False, rules=(1,)),),
        "tables": (),
        "tables_digest": "",
        "parameters": {"class_bits": 16},
        "maps": (),
        "programs": (),
        "features": (),
        "tools": {},
    }
    return Manifest(**{**values, **changes})


def event(**values: int) -> dict[str, records.Value]:
    return {**records.EVENT.unpack(bytes(records.EVENT.size)), **values}


WIDE, SINGLE, PAIR = ("10.9.0.0/16", "fd09::/64"), ("10.9.0.1/32", "fd09::1/128"), ("10.9.0.0/31",)


@pytest.mark.parametrize("tunnel", [(), WIDE, SINGLE, PAIR])
@pytest.mark.parametrize(
    "remote", ["10.9.0.0", "10.9.0.1", "10.9.0.2", "fd09::", "fd09::1", "198.18.0.1", "2001:db8:ffff::1"]
)
def test_device_address(tunnel: tuple[str, ...], remote: str) -> None:
    other = ip_address(remote)
    address = probe.device_address(tunnel, other)
    assert address.version == other.version
    assert address != other
    inside = [ip_network(text) for text in tunnel if ip_network(text).version == other.version]
    if any(prefix.num_addresses > 1 or prefix[0] != other for prefix in inside):
        assert any(address in prefix for prefix in inside)


def test_outbound_probe() -> None:
    query = Query.parse("alice", "10.1.0.1", "22/tcp", authed=True)
    made = probe.probe(manifest(), query, 1000)
    source, destination = packets.addresses(made.packet)
    assert made.program == maps.PROGRAM_INGRESS
    assert (str(source), str(destination)) == ("10.9.0.1", "10.1.0.1")
    entries = {entry.layout.name: entry for entry in made.entries}
    assert entries.keys() == {"tunnel4", "devices", "subject_class"}
    assert entries["tunnel4"].key == (1).to_bytes(4, "little")
    owner = records.OWNER.unpack(entries["tunnel4"].value)
    assert owner == {"slot": probe.SLOT, "subject": probe.SUBJECT}
    assert records.DEVICE.unpack(entries["devices"].value)["deadline"] == 1000 + probe.SESSION_NS
    assert entries["subject_class"].key == bytes(4)
    assert entries["subject_class"].value == (2 << 16 * probe.SUBJECT).to_bytes(8, "little")


def test_inbound_probe_of_a_stranger_without_session() -> None:
    query = Query.parse("zoe", "fd00::5", "53/udp", inbound=True)
    made = probe.probe(manifest(), query, 1000)
    assert made.program == maps.PROGRAM_EGRESS
    assert [str(one) for one in packets.addresses(made.packet)] == ["fd00::5", "fd09::1"]
    entries = {entry.layout.name: entry for entry in made.entries}
    assert "tunnel4" not in entries
    assert entries["addresses"].key == ip_address("fd09::1").packed
    assert records.DEVICE.unpack(entries["devices"].value)["deadline"] == 0
    assert entries["subject_class"].value == (1 << 16 * probe.SUBJECT).to_bytes(8, "little")


def test_read_answer() -> None:
    query = Query.parse("alice", "10.1.0.1", "22/tcp")
    told = event(reason=Reason.NEEDS_LOGIN, verdict=Verdict.MFA, bucket=1, rule=1)
    answer = probe.read_answer(manifest(), query, 2, [told])
    assert (answer.verdict, answer.reason, answer.prefix) == (Verdict.MFA, Reason.NEEDS_LOGIN, "10.1.0.0/16")
    assert answer.rule is not None
    assert answer.rule.line == 4


@pytest.mark.parametrize(
    ("returned", "events", "complaint"),
    [
        (2, [], "told 0 decisions"),
        (2, [event(), event()], "told 2 decisions"),
        (2, [event(reason=Reason.PASS)], "gave the reason 'pass'"),
        (-1, [event(reason=Reason.NO_RULE)], "gave the reason 'no rule'"),
        (2, [event(reason=99)], "manifest does not know"),
        (2, [event(reason=1, bucket=7)], "manifest does not know"),
        (2, [event(reason=1, rule=7)], "manifest does not know"),
    ],
)
def test_contradictions(returned: int, events: list[dict[str, records.Value]], complaint: str) -> None:
    with pytest.raises(EngineError, match=complaint):
        probe.read_answer(manifest(), Query.parse("alice", "10.1.0.1"), returned, events)
