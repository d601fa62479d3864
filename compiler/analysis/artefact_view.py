"""The view of an artefact: its tables, read back by the readers that the proof of an artefact uses.

Nothing is believed of the manifest that tables say too. Only a rule's text and place, and a bucket's prefix,
are the manifest's alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_network
from itertools import chain

import numpy as np
import numpy.typing as npt
from wardgate.compiler.analysis.errors import AnalysisError
from wardgate.compiler.analysis.levels import with_levels
from wardgate.compiler.analysis.view import View
from wardgate.compiler.language.model import PORT_PROTOCOLS
from wardgate.compiler.lowering.lines import LineCollector, Lines
from wardgate.compiler.lowering.patterns import VERDICT_BITS
from wardgate.compiler.lowering.ragged import Integers, Lists, offsets_of, ranges
from wardgate.compiler.validation.encoded import integers, read_artefact, read_encoded
from wardgate.compiler.validation.judging import Judgements
from wardgate.compiler.validation.matrix import Rows, rows_of
from wardgate.compiler.validation.routes4 import has_routes4, runs4
from wardgate.compiler.validation.routes6 import has_routes6, runs6
from wardgate.compiler.validation.services import decode_services
from wardgate.runtime.layout.manifest import Bucket, Manifest

_CELLS = 1 << 21
"""Cells of rows that are read at once."""
_VERSIONS = ((4, has_routes4, runs4), (6, has_routes6, runs6))


def view_of_artefact(artefact: bytes, name: str) -> View:
    """The view of an artefact that people know as `name`.

    ValidationError or AnalysisError where its tables lead nowhere, or elsewhere than its manifest has rules.
    """
    encoded = read_encoded(read_artefact(artefact))
    manifest = encoded.manifest
    runs = {
        version: _merged(read(encoded)) if there(encoded) else [(0, 0)] for version, there, read in _VERSIONS
    }
    services = decode_services(encoded)
    service_classes = {number for intervals in services.ports.values() for _, number in intervals}
    service_classes |= {n for protocol, n in services.protocols.items() if protocol not in PORT_PROTOCOLS}
    inbound = any(rule.inbound for rule in manifest.rules)
    reach = rows_of(encoded, "reach", (number for found in runs.values() for _, number in found))
    width = 1 + max(number for found in runs.values() for _, number in found)
    lines = LineCollector(width)
    step = max(1, _CELLS // width)
    # In the collected matrix, the rows of one direction follow those of the other, wherever they were.
    for first in (0, encoded.parameter("inbound_row"))[: 1 + inbound]:
        for start in range(first, first + manifest.classes, step):
            numbers = range(start, min(start + step, first + manifest.classes))
            lines.add(_read_rows(reach, numbers, width))
    collected = lines.lines()
    most = int(collected.runs.values.max(initial=0))
    if most > len(manifest.buckets):
        raise _broken(name, f"a row leads to bucket {most}, and it has {len(manifest.buckets)}")

    judgements = Judgements(encoded, sorted(service_classes))
    records = [judgements.record(number) for number in range(1, len(manifest.buckets) + 1)]
    patterns = sorted({pattern for pattern, _ in records})
    columns, values = _decisions(judgements, patterns, 1 + max(service_classes))
    # Row 0 is bucket 0's, of which programs ask nothing.
    place = {pattern: number for number, pattern in enumerate(patterns, 1)}
    pattern_of = np.array([0, *(place[pattern] for pattern, _ in records)], np.int64)
    begins = np.array([0, *(first for _, first in records)], np.int64)
    rule_ids = judgements.rule_ids
    _check_decisions(name, manifest, pattern_of, values, begins, rule_ids)
    decisions = with_levels(pattern_of, columns, values, begins, judgements.ages)
    return View(
        name=name,
        rule=lambda number: manifest.rules[number - 1],
        groups=_groups(manifest, collected),
        class_of=manifest.subjects,
        default_class=manifest.default_class,
        runs=runs,
        services=services,
        lines=collected,
        inbound_row=manifest.classes if inbound else None,
        pattern=decisions.pattern,
        version=_versions(manifest, name),
        first=begins,
        rule_ids=rule_ids,
        prefix_of=lambda number: manifest.buckets[number - 1].prefix,
        members=lambda number: manifest.buckets[number - 1].rules,
        width=1 + max(service_classes),
        columns=decisions.columns,
        values=decisions.values,
        levels=decisions.levels,
    )


def _merged(runs: Iterator[tuple[int, int]]) -> Sequence[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for first, number in runs:
        if not found or found[-1][1] != number:
            found.append((first, number))
    return found


def _read_rows(reach: Rows, numbers: Sequence[int], width: int) -> npt.NDArray[np.uint32]:
    """The first `width` entries of rows; what no packet reaches may be anything."""
    found = np.zeros((len(numbers), width), np.uint32)
    for place, number in enumerate(numbers):
        row = integers(reach.row(number), reach.element)[:width]
        found[place, : len(row)] = row
    return found


def _decisions(judgements: Judgements, patterns: Sequence[int], width: int) -> tuple[Lists, Lists]:
    """The rows of decisions of these numbers, as runs; before them a row of nothing."""
    nothing = np.zeros(1, np.int64)
    columns: list[Integers] = [nothing]
    values: list[Integers] = [nothing]
    counts = [1]
    for pattern in patterns:
        said = integers(judgements.patterns.row(pattern), judgements.patterns.element)[:width]
        row: Integers = said.astype(np.int64)
        begins = np.flatnonzero(np.diff(row, prepend=-1)).astype(np.int64)
        columns.append(begins)
        values.append(row[begins])
        counts.append(len(begins))
    offsets = offsets_of(np.array(counts, np.int64))
    return Lists(np.concatenate(columns), offsets), Lists(np.concatenate(values), offsets)


def _check_decisions(
    name: str, manifest: Manifest, pattern: Integers, values: Lists, first: Integers, rule_ids: Integers
) -> None:
    """Every decision leads to a rule."""
    most = np.maximum.reduceat(values.values, values.offsets[:-1])[pattern]
    deciding = np.flatnonzero(most)
    begins, counts = first[deciding], (most[deciding] >> VERDICT_BITS) + 1
    outside = deciding[begins + counts > len(rule_ids)]
    if len(outside):
        raise _broken(name, f"bucket {outside[0]} decides by rules that are in no table")
    ids = rule_ids[ranges(begins, counts)]
    if len(ids) and not 1 <= int(ids.min()) <= int(ids.max()) <= len(manifest.rules):
        raise _broken(name, f"buckets have rules {ids.min()} to {ids.max()} of {len(manifest.rules)}")


def _versions(manifest: Manifest, name: str) -> Integers:
    """The IP version of each bucket's prefix; of bucket 0, which is none, 0."""
    found = []
    for bucket in manifest.buckets:
        try:
            prefix = ip_network(bucket.prefix)
        except ValueError:
            raise _broken(name, f"{bucket.prefix!r} of bucket {bucket.id} is no prefix") from None
        # Also with a zone, which may be anything (RFC 4007, section 11).
        if str(prefix) != bucket.prefix or "%" in bucket.prefix:
            raise _broken(name, f"{bucket.prefix!r} of bucket {bucket.id} is no prefix")
        found.append(prefix.version)
    return np.array([0, *found], np.int64)


