"""Tokens: which make sense, how their text is read, and when they go."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from identities import ADMIN, BEGIN, NOT_VALID, Node, held, key, on_a_node
from wardgate.gateway.errors import ExistsError, GatewayError, InvalidError, NotFoundError, RefusedError
from wardgate.gateway.identity import TokenText
from wardgate.gateway.ledger import verify
from wardgate.gateway.records import AUDIT

DAY = 86_400


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"uses": 0}, InvalidError),
        ({"uses": 10_001}, InvalidError),
        ({"lifetime_s": 0}, InvalidError),
        ({"lifetime_s": -5}, InvalidError),
        ({"lifetime_s": 367 * DAY}, InvalidError),
        ({"groups": ["group:nobody"]}, InvalidError),
        ({"groups": ["admins"]}, InvalidError),
        ({"addresses": ["10.9.0.1"]}, InvalidError),
        ({"addresses": ["10.8.0.2"]}, InvalidError),
        ({"addresses": ["10.9.0.2", "10.9.0.3"]}, InvalidError),
        ({"addresses": ["10.9.0.50"]}, ExistsError),
        ({"addresses": ["10.9.0.2"], "uses": 2}, InvalidError),
        ({"replaces": "bob/laptop", "uses": 2}, InvalidError),
        ({"replaces": "bob/laptop"}, InvalidError),
        ({"replaces": "alice/laptop"}, NotFoundError),
        ({"replaces": ""}, NotFoundError),
        ({"replaces": "bob/laptop", "addresses": ["10.9.0.2"]}, InvalidError),
    ],
)
def test_a_token_that_makes_no_sense(
    tmp_path: Path, options: dict[str, object], error: type[GatewayError]
) -> None:
    async def work(node: Node) -> None:
        await node.devices.add(ADMIN, "bob", "laptop", key(0), addresses=["10.9.0.50"])
        before = await held(node)
        with pytest.raises(error):
            await node.tokens.issue(ADMIN, "alice", **{"lifetime_s": DAY, **options})  # type: ignore[arg-type]
        assert await held(node) == before

    on_a_node(tmp_path, work)


def test_revoking_and_sweeping(tmp_path: Path) -> None:
    async def work(node: Node) -> None:
        for _ in range(100):
            await node.tokens.issue(ADMIN, "alice", lifetime_s=60)
        kept, _ = await node.tokens.issue(ADMIN, "alice", lifetime_s=61)
        assert await node.tokens.sweep("gateway") == 0
        node.clock.at = BEGIN + 60
        assert await node.tokens.sweep("gateway") == 100
        assert await node.tokens.list() == [kept]
        assert await node.tokens.revoke(ADMIN, kept.id) == kept
        for text in (kept.id, "", "../x", "\ud800", "a" * 10_000):
            with pytest.raises(NotFoundError):
                await node.tokens.revoke(ADMIN, text)
        assert verify(await node.ledger.records(AUDIT)).broken is None

    on_a_node(tmp_path, work)


@given(st.text(max_size=80) | st.from_regex(r"wg_[a-z2-7]{9,11}_[A-Za-z0-9_-]{42,44}\n?", fullmatch=True))
def test_a_tokens_text_is_read_strictly(text: str) -> None:
    try:
        parsed = TokenText.parse(text)
    except RefusedError as error:
        assert str(error) == NOT_VALID  # noqa: PT017 - both outcomes are right
    else:
        assert str(parsed) == text
        assert len(text) == 57


def test_a_token_that_expired_is_not_good_again_when_the_clock_is_put_back(tmp_path: Path) -> None:
    async def work(node: Node) -> None:
        _, text = await node.tokens.issue(ADMIN, "alice", lifetime_s=DAY)
        node.clock.at = BEGIN + DAY
        assert await node.tokens.sweep("gateway") == 1
        node.clock.at = BEGIN - 500
        with pytest.raises(RefusedError) as caught:
            await node.enrolment.enrol(text, "laptop", key(0))
        assert str(caught.value) == NOT_VALID
        # Nor does a clock that was wrong keep anybody from a new one.
        _, newer = await node.tokens.issue(ADMIN, "alice", lifetime_s=DAY)
        await node.enrolment.enrol(newer, "laptop", key(0))

    on_a_node(tmp_path, work)
