"""The words of a question: one user, one address, one concrete service."""

from __future__ import annotations

from wardgate.compiler.language.addresses import parse_address
from wardgate.compiler.language.diagnostics import Code
from wardgate.compiler.language.model import (
    GROUP_MARK,
    ICMP,
    ICMPV6,
    Address,
    Icmp,
    Ports,
    Protocol,
    ServiceForm,
)
from wardgate.compiler.language.names import NAME_FORM, is_user, quoted
from wardgate.compiler.language.services import parse_form
from wardgate.compiler.language.words import Flaw, WordError

_ONE = "write one service, such as 443/tcp, icmp or proto/47"


class QueryError(ValueError):
    """A question that cannot be asked. The text says what to write instead."""


def parse_query_service(text: str, version: int) -> tuple[int, int | None]:
    """IP protocol number and port of a concrete service towards an address of IP `version` 4 or 6.

    The port is None where the protocol has none. QueryError for a range, a set or a name.
    """
    try:
        return concrete_service(text, version)
    except WordError as error:
        raise QueryError(f"{error.flaw.message}; {error.flaw.remedy}") from None


def concrete_service(word: str, version: int) -> tuple[int, int | None]:
    """Like `parse_query_service`, with a WordError that says where in the word the problem is."""
    return concrete_form(parse_form(word), word, version)


def concrete_form(form: ServiceForm, word: str, version: int) -> tuple[int, int | None]:
    """Protocol and port of `form`, which `word` stands for; WordError where it is more than one."""
    if isinstance(form, Icmp):
        return (ICMP if version == 4 else ICMPV6), None
    if isinstance(form, Protocol):
        return form.number, None
    if isinstance(form, Ports) and len(form.protocols) == 1 and form.low == form.high:
        (protocol,) = form.protocols
        return protocol, form.low
    raise WordError(Flaw(Code.SERVICE, f"{quoted(word)} is more than one service", _ONE))


def parse_query_address(text: str) -> Address:
    """The address that `text` is. QueryError for a prefix, a name, or an IPv4-mapped address."""
    try:
        return parse_address(text)
    except WordError as error:
        raise QueryError(f"{error.flaw.message}; {error.flaw.remedy}") from None


def parse_query_user(text: str) -> str:
    """`text`, if it can be a user's name. QueryError for a group, `*`, or no name at all."""
    if is_user(text):
        return text
    if text.startswith(GROUP_MARK) or text == "*":
        raise QueryError(f"{quoted(text)} is no user; a question is about one user")
    raise QueryError(f"{quoted(text)} is no user's name; a name has {NAME_FORM}")
