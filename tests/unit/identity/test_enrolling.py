"""Any sequence of tokens and enrolments on two nodes goes as a model of a few lines says."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule
from identities import ADMIN, GATEWAY_KEY, Clock, key, node_on
from store_machine import StoreMachine
from wardgate.gateway.errors import GatewayError, NotFoundError, RefusedError
from wardgate.gateway.identity import TokenText
from wardgate.gateway.ledger import verify
from wardgate.gateway.records import AUDIT, DEVICES, TOKENS


class Enrolling(StoreMachine):
    """Two nodes, tokens that are issued, used at once, revoked and outlived; a model counts their uses."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.nodes = [node_on(self.store, self.clock) for _ in range(2)]
        self.numbers = itertools.count()
        self.left: dict[str, int] = {}
        self.expires: dict[str, float] = {}
        self.owner: dict[str, str] = {}
        self.locked: set[str] = set()
        self.enrolled: dict[str, int] = {"alice": 0, "bob": 0}

    @rule(user=st.sampled_from(["alice", "bob"]), uses=st.integers(1, 4), lifetime=st.integers(1, 100))
    def issue(self, user: str, uses: int, lifetime: int) -> None:
        work = self.nodes[0].tokens.issue(ADMIN, user, uses=uses, lifetime_s=lifetime)
        if user in self.locked:
            with pytest.raises(RefusedError):
                self.run(work)
            return
        _, text = self.run(work)
        self.left[text], self.expires[text] = uses, self.clock.at + lifetime
        self.owner[text] = user

    def token(self, which: int) -> str:
        """One of those that were issued. What is drawn does not depend on their texts, which are random."""
        return list(self.left)[which % len(self.left)]

    @precondition(lambda self: self.left)
    @rule(which=st.integers(0, 1_000), count=st.integers(1, 5), taken=st.booleans())
    def enrol(self, which: int, count: int, taken: bool) -> None:
        """Several at once, on both nodes; with a key that another has, none of them."""
        text = self.token(which)
        user = self.owner[text]
        fresh = [next(self.numbers) for _ in range(count)]

        async def race() -> list[object]:
            calls = [
                self.nodes[number % 2].enrolment.enrol(
                    text, f"d{number}", GATEWAY_KEY if taken else key(number)
                )
                for number in fresh
            ]
            return list(await asyncio.gather(*calls, return_exceptions=True))

        results = self.run(race())
        won = [result for result in results if not isinstance(result, BaseException)]
        assert all(isinstance(result, GatewayError) for result in results if result not in won)
        admits = self.clock.at < self.expires[text] and user not in self.locked and not taken
        assert len(won) == (min(count, self.left[text]) if admits else 0)
        self.left[text] -= len(won)
        self.enrolled[user] += len(won)

    @precondition(lambda self: self.left)
    @rule(which=st.integers(0, 1_000))
    def revoke(self, which: int) -> None:
        text = self.token(which)
        work = self.nodes[1].tokens.revoke(ADMIN, TokenText.parse(text).id)
        if self.left[text]:
            self.run(work)
        else:
            with pytest.raises(NotFoundError):
                self.run(work)
        self.left[text] = 0

    @rule(seconds=st.integers(1, 60))
    def wait(self, seconds: int) -> None:
        self.clock.at += seconds

    @rule()
    def sweep(self) -> None:
        expired = [text for text, at in self.expires.items() if self.clock.at >= at and self.left[text]]
        assert self.run(self.nodes[0].tokens.sweep("gateway")) == len(expired)
        for text in expired:
            self.left[text] = 0

    @rule(user=st.sampled_from(["alice", "bob"]))
    def lock_or_unlock(self, user: str) -> None:
        users = self.nodes[0].users
        if user not in self.owner.values():
            return
        self.run(users.unlock(ADMIN, user) if user in self.locked else users.lock(ADMIN, user))
        self.locked ^= {user}

    @invariant()
    def store_and_model_agree(self) -> None:
        ledger = self.nodes[0].ledger
        devices = self.run(ledger.records(DEVICES))
        for user, count in self.enrolled.items():
            assert sum(device.user == user for device in devices) == count
        stored = {token.id: token.uses for token in self.run(ledger.records(TOKENS))}
        assert stored == {TokenText.parse(text).id: uses for text, uses in self.left.items() if uses}
        assert verify(self.run(ledger.records(AUDIT))).broken is None


TestEnrolling = Enrolling.TestCase
TestEnrolling.settings = settings(max_examples=12, stateful_step_count=20, deadline=None)
