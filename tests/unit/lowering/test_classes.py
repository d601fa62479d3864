"""Classes of services and of users."""

from __future__ import annotations

from bisect import bisect_right

from hypothesis import given
from hypothesis import strategies as st
from small_policies import DOCUMENTS, build
from wardgate.compiler.language.model import (
    ICMP,
    ICMPV6,
    PORT_PROTOCOLS,
    TCP,
    Everything,
    Icmp,
    Ports,
    Protocol,
    ServiceForm,
)
from wardgate.compiler.lowering.classes import DEFAULT_CLASS, policy_classes
from wardgate.compiler.lowering.ports import service_tables
from wardgate.compiler.lowering.services import ServiceClasses, service_classes


@st.composite
def forms(draw: st.DrawFn) -> set[ServiceForm]:
    def ports() -> Ports:
        protocols = draw(st.frozensets(st.sampled_from(PORT_PROTOCOLS), min_size=1))
        low = draw(st.integers(0, 65_535) | st.sampled_from([0, 22, 80, 255, 256, 65_535]))
        high = draw(st.integers(low, 65_535) | st.sampled_from([low, 65_535]))
        return Ports(protocols, low, high)

    found: set[ServiceForm] = {ports() for _ in range(draw(st.integers(0, 8)))}
    found |= {
        Protocol(n) for n in draw(st.sets(st.integers(0, 255).filter(lambda n: n not in PORT_PROTOCOLS)))
    }
    found |= draw(st.sets(st.sampled_from([Icmp(), Everything()])))
    return found


def class_of(services: ServiceClasses, protocol: int, port: int | None) -> int:
    if protocol not in PORT_PROTOCOLS:
        return services.protocols[protocol]
    intervals = services.ports[PORT_PROTOCOLS.index(protocol)]
    assert port is not None
    return intervals[bisect_right(intervals, (port, services.count)) - 1][1]


def covers(form: ServiceForm, version: int, protocol: int, port: int | None) -> bool:
    match form:
        case Everything():
            return True
        case Icmp():
            return protocol == (ICMP if version == 4 else ICMPV6)
        case Protocol(number):
            return protocol == number
        case Ports(protocols, low, high):
            return protocol in protocols and port is not None and low <= port <= high


def points(found: set[ServiceForm]) -> list[tuple[int, int | None]]:
    ports = {0, 1, 65_535}
    for form in found:
        if isinstance(form, Ports):
            ports |= {form.low - 1, form.low, form.high, form.high + 1}
    every = [(protocol, port) for protocol in PORT_PROTOCOLS for port in sorted(ports) if 0 <= port <= 65_535]
    return [*every, *((number, None) for number in range(256) if number not in PORT_PROTOCOLS)]


@given(forms())
def test_classes_are_what_no_form_tells_apart(found: set[ServiceForm]) -> None:
    services = service_classes(found)
    signatures: dict[int, tuple[bool, ...]] = {}
    ordered = sorted(found, key=repr)
    for protocol, port in points(found):
        number = class_of(services, protocol, port)
        assert 0 <= number < services.count
        signature = tuple(
            covers(form, version, protocol, port) for form in ordered for version in (4, 6)
        )  # fmt: skip
        assert signatures.setdefault(number, signature) == signature
        for form in ordered:
            for version in (4, 6):
                inside = any(a <= number <= b for a, b in services.intervals(form, version))
                assert inside == covers(form, version, protocol, port)
    assert len(set(signatures.values())) == len(signatures)


@given(forms())
def test_service_tables(found: set[ServiceForm]) -> None:
    services = service_classes(found)
    tables = {table.name: table.values.tolist() for table in service_tables(services)}
    assert tables["protocols"] == list(services.protocols)
    for protocol, port in points(found):
        if port is None:
            continue
        expected = class_of(services, protocol, port)
        if services.by_port:
            row = PORT_PROTOCOLS.index(protocol) << 8
            page = tables["ports_directory"][row | port >> 8]
            assert tables["ports_pages"][page << 8 | port & 255] == expected
        else:
            assert tables["protocols"][protocol] == expected


def test_deep_nesting_stays_exact() -> None:
    found: set[ServiceForm] = {Ports(frozenset({TCP}), n, 60_000 - n) for n in range(1, 200)}
    services = service_classes(found)
    for port in (0, 1, 64, 65, 66, 199, 30_000, 59_801, 59_999, 60_000):
        for form in found:
            assert isinstance(form, Ports)
            number = class_of(services, TCP, port)
            inside = any(a <= number <= b for a, b in services.intervals(form, 4))
            assert inside == (form.low <= port <= form.high)


def test_the_services_of_most_rules_are_on_one_page() -> None:
    tcp = frozenset({TCP})
    ports = {Ports(tcp, port, port): 1 for port in range(1000, 1200)}
    popular = {Ports(tcp, port, port): 9 for port in (443, 80, 1100, 1150)}
    wide = {Ports(tcp, 1050, 1250): 100}
    services = service_classes({**ports, **popular, **wide})
    numbers = [class_of(services, TCP, port) for port in (80, 443, 1100, 1150)]
    assert numbers == sorted(numbers)
    assert max(numbers) < 63
    # What is left of a range stays together.
    assert len(services.intervals(Ports(tcp, 1050, 1250), 4)) <= 3
    assert service_classes(ports) != service_classes({**ports, **popular})


@given(DOCUMENTS)
def test_users_share_a_class_if_the_same_rules_are_theirs(document: dict) -> None:
    policy = build(document)
    classes = policy_classes(policy)
    effective = {}
    for user in policy.users:
        groups = {g for g, members in policy.groups.items() if user in members}
        effective[user] = frozenset(r.id for r in policy.rules if r.subject in {"*", user, *groups})
    everyone = frozenset(r.id for r in policy.rules if r.subject == "*")
    assert classes.classes[0].number == DEFAULT_CLASS
    for one in policy.users:
        assert (classes.of_user[one] == DEFAULT_CLASS) == (effective[one] == everyone)
        for other in policy.users:
            assert (classes.of_user[one] == classes.of_user[other]) == (effective[one] == effective[other])
