"""Where people find the gateway's two web pages."""

from __future__ import annotations

from typing import Final

from wardgate.gateway.settings.model import Settings

_USUAL: Final = {"http": 80, "https": 443}


def portal_page(settings: Settings) -> str:
    """Where people log in: by the portal's first name, or its first address."""
    portal = settings.portal
    host = portal.names[0] if portal.names else str(settings.addresses[0].ip)
    return f"{_origin('https' if portal.tls else 'http', host, portal.port)}/"


def enrolment_page(settings: Settings) -> str:
    """Where people enrol a device, by the page's first name; empty where there is no page. A proxy in front
    is taken to have HTTPS, at its usual port."""
    enrolment = settings.enrolment
    if enrolment is None:
        return ""
    host = enrolment.names[0] if enrolment.names else settings.endpoint.rpartition(":")[0].strip("[]")
    if enrolment.tls is None and enrolment.trusted_proxies:
        return f"{_origin('https', host, _USUAL['https'])}/enrol"
    return f"{_origin('https' if enrolment.tls else 'http', host, enrolment.listen[0][1])}/enrol"


def _origin(scheme: str, host: str, port: int) -> str:
    if ":" in host:
        host = f"[{host}]"
    return f"{scheme}://{host}" + ("" if port == _USUAL[scheme] else f":{port}")
