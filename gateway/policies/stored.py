"""Policies in the store: their texts, in parts, and which one is in force."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from wardgate.gateway.compiling.bundles import Bundle
from wardgate.gateway.compiling.stored import bundle_of_parts, stored_parts
from wardgate.gateway.errors import NotFoundError, RefusedError
from wardgate.gateway.ledger import Change, Ledger
from wardgate.gateway.records import APPLIED, POLICIES, POLICY_PARTS, Applied, Policy, PolicyPart
from wardgate.gateway.store import MOST_OPERATIONS

_ONE: Final = "policy"
_KEPT: Final = 50
"""Policies that are kept with their text, the latest ones."""
_SPARE: Final = 16
"""Operations of a transaction that are not parts of a text."""


def _number(number: int) -> str:
    return f"{number:010}"


class StoredPolicies:
    """The policies of a ledger's store. Whoever changes which one is in force has told the gate before, so
    that no change here waits to be in force."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def applied(self) -> Applied:
        """Which is in force; number 0: none yet."""
        return await self._ledger.get(APPLIED, _ONE) or Applied(0, 0)

    async def history(self) -> Sequence[Policy]:
        """All that are known, the latest last."""
        return await self._ledger.records(POLICIES)

    async def get(self, number: int) -> tuple[Policy, Bundle]:
        """A policy and its text; NotFoundError, CorruptError."""
        policy = await self._ledger.get(POLICIES, _number(number))
        if policy is None:
            raise NotFoundError(
                "read policy",
                str(number),
                "there is no policy with this number",
                "`wardgate gateway policy history` lists them",
            )
        parts = await self._ledger.records(POLICY_PARTS, _number(number))
        return policy, bundle_of_parts([part.data for part in parts], policy.digest)

    async def add(self, actor: str, bundle: Bundle, base: int) -> Policy:
        """Store a policy as the one in force, in place of number `base`. RefusedError where another one
        is."""
        parts = stored_parts(bundle)
        if len(parts) > MOST_OPERATIONS - _SPARE:
            raise RefusedError(
                "store policy",
                bundle.main,
                "it is too large for the store",
                "leave out comments, or split it",
            )

        async def work(change: Change) -> Policy:
            before = await _before(change, base)
            known = await change.records(POLICIES)
            number = max((policy.number for policy in known), default=0) + 1
            if await change.get(POLICIES, _number(number)) is not None:
                raise RefusedError("apply policy", "", "another node applied one", "plan it again")
            policy = Policy(
                number,
                bundle.main,
                tuple(sorted(bundle.files)),
                len(parts),
                bundle.digest,
                change.at,
                change.actor,
            )
            change.put(POLICIES, policy, _number(number))
            for place, part in enumerate(parts):
                change.put(POLICY_PARTS, PolicyPart(part), _number(number), _number(place))
            change.put(APPLIED, Applied(number, before.number), _ONE)
            change.tell("applied policy", str(number), digest=bundle.digest, previous=str(before.number))
            return policy

        policy = await self._ledger.run(actor, work, settled=False)
        await self._tidy(policy.number)
        return policy

    async def point(self, actor: str, number: int, base: int) -> None:
        """Have a policy that is known be the one in force, in place of number `base`."""

        async def work(change: Change) -> None:
            before = await _before(change, base)
            if await change.get(POLICIES, _number(number)) is None:
                raise NotFoundError("roll back", str(number), "it is no longer known", "apply its file")
            change.put(APPLIED, Applied(number, before.number), _ONE)
            change.tell("rolled back policy", str(number), previous=str(before.number))

        await self._ledger.run(actor, work, settled=False)

    async def _tidy(self, latest: int) -> None:
        """Forget policies of long ago, but never one that is in force or next to be."""
        applied = await self.applied()
        for policy in await self.history():
            if policy.number > latest - _KEPT or policy.number in (applied.number, applied.previous):
                continue

            async def work(change: Change, policy: Policy = policy) -> None:
                change.delete(POLICIES, _number(policy.number))
                for place in range(policy.parts):
                    change.delete(POLICY_PARTS, _number(policy.number), _number(place))

            await self._ledger.run("gateway", work, settled=False)


async def _before(change: Change, base: int) -> Applied:
    before = await change.get(APPLIED, _ONE) or Applied(0, 0)
    if before.number != base:
        raise RefusedError(
            "apply policy",
            "",
            f"policy {before.number} is in force, not {base} any more",
            "look at what would change, and apply again",
        )
    return before
