"""The proof: everything that the tables say, held against everything that the policy means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wardgate.compiler.language.model import Policy
from wardgate.compiler.validation.buckets import Buckets
from wardgate.compiler.validation.counterexample import Accuser
from wardgate.compiler.validation.decisions import Decisions, Shapes
from wardgate.compiler.validation.described import check_description
from wardgate.compiler.validation.destinations import Destinations, Stretch, decode_destinations
from wardgate.compiler.validation.encoded import Encoded, read_artefact, read_encoded
from wardgate.compiler.validation.errors import ValidationError
from wardgate.compiler.validation.judging import Judgements, Judging
from wardgate.compiler.validation.kinds import ServiceKinds
from wardgate.compiler.validation.matrix import rows_of
from wardgate.compiler.validation.prefixes import PrefixTree, prefix_tree
from wardgate.compiler.validation.reach import ReachRows
from wardgate.compiler.validation.services import decode_services
from wardgate.compiler.validation.subjects import ClassPair, class_pairs
from wardgate.runtime.layout.maps import MANIFEST_SECTION, TABLE_SECTION_PREFIX


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """What was proved: that the tables say what the policy means for each of `classes` policy classes,
    in each of `directions` directions, for each of `destination_intervals` intervals of addresses (all of
    IPv4 and IPv6), and for each of `service_intervals` protocols and intervals of ports (all of them),
    which are of `service_classes` kinds. `comparisons` entries of tables were compared for it.
    """

    classes: int
    directions: int
    destination_intervals: int
    service_intervals: int
    service_classes: int
    buckets: int
    comparisons: int

    @property
    def verdicts(self) -> int:
        """How many verdicts that is, one for each combination."""
        return self.classes * self.directions * self.destination_intervals * self.service_intervals


def validate(artefact: bytes, policy: Policy) -> ValidationReport:
    """Prove that `artefact` says of every packet what `policy` means.

    Everything is compared that a packet can lead to; entries that none can (padding) are not.
    Raises ValidationError with the first difference, OutOfBoundsError (one too) where a lookup would
    leave its table.
    """
    return validate_sections(read_artefact(artefact), policy)


def validate_sections(sections: Mapping[str, bytes], policy: Policy) -> ValidationReport:
    """Like `validate`, of an artefact that has these sections for manifest and tables, whatever its programs.

    Where `has_sections` of the finished artefact is true it is the same proof, and needed no programs.
    """
    encoded = read_encoded(sections)
    check_description(encoded, policy)
    return _Proof(encoded, policy).report()


def has_sections(artefact: bytes, sections: Mapping[str, bytes]) -> bool:
    """Whether these are the manifest and tables of `artefact`. ValidationError where it cannot be read."""
    found = {
        name: data
        for name, data in read_artefact(artefact).items()
        if name == MANIFEST_SECTION or name.startswith(TABLE_SECTION_PREFIX)
    }
    return found == sections


class _Proof:
    def __init__(self, encoded: Encoded, policy: Policy) -> None:
        self._encoded = encoded
        self._policy = policy
        self._tree: PrefixTree = prefix_tree(policy.rules)
        self._classes: Sequence[ClassPair] = class_pairs(encoded, policy)
        self._destinations: Destinations = decode_destinations(encoded, self._tree)
        forms = {form for rule in policy.rules for form in rule.services}
        self._kinds = ServiceKinds(forms, decode_services(encoded))
        self._buckets = Buckets(encoded, self._tree)
        self._reach = rows_of(encoded, "reach", (number for _, number in self._destinations.pairs))
        service_classes = {kind.service_class for kind in self._kinds.kinds}
        self._judgements = Judgements(encoded, (*service_classes, encoded.parameter("fragment_class")))
        self._accuser = Accuser(
            encoded, policy, self._classes, self._destinations, self._kinds, self._reach, self._judgements
        )

    def report(self) -> ValidationReport:
        # Without a rule of the other direction, programs do not ask for a row of it.
        directions = (False, True) if any(rule.inbound for rule in self._policy.rules) else (False,)
        compared = sum(self._compare_reach(inbound) for inbound in directions)
        self._buckets.check_all_met()
        compared += self._compare_judge()
        return ValidationReport(
            classes=len(self._classes),
            directions=len(directions),
            destination_intervals=self._destinations.intervals,
            service_intervals=self._kinds.intervals,
            service_classes=len(self._kinds.kinds),
            buckets=len(self._encoded.manifest.buckets),
            comparisons=compared,
        )

    def _compare_reach(self, inbound: bool) -> int:
        """The buckets of all policy classes in one direction, for all addresses."""
        element, buckets = self._reach.element, len(self._encoded.manifest.buckets)
        if buckets >> (8 * element):
            raise ValidationError(
                "the tables of reach", f"entries of {element} bytes", f"has {buckets} buckets"
            )
        rules = (rule for rule in self._policy.rules if rule.inbound is inbound)
        rows = ReachRows(self._buckets, self._tree, rules, element, inbound=inbound)
        for pair in self._classes:
            meant = rows.row(pair.subjects)
            said = self._reach.row(self._accuser.reach_row(pair, inbound))
            wrong = _first_difference(meant, said, self._destinations.stretches, element)
            if wrong is not None:
                raise self._accuser.wrong_bucket(pair, inbound, wrong)
        return len(self._classes) * len(self._destinations.pairs)

    def _compare_judge(self) -> int:
        """The decisions of all buckets, for all services."""
        shapes = Shapes(self._policy.rules)
        decisions = {version: Decisions(shapes, self._kinds, version) for version in (4, 6)}
        versions = [self._tree.prefixes[node - 1].version for node in self._buckets.nodes]
        kinds = self._kinds.kinds
        judging = Judging(self._encoded, self._judgements, shapes, decisions, versions, kinds)
        wrong = judging.first_wrong()
        if wrong is not None:
            raise self._accuser.wrong_decision(wrong)
        return len(versions) * (len(kinds) + 1)


def _first_difference(
    meant: bytes, said: bytes, places: Sequence[Stretch], element: int
) -> tuple[int, int] | None:
    """The first (item, column) where the rows differ; None where there is none."""
    for place in places:
        first, column, size = place.first * element, place.column * element, place.length * element
        if meant[first : first + size] != said[column : column + size]:
            return next(
                (place.first + index, place.column + index)
                for index in range(place.length)
                if meant[first + index * element : first + (index + 1) * element]
                != said[column + index * element : column + (index + 1) * element]
            )
    return None
