"""Changing the policy: a plan to look at, and the change itself, which the gate takes before it is stored."""

from __future__ import annotations

from collections.abc import Sequence

from wardgate.gateway.compiling.bundles import Bundle
from wardgate.gateway.compiling.plans import Plan, StalePlanError, confirm, planned
from wardgate.gateway.compiling.policies import Composed, check
from wardgate.gateway.control.views import PolicyInForce
from wardgate.gateway.enforcement.policy import PolicyKeeper, Source
from wardgate.gateway.enforcement.threads import Worker
from wardgate.gateway.errors import NotFoundError, RefusedError
from wardgate.gateway.policies.stored import StoredPolicies, check_tunnel
from wardgate.gateway.records import Policy


class Policies:
    """See control.operations.Policies, which this is. A policy is compiled, proved and given to the gate
    first, and stored only then: what the gate refuses is not stored. What ends in between is undone at the
    next start, since the store decides.
    """

    def __init__(self, stored: StoredPolicies, keeper: PolicyKeeper, worker: Worker) -> None:
        self._stored = stored
        self._keeper = keeper
        self._worker = worker

    async def show(self, number: int | None = None) -> PolicyInForce:
        """See control.operations.Policies."""
        applied = await self._stored.applied()
        policy, bundle = await self._stored.get(applied.number if number is None else number)
        return PolicyInForce(policy, bundle.files, policy.number == applied.number)

    async def history(self) -> Sequence[Policy]:
        """See control.operations.Policies."""
        return await self._stored.history()

    async def plan(self, bundle: Bundle) -> Plan:
        """See control.operations.Policies."""
        plan, _ = await self._plan(bundle)
        return plan

    async def apply(self, actor: str, bundle: Bundle, plan_digest: str) -> Policy:
        """See control.operations.Policies."""
        keeper = self._keeper
        async with keeper.turn:
            plan, composed = await self._plan(bundle)
            confirm(plan, plan_digest)
            if composed is None:
                raise AssertionError("a plan that is confirmed has a policy")
            before = keeper.composed
            await keeper.enforce(composed)
            try:
                policy = await self._stored.add(actor, bundle, plan.base, composed.policy.tunnel)
            except BaseException:
                await self._undo(before)
                raise
            keeper.replaced(Source(policy.number, bundle))
            return policy

    async def first(self, actor: str, bundle: Bundle) -> Policy:
        """Store the first policy, before there is a gate: `keeper.first` puts it in force. PolicyError,
        InvalidError, RefusedError where its tests or assertions fail."""
        composed = await self._keeper.composed_of(bundle)
        checked = await self._worker(check, composed)
        if checked.failures:
            raise RefusedError(
                "apply policy",
                bundle.main,
                "its tests or assertions fail:\n" + "\n".join(checked.failures),
                "mend what `wardgate check` says",
            )
        return await self._stored.add(actor, bundle, 0, composed.policy.tunnel)

    async def rollback(self, actor: str, number: int) -> Policy:
        """See control.operations.Policies."""
        keeper = self._keeper
        async with keeper.turn:
            applied = await self._stored.applied()
            if applied.number != number:
                raise StalePlanError(str(number), f"policy {applied.number} is in force")
            if not applied.previous:
                raise NotFoundError("roll back", "policy", "there was none before", "apply one instead")
            policy, bundle = await self._stored.get(applied.previous)
            composed, before = await keeper.composed_of(bundle), keeper.composed
            check_tunnel(composed.policy.tunnel, await self._stored.addresses())
            await keeper.enforce(composed)
            try:
                await self._stored.point(actor, policy.number, applied.number, composed.policy.tunnel)
            except BaseException:
                await self._undo(before)
                raise
            keeper.replaced(Source(policy.number, bundle))
            return policy

    async def _undo(self, before: Composed) -> None:
        """Put the policy in force that the store has; where that fails too, the keeper goes on trying."""
        self._keeper.changed(0, inputs=True)
        await self._keeper.enforce(before)

    async def _plan(self, bundle: Bundle) -> tuple[Plan, Composed | None]:
        keeper, addresses = self._keeper, await self._stored.addresses()

        def composed() -> Composed:
            found = keeper.compose_now(bundle)
            check_tunnel(found.policy.tunnel, addresses)
            return found

        return await self._worker(planned, keeper.number, keeper.composed, bundle, composed)
