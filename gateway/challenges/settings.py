"""What an operator may set about challenges."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class ChallengeSettings:
    """Numbers are at least 1, except `drift_steps`; ValueError where something cannot be meant.

    `issuer`: whose codes they are, as an authenticator app shows it. `drift_steps`: how many steps of 30 s a
    user's clock may be off, either way. `setup_lifetime_s`: how long a set-up waits to be confirmed.
    `challenge_lifetime_s`: how long a question of a login waits for its answer. `recovery_codes`: how many a
    user gets.

    Of lockout (see `lockout`): `failures` from which on a device waits, `user_failures` of all devices
    together from which on the user does, `most_failures` after which a device waits for an administrator;
    `first_delay_s` doubles with each further failure up to `longest_delay_s`. A device whose last failure is
    `forget_s` ago counts no more for the user's sum.
    """

    issuer: str
    drift_steps: int = 1
    setup_lifetime_s: int = 600
    challenge_lifetime_s: int = 300
    recovery_codes: int = 10
    failures: int = 5
    user_failures: int = 20
    most_failures: int = 100
    first_delay_s: int = 30
    longest_delay_s: int = 3_600
    forget_s: int = 86_400

    def __post_init__(self) -> None:
        # A colon parts issuer and account in the label of an otpauth URI.
        if not self.issuer.strip() or ":" in self.issuer or not self.issuer.isprintable():
            raise ValueError("issuer: a name that prints, without a colon")
        # Each step more is one more code that is right at any time.
        if not 0 <= self.drift_steps <= 10:
            raise ValueError("drift_steps: 0 to 10")
        for field in fields(self):
            if field.name not in ("issuer", "drift_steps") and getattr(self, field.name) < 1:
                raise ValueError(f"{field.name}: at least 1")
        if not self.failures <= min(self.user_failures, self.most_failures):
            raise ValueError("failures: at most user_failures and most_failures")
        if self.first_delay_s > self.longest_delay_s:
            raise ValueError("first_delay_s: at most longest_delay_s")
