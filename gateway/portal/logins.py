"""The form of a login: which methods it offers, and what it asks. New recovery codes take the same form."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from wardgate.gateway.errors import InvalidError
from wardgate.gateway.portal.browsers import PendingLogin
from wardgate.gateway.portal.desk import Challenges, MethodView
from wardgate.gateway.portal.methods import RecoveryMethod, page_of
from wardgate.gateway.portal.visits import Visit
from wardgate.gateway.records import Device


class LoginForms:
    """Made anew for each page, by what is so at the moment."""

    def __init__(self, challenges: Challenges) -> None:
        self._challenges = challenges

    async def values(self, visit: Visit, wanted: str | None, *, renews: bool) -> dict[str, Any]:
        """What `_login.html` needs for a login; `wanted`: a method's name, if one was chosen. `renews`: a
        session that goes on."""
        user = visit.device.user
        offered: list[MethodView] = [*await self._challenges.methods_of(user)]
        if offered and await self._challenges.recovery_left(user):
            offered.append(RecoveryMethod())
        values = {"action": "/login", "verb": "Renew" if renews else "Log in"}
        return {**values, **await self._form(visit, offered, wanted)}

    async def renewal_values(self, visit: Visit, wanted: str | None) -> dict[str, Any]:
        """The same for new recovery codes."""
        values = {"action": "/recovery", "verb": "Make new codes"}
        return {**values, **await self._form(visit, await self.own(visit.device), wanted)}

    async def own(self, device: Device) -> list[MethodView]:
        """What its user has set up here."""
        settable = {method.name for method in self._challenges.methods}
        return [one for one in await self._challenges.methods_of(device.user) if one.name in settable]

    async def chosen(self, device: Device, name: str) -> MethodView:
        """The user's method of this name, or recovery codes; InvalidError."""
        for method in [*await self._challenges.methods_of(device.user), RecoveryMethod()]:
            if method.name == name:
                return method
        raise InvalidError("log in", "method", "you have no such method", "choose one that the page offers")

    async def _form(self, visit: Visit, offered: Sequence[MethodView], wanted: str | None) -> dict[str, Any]:
        state = await self._challenges.state(visit.device.user, visit.device.id)
        now = time.time()
        chosen = next((one for one in offered if one.name == wanted), offered[0] if offered else None)
        return {
            "now": now,
            "locked_until": state.locked_until if state.locked_until > now else 0,
            "method": chosen,
            "others": [one for one in offered if one is not chosen],
            "page": page_of(chosen.name) if chosen else None,
            "poses": chosen is not None and chosen.name in self._challenges.posing,
            "pending": _pending(visit, chosen, now),
        }


def _pending(visit: Visit, method: MethodView | None, now: float) -> PendingLogin | None:
    """The login that was begun in this browser by the method, if it can still be answered."""
    pending = visit.browser.login
    if pending is None or method is None or pending.method != method.name or pending.expires <= now:
        return None
    return pending
