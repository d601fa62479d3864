"""What the gateway shows of itself to those who run it. Times are Unix time in seconds, durations seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wardgate.gateway.records import Device, Policy


@dataclass(frozen=True, slots=True)
class Interface:
    """The WireGuard device. `implementation`: `kernel` or `wireguard-go`; `peers`: how many it has."""

    name: str
    implementation: str
    public_key: str
    listen_port: int
    addresses: tuple[str, ...]
    mtu: int
    peers: int


@dataclass(frozen=True, slots=True)
class Gate:
    """What enforces. `enforcing`: every hook has its program on a device that is there. `policy`: the number
    of the policy that decides, 0: none, so that everything is dropped; `digest` that of its program's."""

    name: str
    enforcing: bool
    hook: str
    generation: int | None
    policy: int
    digest: str
    passed: int
    dropped: int


@dataclass(frozen=True, slots=True)
class Roaming:
    """`detector`: the one in use, `fentry`, `underlay` or `polling`; `on_roam`: what follows a change.
    `refused`: why better detectors are not in use, by name."""

    detector: str
    on_roam: str
    refused: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Problem:
    """What goes wrong now. `since`: Unix time."""

    part: str
    cause: str
    remedy: str
    since: int


@dataclass(frozen=True, slots=True)
class Status:
    """The gateway at one moment. `sessions`: devices by the state of their session. `revision`: the
    store's. `portal`, `enrolment`: where the pages are, the latter empty where there is none."""

    version: str
    pid: int
    started: int
    store: str
    revision: int
    interface: Interface
    gate: Gate
    roaming: Roaming
    portal: str
    enrolment: str
    users: int
    devices: int
    tokens: int
    sessions: Mapping[str, int]
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class DeviceSession:
    """A device and its session, as the kernel has it. `state`: `none`, `authorised`, `expired`, `idle` or
    `locked`; `remaining` and `login_age` (since the last login) are None where there is no session, and
    `idle_limit` where it has none; `method`: how it was logged in, or empty. `endpoint`: where the peer is,
    or empty."""

    device: Device
    state: str
    remaining: float | None
    idle_limit: float | None
    login_age: float | None
    method: str
    endpoint: str


@dataclass(frozen=True, slots=True)
class PolicyInForce:
    """A policy and the texts of its files, by name. `current`: it is the one in force."""

    policy: Policy
    files: Mapping[str, str]
    current: bool
