"""The files of a new gateway: settings to read and change, a policy to begin with, keys, and the database."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from pathlib import Path
from typing import Final

from wardgate.gateway.challenges import Sealer
from wardgate.gateway.errors import ExistsError, GatewayError
from wardgate.gateway.settings.model import Settings
from wardgate.gateway.settings.read import read_settings
from wardgate.gateway.store import SqliteStore
from wardgate.gateway.wireguard import PrivateKey

DEFAULT_ADDRESSES: Final = (ip_interface("10.9.0.1/16"), ip_interface("fd09::1/64"))
"""Private and unique local ranges (RFC 1918, RFC 4193): change them where they are in use already."""

_SETTINGS: Final = """\
# A Wardgate gateway. docs/gateway.md of the project explains every setting; what is commented out is the
# default.

interface: {interface}           # the WireGuard device that the gateway owns
port: {port}              # UDP; open it in the firewall of the machine
endpoint: {endpoint}    # where clients reach that port: name or address
addresses: [{addresses}]  # the gateway's own, with the length of the tunnel's prefix
policy: policy.yaml       # the first one; afterwards: wardgate gateway policy apply FILE
state: {state}            # database and keys; back it up, and keep it secret

# mtu: 1420
# device_slots: 65536     # room for devices, fixed when the gate is made

# control:
#   socket: /run/wardgate/control.sock
#   group: wardgate       # whose members may run `wardgate gateway ...` besides root; default: nobody

# Where people log in, inside the tunnel only. With tls, browsers' cookies are better protected; without, it
# is the tunnel that encrypts.
# portal:
#   port: 80
#   names: [portal.example.org]   # default: none but its addresses
#   tls: {{certificate: portal.pem, key: portal.key}}

# The public page where people enrol a device with a token; without this section there is none.
# enrolment:
#   listen: ["0.0.0.0:8443", "[::]:8443"]
#   tls: {{certificate: enrolment.pem, key: enrolment.key}}
#   trusted_proxies: []   # whose X-Forwarded-For counts

# sessions:
#   lifetime: 12h
#   idle: 1h              # default: as long as they like

# login:
#   issuer: Wardgate      # what authenticator apps show
#   attempts: 5           # failures until a delay, which doubles with each further one
#   delay: 30s
#   longest_delay: 1h

# What follows when a device sends from another address: challenge (log in again), handshake (only where it
# also needed a new handshake), ignore.
# roaming:
#   on_roam: challenge
#   detector: auto        # the best that works here; or fentry, underlay, polling
#   interval: 5s          # of polling

# network:
#   masquerade: false     # true where the networks behind have no route back to the tunnel
#   exclude: []           # towards these, devices keep their own addresses
#   forwarding: check     # enable: switch the system's on, and off again when the gateway is removed

# client:
#   dns: []
#   allowed_ips: ["10.0.0.0/8"]   # default: what the user's policy allows
#   keepalive: 25         # seconds; default: none
#   mtu: 1420

# names:
#   shortest: 30s         # DNS names in rules are asked again no sooner
#   grace: 5m             # how long an address that a name no longer has is kept

# metrics: 127.0.0.1:9586 # default: none
# log: {{form: text, level: info}}
"""

_POLICY: Final = """\
# Who may reach what; see docs/policy.md of the project.
version: 1
tunnel: [{tunnel}]
groups:
  group:admins: []
policies:
  "*":
    allow: []             # "10.0.0.53 53/any"
  group:admins:
    mfa: []               # "10.0.0.0/8 22/tcp"
"""


@dataclass(frozen=True, slots=True)
class Initial:
    """What to write. `endpoint`: HOST:PORT for clients; WireGuard gets the same port."""

    folder: Path
    state: Path
    endpoint: str
    interface: str = "wg0"
    addresses: Sequence[IPv4Interface | IPv6Interface] = DEFAULT_ADDRESSES


@dataclass(frozen=True, slots=True)
class Made:
    """The settings of a new gateway. `written`: the files that were made, `kept`: those that were there."""

    settings: Settings
    written: Sequence[Path]
    kept: Sequence[Path]


async def initialise(wanted: Initial) -> Made:
    """Write what is not there yet, each file for its owner only. Nothing is replaced:
    ExistsError where there are settings already. GatewayError, PolicyError where what was asked for makes no
    settings. They get their name last: whoever is interrupted does it again."""
    path = wanted.folder / "gateway.yaml"
    if path.exists():
        raise _there(path)
    networks = [address.network for address in wanted.addresses]
    text = _SETTINGS.format(
        interface=wanted.interface,
        port=wanted.endpoint.rpartition(":")[2],
        endpoint=_quoted(wanted.endpoint),
        addresses=", ".join(f'"{address}"' for address in wanted.addresses),
        state=_quoted(str(wanted.state.absolute())),
    )
    try:
        wanted.folder.mkdir(parents=True, exist_ok=True)
        _make_state(wanted.state)
    except OSError as error:
        raise _failed(error, wanted.folder) from error
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    _write(new, text)
    try:
        settings = replace(read_settings(new), file=path.absolute())
        others = (settings.policy, settings.private_key, settings.sealing_key, settings.database)
        kept = [one for one in others if one.exists()]
        if not settings.policy.exists():
            _write(settings.policy, _POLICY.format(tunnel=", ".join(f'"{network}"' for network in networks)))
        if not settings.private_key.exists():
            _write(settings.private_key, PrivateKey.generate().reveal() + "\n")
        if not settings.sealing_key.exists():
            Sealer.create(settings.sealing_key)
        async with await SqliteStore.open(settings.database):
            pass
        path.hardlink_to(new)
    except FileExistsError:
        raise _there(path) from None
    except OSError as error:
        raise _failed(error, path) from error
    finally:
        new.unlink()
    return Made(settings, [one for one in (settings.file, *others) if one not in kept], kept)


def _there(path: Path) -> ExistsError:
    return ExistsError("write settings", str(path), "it is there already", "change it, or remove it first")


def _make_state(folder: Path) -> None:
    """Make it for its owner only; one that is there stays as it is, and must be nobody else's to write to."""
    try:
        folder.mkdir(parents=True, mode=0o700)
    except FileExistsError:
        found = folder.stat()
        if found.st_uid not in (0, os.geteuid()) or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise GatewayError(
                "keep state in",
                str(folder),
                "other users may write to this folder, and put other keys there",
                "choose another folder, or let only root write to this one",
            ) from None


def _quoted(text: str) -> str:
    """A text in YAML, whatever is in it."""
    return json.dumps(text, ensure_ascii=False)


def _write(path: Path, text: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - of the descriptor just made
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise _failed(error, path) from error


def _failed(error: OSError, path: Path) -> GatewayError:
    cause = error.strerror or str(error)
    return GatewayError("write", str(error.filename or path), cause, "run as root, or choose another folder")
