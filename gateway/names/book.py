"""What is known of the names in rules: the addresses of each, and when to ask again.

An address that a name no longer has is kept for a grace period, since clients keep using what they were
told. A name that cannot be resolved keeps its last answer. Answers outlive the process in a file, so that a
gateway starts without name servers.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final

from wardgate.gateway.compiling.resolving import ResolveError
from wardgate.gateway.names.lookup import Answer, Lookup, look_up

Address = IPv4Address | IPv6Address
_log = logging.getLogger("wardgate.gateway.names")
_LONGEST: Final = 86_400
"""Seconds after which a name is asked again however long its answer is good."""


@dataclass(slots=True)
class _Known:
    """`until`: each address and the time to which it is kept at least; `due`: when to ask again."""

    until: dict[Address, float] = field(default_factory=dict)
    current: frozenset[Address] = frozenset()
    due: float = 0.0


class NameBook:
    """A compiling.resolving.Resolver that remembers, and `refresh`es. For any thread.

    `file` keeps it. `shortest`, `grace`: seconds, see settings.Names. `now` is Unix time.
    """

    def __init__(
        self,
        file: Path,
        *,
        shortest: int,
        grace: int,
        lookup: Lookup = look_up,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._file = file
        self._shortest = shortest
        self._grace = grace
        self._lookup = lookup
        self._now = now
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = self._read()

    def __call__(self, name: str) -> Sequence[Address]:
        """The addresses that `name` has, and had a moment ago. ResolveError where it was never resolved."""
        with self._lock:
            known = self._known.get(name)
        if known is None:
            self._ask(name)
        with self._lock:
            return sorted(self._known[name].until, key=lambda address: (address.version, int(address)))

    def refresh(self, names: Collection[str]) -> bool:
        """Ask again for those of `names` that are due, and forget all others; whether any has other
        addresses.

        What cannot be resolved is logged, and keeps what it has.
        """
        now = self._now()
        changed = False
        with self._lock:
            for name in [name for name in self._known if name not in names]:
                del self._known[name]
            due = [name for name in sorted(names) if name not in self._known or self._known[name].due <= now]
        for name in due:
            try:
                changed |= self._ask(name)
            except ResolveError as error:
                _log.warning("%s cannot be resolved, and keeps its addresses: %s", name, error)
                with self._lock:
                    if name in self._known:
                        self._known[name].due = now + self._shortest
        return self._expire(now) or changed

    def next_due(self) -> float:
        """Unix time of the next thing to do: to ask again, or to drop an address."""
        with self._lock:
            times = [known.due for known in self._known.values()]
            times += [
                until
                for known in self._known.values()
                for address, until in known.until.items()
                if address not in known.current
            ]
        return min(times, default=self._now() + _LONGEST)

    def _ask(self, name: str) -> bool:
        answer: Answer = self._lookup(name)
        if not answer.addresses:
            raise ResolveError("it has no address")
        now = self._now()
        with self._lock:
            known = self._known.setdefault(name, _Known())
            new = answer.addresses - known.until.keys()
            for address in known.current - answer.addresses:
                known.until[address] = now + self._grace
                _log.info("%s no longer has %s, which is kept for %d s", name, address, self._grace)
            known.until.update(dict.fromkeys(answer.addresses, float("inf")))
            known.current = answer.addresses
            known.due = now + min(max(answer.ttl, self._shortest), _LONGEST)
            if new:
                _log.info("%s has %s", name, ", ".join(map(str, sorted(new, key=str))))
            self._write()
        return bool(new)

    def _expire(self, now: float) -> bool:
        gone = False
        with self._lock:
            for known in self._known.values():
                for address in [one for one, until in known.until.items() if until <= now]:
                    del known.until[address]
                    gone = True
            if gone:
                self._write()
        return gone

    def _read(self) -> dict[str, _Known]:
        try:
            document = json.loads(self._file.read_text())
            return {name: _known(addresses) for name, addresses in document.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError, TypeError) as error:
            _log.warning("%s cannot be read, and names are asked anew: %s", self._file, error)
            return {}

    def _write(self) -> None:
        document = {name: [str(one) for one in known.until] for name, known in sorted(self._known.items())}
        temporary = self._file.with_suffix(".new")
        try:
            temporary.write_text(json.dumps(document, indent=1) + "\n")
            temporary.replace(self._file)
        except OSError as error:
            _log.warning("%s cannot be written: %s", self._file, error)


def _known(addresses: Iterable[str]) -> _Known:
    """What was in the file: due at once."""
    found = frozenset(map(ip_address, addresses))
    if not found:
        raise ValueError("a name without an address")
    return _Known(dict.fromkeys(found, float("inf")), found)
