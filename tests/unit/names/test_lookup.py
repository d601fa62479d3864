"""Questions to a name server of the test's own, over the loopback interface."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import dns.resolver
import pytest
from name_server import NameServer
from wardgate.gateway.compiling.resolving import ResolveError
from wardgate.gateway.names import Answer, look_up

RECORDS = {
    ("both.example.", "A"): (300, ["10.0.0.1", "10.0.0.2"]),
    ("both.example.", "AAAA"): (60, ["fd00::1"]),
    ("four.example.", "A"): (7, ["10.0.0.4"]),
    ("half.example.", "A"): (300, ["10.0.0.5"]),
    ("alias.example.", "CNAME"): (5, ["four.example."]),
    ("quick.example.", "CNAME"): (300, ["four.example."]),
    # What a look-up by getaddrinfo would find in a domain that the system searches.
    ("gone.example.corp.example.", "A"): (300, ["10.0.0.6"]),
}
HOSTS = """\
127.0.0.1 localhost
10.7.0.1  Server.example server  # server.example's only line of IPv4
fd07::1   server.example.
10.7.0.9  four.example
"""


@pytest.fixture(scope="module")
def server() -> Iterator[NameServer]:
    with NameServer(dict(RECORDS)) as made:
        made.broken = {("half.example.", "AAAA"), ("broken.example.", "A")}
        yield made


@pytest.fixture
def resolver(server: NameServer) -> dns.resolver.Resolver:
    found = dns.resolver.Resolver(configure=False)
    found.nameservers, found.port = ["127.0.0.1"], server.port
    found.search = [dns.name.from_text("corp.example.")]
    found.lifetime = 60.0
    return found


@pytest.fixture
def hosts(tmp_path: Path) -> Path:
    path = tmp_path / "hosts"
    path.write_text(HOSTS)
    return path


def asked(resolver: dns.resolver.Resolver, hosts: Path, name: str) -> Answer:
    return look_up(name, resolver=resolver, hosts=hosts)


def test_both_versions_are_asked_for_and_the_shorter_time_counts(
    resolver: dns.resolver.Resolver, hosts: Path
) -> None:
    answer = asked(resolver, hosts, "both.example")
    assert answer.addresses == {ip_address("10.0.0.1"), ip_address("10.0.0.2"), ip_address("fd00::1")}
    assert answer.ttl == 60


@pytest.mark.parametrize("name", ["four.example", "four.example.", "FOUR.example"])
def test_one_version_is_enough(resolver: dns.resolver.Resolver, hosts: Path, name: str) -> None:
    answer = asked(resolver, hosts, name)
    assert (answer.addresses, answer.ttl) == ({ip_address("10.0.0.4")}, 7)


@pytest.mark.parametrize(("name", "ttl"), [("alias.example", 5), ("quick.example", 7)])
def test_of_an_alias_the_shorter_time_counts_of_all_its_chain(
    resolver: dns.resolver.Resolver, hosts: Path, name: str, ttl: int
) -> None:
    answer = asked(resolver, hosts, name)
    assert (answer.addresses, answer.ttl) == ({ip_address("10.0.0.4")}, ttl)


@pytest.mark.parametrize("name", ["half.example", "broken.example"])
def test_half_of_an_answer_is_none(resolver: dns.resolver.Resolver, hosts: Path, name: str) -> None:
    with pytest.raises(ResolveError, match="SERVFAIL"):
        asked(resolver, hosts, name)


def test_servers_that_do_not_answer_are_told_in_the_same_words_each_time(hosts: Path) -> None:
    resolver = dns.resolver.Resolver(configure=False)
    with NameServer({}) as silent:
        # Whoever has a port and reads nothing there does not answer either.
        silent._answer = lambda _: b""  # type: ignore[method-assign]
        resolver.nameservers, resolver.port, resolver.lifetime = ["127.0.0.1"], silent.port, 0.2
        with pytest.raises(ResolveError, match=r"^no name server answers$"):
            asked(resolver, hosts, "four.example")


def test_what_no_server_knows_the_hosts_file_may(resolver: dns.resolver.Resolver, hosts: Path) -> None:
    answer = asked(resolver, hosts, "server.example")
    assert answer.addresses == {ip_address("10.7.0.1"), ip_address("fd07::1")}
    assert asked(resolver, hosts, "four.example").addresses == {ip_address("10.0.0.4")}


@pytest.mark.parametrize("name", ["gone.example", "rver.example", "localhost.example"])
def test_a_name_that_nobody_has_is_no_other_one(
    resolver: dns.resolver.Resolver, hosts: Path, name: str
) -> None:
    with pytest.raises(ResolveError, match="no such name"):
        asked(resolver, hosts, name)


@pytest.mark.parametrize("content", [None, "not-an-address server.example\n"])
def test_a_hosts_file_that_cannot_be_read_gives_nothing(
    resolver: dns.resolver.Resolver, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "hosts"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ResolveError, match="cannot be read"):
        asked(resolver, path, "server.example")
