"""Traces: the packets that a benchmark replays, each of them one that the policy lets pass.

A tuple is (device, remote address, source port, destination port). Devices, of which each has a user
of its own in one of the policy classes, have addresses one after another, as a gateway hands them out.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from itertools import accumulate, islice
from typing import Final, Literal, NamedTuple

from wardgate.compiler.language.model import MAX_PORT, TCP, Everything, Packet, Policy, Ports, Prefix, Rule
from wardgate.compiler.semantics.effective import UserClass, user_classes
from wardgate.compiler.semantics.evaluator import Evaluator
from wardgate.compiler.semantics.reference import matching_rules, verdict_of
from wardgate.runtime.layout.codes import Verdict

from benchmarks.policies import TUNNEL4, TUNNEL6, GeneratedPolicy

Order = Literal["uniform", "zipf"]
ORDERS: Final[tuple[Order, ...]] = ("uniform", "zipf")

_EVERY_PASS: Final = frozenset({Verdict.ALLOW, Verdict.MFA})
_FRUITLESS: Final = 20_000
_ASIDE: Final = 0.3
_NOWHERE: Final[dict[int, Prefix]] = {4: IPv4Network("192.0.2.0/24"), 6: IPv6Network("2001:db8::/64")}
"""For documentation (RFC 5737, RFC 3849): no policy has them."""


class TraceError(Exception):
    """The policy lets nothing pass of what the trace shall have."""


class Tuple(NamedTuple):
    """One packet: `device` counts from 0, ports are numbers."""

    device: int
    remote: int
    source_port: int
    port: int


@dataclass(frozen=True, slots=True)
class Trace:
    """Tuples of one IP version and protocol, in the order of replay."""

    version: int
    protocol: int
    tuples: tuple[Tuple, ...]

    def records(self) -> bytes:
        """The tuples as `struct tuple` of replay.c has them: addresses and ports in network order."""
        if self.version == 4:
            base = int(TUNNEL4.network_address) + 1
            pack = struct.Struct(">IIHHI").pack
            return b"".join(pack(base + t.device, t.remote, t.source_port, t.port, 0) for t in self.tuples)
        head = TUNNEL6.network_address.packed[:8]
        tail = struct.Struct(">Q16sHHI").pack
        return b"".join(
            head + tail(t.device + 1, t.remote.to_bytes(16, "big"), t.source_port, t.port, 0)
            for t in self.tuples
        )


def device_address(version: int, device: int) -> IPv4Address | IPv6Address:
    """The tunnel address of a device."""
    return (TUNNEL4 if version == 4 else TUNNEL6)[device + 1]


def class_of(device: int, users: Sequence[str]) -> str:
    """The user, named by the policy, whose policy class the device's user has."""
    return users[device % len(users)]


Kind = tuple[int, int, frozenset[Verdict]]
"""IP version, protocol, and the verdicts that packets shall have."""


