"""Which services fare alike, in words."""

import pytest
from wardgate.compiler.explain import services
from wardgate.compiler.language import parse_policy_text
from wardgate.compiler.language.model import ICMP, ICMPV6, MAX_PORT, PORT_PROTOCOLS
from wardgate.compiler.lowering.lowered import lower
from wardgate.compiler.lowering.ports import service_tables
from wardgate.compiler.lowering.services import service_classes

POLICY = """\
version: 1
policies:
  "*":
    allow: ["10.0.0.1 80/tcp 443/tcp", "10.0.0.1 53/any icmp", "10.0.0.1 proto/47 8000-8999/udp"]
    deny: ["10.0.0.1 8080/udp 65535/tcp 1/sctp"]
"""


def rules(text: str = POLICY):
    return parse_policy_text(text).policy.rules


def words(classes: services.ServiceClasses, icmp: int = ICMP) -> dict[int, list[str]]:
    spans = list(services.spans(classes))
    return dict(services.group(((span, span.number) for span in spans), icmp))


def test_every_service_is_in_one_span():
    spans = list(services.spans(services.of_rules(rules())))
    for protocol in PORT_PROTOCOLS:
        ports = [port for s in spans if s.protocol == protocol for port in range(s.low, s.high + 1)]
        assert ports == list(range(MAX_PORT + 1))
    assert sorted(s.protocol for s in spans if s.low is None) == sorted(set(range(256)) - set(PORT_PROTOCOLS))


def test_words():
    found = list(words(services.of_rules(rules())).values())
    assert ["80/tcp"] in found
    assert ["53/tcp", "53/udp", "53/sctp"] in found
    assert ["icmp"] in found
    assert ["proto/47"] in found
    assert ["8000-8079/udp", "8081-8999/udp"] in found
    assert ["8080/udp"] in found
    (rest,) = [one for one in found if one[-1].startswith("other protocols")]
    assert rest[-1] == "other protocols except 47 58"
    (rest,) = [one for one in words(services.of_rules(rules()), ICMPV6).values() if len(one) > 4]
    assert rest[-1] == "other protocols except 1 47"


def test_one_class_is_any():
    assert list(words(services.of_rules(())).values()) == [["any"]]
    assert list(
        words(services.of_rules(rules('version: 1\npolicies: {"*": {allow: ["::/0"]}}'))).values()
    ) == [["any"]]


@pytest.mark.parametrize("text", [POLICY, 'version: 1\npolicies: {"*": {allow: ["10.0.0.1 icmp"]}}'])
def test_an_artefact_tells_the_same(text):
    """The classes come back out of the tables as they went in."""
    policy = parse_policy_text(text).policy
    tables = {table.name: table for table in service_tables(lower(policy).services)}
    described = [
        services.Table(name, table.section, table.element, len(table.values), table.doc)
        for name, table in tables.items()
    ]

    class Described:
        tables = described

    contents = {table.section: table.to_bytes() for table in tables.values()}
    read = services.of_artefact(Described, contents.__getitem__)
    made = service_classes(form for rule in policy.rules for form in rule.services)
    assert read == services.ServiceClasses(made.ports, made.protocols)
