"""Destinations: addresses, prefixes, names from `hosts`, DNS names."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Network

from wardgate.compiler.language.addresses import looks_like_address, read_prefix
from wardgate.compiler.language.diagnostics import Code
from wardgate.compiler.language.model import Address, Prefix
from wardgate.compiler.language.names import Vocabulary, quoted
from wardgate.compiler.language.resolver import Names, ResolveError, is_dns_name
from wardgate.compiler.language.services import parse_form
from wardgate.compiler.language.words import Flaw, Reading, WordError

_EVERYWHERE = frozenset({"*", "any", "all", "everything", "everywhere", "internet", "default"})


class Destinations:
    """Reads destination words, each once. `hosts` has the prefixes of each name from `hosts`.

    With `complete` False some file could not be read, so an unknown name says nothing new.
    """

    def __init__(self, hosts: Mapping[str, tuple[Prefix, ...]], names: Names, complete: bool) -> None:
        self._hosts = hosts
        self._names = names
        self._vocabulary = Vocabulary(hosts)
        self._complete = complete
        self._known: dict[str, Reading[tuple[Prefix, ...]]] = {}

    def read(self, word: str) -> Reading[tuple[Prefix, ...]]:
        """The prefixes that `word` stands for: one, or those of a name, without duplicates."""
        reading = self._known.get(word)
        if reading is None:
            reading = self._known[word] = self._read(word)
        return reading

    def _read(self, word: str) -> Reading[tuple[Prefix, ...]]:
        if word in self._hosts:
            return Reading(self._hosts[word])
        found = read_target(word, self._names)
        if found is not None and found.value is not None:
            return found
        service = _service_flaw(word)
        if service is not None:
            return Reading(None, (service,))
        if found is not None:
            return found
        return Reading(None, (_unknown(word, self._vocabulary),) if self._complete else ())


def read_target(word: str, names: Names) -> Reading[tuple[Prefix, ...]] | None:
    """The prefixes of an address, a prefix or a DNS name; None where `word` is none of these."""
    if looks_like_address(word) and "://" not in word:
        reading = read_prefix(word)
        return Reading(None if reading.value is None else (reading.value,), reading.flaws)
    if not is_dns_name(word):
        return None
    if not names.available:
        flaw = Flaw(
            Code.DNS,
            f"{quoted(word)} is a DNS name, and no resolver was given to ask for its addresses",
            "resolve names while compiling, or list the name under `hosts` with its addresses",
        )
        return Reading(None, (flaw,))
    try:
        return Reading(tuple(full_prefix(address) for address in names.addresses(word)))
    except ResolveError as error:
        flaw = Flaw(
            Code.DNS,
            f"DNS name {quoted(word)} has no address: {error}",
            "check the name, or list it under `hosts` with its addresses",
        )
        return Reading(None, (flaw,))


def full_prefix(address: Address) -> Prefix:
    """The /32 or /128 of `address`."""
    return IPv4Network(address) if isinstance(address, IPv4Address) else IPv6Network(address)


def unknown_target(word: str, known: Collection[str]) -> Flaw:
    """Why `word` is no target, for the values of `hosts`, whose names are `known`."""
    if word in known:
        return Flaw(
            Code.NAME,
            f"{quoted(word)} is a name from `hosts`, and hosts do not contain each other",
            "write the addresses of that host here too",
        )
    return _unknown(word, None)


def _unknown(word: str, hosts: Vocabulary | None) -> Flaw:
    if word in _EVERYWHERE:
        return Flaw(
            Code.UNKNOWN_NAME,
            f"{quoted(word)} is no destination",
            "everywhere is 0.0.0.0/0 for IPv4 and ::/0 for IPv6, one rule each",
        )
    if "://" in word:
        return Flaw(
            Code.UNKNOWN_NAME,
            f"{quoted(word)} is a URL",
            "write the host's name or address, and the port as a service: `wiki.example.org 443/tcp`",
        )
    if "," in word:
        return Flaw(
            Code.UNKNOWN_NAME,
            f"{quoted(word)} is no destination",
            "write one destination a rule; name several under `hosts`",
        )
    suggestion = hosts.did_you_mean(word) if hosts is not None else ""
    remedy = suggestion or "define it under `hosts`, or write an address, a prefix or a DNS name with a dot"
    return Flaw(Code.UNKNOWN_NAME, f"no host is called {quoted(word)}", remedy)


def _service_flaw(word: str) -> Flaw | None:
    try:
        parse_form(word)
    except WordError:
        return None
    return Flaw(
        Code.ADDRESS,
        f"{quoted(word)} is a service, where the destination should be",
        "write the destination first, as in: 10.0.0.5 22/tcp",
    )
