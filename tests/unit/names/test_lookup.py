"""Questions to a name server of the test's own, over the loopback interface."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address

import dns.flags
import dns.message
import dns.rcode
import dns.resolver
import dns.rrset
import pytest
from wardgate.gateway.compiling.resolving import ResolveError
from wardgate.gateway.names import look_up

RECORDS = {
    ("both.example.", "A"): (300, ["10.0.0.1", "10.0.0.2"]),
    ("both.example.", "AAAA"): (60, ["fd00::1"]),
    ("four.example.", "A"): (7, ["10.0.0.4"]),
    ("half.example.", "A"): (300, ["10.0.0.5"]),
}
BROKEN = {("half.example.", "AAAA"), ("broken.example.", "A"), ("broken.example.", "AAAA")}


class NameServer:
    """Answers by RECORDS; asked for what is BROKEN, it says that it failed."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                data, sender = self.socket.recvfrom(2048)
                if not data:
                    return
                self.socket.sendto(self._answer(data), sender)

    def _answer(self, data: bytes) -> bytes:
        query = dns.message.from_wire(data)
        question = query.question[0]
        asked = (question.name.to_text().lower(), dns.rdatatype.to_text(question.rdtype))
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if asked in BROKEN:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif asked in RECORDS:
            ttl, texts = RECORDS[asked]
            answer.answer.append(dns.rrset.from_text(question.name, ttl, "IN", asked[1], *texts))
        elif not any(name == asked[0] for name, _ in RECORDS):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer.to_wire()


@pytest.fixture(scope="module")
def resolver() -> Iterator[dns.resolver.Resolver]:
    server = NameServer()
    found = dns.resolver.Resolver(configure=False)
    found.nameservers, found.port = ["127.0.0.1"], server.socket.getsockname()[1]
    found.lifetime = 60.0
    yield found
    with suppress(OSError):
        # It is not connected, but who waits for it is woken.
        server.socket.shutdown(socket.SHUT_RDWR)
    server.socket.close()


def test_both_versions_are_asked_for_and_the_shorter_time_counts(resolver: dns.resolver.Resolver) -> None:
    answer = look_up("both.example", resolver=resolver)
    assert answer.addresses == {ip_address("10.0.0.1"), ip_address("10.0.0.2"), ip_address("fd00::1")}
    assert answer.ttl == 60


def test_one_version_is_enough(resolver: dns.resolver.Resolver) -> None:
    answer = look_up("four.example", resolver=resolver)
    assert (answer.addresses, answer.ttl) == ({ip_address("10.0.0.4")}, 7)


def test_half_of_an_answer_is_none(resolver: dns.resolver.Resolver) -> None:
    resolver.lifetime = 2.0
    with pytest.raises(ResolveError):
        look_up("half.example", resolver=resolver)
    with pytest.raises(ResolveError):
        look_up("broken.example", resolver=resolver)


def test_what_no_server_knows_the_system_may(resolver: dns.resolver.Resolver) -> None:
    assert ip_address("127.0.0.1") in look_up("localhost", resolver=resolver).addresses
    with pytest.raises(ResolveError):
        look_up("nowhere.invalid", resolver=resolver)
