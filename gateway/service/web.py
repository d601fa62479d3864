"""The portal and the enrolment page, on their sockets."""

from __future__ import annotations

from contextlib import AsyncExitStack

from wardgate.gateway.portal import Desk, EnrolmentSettings, PortalSettings, enrolment_app, portal_app
from wardgate.gateway.portal.serving import IN_TUNNEL, PUBLIC, Server, Tls, listen
from wardgate.gateway.settings import Settings
from wardgate.gateway.settings import Tls as TlsFiles


class Web:
    """Serves from `__aenter__` to `__aexit__`. ListenError, TlsError."""

    def __init__(self, desk: Desk, settings: Settings) -> None:
        self._desk = desk
        self._settings = settings
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Web:
        try:
            await self._portal()
            await self._enrolment()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _portal(self) -> None:
        settings, portal = self._settings, self._settings.portal
        addresses = [str(address.ip) for address in settings.addresses]
        sockets = [listen(address, portal.port, device=settings.interface) for address in addresses]
        app = portal_app(self._desk, PortalSettings((*portal.names, *addresses), tls=portal.tls is not None))
        await self._stack.enter_async_context(Server(app, sockets, IN_TUNNEL, tls=_tls(portal.tls)))

    async def _enrolment(self) -> None:
        enrolment = self._settings.enrolment
        if enrolment is None:
            return
        sockets = [listen(str(address), port) for address, port in enrolment.listen]
        names = enrolment.names or (self._settings.endpoint.rpartition(":")[0].strip("[]"),)
        app = enrolment_app(
            self._desk,
            EnrolmentSettings(
                names, tls=enrolment.tls is not None, trusted_proxies=enrolment.trusted_proxies
            ),
        )
        await self._stack.enter_async_context(Server(app, sockets, PUBLIC, tls=_tls(enrolment.tls)))


def _tls(files: TlsFiles | None) -> Tls | None:
    return None if files is None else Tls(files.certificate, files.key)
