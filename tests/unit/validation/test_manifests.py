"""A manifest that says something else than the tables or the policy: the proof fails."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from validated_policies import QUICK, Case, cases, encoded, is_caught, is_refused, refused
from wardgate.compiler.validation import ValidationError, validate

OFFICE = Case("office", 0)
LOOSE = {"destinations", "services"}
"""Parameters that tell people of the policy, and that no lookup uses."""

TOLD_TWICE = ("classes", "tunnel")
"""What the manifest says in another place as well: it must be the same."""

FINDING_ROWS = {"inbound_row", "fragment_class"}


FURTHER = 1 << 62
LESS_FURTHER = {"fragment_class": 1 << 20}
"""Where the proof lists what is before a number until it finds that there is not so much."""


def new_parameters(case: Case) -> dict[str, int]:
    """Those that the policy does not have in an earlier form too, and those that any row is found by; without
    the boundaries of straight-line code and the bits of a class, which are tested apart."""
    before = [encoded(Case(case.policy, form)).manifest.parameters for form in range(case.form)]
    return {
        name: value
        for name, value in encoded(case).manifest.parameters.items()
        if "_boundar" not in name
        and name != "class_bits"
        and (name in FINDING_ROWS or all(earlier.get(name) != value for earlier in before))
    }


@pytest.mark.parametrize("case", QUICK, ids=str)
def test_a_wrong_parameter_is_caught_or_no_packet_can_tell(case: Case) -> None:
    right = encoded(case)
    chance = random.Random(f"{case}")
    caught = 0
    for name, value in new_parameters(case).items():
        far = LESS_FURTHER.get(name, FURTHER)
        others = {value + 1, max(value - 1, 0), chance.choice((value * 2, value >> 1, 0, far))}
        for other in others - {value}:
            wrong = right.with_parameters(**{name: other})
            if name in LOOSE:
                assert not is_refused(wrong)
            elif name.startswith(TOLD_TWICE):
                assert is_refused(wrong), (name, other)
            else:
                caught += is_caught(case, wrong)
    assert caught


@pytest.mark.parametrize("case", QUICK, ids=str)
def test_a_parameter_less(case: Case) -> None:
    right = encoded(case)
    for name in {*new_parameters(case), "class_bits"} - LOOSE:
        wrong = right.described(lambda d, name=name: d["parameters"].pop(name))
        used = name != "inbound_row" or any(rule.inbound for rule in right.policy.rules)
        used &= name != "route4_pointer" or "route4_nodes" in right.tables
        assert is_refused(wrong) is used, name


@pytest.mark.parametrize(
    ("bits", "classes", "right"),
    [
        (16, 5, True),
        (32, 5, True),
        (0, 5, False),
        (8, 5, False),
        (15, 5, False),
        (17, 5, False),
        (64, 5, False),
        (16, 1 << 16, True),
        (16, (1 << 16) + 1, False),
        (32, (1 << 16) + 1, True),
    ],
)
def test_the_bits_of_a_class(bits: int, classes: int, right: bool) -> None:
    """Programs read as many of a user's record: there are two kinds of records, and all classes must fit."""

    def change(document: Any) -> None:
        document["classes"] = document["parameters"]["classes"] = classes
        document["parameters"]["class_bits"] = bits

    assert is_refused(encoded(OFFICE).described(change)) is not right


SIZES = ("reach_width", "reach_per_row", "judge_width", "judge_per_row")


@pytest.mark.parametrize("case", cases("reach", "judge"), ids=str)
def test_rows_of_another_size(case: Case) -> None:
    """One entry or page more or less: nobody's rows are where they are looked for, but for a single one."""
    right = encoded(case)
    sizes = [name for name in SIZES if name in right.manifest.parameters]
    assert len(sizes) == 2
    for name in sizes:
        for step in (1, -1):
            assert is_refused(right.with_parameters(**{name: right.manifest.parameters[name] + step})), name


def bucket_changes(document: Any) -> Iterator[tuple[str, Callable[[Any], object]]]:
    """What may be wrong with a bucket, by name."""
    for index, bucket in enumerate(document["buckets"]):
        others = [number for number in range(1, len(document["rules"]) + 1) if number not in bucket["rules"]]
        prefix = next(b["prefix"] for b in document["buckets"] if b["prefix"] != bucket["prefix"])
        yield "prefix", lambda d, i=index, p=prefix: d["buckets"][i].update(prefix=p)
        yield "another prefix", lambda d, i=index: d["buckets"][i].update(prefix="198.51.100.0/24")
        yield "no prefix", lambda d, i=index: d["buckets"][i].update(prefix="10.0.0.0/99")
        yield "direction", lambda d, i=index: d["buckets"][i].update(inbound=not d["buckets"][i]["inbound"])
        yield "no rule", lambda d, i=index: d["buckets"][i].update(rules=[])
        yield "rule less", lambda d, i=index: d["buckets"][i]["rules"].pop()
        yield "rule twice", lambda d, i=index: d["buckets"][i]["rules"].append(d["buckets"][i]["rules"][-1])
        if others:
            yield "rule more", lambda d, i=index, o=others: d["buckets"][i]["rules"].append(o[0])
            yield "other rule", lambda d, i=index, o=others: d["buckets"][i]["rules"].__setitem__(0, o[-1])
        if len(bucket["rules"]) > 1:
            yield "order", lambda d, i=index: d["buckets"][i]["rules"].reverse()