def _groups(manifest: Manifest, lines: Lines) -> Mapping[str, frozenset[str]]:
    """Who is in which group, of those that have rules: a class has its subjects' rules in its buckets."""
    subjects = sorted({rule.policy for rule in manifest.rules})
    number = {subject: place for place, subject in enumerate(subjects)}
    of_rule = np.array([0, *(number[rule.policy] for rule in manifest.rules)], np.int64)
    ids, owners = _bucket_rules(manifest.buckets)
    of_class: dict[int, set[int]] = {}
    pages = lines.written_out()
    for row, line_numbers in enumerate(lines.directory.reshape(-1, lines.per_row)):
        present = np.zeros(len(manifest.buckets) + 1, bool)
        present[pages[line_numbers]] = True
        found = np.unique(of_rule[ids[present[owners]]]).tolist()
        of_class.setdefault(row % manifest.classes, set()).update(found)
    members: dict[str, set[str]] = {subject: set() for subject in subjects if subject.startswith("group:")}
    for user, user_class in manifest.subjects.items():
        for place in of_class[user_class]:
            if subjects[place] in members:
                members[subjects[place]].add(user)
    return {group: frozenset(found) for group, found in members.items()}


def _bucket_rules(buckets: Sequence[Bucket]) -> tuple[Integers, Integers]:
    """The rules of all buckets, and of each the bucket's number."""
    counts = np.array([len(bucket.rules) for bucket in buckets], np.int64)
    ids = np.fromiter(chain.from_iterable(bucket.rules for bucket in buckets), np.int64, int(counts.sum()))
    return ids, np.repeat(np.arange(1, len(buckets) + 1), counts)


def _broken(name: str, cause: str) -> AnalysisError:
    return AnalysisError("read", name, cause, "compile the policy again; the artefact is damaged")
