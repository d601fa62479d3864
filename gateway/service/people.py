"""The parts of a gateway that are about people: users, devices, enrolment, second factors, configurations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from wardgate.gateway.challenges import Challenges, ChallengeSettings, Sealer, Totp
from wardgate.gateway.enforcement import PolicyKeeper
from wardgate.gateway.identity import ClientSettings, Configurations, Devices, Enrolment, Pools, Tokens, Users
from wardgate.gateway.ledger import Ledger
from wardgate.gateway.metrics import Counters
from wardgate.gateway.service.counting import CountedChallenges, CountedEnrolment
from wardgate.gateway.settings import Settings
from wardgate.gateway.settings.model import Prefix
from wardgate.gateway.settings.pages import portal_page

_MOST_FAILURES: Final = 100
"""Failed logins in a row after which a device waits for an administrator."""
_DEVICES: Final = 4
"""How many times as many failures as a device's have all devices of a user wait."""


class People:
    """Made of the store's ledger and the settings. `own_key`: the gateway's public key. Addresses for devices
    are there after `place`."""

    def __init__(
        self,
        ledger: Ledger,
        sealer: Sealer,
        keeper: PolicyKeeper,
        counters: Counters,
        settings: Settings,
        own_key: str,
    ) -> None:
        self._networks = [address.network for address in settings.addresses]
        self._own = [str(address.ip) for address in settings.addresses]
        self.users = Users(ledger, lambda: keeper.composed.groups)
        pools = Pools.of([], self._own)
        self.devices = Devices(ledger, self.users, pools, own_keys={own_key}, seal=sealer.seal)
        self.tokens = Tokens(ledger, self.users, self.devices)
        self.enrolment = CountedEnrolment(Enrolment(ledger, self.users, self.devices, self.tokens), counters)
        limits = _challenge_settings(settings)
        totp = Totp(limits.issuer, limits.drift_steps)
        self.challenges = CountedChallenges(Challenges(ledger, sealer, [totp], limits), counters)
        self.configurations = Configurations(
            _client_settings(settings, self._own),
            own_key,
            lambda user: map(str, keeper.composed.reachable(user)),
            sealer.unseal,
        )

    def place(self, tunnel: Iterable[Prefix]) -> None:
        """Give addresses to new devices where both the policy's tunnel and the interface's networks are: any
        other would be nobody's to the gate, or have no route."""
        found = [
            str(one if one.prefixlen >= other.prefixlen else other)
            for one in tunnel
            for other in self._networks
            if one.version == other.version and one.overlaps(other)
        ]
        pools = Pools.of(found, self._own)
        if pools != self.devices.pools:
            self.devices.pools = pools


def _challenge_settings(settings: Settings) -> ChallengeSettings:
    login = settings.login
    return ChallengeSettings(
        login.issuer,
        failures=login.attempts,
        user_failures=_DEVICES * login.attempts,
        most_failures=max(_MOST_FAILURES, login.attempts),
        first_delay_s=login.delay,
        longest_delay_s=max(login.delay, login.longest_delay),
    )


def _client_settings(settings: Settings, own: Iterable[str]) -> ClientSettings:
    client = settings.client
    return ClientSettings(
        settings.endpoint,
        portal=tuple(own),
        login_url=portal_page(settings),
        dns=tuple(map(str, client.dns)),
        mtu=client.mtu,
        keepalive=client.keepalive,
        allowed_ips=None if client.allowed_ips is None else tuple(map(str, client.allowed_ips)),
    )
