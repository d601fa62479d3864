"""Services: ports, port ranges, protocols, ICMP; and the names that a policy gives to lists of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from wardgate.compiler.language.diagnostics import Code
from wardgate.compiler.language.model import (
    ICMP,
    ICMPV6,
    MAX_PORT,
    PORT_PROTOCOLS,
    SCTP,
    TCP,
    UDP,
    Icmp,
    Ports,
    Protocol,
    ServiceForm,
)
from wardgate.compiler.language.names import WITHIN, Vocabulary, quoted
from wardgate.compiler.language.words import Flaw, Reading, WordError

PROTOCOL_NAMES: Mapping[str, int] = {"tcp": TCP, "udp": UDP, "sctp": SCTP}
"""Protocols with ports, by the words of the language."""

_PROTOCOL_SETS = {
    **{name: frozenset({number}) for name, number in PROTOCOL_NAMES.items()},
    "any": frozenset(PORT_PROTOCOLS),
}
_NUMBER = re.compile(r"0|[1-9][0-9]{0,4}", re.ASCII)
_FORMS = "write PORT/tcp, LOW-HIGH/udp, tcp, udp, sctp, icmp, proto/NUMBER or a name from `services`"


class Services:
    """Reads service words. `named` has the meaning of each name from `services`."""

    def __init__(self, named: Mapping[str, tuple[ServiceForm, ...]]) -> None:
        self._named = named
        self._vocabulary = Vocabulary((*named, *PROTOCOL_NAMES, "icmp"))
        self._known: dict[str, Reading[tuple[ServiceForm, ...]]] = {}

    def read(self, word: str) -> Reading[tuple[ServiceForm, ...]]:
        """What `word` of a rule means."""
        reading = self._known.get(word)
        if reading is None:
            reading = self._known[word] = self._read(word)
        return reading

    def _read(self, word: str) -> Reading[tuple[ServiceForm, ...]]:
        if word in self._named:
            return Reading(self._named[word])
        try:
            return Reading((parse_form(word, self._vocabulary),))
        except WordError as error:
            return Reading(None, (error.flaw,))


def parse_form(word: str, known: Vocabulary | None = None) -> ServiceForm:
    """The service that `word` is by itself; WordError where it is none. `known`: names to suggest."""
    if word in PROTOCOL_NAMES:
        return Ports(_PROTOCOL_SETS[word], 0, MAX_PORT)
    if word == "icmp":
        return Icmp()
    if "/" in word:
        return _slashed(word)
    raise WordError(_unknown(word, known))


def _slashed(word: str) -> ServiceForm:
    before, _, after = word.partition("/")
    if before == "proto":
        return _protocol(after)
    protocols = _PROTOCOL_SETS.get(after)
    if protocols is None:
        raise WordError(_wrong_protocol(before, after))
    low_text, dash, high_text = before.partition("-")
    low = _port(low_text, 0)
    high = _port(high_text, len(low_text) + 1) if dash else low
    if low > high:
        raise WordError(
            Flaw(
                Code.PORT,
                f"the range {quoted(before)} runs backwards",
                f"write {high}-{low}/{after}",
                length=len(before),
            )
        )
    return Ports(protocols, low, high)


def _wrong_protocol(before: str, after: str) -> Flaw:
    remedy = f"write {before}/tcp, {before}/udp, {before}/sctp or {before}/any"
    if after.lower() in _PROTOCOL_SETS:
        remedy = f"write {before}/{after.lower()}, in small letters"
    elif after == "icmp":
        remedy = "ICMP has no ports; write `icmp` alone"
    elif _NUMBER.fullmatch(after) and before.lower() in _PROTOCOL_SETS:
        remedy = f"the port comes first: write {after}/{before.lower()}"
    offset = len(before) + 1 if after else len(before)
    return Flaw(Code.PROTOCOL, f"{quoted(after)} is no protocol that has ports", remedy, offset=offset)


def _port(text: str, offset: int) -> int:
    if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= MAX_PORT:
        message = "port 0 is never used by a service" if text == "0" else f"{quoted(text)} is no port"
        raise WordError(
            Flaw(
                Code.PORT,
                message,
                f"a port is a number from 1 to {MAX_PORT}, without leading zeros or signs",
                offset=offset,
                length=max(1, len(text)),
            )
        )
    return int(text)


def _protocol(text: str) -> ServiceForm:
    if not _NUMBER.fullmatch(text) or int(text) > 255:
        raise WordError(
            Flaw(
                Code.PROTOCOL,
                f"{quoted(text)} is no IP protocol number",
                "write proto/ and a number from 0 to 255 (IANA, Assigned Internet Protocol Numbers)",
                offset=len("proto/") if text else 0,
            )
        )
    number = int(text)
    return Ports(frozenset({number}), 0, MAX_PORT) if number in PORT_PROTOCOLS else Protocol(number)


def _unknown(word: str, known: Vocabulary | None) -> Flaw:
    if word == "any":
        remedy = "leave the service out for everything, or write `tcp udp sctp` for every port"
        return Flaw(Code.SERVICE, "`any` stands after a port, as in 53/any", remedy)
    if word == "proto":
        return Flaw(Code.PROTOCOL, "`proto` lacks its number", "write proto/47, for example")
    if re.fullmatch(r"[0-9]+(-[0-9]+)?", word, re.ASCII):
        return Flaw(
            Code.SERVICE,
            f"{quoted(word)} lacks its protocol",
            f"write {quoted(word + '/tcp')}, {quoted(word + '/udp')} or {quoted(word + '/any')}",
        )
    if "," in word:
        return Flaw(Code.SERVICE, f"{quoted(word)} is no service", "separate services by spaces, not commas")
    if word.lower() in (*PROTOCOL_NAMES, "icmp"):
        return Flaw(Code.SERVICE, f"{quoted(word)} is no service", f"write {word.lower()}, in small letters")
    if word.lower() in ("icmpv6", "icmp6", "ping"):
        return Flaw(
            Code.SERVICE, f"{quoted(word)} is no service", "write icmp; towards an IPv6 address it is ICMPv6"
        )
    if word.lower() == WITHIN:
        remedy = f"write {WITHIN}, in small letters" if word != WITHIN else "leave it out here"
        return Flaw(Code.FRESHNESS, f"`{WITHIN}` stands in `mfa` rules, as in `lab ssh within 15m`", remedy)
    suggestion = known.did_you_mean(word) if known is not None else ""
    return Flaw(Code.UNKNOWN_NAME, f"no service is called {quoted(word)}", suggestion or _FORMS)


@dataclass(frozen=True, slots=True)
class Definition:
    """A named service as written: `parts` are its words."""

    name: str
    parts: tuple[str, ...]


def expand_definitions(
    definitions: Mapping[str, Definition],
    on_cycle: Callable[[tuple[str, ...]], None],
) -> dict[str, tuple[ServiceForm, ...]]:
    """What each named service means, names in it replaced.

    Words that are neither forms nor defined names add nothing here; whoever reads the definitions
    reports them. `on_cycle` gets each cycle once, as the names on it, the first of them first in the
    source. Services on a cycle, or made of one, come out without the parts that never end.
    """
    waiting = {
        name: {part for part in definition.parts if part in definitions}
        for name, definition in definitions.items()
    }
    users: dict[str, list[str]] = {name: [] for name in definitions}
    for name, needed in waiting.items():
        for part in needed:
            users[part].append(name)
    meaning: dict[str, tuple[ServiceForm, ...]] = {}
    ready = [name for name, needed in waiting.items() if not needed]
    while True:
        while ready:
            name = ready.pop()
            if name not in waiting:
                continue
            meaning[name] = _expanded(definitions[name], meaning)
            del waiting[name]
            for user in users[name]:
                if user in waiting:
                    waiting[user].discard(name)
                    if not waiting[user]:
                        ready.append(user)
        if not waiting:
            return {name: meaning[name] for name in definitions}
        # What is left waits for itself. Cutting one cycle at a time finds the others too.
        cycle = _find_cycle(waiting, definitions)
        on_cycle(cycle)
        waiting[cycle[0]].discard(cycle[1 % len(cycle)])
        if not waiting[cycle[0]]:
            ready.append(cycle[0])


def _find_cycle(waiting: Mapping[str, set[str]], definitions: Mapping[str, Definition]) -> tuple[str, ...]:
    name = next(iter(waiting))
    trail: dict[str, None] = {}
    while name not in trail:
        trail[name] = None
        name = next(part for part in definitions[name].parts if part in waiting[name])
    names = list(trail)
    cycle = names[names.index(name) :]
    order = {name: number for number, name in enumerate(definitions)}
    first = cycle.index(min(cycle, key=lambda member: order[member]))
    return tuple(cycle[first:] + cycle[:first])


def _expanded(
    definition: Definition, meaning: Mapping[str, tuple[ServiceForm, ...]]
) -> tuple[ServiceForm, ...]:
    forms: dict[ServiceForm, None] = {}
    for part in definition.parts:
        if part in meaning:
            forms.update(dict.fromkeys(meaning[part]))
            continue
        try:
            forms[parse_form(part)] = None
        except WordError:
            continue
    return tuple(forms)


def service_label(protocol: int, port: int | None, version: int) -> str:
    """A concrete service towards an address of IP `version`, in the words of the language:
    `443/tcp`, `icmp`, `proto/47`. `parse_query_service` reads it back."""
    for name, number in PROTOCOL_NAMES.items():
        if protocol == number and port is not None:
            return f"{port}/{name}"
    return "icmp" if protocol == (ICMP if version == 4 else ICMPV6) else f"proto/{protocol}"
