"""The portal's pages about the second factor itself: setting one up, and new recovery codes."""

from __future__ import annotations

import logging
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from wardgate.gateway.errors import InvalidError, RefusedError
from wardgate.gateway.portal.browsers import Notice, PendingSetup
from wardgate.gateway.portal.desk import AUTHORISED, Desk
from wardgate.gateway.portal.limits import Limiter
from wardgate.gateway.portal.logins import LoginForms
from wardgate.gateway.portal.methods import page_of
from wardgate.gateway.portal.visits import Turned, Visit, Visits, bad
from wardgate.gateway.records import Device

_log: Final = logging.getLogger("wardgate.gateway.portal")


class Factors:
    """Endpoints. `tries`: how often a device may try a code, of whatever kind."""

    def __init__(self, desk: Desk, visits: Visits, forms: LoginForms, tries: Limiter) -> None:
        self._desk = desk
        self._visits = visits
        self._forms = forms
        self._tries = tries

    async def setup_page(self, request: Request) -> Response:
        """Begin a set-up, or go on with the one that this browser began."""
        visit = await self._visits.look(request)
        await self._refuse_setup(visit.device)
        pending = visit.browser.setup
        if pending is None:
            return self._visits.page(visit, "setup.html", methods=self._desk.challenges.methods)
        label = next(
            (m.label for m in self._desk.challenges.methods if m.name == pending.method), pending.method
        )
        return self._visits.page(
            visit, "setup_confirm.html", pending=pending, label=label, page=page_of(pending.method)
        )

    async def begin_setup(self, request: Request) -> Response:
        """Have a secret made."""
        visit = await self._visits.act(request)
        await self._refuse_setup(visit.device)
        self._visits.limit(self._tries, visit.device)
        name = visit.fields.get("method", "")
        if name not in {method.name for method in self._desk.challenges.methods}:
            raise InvalidError(
                "set up", "method", "there is no such method", "choose one that the page offers"
            )
        user = visit.device.user
        try:
            setup = await self._desk.challenges.begin_setup(f"device:{visit.device.id}", user, name)
        except RefusedError as error:
            return self._visits.onward(visit, "/", bad(error))
        visit.browser.setup = PendingSetup(name, setup.uri, setup.secret)
        return self._visits.onward(visit, "/setup", None)

    async def confirm_setup(self, request: Request) -> Response:
        """See that it works. The recovery codes are in this answer and nowhere else: kept for a redirect,
        they would be in memory for whoever comes next."""
        visit = await self._visits.act(request)
        await self._refuse_setup(visit.device)
        self._visits.limit(self._tries, visit.device)
        pending = visit.browser.setup
        if pending is None:
            return self._visits.onward(visit, "/setup", Notice("bad", "Begin again: this took too long."))
        code = page_of(pending.method).tidy(visit.fields.get("code", ""))
        try:
            codes = await self._desk.challenges.confirm_setup(visit.device.user, pending.method, code)
        except (RefusedError, InvalidError) as error:
            return self._visits.onward(visit, "/setup", bad(error))
        self._visits.renew(visit)
        return self._visits.page(visit, "codes.html", codes=codes, renewed=False)

    async def recovery_page(self, request: Request) -> Response:
        """The form for new recovery codes."""
        visit = await self._visits.look(request)
        await self._refuse_renewal(visit)
        values = await self._forms.renewal_values(visit, request.query_params.get("method"))
        return self._visits.page(visit, "recovery.html", **values)

    async def renew_recovery(self, request: Request) -> Response:
        """Make them, for a code of the method. They are in this answer only, as those of a set-up."""
        visit = await self._visits.act(request)
        await self._refuse_renewal(visit)
        device = visit.device
        self._visits.limit(self._tries, device)
        method = await self._forms.chosen(device, visit.fields.get("method", ""))
        code = page_of(method.name).tidy(visit.fields.get("code", ""))
        visit.browser.login = None
        try:
            codes = await self._desk.challenges.renew_recovery(
                device.user, method.name, code, device=device.id, ticket=visit.fields.get("ticket", "")
            )
        except (RefusedError, InvalidError) as error:
            _log.info("recovery codes refused", extra={"device": device.id, "user": device.user})
            return self._visits.onward(visit, f"/recovery?method={method.name}", bad(error))
        _log.info("recovery codes renewed", extra={"device": device.id, "user": device.user})
        self._visits.renew(visit)
        return self._visits.page(visit, "codes.html", codes=codes, renewed=True)

    async def _refuse_setup(self, device: Device) -> None:
        """Who has a second factor may not replace it by what a device alone proves; and a locked device
        proves nothing."""
        if device.locked:
            raise Turned(self._visits.message("This device is locked", "Ask your administrator.", 403))
        if await self._desk.challenges.methods_of(device.user):
            text = "You have a second factor. To replace it, ask your administrator to reset it."
            raise Turned(self._visits.message("This is set up already", text, 403))

    async def _refuse_renewal(self, visit: Visit) -> None:
        """Only who is logged in makes new recovery codes, and only who has set up what they stand in for."""
        if visit.device.locked or (await self._desk.session(visit.device.id)).state != AUTHORISED:
            text = "New recovery codes are made while you are logged in."
            raise Turned(self._visits.message("Log in first", text, 403))
        if not await self._forms.own(visit.device):
            text = "Recovery codes stand in for a second factor that was set up here. You have none."
            raise Turned(self._visits.message("There are no recovery codes", text, 403))