@pytest.mark.parametrize("case", [Case("office", 1), Case("subnets", 2), Case("tiny", 4)], ids=str)
def test_an_altered_bucket_is_caught(case: Case) -> None:
    right = encoded(case)
    for name, change in bucket_changes(json.loads(right.manifest.to_json())):
        assert is_refused(right.described(change)), name


def renumbered(document: Any) -> None:
    for number, bucket in enumerate(document["buckets"], 1):
        bucket["id"] = number


def without_a_bucket(document: Any) -> None:
    document["buckets"].pop(0)
    renumbered(document)


def with_a_bucket_twice(document: Any) -> None:
    document["buckets"].append(dict(document["buckets"][0]))
    renumbered(document)


def with_a_bucket_of_nobody(document: Any) -> None:
    document["buckets"].append({"id": 0, "prefix": "10.0.0.5/32", "inbound": False, "rules": [4]})
    renumbered(document)


def with_buckets_swapped(document: Any) -> None:
    first, second = document["buckets"][:2]
    document["buckets"][:2] = [second, first]
    renumbered(document)


MANIFESTS: dict[str, Callable[[Any], object]] = {
    "bucket less": without_a_bucket,
    "bucket twice": with_a_bucket_twice,
    "bucket of nobody": with_a_bucket_of_nobody,
    "buckets swapped": with_buckets_swapped,
    "user of another class": lambda d: d["subjects"].update(alice=d["subjects"]["carol"]),
    "user who is not there": lambda d: d["subjects"].pop("alice"),
    "user whom the policy does not name": lambda d: d["subjects"].update(mallory=d["subjects"]["alice"]),
    "everyone's class": lambda d: d.update(default_class=d["subjects"]["alice"]),
    "number of classes": lambda d: d.update(classes=d["classes"] + 1),
    "rule's text": lambda d: d["rules"][3].update(text="10.0.0.5 ssh"),
    "rule's line": lambda d: d["rules"][3].update(line=99),
    "rule's action": lambda d: d["rules"][3].update(action="deny"),
    "rule's subject": lambda d: d["rules"][3].update(policy="bob"),
    "rule's direction": lambda d: d["rules"][3].update(inbound=True),
    "rules swapped": lambda d: d["rules"].__setitem__(
        slice(0, 2), [{**d["rules"][1], "id": 1}, {**d["rules"][0], "id": 2}]
    ),
    "rule more": lambda d: d["rules"].append({**d["rules"][0], "id": len(d["rules"]) + 1}),
    "file's digest": lambda d: d["files"][0].update(digest="0" * 64),
    "file's name": lambda d: d["files"][0].update(name="other.yaml"),
    "tunnel": lambda d: d["tunnel"].pop(),
    "tunnel's base": lambda d: d["tunnel4"].update(base="10.9.1.0"),
    "tunnel's size": lambda d: d["tunnel4"].update(size=128),
    "base of the other tunnel": lambda d: d["tunnel6"].update(base="fd09::1"),
    "size of the other tunnel": lambda d: d["tunnel6"].update(size=257),
    "index of a tunnel less": lambda d: d.update(tunnel4=None),
    "size of an index in programs": lambda d: d["parameters"].update(tunnel4_size=255),
    "base of an index in programs": lambda d: d["parameters"].update(tunnel6_low=1),
    "name": lambda d: d["resolved"].update({"wiki.example.org": ["10.0.0.5"]}),
    "table's size": lambda d: d["tables"][0].update(count=128),
    "table's element": lambda d: d["tables"][0].update(element=2, count=128),
    "table's element alone": lambda d: d["tables"][0].update(element=2),
    "table's odd element": lambda d: d["tables"][0].update(element=16, count=16),
    "table twice": lambda d: d["tables"].append({**d["tables"][0], "element": 2, "count": 128}),
    "table's section": lambda d: d["tables"][0].update(section=".rodata.t_none"),
}


@pytest.mark.parametrize("change", MANIFESTS)
def test_an_altered_manifest_is_caught(change: str) -> None:
    error = refused(encoded(OFFICE).described(MANIFESTS[change]))
    assert str(error).startswith(f"cannot validate {error.subject}: the artefact says ")
    assert error.remedy in str(error)


def test_an_artefact_that_nobody_can_read() -> None:
    right = encoded(OFFICE)
    for data in (b"", b"\x7fELF", right.artefact().replace(b'{"buckets"', b'{"nothing"')):
        with pytest.raises(ValidationError, match="cannot validate the artefact"):
            validate(data, right.policy)
