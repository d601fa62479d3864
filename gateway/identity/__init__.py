"""Who may have a tunnel: users, their devices, the tokens by which devices come, and their configurations.

Nothing here knows of WireGuard or of the gate: it decides what is stored, in transactions that hold on
every node of a cluster. Who enforces it follows the store.
"""

from wardgate.gateway.identity.configuration import (
    PRIVATE_KEY_LINE,
    ClientConfiguration,
    ClientSettings,
    Configurations,
)
from wardgate.gateway.identity.devices import Devices, Keyed, preshared_context
from wardgate.gateway.identity.enrolment import Enrolled, Enrolment
from wardgate.gateway.identity.keys import KeyPair, new_pair, public_key_of
from wardgate.gateway.identity.pools import Pools
from wardgate.gateway.identity.qr import qr_svg, qr_terminal
from wardgate.gateway.identity.tokens import Tokens, TokenText
from wardgate.gateway.identity.users import Users

__all__ = [
    "PRIVATE_KEY_LINE",
    "ClientConfiguration",
    "ClientSettings",
    "Configurations",
    "Devices",
    "Enrolled",
    "Enrolment",
    "KeyPair",
    "Keyed",
    "Pools",
    "TokenText",
    "Tokens",
    "Users",
    "new_pair",
    "preshared_context",
    "public_key_of",
    "qr_svg",
    "qr_terminal",
]
