"""A small authoritative name server, whose records tests change while it runs."""

from __future__ import annotations

import contextlib
import socket
import threading

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

Records = dict[tuple[str, str], tuple[int, list[str]]]
"""By name, with its last dot, and type: the TTL, and what there is."""


class NameServer:
    """Answers by `records` from now on, at `address`, in the network namespace that it is made in. Asked for
    what is `broken`, it says that it failed."""

    def __init__(self, records: Records, address: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self.records = records
        self.broken: set[tuple[str, str]] = set()
        self.asked: list[tuple[str, str]] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer no more."""
        with contextlib.suppress(OSError):
            # It is not connected, but who waits for it is woken.
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def __enter__(self) -> NameServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                data, sender = self._socket.recvfrom(2048)
                if not data:
                    return
                self._socket.sendto(self._answer(data), sender)

    def _answer(self, data: bytes) -> bytes:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name, kind = question.name.to_text().lower(), dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        known = {known for known, _ in self.records}
        if (name, kind) in self.broken:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif name not in known:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        # A chain of aliases is answered whole.
        while (name, "CNAME") in self.records:
            ttl, (target,) = self.records[name, "CNAME"]
            answer.answer.append(dns.rrset.from_text(name, ttl, "IN", "CNAME", target))
            name = target
        if (name, kind) in self.records:
            ttl, texts = self.records[name, kind]
            answer.answer.append(dns.rrset.from_text(name, ttl, "IN", kind, *texts))
        return answer.to_wire()
