"""Artefacts that the programs read otherwise than a careless proof would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from encoded_policy import EncodedPolicy, encode
from surveys import covering, straight_line
from validated_policies import POLICIES, is_refused
from wardgate.compiler.lowering.survey import Survey
from wardgate.compiler.validation import ValidationError, validate
from wardgate.runtime.layout.maps import TABLE_SECTION_PREFIX


def form(number: int) -> Callable[[Survey], Any]:
    return lambda survey: covering(survey, number)


def table_of(document: Any, name: str) -> Any:
    return next(one for one in document["tables"] if one["name"] == name)


def refused(forged: EncodedPolicy) -> str:
    with pytest.raises(ValidationError) as caught:
        validate(forged.artefact(), forged.policy)
    return str(caught.value)


def test_tables_that_have_each_other_s_sections() -> None:
    right = encode(POLICIES["office"], form(0))
    high, low = right.tables["route6_high"], right.tables["route6_low"]

    def exchange(document: Any) -> None:
        for name, section in (("route6_high", "route6_low"), ("route6_low", "route6_high")):
            table_of(document, name)["section"] = TABLE_SECTION_PREFIX + section

    described = right.described(exchange)
    forged = replace(described, tables={**right.tables, "route6_high": low, "route6_low": high})
    assert "section" in refused(forged)


def test_a_table_that_is_listed_twice() -> None:
    right = encode(POLICIES["office"], form(0))
    forged = right.described(lambda document: document["tables"].append(table_of(document, "judge")))
    assert "once" in refused(forged)


@pytest.mark.parametrize("constant", [1 << 32, (1 << 63) + (1 << 32), (1 << 64) - 1])
def test_a_boundary_that_ipv4_does_not_have(constant: int) -> None:
    """Programs take the sign of a 64-bit difference: some of these they would count as reached."""
    right = encode(POLICIES["everything"], straight_line)
    count = right.manifest.parameters["route4_boundaries"]
    assert count
    forged = right.described(lambda d: d["parameters"].update({f"route4_boundary_{count}": constant}))
    assert "32 bits" in refused(forged)


@pytest.mark.parametrize(
    ("number", "added"),
    [
        (0, {"route4_steps": 0, "route4_index_bits": 0}),
        (1, {"route4_boundaries": 0}),
        (1, {"route6_boundaries": 0}),
        (4, {"route6_steps": 0, "route6_index_bits": 0}),
    ],
)
def test_two_forms_of_a_route_at_once(number: int, added: dict[str, int]) -> None:
    right = encode(POLICIES["everything"], form(number))
    assert not is_refused(right)
    assert "form" in refused(right.described(lambda document: document["parameters"].update(added)))


@pytest.mark.parametrize("number", [1, 3])
def test_a_class_of_any_number_ends_the_proof_at_once(number: int) -> None:
    right = encode(POLICIES["office"], form(number))
    assert "judge_per_row" in right.manifest.parameters
    forged = right.described(lambda document: document["parameters"].update(fragment_class=1 << 62))
    assert "judge_directory" in refused(forged)
