"""The packet that an error names: the tables and the policy do differ about it."""

from __future__ import annotations

import random

import pytest
from table_walk import Walk
from validated_policies import EVERY, Case, encoded, new_tables, reached, refusal
from wardgate.compiler.language.model import Packet
from wardgate.compiler.semantics import Evaluator, Session
from wardgate.compiler.validation.subjects import UNNAMED

CHANGES = 3


@pytest.mark.parametrize("case", [case for case in EVERY if new_tables(case)], ids=str)
def test_what_an_error_says_of_a_packet_is_so(case: Case) -> None:
    """The tables and the reference do differ about the packet that the error names."""
    right = encoded(case)
    evaluator = Evaluator(right.policy)
    chance = random.Random(f"{case}")
    told = 0
    for table in new_tables(case):
        read = reached(case, table)
        for index in chance.sample(read, min(case.some(CHANGES), len(read))):
            wrong = right.changed(table, {index: right.entries(table)[index] ^ 1 << chance.randrange(3)})
            error = refusal(wrong)
            witness = error and error.witness
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
            # A bucket that is not there says nothing, which may be what is meant of the service.
            known = bucket <= len(right.manifest.buckets)
            rule = meant.rule
            word = (rule.within or 0) << 40 | rule.id << 2 if rule else 0
            assert not known or said != word | meant.verdict
    # A search that begins elsewhere ends outside of the tables, where there is little in them.
    assert told or all(table.endswith("_index") for table in new_tables(case))
