"""Questions to a policy: what happens when this user's device sends, or is sent, this packet?

As JSON: `{"as": "alice", "to": "10.0.0.5", "service": "443/tcp", "authed": false}`. With `from` in
place of `to` it asks about a packet of that sender towards the user's device, where `service` is the
device's. `service` may be left out and is then `icmp`; `authed` may be left out and is then false. With
`authed`, `login_age` is how many seconds ago the last login was; left out, it was a moment ago.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from wardgate.compiler.explain.packets import DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, ROUTING
from wardgate.compiler.language.model import Packet
from wardgate.compiler.language.query import (
    QueryError,
    parse_query_address,
    parse_query_service,
    parse_query_user,
)
from wardgate.runtime.layout.durations import LONGEST

DEFAULT_SERVICE: Final = "icmp"
_EXTENSIONS: Final = (HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS)
_FIELDS: Final = ("as", "to", "from", "service", "authed", "login_age")


@dataclass(frozen=True, slots=True)
class Query:
    """A question. `address` and `service` are as they were written; `packet` is what they mean. `login_age`:
    seconds since the last login, None where the question does not say, which is 0."""

    user: str
    address: str
    service: str
    authed: bool
    packet: Packet
    login_age: int | None = None

    @classmethod
    def parse(
        cls,
        user: str,
        address: str,
        service: str = DEFAULT_SERVICE,
        *,
        authed: bool = False,
        login_age: int | None = None,
        inbound: bool = False,
    ) -> Query:
        """The question in these words; QueryError (language.query) says what is wrong with one."""
        remote = parse_query_address(address)
        protocol, port = parse_query_service(service, remote.version)
        if remote.version == 6 and protocol in _EXTENSIONS:
            raise QueryError(
                f"IPv6 uses protocol {protocol} for an extension header, so no packet is of it; "
                "ask about the protocol that follows"
            )
        packet = Packet(remote, protocol, port, inbound)
        if login_age is not None and not authed:
            raise QueryError("a login's age is that of a session; ask about an authorised one")
        if login_age is not None and not 0 <= login_age <= LONGEST:
            raise QueryError(f"a login's age is 0 to {LONGEST} seconds")
        return cls(parse_query_user(user), address, service, authed, packet, login_age)

    @classmethod
    def from_json(cls, document: object) -> Query:
        """The question in a decoded JSON object; QueryError for anything that is not one."""
        if not isinstance(document, dict):
            raise QueryError('a query is an object such as {"as": "alice", "to": "10.0.0.5"}')
        unknown = [name for name in document if name not in _FIELDS]
        if unknown:
            raise QueryError(f"unknown field {unknown[0]!r}; a query has {', '.join(_FIELDS)}")
        if ("to" in document) == ("from" in document):
            raise QueryError('a query has either "to" (the device sends) or "from" (the device is sent)')
        inbound = "from" in document
        authed = document.get("authed", False)
        if not isinstance(authed, bool):
            raise QueryError('"authed" is true or false')
        age = document.get("login_age")
        if "login_age" in document and (not isinstance(age, int) or isinstance(age, bool)):
            raise QueryError('"login_age" is a whole number of seconds')
        user, address = _text(document, "as"), _text(document, "from" if inbound else "to")
        service = _text(document, "service") if "service" in document else DEFAULT_SERVICE
        return cls.parse(user, address, service, authed=authed, login_age=age, inbound=inbound)

    def to_json(self) -> dict[str, Any]:
        """The query's fields in the order in which an answer repeats them."""
        direction = "from" if self.packet.inbound else "to"
        age = {} if self.login_age is None else {"login_age": self.login_age}
        asked = {"as": self.user, direction: self.address, "service": self.service, "authed": self.authed}
        return {**asked, **age}


def read_batch(lines: Iterable[str], name: str = "<queries>") -> Iterator[Query]:
    """Queries of a JSON Lines text, one at a time; empty lines are skipped.

    QueryError of the first bad line, as `name:line: what is wrong`.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield Query.from_json(json.loads(line))
        except (json.JSONDecodeError, RecursionError) as error:
            raise QueryError(f"{name}:{number}: not JSON: {error}") from None
        except QueryError as error:
            raise QueryError(f"{name}:{number}: {error}") from None


def _text(document: dict[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str):
        raise QueryError(f'"{name}" is {"missing" if value is None else "not a text"}')
    return value
