"""Attacks on the control socket by somebody who may connect: none does more than be refused."""

from __future__ import annotations

import asyncio
import json
import os

from wardgate.gateway.control.guard import MOST_BODY, MOST_POLICY_BODY

HEAD = b"POST /v1/users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
GET = b"GET /v1/users HTTP/1.1\r\nHost: x\r\n"


def status(answer: bytes) -> int:
    """The status of the first answer."""
    return int(answer.split(b" ", 2)[1])


def body(answer: bytes) -> dict:
    """The document of the first answer."""
    return json.loads(answer.split(b"\r\n\r\n", 1)[1])


async def still_serves(served) -> None:
    """Others are served as before, and nothing was changed."""
    assert await served.get("users") == []
    assert await served.audit() == []


def test_a_declared_length_that_is_too_large_is_refused_unread(serve):
    async def work(served):
        for length in (MOST_BODY + 1, 10**18):
            answer = await served.raw(HEAD + b"Content-Length: %d\r\n\r\n" % length)
            assert (status(answer), body(answer)["kind"]) == (413, "too-large")
        await still_serves(served)

    serve(work)


def test_a_body_without_end_is_refused_at_its_bound(serve):
    async def work(served):
        chunk = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
        answer = await served.raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 4)
        assert status(answer) == 413
        await still_serves(served)

    serve(work)


def test_a_policy_may_be_larger_and_is_bounded_too(serve):
    async def work(served):
        text = "# " + "x" * (1 << 20) + "\nversion: 1\n"
        bundle = {"main": "p.yaml", "files": {"p.yaml": text}}
        assert (await served.post("policy/plan", {"bundle": bundle}))["ok"]
        head = HEAD.replace(b"/v1/users", b"/v1/policy/plan")
        answer = await served.raw(head + b"Content-Length: %d\r\n\r\n" % (MOST_POLICY_BODY + 1))
        assert status(answer) == 413

    serve(work)


