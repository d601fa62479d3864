"""Tables, in each form, that are missing, cut off, there twice, or read with entries of another size."""

from __future__ import annotations

from dataclasses import replace

import pytest
from encoded_policy import EncodedPolicy
from validated_policies import (
    QUICK,
    SLOW,
    Case,
    cases,
    encoded,
    is_caught,
    is_refused,
    new_tables,
    reached,
    refused,
    walked,
)

MATRICES = ("reach", "judge")


def last_read(case: Case, table: str) -> int | None:
    """The last entry of a table that anything reads, or that a search could."""
    needed = [index for name, index in walked(case)[0].needed.items() if name == table]
    return max(reached(case, table, shadows=True)[-1:] + needed, default=None)


@pytest.mark.parametrize("case", QUICK, ids=str)
def test_a_table_less(case: Case) -> None:
    right = encoded(case)
    for name in new_tables(case):

        def remove(document: dict[str, list[dict[str, object]]], name: str = name) -> None:
            document["tables"] = [table for table in document["tables"] if table["name"] != name]

        # What a search has no step or no index for, it does not ask for.
        assert is_refused(right.described(remove)) is (last_read(case, name) is not None), name


@pytest.mark.parametrize("case", QUICK, ids=str)
def test_a_table_that_is_cut_off(case: Case) -> None:
    """By what is read: the proof fails. Behind that it may end."""
    right = encoded(case)
    for name in new_tables(case):
        last, (element, _), entries = last_read(case, name), right.tables[name], right.entries(name)
        if last is None:
            continue
        if last:
            assert is_refused(right.replaced(name, element, entries[:last])), name
        assert not is_caught(case, right.replaced(name, element, entries[: last + 1])), name


@pytest.mark.parametrize("case", [case for case in QUICK if case.form == 0], ids=str)
def test_entries_of_another_size(case: Case) -> None:
    """The same bytes, of half as many entries and of twice as many."""
    right = encoded(case)
    for name in new_tables(case):
        element, data = right.tables[name]
        if last_read(case, name) is None:
            continue
        for size in {max(1, element // 2), min(8, element * 2)} - {element}:

            def misread(document: object, name: str = name, size: int = size, data: bytes = data) -> None:
                table = next(table for table in document["tables"] if table["name"] == name)  # type: ignore[index]
                table.update(element=size, count=len(data) // size)

            wrong = right.described(misread)
            # An odd number of bytes is none of two.
            assert is_refused(wrong), (name, size)


def joined(right: EncodedPolicy, other: EncodedPolicy, names: list[str]) -> EncodedPolicy:
    """With tables of another artefact besides."""

    def describe(document: dict[str, list[dict[str, object]]]) -> None:
        found = [table for table in other.manifest.tables if table.name in names]
        document["tables"] += [
            {"name": t.name, "section": t.section, "element": t.element, "count": t.count, "doc": t.doc}
            for t in found
        ]

    more = {name: other.tables[name] for name in names}
    return replace(right.described(describe), tables={**right.tables, **more})


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("policy", ["office", "wide"])
def test_a_matrix_in_two_forms(policy: str, matrix: str) -> None:
    """Which of them programs read, no table tells."""
    forms = [case for case in cases(matrix) if case.policy == policy]
    assert len(forms) == (3 if matrix == "reach" else 2)
    for case in forms:
        for another in forms:
            right, other = encoded(case), encoded(another)
            names = [name for name in other.tables if name.startswith(matrix) and name not in right.tables]
            if names:
                assert "forms of it" in str(refused(joined(right, other, names)))


@pytest.mark.parametrize("case", [case for case in cases("reach") if case.policy in SLOW], ids=str)
def test_entries_that_cannot_hold_all_buckets(case: Case) -> None:
    right = encoded(case)
    table = right.content("reach")
    assert len(right.manifest.buckets) > 255
    narrow = right.replaced(table, 1, (entry & 255 for entry in right.entries(table)))
    assert "entries of 1 bytes" in str(refused(narrow))
