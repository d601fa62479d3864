"""The benchmark of comparing and proving: its edits are edits, and its claims are answered."""

from __future__ import annotations

from benchmarks.analysis import CLAIMS, edits, measure, table
from benchmarks.policies import Shape, document


def test_edits_are_as_many_as_they_say_and_the_same_each_time() -> None:
    old = document(Shape.of_rules(1_000))
    for label, edit in edits(1_000).items():
        assert (edit(old) == old) is (label == "no edit")
        assert edit(old) == edit(old)


def test_each_edit_and_each_claim_is_measured() -> None:
    results = measure([100], 1)
    assert len(results) == len(edits(100)) + len(CLAIMS)
    by_work = {one["work"]: one for one in results}
    assert by_work["diff, no edit"]["statements"] == 0
    assert by_work["diff, a user joins"]["statements"] > 0
    # Nothing is written for these addresses, and the intranet host is everyone's.
    assert all(by_work[f"prove {claim}"]["holds"] for claim in list(CLAIMS)[:4])
    assert len(table(results).splitlines()) == 1 + len(results)
