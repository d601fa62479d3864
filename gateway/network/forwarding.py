"""Whether this network namespace forwards packets, and what else its settings do to a gateway.

A setting that is changed is remembered in a file first, so that it is put back also after the process was
killed. Switching forwarding on changes other settings along (inet_forward_change in net/ipv4/devinet.c,
addrconf_fixup_forwarding in net/ipv6/addrconf.c): those are remembered too.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from wardgate.gateway.network.errors import NetworkError
from wardgate.gateway.network.routes import ROUTER_ADVERTISEMENT, routes
from wardgate.runtime.interface import network_namespace

SETTINGS: Final = {4: "ipv4/ip_forward", 6: "ipv6/conf/all/forwarding"}
"""By version of IP, what has to be 1."""
_FOLDER: Final = Path("/proc/sys/net")
"""Of the network namespace of whoever looks."""
_STRICT: Final = "1"
_ACCEPT_IF_NOT_FORWARDING: Final = "1"
_ACCEPT_ALWAYS: Final = "2"
_log: Final = logging.getLogger("wardgate.gateway.network")


@dataclass(frozen=True, slots=True)
class ForwardingState:
    """How the namespace is set. `forwards`: by version of IP; 6 is missing where the kernel has no IPv6.

    `strict` are interfaces with rp_filter 1: a packet is dropped there whose source has its route elsewhere.
    `advertised` are interfaces from which the default route of IPv6 is a router's advertisement, and which
    stop to listen to those once the namespace forwards (accept_ra 1), so that the route will vanish.
    """

    forwards: dict[int, bool]
    strict: tuple[str, ...]
    advertised: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Setting:
    """A setting that we changed: its path under /proc/sys/net, what it was, and what we made of it."""

    path: str
    before: str
    ours: str


def read_forwarding() -> ForwardingState:
    """The settings as they are; NetworkError."""
    forwards = {version: _read(path) != "0" for version, path in SETTINGS.items() if _exists(path)}
    strict = tuple(
        name
        for name in _interfaces("ipv4")
        if max(_read(f"ipv4/conf/{name}/rp_filter"), _read("ipv4/conf/all/rp_filter")) == _STRICT
    )
    return ForwardingState(forwards, strict, _advertised() if forwards.get(6) is False else ())


class Forwarding:
    """Switches forwarding on, and puts everything back; `remembered` is the file for what was changed.

    It belongs under /run: settings do not outlive a reboot either.
    """

    def __init__(self, remembered: Path) -> None:
        self._file = remembered

    def enable(self, versions: Iterable[int]) -> tuple[str, ...]:
        """Switch forwarding on for these versions of IP; names of the settings that this changed.

        Interfaces that a router's advertisement gave their default route go on to listen to those.
        NetworkError where IPv6 is wanted of a kernel that has none, or where settings can't be written.
        """
        changes = [one for version in dict.fromkeys(versions) for one in self._needed(version)]
        if not changes:
            return ()
        # What an earlier process changed was so before: its word is older than ours.
        known = {one.path: one for one in self._load()}
        self._save([*known.values(), *(one for one in changes if one.path not in known)])
        written = [one for one in changes if one.path in SETTINGS.values() or one.path.endswith("accept_ra")]
        for change in written:
            _write(change.path, change.ours)
        names = tuple(_name(one.path) for one in written)
        _log.info("switched forwarding on", extra={"settings": names})
        return names

    def restore(self) -> tuple[str, ...]:
        """Put back what was changed, unless somebody has changed it since; names of what was put back."""
        held = [one for one in self._load() if _exists(one.path) and _read(one.path) == one.ours]
        # What switches forwarding goes first, since it changes the others along.
        for change in sorted(held, key=lambda one: one.path not in SETTINGS.values()):
            if _exists(change.path) and _read(change.path) != change.before:
                _write(change.path, change.before)
        self._file.unlink(missing_ok=True)
        return tuple(_name(one.path) for one in held)

    def _needed(self, version: int) -> Iterator[_Setting]:
        switch = SETTINGS[version]
        if not _exists(switch):
            raise NetworkError(
                "switch on forwarding of",
                f"IPv{version}",
                f"there is no {_name(switch)}: this kernel has no IPv{version}",
                f"take the IPv{version} prefixes out of the tunnel's",
            )
        if _read(switch) != "0":
            return
        if version == 6:
            for interface in _advertised():
                yield _setting(f"ipv6/conf/{interface}/accept_ra", _ACCEPT_ALWAYS)
        family = f"ipv{version}"
        yield _setting(switch, "1")
        for name in (*_interfaces(family), "default"):
            yield _setting(f"{family}/conf/{name}/forwarding", "1")
        if version == 4:
            yield _setting("ipv4/conf/all/accept_redirects", "0")

    def _load(self) -> list[_Setting]:
        try:
            document = json.loads(self._file.read_text())
            about, settings = document["where"], [_Setting(**one) for one in document["settings"]]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise NetworkError(
                "read settings to put back",
                str(self._file),
                f"{type(error).__name__}: {error}",
                "remove the file; forwarding then stays as it is (sysctl net.ipv4.ip_forward)",
            ) from error
        # After a reboot, or in another namespace, none of it was changed.
        return settings if about == _where() else []

    def _save(self, settings: list[_Setting]) -> None:
        text = json.dumps({"where": _where(), "settings": [asdict(one) for one in settings]}, indent=1)
        scratch = self._file.with_name(f"{self._file.name}.new")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
            with scratch.open("w") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            scratch.replace(self._file)
        except OSError as error:
            raise NetworkError(
                "remember settings to put back", str(self._file), str(error.strerror), "make it writable"
            ) from error


def _where() -> dict[str, Any]:
    return {
        "boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "namespace": network_namespace(),
    }


def _advertised() -> tuple[str, ...]:
    found = {
        one.interface
        for one in routes()
        if one.prefix.version == 6 and not one.prefix.prefixlen and one.protocol == ROUTER_ADVERTISEMENT
    }
    return tuple(
        name
        for name in sorted(found)
        if _exists(path := f"ipv6/conf/{name}/accept_ra") and _read(path) == _ACCEPT_IF_NOT_FORWARDING
    )


def _interfaces(family: str) -> tuple[str, ...]:
    folder = _FOLDER / family / "conf"
    return tuple(sorted({path.name for path in folder.iterdir()} - {"all", "default"}))


def _setting(path: str, ours: str) -> _Setting:
    return _Setting(path, _read(path), ours)


def _exists(path: str) -> bool:
    return (_FOLDER / path).exists()


def _read(path: str) -> str:
    try:
        return (_FOLDER / path).read_text().strip()
    except OSError as error:
        raise NetworkError("read setting", _name(path), str(error.strerror)) from error


def _write(path: str, value: str) -> None:
    try:
        (_FOLDER / path).write_text(value)
    except OSError as error:
        raise NetworkError(
            "set",
            f"{_name(path)}={value}",
            str(error.strerror),
            f"run as root, or set it yourself: sysctl -w {_name(path)}={value} (in a container: on its host)",
            error.errno or 0,
        ) from error


def _name(path: str) -> str:
    """A setting as sysctl(8) calls it; a dot in an interface's name is a slash there."""
    return "net." + ".".join(part.replace(".", "/") for part in path.split("/"))
