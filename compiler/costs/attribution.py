"""Which groups, rules and prefixes the size of a policy's tables comes from.

Figures are estimates of the bytes that would go away without one of them, from counts and not by compiling
the policy again for each: a table has columns for prefixes, rows for policy classes or for buckets, and so
on, and a part of the policy is charged with the rows and columns that only it asks for. What several parts
share stays when one of them goes, and is charged to none.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from wardgate.compiler.language.model import Policy, Position, Prefix, Rule, ServiceForm
from wardgate.compiler.lowering.classes import policy_classes
from wardgate.compiler.lowering.survey import Candidate, Structure, Survey

MOST_CULPRITS: Final = 5
_MOST_TEXT: Final = 60

Kind = Literal["rules of", "rule", "prefix"]
Name = TypeVar("Name", bound=Hashable)
Thing = TypeVar("Thing", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Culprit:
    """A part of a policy, and the `bytes` that are estimated to go away without it.

    `name`: a subject (all its rules), a rule's text, or a prefix; `position`: of its first rule. `prefixes`
    and `services`: how many it names that nothing else names.
    """

    kind: Kind
    name: str
    position: Position
    bytes: int
    prefixes: int
    services: int

    def __str__(self) -> str:
        counts = ((self.prefixes, "prefix", "prefixes"), (self.services, "service", "services"))
        own = [f"{count:,} {one if count == 1 else many}" for count, one, many in counts if count]
        own = [] if self.kind == "prefix" else own
        return f"{self.kind} {self.name}" + (f", with {' and '.join(own)} of its own" if own else "")


def culprits(policy: Policy, survey: Survey, smallest: Mapping[Structure, Candidate]) -> tuple[Culprit, ...]:
    """The largest groups, rules and prefixes, at most MOST_CULPRITS of each kind, largest first.

    `smallest`: the candidates whose bytes, with those of the tables that all plans have, are charged.
    """
    rules = policy.rules
    charge = _Charge(rules, survey, smallest)
    lost_rows = _lost_rows(policy)
    first: dict[str, Position] = {}
    for rule in rules:
        first.setdefault(rule.subject, rule.position)

    by_subject = _Owners((rule.subject, rule) for rule in rules)
    by_rule = _Owners((rule.id, rule) for rule in rules)
    subjects = [
        by_subject.culprit("rules of", subject, subject, position, charge, lost_rows.get(subject, 0))
        for subject, position in first.items()
    ]
    of_rules = [
        by_rule.culprit("rule", rule.id, f"`{_cut(rule.text)}`", rule.position, charge, 0) for rule in rules
    ]
    largest: list[Culprit] = []
    for found in (subjects, of_rules, _prefixes(rules, charge)):
        found.sort(key=lambda one: (-one.bytes, one.position, one.name))
        largest += [one for one in found[:MOST_CULPRITS] if one.bytes]
    return tuple(largest)


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_TEXT else text[: _MOST_TEXT - 1] + "…"


class _Owners:
    """How much of a policy each of some names has alone; rules come with their name."""

    def __init__(self, named: Iterable[tuple[Hashable, Rule]]) -> None:
        prefixes: list[tuple[Hashable, Prefix]] = []
        services: list[tuple[Hashable, ServiceForm]] = []
        pairs: list[tuple[Hashable, tuple[str, Prefix]]] = []
        for name, rule in named:
            prefixes += [(name, prefix) for prefix in rule.destinations]
            services += [(name, form) for form in rule.services]
            pairs += [(name, (rule.subject, prefix)) for prefix in rule.destinations]
        self._prefixes4, self._prefixes6 = (
            _owned((name, prefix) for name, prefix in prefixes if prefix.version == version)
            for version in (4, 6)
        )
        self._services, self._pairs = _owned(services), _owned(pairs)

    def culprit(
        self, kind: Kind, name: Hashable, shown: str, position: Position, charge: _Charge, lost_rows: int
    ) -> Culprit:
        """What is charged to a name."""
        four, six, services = self._prefixes4[name], self._prefixes6[name], self._services[name]
        size = charge(four, six, services, self._pairs[name], lost_rows)
        return Culprit(kind, shown, position, size, four + six, services)


def _owned(naming: Iterable[tuple[Name, Thing]]) -> Counter[Name]:
    """For each name, how many things only it comes with."""
    owner: dict[Thing, Name | None] = {}
    for name, thing in naming:
        if owner.setdefault(thing, name) != name:
            owner[thing] = None
    return Counter(name for name in owner.values() if name is not None)


class _Charge:
    """Bytes that go with prefixes, services and so on of one's own."""

    def __init__(
        self, rules: tuple[Rule, ...], survey: Survey, smallest: Mapping[Structure, Candidate]
    ) -> None:
        prefixes = {prefix for rule in rules for prefix in rule.destinations}
        self._prefixes4 = sum(prefix.version == 4 for prefix in prefixes)
        self._prefixes6 = len(prefixes) - self._prefixes4
        self._services = len({form for rule in rules for form in rule.services})
        self._pairs = len({(rule.subject, prefix) for rule in rules for prefix in rule.destinations})
        self._rows = survey.classes * (2 if survey.inbound else 1)
        self._bytes = {name: candidate.bytes for name, candidate in smallest.items()}
        self._constant = survey.constant_bytes

    def __call__(self, prefixes4: int, prefixes6: int, services: int, pairs: int, lost_rows: int) -> int:
        """`pairs` of subject and prefix are about the buckets; `lost_rows` those of policy classes."""
        columns = _share(prefixes4 + prefixes6, self._prefixes4 + self._prefixes6)
        buckets = _share(pairs, self._pairs)
        shares: dict[str, tuple[float, ...]] = {
            "route4": (_share(prefixes4, self._prefixes4),),
            "route6": (_share(prefixes6, self._prefixes6),),
            "reach": (columns, _share(lost_rows, self._rows)),
            "judge": (buckets, _share(services, self._services)),
        }
        charged = self._constant * buckets
        for structure, size in self._bytes.items():
            kept = 1.0
            for share in shares.get(structure, ()):
                kept *= 1 - share
            charged += size * (1 - kept)
        return round(charged)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _prefixes(rules: tuple[Rule, ...], charge: _Charge) -> list[Culprit]:
    first: dict[Prefix, Position] = {}
    subjects: dict[Prefix, set[str]] = defaultdict(set)
    for rule in rules:
        for prefix in rule.destinations:
            first.setdefault(prefix, rule.position)
            subjects[prefix].add(rule.subject)
    found = []
    for prefix, position in first.items():
        four = int(prefix.version == 4)
        size = charge(four, 1 - four, 0, len(subjects[prefix]), 0)
        found.append(Culprit("prefix", str(prefix), position, size, 1, 0))
    return found


def _lost_rows(policy: Policy) -> dict[str, int]:
    """For each subject with rules: the policy classes that would become one with another without them."""
    classes = [frozenset(one.subjects) for one in policy_classes(policy).classes]
    without: dict[str, set[frozenset[str]]] = defaultdict(set)
    having: Counter[str] = Counter()
    for subjects in classes:
        for subject in subjects:
            having[subject] += 1
            without[subject].add(subjects - {subject})
    there = set(classes)
    return {subject: having[subject] - len(reduced - there) for subject, reduced in without.items()}
