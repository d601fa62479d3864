"""The sections with rules: `policies` and `inbound`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from wardgate.compiler.language import schema
from wardgate.compiler.language.definitions import Definitions, check_subject
from wardgate.compiler.language.destinations import Destinations
from wardgate.compiler.language.diagnostics import Code, Report
from wardgate.compiler.language.freshness import read_within, split_within
from wardgate.compiler.language.includes import Documents
from wardgate.compiler.language.memory import Memory
from wardgate.compiler.language.model import Action, Everything, Prefix, Rule, ServiceForm
from wardgate.compiler.language.nodes import Node, Scalar
from wardgate.compiler.language.schema import Shape
from wardgate.compiler.language.services import Services
from wardgate.compiler.language.words import Reading, Word, report_flaws, split_words

_SECTIONS = {
    "policies": Shape("`policies`", 'policies: {"*": {allow: ["wiki 443/tcp"]}}'),
    "inbound": Shape("`inbound`", 'inbound: {"*": {allow: ["10.0.0.7 22/tcp"]}}'),
}
_SUBJECT = Shape("the policy of a subject", 'alice: {allow: ["wiki 443/tcp"], mfa: [lab]}')
_RULES = Shape("a rule", 'allow: ["wiki 443/tcp", lab]')
_ACTIONS = {action.value: action for action in Action}
_EVERYTHING: tuple[ServiceForm, ...] = (Everything(),)

_Rest = tuple[tuple[ServiceForm, ...], int | None]
"""What a rule says behind its destination: services, and the seconds that it gives a login."""


class WordReader:
    """Reads destinations and services for rules and claims, and reports what is wrong with them."""

    def __init__(self, definitions: Definitions, destinations: Destinations, report: Report) -> None:
        self._definitions = definitions
        self._destinations = destinations
        self._report = report
        self._services = Services(definitions.services)
        # What is flawless, by how a rule writes it with single spaces: most rules are of words seen before.
        self._known_destinations: dict[str, tuple[Prefix, ...]] = {}
        self._known_services: dict[tuple[str, Action], _Rest] = {}

    def destination(self, scalar: Scalar, word: Word) -> tuple[Prefix, ...]:
        """The prefixes of a destination; empty where it is wrong, which is reported."""
        reading = self._destinations.read(word.text)
        if reading.flaws:
            report_flaws(self._report, scalar, word, reading)
        return reading.value or ()

    def services(self, scalar: Scalar, words: Sequence[Word]) -> tuple[ServiceForm, ...]:
        """What the words together mean; empty where one is wrong, which is reported."""
        found: list[tuple[ServiceForm, ...]] = []
        for word in words:
            reading = self._services.read(word.text)
            if reading.flaws and self._tells(reading):
                report_flaws(self._report, scalar, word, reading)
            found.append(reading.value or ())
        return _united(found)

    def rule(
        self, scalar: Scalar, action: Action
    ) -> tuple[str, tuple[Prefix, ...], tuple[ServiceForm, ...], int | None]:
        """A rule's text in one line whatever its style, since rules are quoted in comments and listings; its
        destinations and services, and the seconds that it gives a login."""
        text = scalar.text
        first, space, rest = text.partition(" ")
        destinations = self._known_destinations.get(first)
        known = self._known_services.get((rest, action)) if space else (_EVERYTHING, None)
        if destinations is not None and known is not None:
            return text, destinations, *known
        words = split_words(text)
        texts = [word.text for word in words]
        named, freshness = split_within(words)
        within = read_within(scalar, action, freshness, self._report) if freshness else None
        destinations = self.destination(scalar, named[0]) if named else ()
        services = self.services(scalar, named[1:]) if len(named) > 1 else _EVERYTHING
        if destinations and not self._destinations.read(texts[0]).flaws:
            self._known_destinations[texts[0]] = destinations
        flawless = (within is not None or not freshness) and services
        if len(texts) > 1 and flawless and not any(self._services.read(w.text).flaws for w in named[1:]):
            self._known_services[" ".join(texts[1:]), action] = services, within
        return " ".join(texts), destinations, services, within

    def _tells(self, reading: Reading[tuple[ServiceForm, ...]]) -> bool:
        # Where a file couldn't be read, an unknown name is most likely defined there.
        return self._definitions.complete or any(f.code is not Code.UNKNOWN_NAME for f in reading.flaws)


def _united(found: list[tuple[ServiceForm, ...]]) -> tuple[ServiceForm, ...]:
    if len(found) == 1:
        return found[0]
    return tuple(dict.fromkeys(form for forms in found for form in forms))


def read_rules(
    documents: Documents,
    definitions: Definitions,
    words: WordReader,
    report: Report,
    memory: Memory | None = None,
) -> tuple[Rule, ...]:
    """All rules in source order, ids from 1."""
    found: list[Rule] = []
    for document in documents.documents:
        for key, node in document.root.entries:
            if key.text not in _SECTIONS:
                continue
            first = len(found) + 1
            rules: Sequence[Rule] | None = None
            if memory is not None:
                rules = memory.rules(node, first, definitions.hosts, definitions.services, report)
            if rules is not None:
                # Whether it names groups that there are is not said by its text.
                for subject, _ in schema.entries(report, node, _SECTIONS[key.text]):
                    check_subject(subject, definitions, report)
            else:
                told = len(report)
                rules = _section(key.text, node, first, definitions, words, report)
                if memory is not None:
                    hosts, services = definitions.hosts, definitions.services
                    memory.keep_rules(node, rules, first, hosts, services, report.since(told))
            found += rules
    return tuple(found)


def _section(
    name: str, node: Node, first: int, definitions: Definitions, words: WordReader, report: Report
) -> list[Rule]:
    inbound = name == "inbound"
    found: list[Rule] = []
    for subject, action, scalar in _written(node, _SECTIONS[name], definitions, report):
        text, destinations, services, within = words.rule(scalar, action)
        number, place = first + len(found), scalar.position
        found.append(Rule(number, action, subject, inbound, text, place, destinations, services, within))
    return found


def _written(
    node: Node, shape: Shape, definitions: Definitions, report: Report
) -> Iterator[tuple[str, Action, Scalar]]:
    for subject, policy in schema.entries(report, node, shape):
        check_subject(subject, definitions, report)
        for key, rules in schema.entries(report, policy, _SUBJECT):
            action = _ACTIONS.get(key.text)
            if action is None:
                schema.unknown_key(report, key, _SUBJECT, _ACTIONS)
                continue
            for scalar in schema.texts(report, rules, _RULES):
                yield subject.text, action, scalar