UNENDED = [
    (b"",),
    (b"GET /v1/us",),
    (b"GET /v1/users HTTP/1.1\r\nHost: x\r\nX-A: ",),
    (HEAD + b"Content-Length: 20\r\n\r\n", b'{"name":'),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\n{"),
    (GET + b"\r\n", b"GET /v1/us"),
]


def test_a_request_that_does_not_end_is_ended(serve, quick):
    async def work(served):
        for parts in UNENDED:
            # Nothing here waits but for the server to close.
            await served.raw(*parts)
        await still_serves(served)

    serve(work, quick)


def test_a_connection_that_idles_is_closed_after_its_time(serve, quick):
    async def work(served):
        answer = await served.raw(GET + b"\r\n")
        assert status(answer) == 200

    serve(work, quick)


def test_bytes_that_trickle_do_not_prolong_a_request(serve, quick):
    async def work(served):
        reader, writer = await asyncio.open_unix_connection(os.fspath(served.path))
        writer.write(GET)
        sent = 0
        while not reader.at_eof():
            writer.write(b"X-%d: 1\r\n" % sent)
            sent += 1
            await asyncio.sleep(0.02)
            if writer.is_closing() or sent > 3_000:
                break
        writer.close()
        assert sent < 3_000
        await still_serves(served)

    serve(work, quick)


def test_a_head_is_bounded(serve):
    async def work(served):
        answer = await served.raw(GET + b"X-A: " + b"a" * (1 << 20) + b"\r\n\r\n")
        # The answer is lost where the rest of the head was still on its way when the server closed.
        assert not answer or status(answer) == 400
        await still_serves(served)

    serve(work)


AMBIGUOUS = [
    HEAD + b'Content-Length: 16\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{"name":"alice"}',
    HEAD + b'Content-Length: 16\r\nContent-Length: 0\r\n\r\n{"name":"alice"}',
    HEAD + b'Content-Length: 16, 0\r\n\r\n{"name":"alice"}',
    HEAD + b'Content-Length: +16\r\n\r\n{"name":"alice"}',
    HEAD + b'Content-Length: -1\r\n\r\n{"name":"alice"}',
    HEAD + b'Content-Length : 16\r\n\r\n{"name":"alice"}',
    HEAD + b'Transfer-Encoding: chunked, identity\r\n\r\n10\r\n{"name":"alice"}\r\n0\r\n\r\n',
    HEAD + b'Transfer-Encoding: xchunked\r\n\r\n10\r\n{"name":"alice"}\r\n0\r\n\r\n',
    HEAD + b'Transfer-Encoding: chunked\r\n\r\n-10\r\n{"name":"alice"}\r\n0\r\n\r\n',
    HEAD + b'Transfer-Encoding: chunked\r\n\r\n0x10\r\n{"name":"alice"}\r\n0\r\n\r\n',
    HEAD + b' folded: 1\r\nContent-Length: 16\r\n\r\n{"name":"alice"}',
    b'POST /v1/users\x00 HTTP/1.1\r\nHost: x\r\nContent-Length: 16\r\n\r\n{"name":"alice"}',
    b'POST /v1/users HTTP/1.1\r\nContent-Length: 16\r\n\r\n{"name":"alice"}',
    b"GET /v1/users\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
]


def test_what_two_readers_could_read_otherwise_is_refused(serve, quick):
    async def work(served):
        for request_bytes in AMBIGUOUS:
            answer = await served.raw(request_bytes)
            assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 ")), request_bytes
            assert answer.count(b"HTTP/1.1 ") == 1
            await still_serves(served)

    serve(work, quick)


TARGETS = [
    b"/v1/users/../status", b"/v1/users/..%2f..%2fetc%2fpasswd", b"/v1/users/%2e%2e", b"/v1/users/%00",
    b"/v1/users/a%0d%0ab", b"//etc/passwd", b"/v1/users/..", b"/v1//users", b"/V1/users", b"*",
    b"/v1/users/" + b"a" * 300, b"/v1/users/%ff%fe", b"/v1/users/%e2%80%ae", b"/v1/devices/-rf",
    b"/v1/users;x=1", b"/v1/policy/..%2f..%2fx",
]  # fmt: skip


def test_no_path_leads_elsewhere(serve):
    async def work(served):
        for target in TARGETS:
            answer = await served.raw(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert status(answer) in (400, 404), target
            assert b"root:" not in answer
            # What was asked is repeated in the failure, as JSON alone.
            assert answer.count(b"\r\n\r\n") == 1

    serve(work)


NO_REQUESTS = [
    b"[" * 60_000, b'{"name":' * 7_000, b"{", b"\xff\xfe", b'{"name": "\xed\xa0\x80"}', b"NaN", b"",
    b'{"name": "\\ud800"}', b'{"name": ' + b"9" * 10_000 + b"}", b"null", b'{"name": "a", "name": 1}',
]  # fmt: skip


def test_bodies_that_are_no_request(serve):
    async def work(served):
        for text in NO_REQUESTS:
            request = HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(text) + text
            answer = await served.raw(request)
            assert (status(answer), body(answer)["kind"]) == (400, "invalid"), text[:40]
            await still_serves(served)

    serve(work)


def test_a_body_of_another_type_is_no_request(serve):
    async def work(served):
        for kind in (b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x"):
            head = b"POST /v1/users HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: " + kind
            answer = await served.raw(head + b'\r\nContent-Length: 16\r\n\r\n{"name":"alice"}')
            assert status(answer) == 400
        await still_serves(served)

    serve(work)


def test_a_request_whose_peer_goes_away_does_nothing(serve):
    async def work(served):
        reader, writer = await asyncio.open_unix_connection(os.fspath(served.path))
        writer.write(HEAD + b'Content-Length: 17\r\n\r\n{"name":"alice"}')
        await writer.drain()
        writer.close()
        assert await reader.read() == b""
        await still_serves(served)

    serve(work)


def test_pipelined_requests_are_answered_in_order(serve):
    async def work(served):
        answer = await served.raw(GET + b"\r\n" + GET + b"Connection: close\r\n\r\n")
        assert answer.count(b"HTTP/1.1 200 ") == 2

    serve(work)


def test_one_user_cannot_take_all_connections(serve):
    from wardgate.gateway.control.connection import Limits

    async def work(served):
        streams = []
        for _ in range(3):
            reader, writer = await asyncio.open_unix_connection(os.fspath(served.path))
            writer.write(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
            streams.append(writer)
        answer = await served.raw(GET + b"\r\n")
        assert (status(answer), body(answer)["kind"]) == (503, "busy")
        streams[0].close()
        while served.gateway.listeners == 3:
            await asyncio.sleep(0.01)
        # One is free again.
        assert await served.get("users") == []
        for writer in streams:
            writer.close()

    serve(work, Limits(connections=3))


NO_ONES = [
    b"Host: gateway",
    b"Host: localhost:8080",
    b"Host: 127.0.0.1:8080",
    b"Host: [::1]:8080",
    b"Host: [",
]
PAGES = [
    b"Host: localhost\r\nOrigin: http://localhost", b"Host: localhost\r\nOrigin: null",
    b"Host: x\r\nOrigin: ", b"Host: evil.example", b"Host: evil.example:8080", b"Host: evil.",
    b"Host: 127.0.0.1.evil.example", b"Host: 0x7f.1", b"Host: [evil.example]",
]  # fmt: skip


def test_no_web_page_asks_through_a_port_that_leads_here(serve):
    async def work(served):
        for head in PAGES:
            for what in (b"GET /v1/users", b"POST /v1/users/alice/unlock"):
                request = what + b" HTTP/1.1\r\nConnection: close\r\n" + head + b"\r\n\r\n"
                answer = await served.raw(request)
                assert (status(answer), body(answer)["kind"]) == (403, "denied"), head
        for head in NO_ONES:
            request = b"GET /v1/users HTTP/1.1\r\nConnection: close\r\n" + head + b"\r\n\r\n"
            assert status(await served.raw(request)) == 200, head
        await still_serves(served)

    serve(work)


HOSTILE_FIELDS = ["\\ud800", "\\u001b[2J", "\\u202e", "a" * 60_000]


def test_a_field_that_nobody_knows_is_told_and_does_nothing_to_a_terminal(serve):
    async def work(served):
        for name in HOSTILE_FIELDS:
            text = f'{{"name": "alice", "{name}": 1}}'.encode()
            head = HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(text)
            answer = await served.raw(head + text)
            assert (status(answer), body(answer)["kind"]) == (400, "invalid"), name[:20]
            assert body(answer)["cause"].isprintable()
            assert len(answer) < 1_500
        files = '{"main": "a", "files": {"a": "\\ud800", "b\\ud800": ""}}'
        for text in (f'{{"bundle": {files}}}', f'{{"bundle": {files}, "\\ud800": 1}}'):
            answer = await served.http.post(
                "/v1/policy/plan", content=text, headers={"Content-Type": "application/json"}
            )
            assert (answer.status_code, answer.json()["kind"]) == (400, "invalid")
        await still_serves(served)

    serve(work)


def test_websockets_are_not_spoken(serve):
    async def work(served):
        answer = await served.raw(
            GET + b"Connection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert status(answer) == 200

    serve(work)
