"""A manifest that says something else than the tables or the policy: the proof fails."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from encoded_policy import EncodedPolicy
from validated_policies import POLICIES, encoded, is_refused, nobody_can_tell, refused
from wardgate.compiler.validation import ValidationError, validate

LOOSE = {"destinations", "services"}
"""Parameters that tell people of the policy, and that no lookup uses."""


@pytest.mark.parametrize("policy", POLICIES)
def test_a_wrong_parameter_is_caught_or_no_packet_can_tell(policy: str) -> None:
    right = encoded(policy)
    for name, value in right.manifest.parameters.items():
        for other in {value + 1, value * 2, value >> 1, 0, 1 << 62} - {value}:
            wrong = right.described(lambda d, name=name, other=other: d["parameters"].update({name: other}))
            if name not in LOOSE:
                assert is_refused(wrong) or nobody_can_tell(policy, wrong), (name, other)
    for name in set(right.manifest.parameters) - LOOSE:
        wrong = right.described(lambda d, name=name: d["parameters"].pop(name))
        used = name != "inbound_row" or any(rule.inbound for rule in right.policy.rules)
        used &= name != "route4_pointer" or "route4_nodes" in right.tables
        assert is_refused(wrong) is used, name


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


@pytest.mark.parametrize("policy", ["office", "subnets"])
def test_an_altered_bucket_is_caught(policy: str) -> None:
    right = encoded(policy)
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


def without_a_table(document: Any) -> None:
    document["tables"] = [table for table in document["tables"] if table["name"] != "judge_pages"]


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
    "tunnel's base": lambda d: d["tunnel_index"].update(base="10.9.1.0"),
    "tunnel's size": lambda d: d["tunnel_index"].update(size=128),
    "name": lambda d: d["resolved"].update({"wiki.example.org": ["10.0.0.5"]}),
    "table less": without_a_table,
    "table's size": lambda d: d["tables"][0].update(count=128),
    "table's element": lambda d: d["tables"][0].update(element=4, count=128),
    "table's odd element": lambda d: d["tables"][0].update(element=1, count=512),
    "table's section": lambda d: d["tables"][0].update(section=".rodata.t_none"),
}


@pytest.mark.parametrize("change", MANIFESTS)
def test_an_altered_manifest_is_caught(change: str) -> None:
    error = refused(encoded("office").described(MANIFESTS[change]))
    assert str(error).startswith(f"cannot validate {error.subject}: the artefact says ")
    assert error.remedy in str(error)


def test_an_artefact_that_nobody_can_read() -> None:
    right = encoded("office")
    for data in (b"", b"\x7fELF", right.artefact().replace(b'{"buckets"', b'{"nothing"')):
        with pytest.raises(ValidationError, match="cannot validate the artefact"):
            validate(data, right.policy)


def test_a_table_whose_size_is_no_power_of_two() -> None:
    right = encoded("office")
    element, data = right.tables["judge_pages"]
    count = len(data) // element - 64
    shorter = right.described(
        lambda d: next(t for t in d["tables"] if t["name"] == "judge_pages").update(count=count)
    )
    wrong = EncodedPolicy(
        right.policy, shorter.manifest, {**right.tables, "judge_pages": (element, data[: count * element])}
    )
    assert "power of two" in str(refused(wrong))
