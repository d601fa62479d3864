"""Policies in the store: their texts, in parts, and which one is in force."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from wardgate.gateway.compiling.bundles import Bundle
from wardgate.gateway.compiling.stored import bundle_of_parts, stored_parts
from wardgate.gateway.errors import GatewayError, InvalidError, NotFoundError, RefusedError
from wardgate.gateway.ledger import Change, Ledger
from wardgate.gateway.records import (
    ADDRESSES,
    APPLIED,
    POLICIES,
    POLICY_PARTS,
    Applied,
    Policy,
    PolicyPart,
)
from wardgate.gateway.store import MOST_OPERATIONS, StoreError
from wardgate.runtime.addresses import parse_address

Network = IPv4Network | IPv6Network

_log = logging.getLogger("wardgate.gateway.policy")
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

    async def addresses(self) -> Sequence[str]:
        """All tunnel addresses that devices have."""
        found = (await self._ledger.store.snapshot(ADDRESSES.prefix)).entries
        return [ADDRESSES.names(entry.key)[0] for entry in found]

    async def add(self, actor: str, bundle: Bundle, base: int, tunnel: Sequence[Network]) -> Policy:
        """Store a policy as the one in force, in place of number `base`. RefusedError where another one is;
        InvalidError where a device is outside of its `tunnel`."""
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
            check_tunnel(tunnel, [address for (address,) in await change.names(ADDRESSES)])
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
        try:
            await self._tidy(policy.number)
        except (GatewayError, StoreError) as error:
            # It is in force and stored: what is left over goes with the next one.
            _log.warning("old policies stay for now: %s", error)
        return policy

    async def point(self, actor: str, number: int, base: int, tunnel: Sequence[Network]) -> None:
        """Have a policy that is known be the one in force, in place of number `base`; as `add`."""

        async def work(change: Change) -> None:
            before = await _before(change, base)
            check_tunnel(tunnel, [address for (address,) in await change.names(ADDRESSES)])
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
                found = await change.get(APPLIED, _ONE)
                if found is None or policy.number in (found.number, found.previous):
                    return
                change.delete(POLICIES, _number(policy.number))
                for place in range(policy.parts):
                    change.delete(POLICY_PARTS, _number(policy.number), _number(place))

            await self._ledger.run("gateway", work, settled=False)


def check_tunnel(tunnel: Sequence[Network], addresses: Iterable[str]) -> None:
    """InvalidError unless all of these addresses, which devices have, are in the policy's `tunnel`: a gate
    takes no others, and one that it does not take would keep it from every other change."""
    ranges = [(int(one.network_address), int(one.broadcast_address), one.version) for one in tunnel]
    for text in addresses:
        address = parse_address(text)
        number, version = int(address), address.version
        if not any(first <= number <= last and version == its for first, last, its in ranges):
            raise InvalidError(
                "compose policy",
                text,
                f"a device has {text}, which is outside of the policy's tunnel"
                f" ({', '.join(map(str, tunnel)) or 'none'})",
                "keep its prefix in `tunnel`, or remove the device first",
            )


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
