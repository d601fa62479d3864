"""What an operator decides about a gateway: gateway.yaml, and the files that `init` makes."""

from wardgate.gateway.settings.model import (
    Client,
    Control,
    Enrolment,
    Log,
    Login,
    Names,
    Network,
    Portal,
    Roaming,
    Sessions,
    Settings,
    Tls,
)
from wardgate.gateway.settings.read import read_settings

__all__ = [
    "Client",
    "Control",
    "Enrolment",
    "Log",
    "Login",
    "Names",
    "Network",
    "Portal",
    "Roaming",
    "Sessions",
    "Settings",
    "Tls",
    "read_settings",
]
