"""Which groups, rules and prefixes the size of a policy's tables comes from.

Figures are estimates of the bytes that would go away without one of them, from counts and not by compiling
the policy again for each: a table has columns for prefixes, rows for policy classes or for buckets, and so
on, and a part of the policy is charged with the rows and columns that only it asks for. What several parts
share stays when one of them goes, and is charged to none.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from wardgate.compiler.language.model import Policy, Position, Prefix, Rule, ServiceForm
from wardgate.compiler.lowering.classes import policy_classes
from wardgate.compiler.lowering.survey import Candidate, Structure, Survey

MOST_CULPRITS: Final = 5

Kind = Literal["rules of", "rule", "prefix"]
T = TypeVar("T", bound=Hashable)
_Pair = tuple[str, Prefix]
"""A subject and a prefix that some rule of it names: about a bucket each."""


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
    total = _Counts.of(policy.rules)
    lost_rows = _lost_rows(policy)
    charge = _Charge(total, survey, smallest)

    def of_rules(kind: Kind, name: Callable[[Rule], str]) -> list[Culprit]:
        found = []
        for key, first, counts in _own(policy.rules, total, name):
            rows = lost_rows.get(key, 0) if kind == "rules of" else 0
            shown = key if kind == "rules of" else f"`{first.text}`"
            prefixes, services = len(counts.prefixes), len(counts.services)
            found.append(Culprit(kind, shown, first.position, charge(counts, rows), prefixes, services))
        return found

    largest: list[Culprit] = []
    subjects = of_rules("rules of", lambda rule: rule.subject)
    rules = of_rules("rule", lambda rule: str(rule.id))
    for found in (subjects, rules, _prefixes(policy.rules, charge)):
        found.sort(key=lambda one: (-one.bytes, one.position, one.name))
        largest += [one for one in found[:MOST_CULPRITS] if one.bytes]
    return tuple(largest)


@dataclass(frozen=True, slots=True)
class _Counts:
    """What rules name, and how many of them name each."""

    prefixes: Counter[Prefix]
    services: Counter[ServiceForm]
    pairs: Counter[_Pair]

    @classmethod
    def of(cls, rules: Iterable[Rule]) -> _Counts:
        counts = cls(Counter(), Counter(), Counter())
        for rule in rules:
            counts.prefixes.update(set(rule.destinations))
            counts.services.update(set(rule.services))
            counts.pairs.update((rule.subject, prefix) for prefix in set(rule.destinations))
        return counts

    def only(self, total: _Counts) -> _Counts:
        """What nothing else among `total` names."""
        return _Counts(
            _exclusive(self.prefixes, total.prefixes),
            _exclusive(self.services, total.services),
            _exclusive(self.pairs, total.pairs),
        )


def _exclusive(part: Counter[T], total: Counter[T]) -> Counter[T]:
    return Counter({name: count for name, count in part.items() if count == total[name]})


class _Charge:
    """Bytes that go with counts of one's own."""

    def __init__(self, total: _Counts, survey: Survey, smallest: Mapping[Structure, Candidate]) -> None:
        self._total = total
        self._rows = survey.classes * (2 if survey.inbound else 1)
        self._bytes = {name: candidate.bytes for name, candidate in smallest.items()}
        self._constant = survey.constant_bytes
        self._of_version = Counter(prefix.version for prefix in total.prefixes)

    def __call__(self, own: _Counts, lost_rows: int) -> int:
        version = Counter(prefix.version for prefix in own.prefixes)
        prefixes = _share(len(own.prefixes), len(self._total.prefixes))
        services = _share(len(own.services), len(self._total.services))
        pairs = _share(len(own.pairs), len(self._total.pairs))
        shares = {
            "route4": (_share(version[4], self._of_version[4]),),
            "route6": (_share(version[6], self._of_version[6]),),
            "reach": (prefixes, _share(lost_rows, self._rows)),
            "judge": (pairs, services),
        }
        charged = self._constant * pairs
        for structure, size in self._bytes.items():
            kept = 1.0
            for share in shares.get(structure, ()):
                kept *= 1 - share
            charged += size * (1 - kept)
        return round(charged)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _own(
    rules: Iterable[Rule], total: _Counts, name: Callable[[Rule], str]
) -> Iterator[tuple[str, Rule, _Counts]]:
    """For each name that rules have: the first of them, and what only they name."""
    named: dict[str, list[Rule]] = defaultdict(list)
    for rule in rules:
        named[name(rule)].append(rule)
    for key, members in named.items():
        yield key, members[0], _Counts.of(members).only(total)


def _prefixes(rules: Iterable[Rule], charge: _Charge) -> list[Culprit]:
    first: dict[Prefix, Position] = {}
    subjects: dict[Prefix, set[str]] = defaultdict(set)
    for rule in rules:
        for prefix in rule.destinations:
            first.setdefault(prefix, rule.position)
            subjects[prefix].add(rule.subject)
    found = []
    for prefix, position in first.items():
        pairs: Counter[_Pair] = Counter({(subject, prefix): 1 for subject in subjects[prefix]})
        own = _Counts(Counter({prefix: 1}), Counter(), pairs)
        found.append(Culprit("prefix", str(prefix), position, charge(own, 0), 1, 0))
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
