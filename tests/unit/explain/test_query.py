"""Queries are read as they are meant, and errors say what to write instead."""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import Any

import pytest
from wardgate.compiler.explain.answer import Answer, RuleReference
from wardgate.compiler.explain.query import Query, read_batch
from wardgate.compiler.language.model import Packet
from wardgate.compiler.language.query import QueryError
from wardgate.runtime.layout.codes import Reason, Verdict

FULL = {"as": "alice", "to": "10.0.0.5", "service": "443/tcp", "authed": True}


def test_round_trip() -> None:
    query = Query.from_json(FULL)
    assert query.packet == Packet(ip_address("10.0.0.5"), 6, 443)
    assert query.to_json() == FULL
    assert list(query.to_json()) == list(FULL)


def test_the_age_of_a_login_comes_back_where_it_was_asked_about() -> None:
    query = Query.from_json({**FULL, "login_age": 900})
    assert query.login_age == 900
    assert query.to_json() == {**FULL, "login_age": 900}
    assert Query.from_json(FULL).login_age is None


def test_fields_come_back_as_written() -> None:
    asked = {"as": "bob", "from": "FD00:0::1", "service": "icmp", "authed": False}
    query = Query.from_json(asked)
    assert query.packet == Packet(ip_address("fd00::1"), 58, None, inbound=True)
    assert query.to_json() == asked


def test_defaults() -> None:
    query = Query.from_json({"as": "bob", "to": "10.0.0.1"})
    assert query.packet.protocol == 1
    assert query.to_json() == {"as": "bob", "to": "10.0.0.1", "service": "icmp", "authed": False}


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ([], "is an object"),
        ("alice", "is an object"),
        ({"to": "10.0.0.1"}, '"as" is missing'),
        ({"as": 5, "to": "10.0.0.1"}, '"as" is not a text'),
        ({"as": "alice"}, 'either "to"'),
        ({**FULL, "from": "10.0.0.1"}, 'either "to"'),
        ({**FULL, "port": 5}, "unknown field 'port'"),
        ({**FULL, "authed": "yes"}, '"authed" is true or false'),
        ({**FULL, "authed": 1}, '"authed" is true or false'),
        ({**FULL, "login_age": "15m"}, '"login_age" is a whole number'),
        ({**FULL, "login_age": True}, '"login_age" is a whole number'),
        ({**FULL, "login_age": None}, '"login_age" is a whole number'),
        ({**FULL, "login_age": -1}, "a login's age is 0 to"),
        ({**FULL, "authed": False, "login_age": 5}, "ask about an authorised one"),
        ({**FULL, "service": None}, '"service" is missing'),
        ({**FULL, "service": "80-90/tcp"}, "service"),
        ({**FULL, "service": "0/tcp"}, "port"),
        ({**FULL, "to": "10.0.0.0/8"}, "10.0.0.0/8"),
        ({**FULL, "to": "::ffff:10.0.0.1"}, "10.0.0.1"),
        ({**FULL, "as": "group:admins"}, "no user"),
        ({**FULL, "to": "fd00::1", "service": "proto/44"}, "extension header"),
    ],
)
def test_what_is_no_query(document: Any, complaint: str) -> None:
    with pytest.raises(QueryError, match=complaint):
        Query.from_json(document)


def test_batch_names_the_line() -> None:
    good = json.dumps(FULL)
    assert [query.user for query in read_batch([good, "", "  \n", good])] == ["alice", "alice"]
    with pytest.raises(QueryError, match=r"^q\.jsonl:3: not JSON"):
        list(read_batch([good, "", "{"], "q.jsonl"))
    with pytest.raises(QueryError, match=r"^q\.jsonl:2: a query is an object"):
        list(read_batch([good, "[1]"], "q.jsonl"))
    with pytest.raises(QueryError, match="not JSON"):
        list(read_batch(["[" * 100_000]))


def test_batch_gives_what_comes_before_an_error() -> None:
    reader = read_batch([json.dumps(FULL), "{"])
    assert next(reader).user == "alice"
    with pytest.raises(QueryError):
        next(reader)


def test_answer_has_the_fields_in_order() -> None:
    rule = RuleReference("office.yaml", 3, 5, "lab 22/tcp within 15m", 900)
    answer = Answer(Query.from_json(FULL), Verdict.MFA, Reason.PASS, "10.0.0.0/8", rule)
    assert json.dumps(answer.to_json()) == (
        '{"as": "alice", "to": "10.0.0.5", "service": "443/tcp", "authed": true, "verdict": "mfa", '
        '"within": 900, "pass": true, "reason": "pass", "prefix": "10.0.0.0/8", '
        '"rule": {"file": "office.yaml", "line": 3, "column": 5, "text": "lab 22/tcp within 15m"}}'
    )
    dropped = Answer(Query.from_json(FULL), Verdict.NONE, Reason.NO_BUCKET, None, None).to_json()
    assert (dropped["verdict"], dropped["pass"], dropped["rule"]) == ("deny", False, None)
