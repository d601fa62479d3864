"""What people see of a gateway: the portal inside the tunnel, and the public page for enrolment.

`desk` is all that it needs of the rest. `portal_app` and `enrolment_app` are ASGI applications; `serving`
puts them on sockets.
"""

from wardgate.gateway.portal.desk import (
    Challenges,
    Desk,
    Enrolment,
    NeedsLoginEvent,
    PortalEvent,
    SessionEvent,
    SessionView,
)
from wardgate.gateway.portal.enrolment import enrolment_app
from wardgate.gateway.portal.limits import Rate
from wardgate.gateway.portal.portal import portal_app
from wardgate.gateway.portal.settings import EnrolmentSettings, PortalSettings

__all__ = [
    "Challenges",
    "Desk",
    "Enrolment",
    "EnrolmentSettings",
    "NeedsLoginEvent",
    "PortalEvent",
    "PortalSettings",
    "Rate",
    "SessionEvent",
    "SessionView",
    "enrolment_app",
    "portal_app",
]