class TraceMaker:
    """Draws traces for a policy and a number of devices."""

    def __init__(self, generated: GeneratedPolicy, devices: int, seed: int = 1) -> None:
        self._users = generated.users
        self._devices = devices
        self._random = random.Random(seed)  # noqa: S311 - the same numbers each time are what is wanted
        self._evaluator = Evaluator(generated.policy)
        self._drawable = _Drawable(generated.policy)
        self._drawn: dict[Kind, dict[Tuple, None]] = {}
        self._numbers: dict[tuple[int, ...], int] = {}
        self._verdicts: dict[tuple[int, int, int, int], Verdict] = {}

    def draw(
        self,
        version: int,
        distinct: int,
        order: Order = "uniform",
        *,
        protocol: int = TCP,
        verdicts: frozenset[Verdict] = _EVERY_PASS,
    ) -> Trace:
        """A trace of `distinct` tuples, as long. `uniform`: each once, in random order. `zipf`: drawn
        with weights that fall as 1/rank, so that some come often and some may not come at all.

        Shorter traces are beginnings of longer ones. TraceError where the policy has no such packets.
        """
        known = self._drawn.setdefault((version, protocol, verdicts), {})
        self._extend(known, distinct, (version, protocol, verdicts))
        tuples = list(islice(known, distinct))
        if order == "zipf":
            weights = list(accumulate(1 / rank for rank in range(1, distinct + 1)))
            tuples = self._random.choices(tuples, cum_weights=weights, k=distinct)
        return Trace(version, protocol, tuple(tuples))

    def sample(self, version: int, count: int) -> tuple[Trace, list[bool]]:
        """TCP packets with any verdict, also addresses and ports that no rule is about, and whether
        each passes: to check a program against the reference."""
        found: list[Tuple] = []
        passes: list[bool] = []
        random_ = self._random
        while len(found) < count:
            device = random_.randrange(self._devices)
            user = class_of(device, self._users)
            prefix, low, high = self._near(version, user)
            remote = int(prefix.network_address) + random_.randrange(min(prefix.num_addresses, 1 << 16))
            if random_.random() < _ASIDE:
                remote ^= 1 << random_.randrange(16)
            port = random_.choice((low, high, random_.randint(low, high), min(high + 1, MAX_PORT), 443))
            found.append(Tuple(device, remote, 40_000, port))
            passes.append(self.verdict(version, TCP, found[-1]) in _EVERY_PASS)
        return Trace(version, TCP, tuple(found)), passes

    def verdict(self, version: int, protocol: int, packet: Tuple) -> Verdict:
        """What the reference says of a packet; kept, by its bucket's rules."""
        asked = Packet(_address(version, packet.remote), protocol, packet.port)
        user = class_of(packet.device, self._users)
        _, rules = self._evaluator.bucket(user, asked.remote, inbound=False)
        number = self._numbers.setdefault(tuple(rule.id for rule in rules), len(self._numbers))
        key = number, version, protocol, packet.port
        verdict = self._verdicts.get(key)
        if verdict is None:
            verdict = self._verdicts[key] = verdict_of(matching_rules(rules, asked))[0]
        return verdict

    def _near(self, version: int, user: str) -> tuple[Prefix, int, int]:
        """A prefix and ports of a rule: the user's or, as often, anyone's."""
        own = self._drawable.rules(user, version, TCP)
        other = self._drawable.rules(self._random.choice(self._users), version, TCP)
        rules = own if own and (self._random.random() < 0.5 or not other) else other
        return self._random.choice(rules) if rules else (_NOWHERE[version], 1, MAX_PORT)

    def _extend(self, known: dict[Tuple, None], count: int, kind: Kind) -> None:
        fruitless = 0
        while len(known) < count:
            drawn = self._draw_one(*kind)
            if drawn is None or drawn in known:
                fruitless += 1
                if fruitless > _FRUITLESS + 100 * len(known):
                    raise TraceError(f"the policy has no {count} distinct packets of this kind to pass")
            else:
                known[drawn] = None

    def _draw_one(self, version: int, protocol: int, verdicts: frozenset[Verdict]) -> Tuple | None:
        random_ = self._random
        device = random_.randrange(self._devices)
        user = class_of(device, self._users)
        rules = self._drawable.rules(user, version, protocol)
        if not rules:
            return None
        prefix, low, high = rules[random_.randrange(len(rules))]
        first = int(prefix.network_address)
        remote = first + random_.randrange(min(prefix.num_addresses, 1 << 16))
        drawn = Tuple(device, remote, random_.randint(32_768, 60_999), random_.randint(low, high))
        return drawn if self.verdict(version, protocol, drawn) in verdicts else None


def _address(version: int, value: int) -> IPv4Address | IPv6Address:
    return IPv4Address(value) if version == 4 else IPv6Address(value)


Covered = list[tuple[Prefix, int, int]]
"""Prefix, lowest and highest port."""


class _Drawable:
    """What each class's rules cover, as (prefix, lowest port, highest port)."""

    def __init__(self, policy: Policy) -> None:
        self._classes = user_classes(policy)
        self._kept: dict[tuple[int, int, int], Covered] = {}

    def rules(self, user: str, version: int, protocol: int) -> Covered:
        key = (self._classes.index(user), version, protocol)
        if key not in self._kept:
            self._kept[key] = _covered(self._classes.classes[key[0]], version, protocol)
        return self._kept[key]


def _covered(users: UserClass, version: int, protocol: int) -> Covered:
    return [
        (prefix, max(low, 1), high)
        for rule in users.outbound
        for prefix in rule.destinations
        if prefix.version == version
        for low, high in _ports(rule, protocol)
    ]


def _ports(rule: Rule, protocol: int) -> list[tuple[int, int]]:
    found = []
    for form in rule.services:
        if isinstance(form, Everything):
            found.append((1, 65_535))
        elif isinstance(form, Ports) and protocol in form.protocols:
            found.append((form.low, form.high))
    return found
