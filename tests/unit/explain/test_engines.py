"""The definition and the interpreter, on policies whose answers are plain to see."""

from __future__ import annotations

import pytest
from wardgate.compiler import compile_parsed
from wardgate.compiler.explain.engines import Engine, ReferenceEngine, VmEngine
from wardgate.compiler.explain.probe import EngineError
from wardgate.compiler.explain.query import Query
from wardgate.compiler.language import parse_policy_text
from wardgate.compiler.vm.errors import ImageError
from wardgate.runtime.layout.manifest import FORMAT_VERSION, ManifestError

OFFICE = """\
version: 1
tunnel: [10.9.0.0/16, "fd09::/64"]
groups:
  group:contractors: [carol]
hosts:
  lab: [10.1.0.0/16, "fd00:1::/48"]
policies:
  "*":
    allow: ["10.0.0.5 80/tcp", "10.0.0.53 53/any"]
    mfa: [lab]
  group:contractors:
    deny: ["lab 22/tcp"]
inbound:
  carol:
    allow: ["10.0.0.0/24 22/tcp"]
    mfa: ["10.0.0.7 proto/47"]
"""


@pytest.fixture(scope="module")
def artefact() -> bytes:
    return compile_parsed(parse_policy_text(OFFICE, "office.yaml").policy).data


@pytest.fixture(scope="module", params=["reference", "vm"])
def engine(request: pytest.FixtureRequest, artefact: bytes) -> Engine:
    if request.param == "reference":
        return ReferenceEngine(parse_policy_text(OFFICE, "office.yaml").policy)
    return VmEngine(artefact)


CASES = [
    ("alice", "10.0.0.5", "80/tcp", False, "allow", "pass", "10.0.0.5/32", 9),
    ("alice", "10.0.0.5", "81/tcp", True, "deny", "no rule", "10.0.0.5/32", None),
    ("alice", "10.0.0.53", "53/sctp", False, "allow", "pass", "10.0.0.53/32", 9),
    ("alice", "10.1.2.3", "22/tcp", False, "mfa", "needs login", "10.1.0.0/16", 10),
    ("alice", "10.1.2.3", "22/tcp", True, "mfa", "pass", "10.1.0.0/16", 10),
    ("carol", "10.1.2.3", "22/tcp", True, "deny", "deny rule", "10.1.0.0/16", 12),
    ("carol", "fd00:1::9", "icmp", True, "mfa", "pass", "fd00:1::/48", 10),
    ("carol", "fd00:2::9", "icmp", True, "deny", "no bucket", None, None),
    ("alice", "8.8.8.8", "proto/50", True, "deny", "no bucket", None, None),
    # The remote has the address that the device would get first.
    ("alice", "10.9.0.1", "22/tcp", True, "deny", "no bucket", None, None),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: " ".join(map(str, case[:4])))
def test_outbound(engine: Engine, case: tuple[str, str, str, bool, str, str, str | None, int | None]) -> None:
    user, remote, service, authed, verdict, reason, prefix, line = case
    answer = engine.answer(Query.parse(user, remote, service, authed=authed))
    assert (answer.verdict.label, answer.reason.label, answer.prefix) == (verdict, reason, prefix)
    assert answer.passes == (reason == "pass")
    assert (answer.rule and (answer.rule.file, answer.rule.line)) == (line and ("office.yaml", line))


@pytest.mark.parametrize(
    ("user", "remote", "service", "authed", "reason"),
    [
        ("carol", "10.0.0.9", "22/tcp", False, "pass"),
        ("carol", "10.0.0.9", "23/tcp", False, "no rule"),
        ("carol", "10.0.0.7", "proto/47", True, "pass"),
        ("carol", "10.0.0.7", "proto/47", False, "needs login"),
        ("carol", "10.0.0.7", "22/tcp", True, "no rule"),
        ("carol", "10.2.0.1", "22/tcp", True, "no flow"),
        ("alice", "10.0.0.9", "22/tcp", True, "no flow"),
        ("alice", "fd00::9", "53/udp", True, "no flow"),
    ],
)
def test_inbound(engine: Engine, user: str, remote: str, service: str, reason: str, *, authed: bool) -> None:
    answer = engine.answer(Query.parse(user, remote, service, authed=authed, inbound=True))
    assert answer.reason.label == reason


def test_a_query_leaves_nothing_to_the_next(artefact: bytes) -> None:
    vm = VmEngine(artefact)
    # A flow opened by the first would let the second in as its reply: same ports, same addresses.
    assert vm.answer(Query.parse("alice", "10.0.0.53", "53/udp")).passes
    assert not vm.answer(Query.parse("alice", "10.0.0.53", "40000/udp", inbound=True)).passes
    assert vm.answer(Query.parse("alice", "10.1.0.1", "proto/47", authed=True)).passes
    assert not vm.answer(Query.parse("alice", "10.1.0.1", "proto/47", authed=True, inbound=True)).passes


def test_observing_counts_loads_of_tables(artefact: bytes) -> None:
    vm = VmEngine(artefact, observe=True)
    vm.answer(Query.parse("alice", "10.0.0.5", "80/tcp"))
    statistics = vm.machine.statistics
    assert statistics.table_loads["buckets"] == statistics.table_loads["bucket_rules"] == 1
    assert statistics.map_lookups["tunnel4"] == statistics.map_lookups["subject_class"] == 1
    assert statistics.instructions == len(vm.machine.trace) > 100


@pytest.mark.parametrize("text", ["version: 1\npolicies: {}\n", "version: 1\npolicies: {alice: {}}\n"])
def test_a_policy_without_rules(text: str) -> None:
    policy = parse_policy_text(text).policy
    reference, vm = ReferenceEngine(policy), VmEngine(compile_parsed(policy).data)
    for query in (
        Query.parse("alice", "10.0.0.1", "80/tcp"),
        Query.parse("bob", "fd00::1", "icmp", authed=True),
        Query.parse("bob", "10.0.0.1", "80/udp", inbound=True),
    ):
        assert vm.answer(query).to_json() == reference.answer(query).to_json()


def test_what_is_no_artefact(artefact: bytes) -> None:
    with pytest.raises(ImageError, match="not a readable BPF object"):
        VmEngine(b"")
    with pytest.raises(ManifestError):
        VmEngine(artefact.replace(b'"format":%d' % FORMAT_VERSION, b'"format":%d' % (FORMAT_VERSION + 1)))
    with pytest.raises(EngineError, match="no manifest"):
        VmEngine(artefact.replace(b".wardgate.manifest", b".wardgate.manifes_"))
