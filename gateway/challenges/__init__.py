"""The second factor of logins: its methods, recovery codes, lockout, and the sealing of secrets.

    sealer = Sealer.open(path)
    challenges = Challenges(ledger, sealer, [Totp(settings.issuer, settings.drift_steps)], settings)
    proof = await challenges.verify("alice", "totp", "123456", device=device.id)

`Challenges` is all that others need, `forget_device` for who removes one, and `Sealer` for secrets of their
own. A method is whatever has the form of `methods.Method`.
"""

from wardgate.gateway.challenges.challenges import Challenges, forget_device
from wardgate.gateway.challenges.errors import KeyFileError, LockedError
from wardgate.gateway.challenges.methods import Accepted, Begun, Method, Setup
from wardgate.gateway.challenges.proof import Proof
from wardgate.gateway.challenges.sealing import Sealer
from wardgate.gateway.challenges.settings import ChallengeSettings
from wardgate.gateway.challenges.state import DeviceState, MethodState, UserState
from wardgate.gateway.challenges.totp import Totp

__all__ = [
    "Accepted",
    "Begun",
    "ChallengeSettings",
    "Challenges",
    "DeviceState",
    "KeyFileError",
    "LockedError",
    "Method",
    "MethodState",
    "Proof",
    "Sealer",
    "Setup",
    "Totp",
    "UserState",
    "forget_device",
]
