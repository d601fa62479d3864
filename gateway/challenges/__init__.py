"""The second factor of logins: its methods, recovery codes, lockout, and the sealing of secrets.

    sealer = Sealer.open(path)
    challenges = Challenges(ledger, sealer, [Totp(settings.issuer, settings.drift_steps)], settings)
    proof = await challenges.verify("alice", "totp", "123456", device=device.id)

`Challenges` is all that others need, `forget_device` for who removes one, and `Sealer` for secrets of their
own. A method is whatever has one of the forms in `methods`.
"""

from wardgate.gateway.challenges.challenges import Challenges
from wardgate.gateway.challenges.errors import KeyFileError, LockedError
from wardgate.gateway.challenges.failures import forget_device
from wardgate.gateway.challenges.methods import (
    Accepted,
    Begun,
    Challenge,
    Method,
    Named,
    PosingMethod,
    PosingRemoteMethod,
    Question,
    RemoteMethod,
    Setup,
)
from wardgate.gateway.challenges.proof import Proof
from wardgate.gateway.challenges.sealing import Sealer
from wardgate.gateway.challenges.settings import ChallengeSettings
from wardgate.gateway.challenges.state import DeviceState, MethodState, UserState
from wardgate.gateway.challenges.totp import Totp

__all__ = [
    "Accepted",
    "Begun",
    "Challenge",
    "ChallengeSettings",
    "Challenges",
    "DeviceState",
    "KeyFileError",
    "LockedError",
    "Method",
    "MethodState",
    "Named",
    "PosingMethod",
    "PosingRemoteMethod",
    "Proof",
    "Question",
    "RemoteMethod",
    "Sealer",
    "Setup",
    "Totp",
    "UserState",
    "forget_device",
]
