"""The packet that an error names: the tables and the policy do differ about it."""

from __future__ import annotations

import random

import pytest
from table_walk import Walk
from validated_policies import POLICIES, encoded, is_refused, refused, walked
from wardgate.compiler.language.model import Packet
from wardgate.compiler.semantics import Evaluator, Session
from wardgate.compiler.validation.subjects import UNNAMED

CHANGES = 25


@pytest.mark.parametrize("policy", POLICIES)
def test_what_an_error_says_of_a_packet_is_so(policy: str) -> None:
    """The tables and the reference do differ about the packet that the error names."""
    right, (walk, _) = encoded(policy), walked(policy)
    evaluator = Evaluator(right.policy)
    chance = random.Random(policy)
    told = 0
    for table in ("reach_pages", "judge_pages", "route4_roots", "route6_class"):
        read = sorted(index for name, index in walk.touched if name == table)
        for index in chance.sample(read, min(CHANGES, len(read))):
            wrong = right.changed(table, {index: right.entries(table)[index] ^ 1 << chance.randrange(3)})
            if not is_refused(wrong):
                continue
            error = refused(wrong)
            witness = error.witness
            if witness is None or witness.first is None or not witness.service[0].isdigit():
                continue
            told += 1
            user = "anybody" if witness.subject == UNNAMED else witness.subject
            port, protocol = witness.service.split("-")[0].split("/")[0], witness.service.partition("/")[2]
            number = {"tcp": 6, "udp": 17, "sctp": 132}[protocol]
            packet = Packet(witness.first, number, int(port), witness.inbound)
            meant = evaluator.evaluate(user, packet, Session.NONE)
            again = Walk(wrong)
            destination = again.destination(witness.first.version, int(witness.first))
            assert destination is not None
            row = again.row(right.manifest.class_of(user), witness.inbound)
            bucket = again.bucket(row, destination)
            said = again.decision(bucket, again.service(number, int(port))) if bucket else 0
            assert said != (meant.rule.id if meant.rule else 0) << 2 | meant.verdict
    assert told
