"""Random policies: what the compiler makes of them is proved, and what is wrong with it is found."""

from __future__ import annotations

import small_policies
from encoded_policy import EncodedPolicy, encode
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from random_policies import RandomPolicy, policies
from surveys import FORMS, covering
from table_walk import Walk
from validated_policies import refusal
from wardgate.compiler.language.model import EVERYONE, Packet, Policy
from wardgate.compiler.semantics import Evaluator, Session
from wardgate.compiler.semantics.partition import representatives
from wardgate.compiler.validation import validate

SLOW = settings(
    max_examples=12, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate]
)
"""Each example asks about every packet."""
ANY_FORM = st.integers(0, FORMS - 1)


def in_form(policy: Policy | str, form: int) -> EncodedPolicy:
    return encode(policy, lambda survey: covering(survey, form))


@given(policies(), ANY_FORM)
def test_every_policy_is_proved(policy: RandomPolicy, form: int) -> None:
    right = in_form(policy.text, form)
    report = validate(right.artefact(), right.policy)
    assert report.buckets == len(right.manifest.buckets)
    assert report.directions == 1 + any(rule.inbound for rule in right.policy.rules)
    assert report.destination_intervals >= 2
    assert report.service_intervals >= 256
    assert report.service_classes <= report.service_intervals


@given(small_policies.DOCUMENTS, ANY_FORM)
def test_every_policy_whose_rules_meet_is_proved(document: dict[str, object], form: int) -> None:
    right = in_form(small_policies.build(document), form)
    validate(right.artefact(), right.policy)


@SLOW
@given(policies(most_rules=8), ANY_FORM)
def test_tables_that_are_proved_say_what_the_reference_says(policy: RandomPolicy, form: int) -> None:
    """Also to a reader of tables that is not the one of the proof."""
    right = in_form(policy.text, form)
    validate(right.artefact(), right.policy)
    walk, evaluator = Walk(right), Evaluator(right.policy)
    for inbound in (False, True)[: 1 + walk.inbound]:
        asked = representatives(right.policy, inbound=inbound)
        for user in asked.users:
            row = walk.row(right.manifest.class_of(user), inbound)
            for remote in asked.remotes:
                destination = walk.destination(remote.version, int(remote))
                bucket = 0 if destination is None else walk.bucket(row, destination)
                prefix, rules = evaluator.bucket(user, remote, inbound=inbound)
                assert described(right, bucket) == (prefix and str(prefix), tuple(rule.id for rule in rules))
                for protocol, port in asked.services if bucket else ():
                    said = walk.decision(bucket, walk.service(protocol, port or 0))
                    packet = Packet(remote, protocol, port, inbound)
                    meant = evaluator.evaluate(user, packet, Session.NONE)
                    rule = meant.rule
                    word = (rule.within or 0) << 40 | rule.id << 2 if rule else 0
                    assert said == word | meant.verdict
    assert not walk.escaped


def described(encoded: EncodedPolicy, bucket: int) -> tuple[str | None, tuple[int, ...]]:
    """What the manifest says of a bucket."""
    if not bucket:
        return None, ()
    found = encoded.manifest.buckets[bucket - 1]
    return found.prefix, found.rules


@settings(SLOW, max_examples=40)
@given(policies(most_rules=5), ANY_FORM, st.data())
def test_a_change_is_found_if_a_packet_can_tell(policy: RandomPolicy, form: int, data: st.DataObject) -> None:
    """Exactly if: what is found, a packet can tell, or a bucket says it that is in shadow."""
    right = in_form(policy.text, form)
    # Without a bucket, no packet gets as far as a service class; the proof is strict about these.
    assume(right.manifest.buckets)
    walk = Walk(right)
    claims = walk.claims()
    for _ in range(6):
        table = data.draw(st.sampled_from(sorted(right.tables)))
        element, content = right.tables[table]
        index = data.draw(st.integers(0, len(content) // element - 1))
        bit = data.draw(st.integers(0, 8 * element - 1) | st.integers(0, 2))
        wrong = right.changed(table, {index: right.entries(table)[index] ^ 1 << bit})
        again = Walk(wrong, walk)
        told = again.claims() != claims or bool(again.escaped)
        error = refusal(wrong)
        if told:
            assert error is not None
        else:
            # Programs may find the same with what they cannot compare with.
            assert error is None or "cannot compare" in str(error)


def test_a_policy_without_rules() -> None:
    for text in ("version: 1\npolicies: {}\n", f'version: 1\npolicies: {{"{EVERYONE}": {{}}}}\n'):
        right = encode(text)
        report = validate(right.artefact(), right.policy)
        assert (report.classes, report.buckets, report.destination_intervals) == (1, 0, 2)
