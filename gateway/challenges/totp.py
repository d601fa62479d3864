"""TOTP (RFC 6238): a code of six digits that an app makes of a secret and the time, new each 30 seconds."""

from __future__ import annotations

import hmac
import re
from typing import Final

import pyotp
from wardgate.gateway.challenges.methods import Accepted, Begun

STEP_S: Final = 30
"""Seconds that a code is shown (RFC 6238, 5.2)."""
_CODE: Final = re.compile(r" *(?:[0-9] *){6}")
_MOST_TYPED: Final = 64
_SECRET_CHARACTERS: Final = 32
"""Of base32: 20 bytes, as long as the hash (RFC 4226, 4 R6)."""
_GROUP: Final = 4


class Totp:
    """The method. `issuer` is shown in the app; codes of `drift_steps` steps before and after the present
    one are right too."""

    name = "totp"
    label = "Authenticator app"

    def __init__(self, issuer: str, drift_steps: int) -> None:
        self._issuer = issuer
        self._drift = drift_steps

    def begin(self, account: str) -> Begun:
        """See Method."""
        secret = pyotp.random_base32(_SECRET_CHARACTERS)
        uri = pyotp.TOTP(secret).provisioning_uri(name=account, issuer_name=self._issuer)
        groups = (secret[place : place + _GROUP] for place in range(0, len(secret), _GROUP))
        return Begun(secret.encode(), uri, " ".join(groups))

    def confirm(self, secret: bytes, answer: str, at: int) -> Accepted | None:
        """See Method. The code is spent by it."""
        return self.verify(secret, answer, 0, at)

    def verify(self, secret: bytes, answer: str, used: int, at: int) -> Accepted | None:
        """See Method. `used` is the last step whose code was accepted: it and those before are refused."""
        if len(answer) > _MOST_TYPED or not _CODE.fullmatch(answer):
            return None
        code = answer.replace(" ", "")
        totp = pyotp.TOTP(secret.decode(), interval=STEP_S)
        present = totp.timecode(at)
        steps = range(max(present - self._drift, 0), present + self._drift + 1)
        # All of them, whichever fits: the time that it takes does not tell.
        fitting = [step for step in steps if hmac.compare_digest(totp.generate_otp(step), code)]
        # The last: where two steps have the same code, it is spent for both.
        last = max(fitting, default=0)
        return Accepted(secret, last) if last > used else None
