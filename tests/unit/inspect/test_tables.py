"""Tables decoded into the policy's terms say what the reference says."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from encoded_policy import encode
from hypothesis import given, settings
from small_policies import DOCUMENTS, PACKETS, USERS, build
from wardgate.compiler.inspect import InspectionError, Tables, read_tables
from wardgate.compiler.inspect.table_text import table_document, table_lines
from wardgate.compiler.inspect.tables import STRUCTURES, structure_of
from wardgate.compiler.language.model import ICMP, ICMPV6, PORT_PROTOCOLS
from wardgate.compiler.semantics.evaluator import Evaluator
from wardgate.compiler.semantics.reference import Session
from wardgate.compiler.validation.encoded import read_artefact, read_encoded

NAMES = dict(zip(("tcp", "udp", "sctp"), PORT_PROTOCOLS, strict=True))


def covers(words, protocol, port, version):
    """Whether a packet's service is among the words that tables are shown in."""
    icmp = ICMP if version == 4 else ICMPV6
    for word in words:
        if word == "any" or (word == "icmp" and protocol == icmp) or word == f"proto/{protocol}":
            return True
        if word.startswith("other protocols"):
            apart = {int(number) for number in word.split()[3:]}
            named = "icmp" in words and protocol == icmp
            if protocol not in PORT_PROTOCOLS and protocol not in apart and not named:
                # ICMP has its own word, wherever it belongs.
                return protocol != icmp or "icmp" in words
        ports, _, name = word.rpartition("/")
        if NAMES.get(name or word) == protocol:
            low, _, high = ports.partition("-")
            if not ports or int(low) <= port <= int(high or low):
                return True
    return False


@settings(max_examples=60)
@given(DOCUMENTS, PACKETS)
def test_the_way_through_the_tables_is_what_the_reference_says(document, packet):
    policy = build(document)
    encoded = read_encoded(read_artefact(encode(policy).artefact()))
    tables, manifest = Tables(encoded), encoded.manifest
    remote, version = packet.remote, packet.remote.version
    routes = list(tables.routes(version))
    place = [one for one in routes if ip_address(one.first) <= remote <= ip_address(one.last)]
    reach = list(tables.reach())
    evaluator = Evaluator(policy)
    for user in (*USERS, "stranger"):
        meant = evaluator.evaluate(user, packet, Session.AUTHORISED)
        found = [
            one
            for one in reach
            if one.policy_class == manifest.class_of(user)
            and one.inbound is packet.inbound
            and place
            and one.destination_class == place[0].destination_class
        ]
        if meant.prefix is None:
            assert not found
            continue
        (entry,) = found
        assert user not in manifest.subjects or user in entry.users
        bucket = tables.bucket(manifest.bucket(entry.bucket))
        assert bucket.prefix == entry.bucket_prefix == str(meant.prefix)
        if " - " not in entry.prefix and "," not in entry.prefix:
            assert remote in ip_network(entry.prefix)
        rulings = [
            one for one in bucket.rulings if covers(one.services, packet.protocol, packet.port, version)
        ]
        (ruling,) = rulings
        assert ruling.verdict == meant.verdict.label
        assert (ruling.rule.id if ruling.rule else None) == (meant.rule.id if meant.rule else None)


@settings(max_examples=20)
@given(DOCUMENTS)
def test_every_address_and_service_is_said_once(document):
    tables = read_tables(encode(build(document)).artefact())
    for version, structure in ((4, "route4"), (6, "route6")):
        routes = list(tables.routes(version))
        assert bool(routes) is (structure in tables.structures)
        place = 0
        for one in routes:
            assert int(ip_address(one.first)) == place
            place = int(ip_address(one.last)) + 1
            if one.prefix:
                assert ip_address(one.first) in ip_network(one.prefix)
        assert place in (0, 1 << 32, 1 << 128)
    classes = [one.service_class for one in tables.services()]
    assert len(classes) == len(set(classes)) > 0


@settings(max_examples=8)
@given(DOCUMENTS)
def test_every_table_can_be_shown(document):
    tables = read_tables(encode(build(document)).artefact())
    assert {name for found in tables.structures.values() for name in found} == set(tables.names)
    for name in (*tables.names, *tables.structures):
        assert list(table_lines(tables, name))
        said = table_document(tables, name)
        assert said["structure"] in STRUCTURES
        if name in tables.names:
            runs = said["raw"]
            assert runs[0]["first"] == 0
            assert all(one["first"] <= one["last"] for one in runs)
            count = next(table.count for table in tables.described if table.name == name)
            assert runs[-1]["last"] == count - 1
        else:
            assert said["raw"] is None


def test_lines_name_prefixes_users_services_and_rules(office):
    tables = read_tables(office.data)
    judge = "\n".join(table_lines(tables, "judge"))
    assert 'deny  22/tcp; office.yaml:36:13 "lab ssh"' in judge
    reach = "\n".join(table_lines(tables, "reach"))
    assert "class 4 (carol) to 10.1.0.0/16: bucket 5" in reach
    assert "class 1 (users not named) from 10.0.0.90/32: bucket 12" in reach
    route = "\n".join(table_lines(tables, "route4"))
    assert "  10.1.0.0 - 10.1.255.255: destination class 6, 10.1.0.0/16" in route
    services = "\n".join(table_lines(tables, "services"))
    assert "  service class 6: 5000-5010/udp" in services


def test_a_table_that_is_not_there(office):
    with pytest.raises(InspectionError, match="none of this name") as caught:
        read_tables(office.data).find("nothing")
    assert "route4" in caught.value.remedy


@pytest.mark.parametrize(
    ("table", "structure"),
    [
        ("reach", "reach"),
        ("reach_pages", "reach"),
        ("reaching", None),
        ("bucket_rules", "judge"),
        ("ports_pages", "services"),
        ("route6_low", "route6"),
        ("novel", None),
    ],
)
def test_tables_belong_to_structures(table, structure):
    assert structure_of(table) == structure
