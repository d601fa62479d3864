"""What does not pass the guard does not reach the API, and its body is not read."""

from __future__ import annotations

import asyncio
import json

import pytest
from wardgate.gateway.control.guard import PEER, Guard
from wardgate.gateway.control.peers import Access, Peer

MEMBER = Peer(7, 1000, 1000, (5,))


def ask(peer, *, access=Access(None), headers=(), body=b"", app=None):  # noqa: B008 - it is frozen
    """The answer's status and document, and what the application was asked."""
    asked, sent = [], []

    async def application(scope, receive, send):
        asked.append((scope, await receive()))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async def receive():
        if not body:
            raise AssertionError("the body was asked for")
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        sent.append(message)

    state = {} if peer is None else {PEER: peer}
    scope = {
        "type": "http", "method": "POST", "path": "/v1/users", "headers": list(headers), "state": state,
    }  # fmt: skip
    asyncio.run(Guard(app or application, access)(scope, receive, send))
    return sent[0]["status"], json.loads(sent[1]["body"]), asked


@pytest.mark.parametrize("peer", [None, "root", (1, 0, 0), {"uid": 0}])
def test_nothing_is_done_for_a_peer_of_whom_nothing_is_known(peer):
    status, document, asked = ask(peer)
    assert (status, document["kind"], asked) == (403, "denied", [])


def test_others_are_refused_before_their_body_is_read():
    status, document, asked = ask(MEMBER, access=Access(6))
    assert (status, document["kind"], asked) == (403, "denied", [])
    assert "uid:1000" in document["cause"]


def test_members_reach_the_api_with_their_body_and_name():
    status, _, [(scope, message)] = ask(MEMBER, access=Access(5), body=b"abc")
    assert status == 200
    assert scope["state"]["actor"].startswith("uid:1000")
    assert message == {"type": "http.request", "body": b"abc", "more_body": False}


@pytest.mark.parametrize(
    "length", [b"99999999999999999999", b"9" * 5_000, b"-1", b"0x10", b"1e3", b"", "٣".encode()]
)
def test_lengths_that_are_none_are_refused_unread(length):
    status, document, asked = ask(Peer(1, 0, 0, ()), headers=[(b"content-length", length)])
    assert (status, document["kind"], asked) == (413, "too-large", [])


@pytest.mark.parametrize("kind", ["websocket", "lifespan"])
def test_nothing_but_requests_is_taken(kind):
    async def application(*_):
        raise AssertionError("it was reached")

    with pytest.raises(RuntimeError, match=kind):
        asyncio.run(Guard(application, Access(None))({"type": kind}, None, None))


def test_each_request_has_its_line_in_the_log(caplog):
    caplog.set_level("INFO", "wardgate.gateway.control")
    ask(Peer(1, 0, 0, ()), body=b"{}")
    ask(MEMBER)
    assert [(one.message, one.actor, one.status) for one in caplog.records] == [
        ("POST /v1/users 200", "uid:0 (root)", 200),
        ("POST /v1/users 403", caplog.records[1].actor, 403),
    ]


def test_a_length_and_chunks_at_once_are_refused_unread():
    headers = [(b"content-length", b"3"), (b"transfer-encoding", b"chunked")]
    status, document, asked = ask(Peer(1, 0, 0, ()), headers=headers)
    assert (status, document["kind"], asked) == (400, "invalid", [])


def test_a_request_that_is_not_whole_reaches_nobody():
    messages = iter(
        [
            {"type": "http.request", "body": b'{"name":"alice"}', "more_body": True},
            {"type": "http.disconnect"},
        ]
    )

    async def receive():
        return next(messages)

    async def unreached(*_):
        raise AssertionError("it was reached")

    scope = {
        "type": "http", "method": "POST", "path": "/v1/users", "headers": [],
        "state": {PEER: Peer(1, 0, 0, ())},
    }  # fmt: skip
    asyncio.run(Guard(unreached, Access(None))(scope, receive, unreached))
    assert next(messages, None) is None
