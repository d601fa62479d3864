"""What is known of the names in rules: the addresses of each, and when to ask again.

An address that a name no longer has is kept for a grace period, since clients keep using what they were
told. A name that cannot be resolved keeps its last answer. Answers outlive the process in a file, so that a
gateway starts without name servers.

Times are seconds of CLOCK_BOOTTIME: a clock that somebody sets would keep an address for longer, or ask no
more.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any, Final

from wardgate.gateway.compiling.resolving import ResolveError
from wardgate.gateway.names.lookup import Answer, Lookup, look_up

Address = IPv4Address | IPv6Address
MOST_ADDRESSES: Final = 256
"""Of one answer. Whoever controls a zone may not make the policy as large as they like."""
_log = logging.getLogger("wardgate.gateway.names")
_LONGEST: Final = 86_400
"""Seconds after which a name is asked again however long its answer is good."""
_AT_ONCE_S: Final = 5.0
"""Seconds after which `refresh` begins with no further name."""

_Known = dict[Address, float | None]
"""Addresses of a name, and when each goes: None, not while the name has it. At least one is None."""


def boottime() -> float:
    """Seconds since the machine started."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class NameBook:
    """A compiling.resolving.Resolver that remembers, and `refresh`es. For any thread.

    `file` keeps it; what it says of grace periods counts in the same `boot` only. `shortest`, `grace`:
    seconds, see settings.Names. `own`: addresses of the gateway's, which no name in a rule may have: it would
    make rules about the portal of those about something else.
    """

    def __init__(
        self,
        file: Path,
        *,
        boot: str,
        shortest: int,
        grace: int,
        own: Collection[Address] = (),
        lookup: Lookup = look_up,
        now: Callable[[], float] = boottime,
    ) -> None:
        self._file = file
        self._boot = boot
        self._shortest = shortest
        self._grace = grace
        self._own = frozenset(own)
        self._lookup = lookup
        self._now = now
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._closed = threading.Event()
        self._due: dict[str, float] = {}
        self._failing: dict[str, str] = {}
        self._known: dict[str, _Known] = self._read()

    def __call__(self, name: str) -> Sequence[Address]:
        """The addresses that `name` has, and had a moment ago. ResolveError where it was never resolved."""
        with self._lock:
            known = self._known.get(name)
        if known is None:
            known, _ = self._ask(name)
        with self._lock:
            return sorted(known, key=lambda address: (address.version, int(address)))

    def forget_others(self, names: Collection[str]) -> None:
        """Know nothing of other names than these any more."""
        with self._lock:
            for name in self._known.keys() - set(names):
                del self._known[name]
            for name in (self._due.keys() | self._failing.keys()) - set(names):
                self._due.pop(name, None)
                self._failing.pop(name, None)

    def refresh(self, names: Collection[str]) -> bool:
        """Drop addresses whose grace period is over, or else ask again for those of `names` that are due;
        whether any name has other addresses than before.

        It asks for some seconds at most: those that are left are due still. What cannot be resolved is
        logged, and keeps what it has.
        """
        if self._expire(self._now()):
            # Before anybody is asked, who may not answer for a while.
            return True
        changed, began = False, self._now()
        for name in self._asked_for(names, began):
            if self._closed.is_set() or self._now() > began + _AT_ONCE_S:
                break
            try:
                changed |= self._ask(name)[1]
            except ResolveError as error:
                self._failed(name, str(error))
        return changed

    def next_due(self, names: Collection[str]) -> float:
        """When there is something to do, by the book's clock: to ask again for one of `names`, or to drop an
        address."""
        now = self._now()
        with self._lock:
            times = [self._due.get(name, now) for name in names]
            times += [gone for known in self._known.values() for gone in known.values() if gone is not None]
        return min(times, default=now + _LONGEST)

    def pause(self, names: Collection[str]) -> float:
        """Seconds until then; none of it is past."""
        return max(self.next_due(names) - self._now(), 0.0)

    @property
    def failing(self) -> Mapping[str, str]:
        """Names that could not be resolved when they were asked for last, and why."""
        with self._lock:
            return dict(sorted(self._failing.items()))

    def close(self) -> None:
        """Ask for nothing more: whoever wants to know something new gets a ResolveError."""
        self._closed.set()

    def _asked_for(self, names: Collection[str], now: float) -> list[str]:
        """Those that are due, the longest first."""
        with self._lock:
            due = sorted((self._due.get(name, 0.0), name) for name in names)
        return [name for moment, name in due if moment <= now]

    def _ask(self, name: str) -> tuple[_Known, bool]:
        """What is known of a name, just asked for, and whether it has addresses that it did not have."""
        if self._closed.is_set():
            raise ResolveError("the gateway is ending")
        answer = self._checked(self._lookup(name))
        now = self._now()
        with self._lock:
            known = self._known.setdefault(name, {})
            new = answer.addresses - known.keys()
            for address, gone in known.items():
                if gone is None and address not in answer.addresses:
                    known[address] = now + self._grace
                    _log.info("%s no longer has %s, which is kept for %d s", name, address, self._grace)
            known.update(dict.fromkeys(answer.addresses, None))
            self._due[name] = now + min(max(answer.ttl, self._shortest), _LONGEST)
            if new:
                _log.info("%s has %s", name, ", ".join(map(str, sorted(new, key=str))))
            if self._failing.pop(name, None):
                _log.info("%s can be resolved again", name)
        self._write()
        return known, bool(new)

    def _checked(self, answer: Answer) -> Answer:
        if not answer.addresses:
            raise ResolveError("it has no address")
        if len(answer.addresses) > MOST_ADDRESSES:
            raise ResolveError(f"it has {len(answer.addresses):,} addresses, and {MOST_ADDRESSES} are taken")
        own = sorted(map(str, answer.addresses & self._own))
        if own:
            raise ResolveError(f"it has the gateway's own address {own[0]}")
        return answer

    def _failed(self, name: str, cause: str) -> None:
        with self._lock:
            self._due[name] = self._now() + self._shortest
            known = self._failing.get(name) == cause
            self._failing[name] = cause
        if not known:
            _log.warning("%s cannot be resolved, and keeps its addresses: %s", name, cause)

    def _expire(self, now: float) -> bool:
        gone = False
        with self._lock:
            for name, known in self._known.items():
                for address in [one for one, moment in known.items() if moment is not None and moment <= now]:
                    del known[address]
                    _log.info("%s is kept no longer for %s", address, name)
                    gone = True
        if gone:
            self._write()
        return gone

    def _read(self) -> dict[str, _Known]:
        try:
            document = json.loads(self._file.read_text())
            same = document["boot"] == self._boot
            return {name: _known(found, same=same) for name, found in document["names"].items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            _log.warning("%s cannot be read, and names are asked anew: %s", self._file, error)
            return {}

    def _write(self) -> None:
        """Keep it. What is asked for meanwhile waits for no disk."""
        temporary = self._file.with_name(f"{self._file.name}.new")
        with self._writing:
            with self._lock:
                names = {
                    name: {str(one): gone for one, gone in known.items()}
                    for name, known in sorted(self._known.items())
                }
            try:
                with temporary.open("w") as stream:
                    json.dump({"boot": self._boot, "names": names}, stream, indent=1)
                    stream.flush()
                    os.fsync(stream.fileno())
                temporary.replace(self._file)
            except OSError as error:
                _log.warning("%s cannot be written: %s", self._file, error)


def _known(found: Mapping[str, Any], *, same: bool) -> _Known:
    """What the file says of a name. How long a reboot took nobody knows: grace periods are over with it."""
    known: _Known = {}
    for text, gone in found.items():
        if gone is None:
            known[ip_address(text)] = None
        elif same:
            known[ip_address(text)] = float(gone)
    if None not in known.values():
        raise ValueError("a name without an address")
    return known
