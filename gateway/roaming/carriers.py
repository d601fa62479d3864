"""The interfaces on which the underlay is watched: all that WireGuard's datagrams may come in by.

Which ones those are depends on routes, which change: so it is every interface of the network namespace, but
the gateway's own tunnel, and the ports of bridges, bonds and teams, whose packets are seen on these. What is
attached by a link goes with the process; a clsact filter stays, so what it needs is marked.
"""

from __future__ import annotations

import logging
import socket
from typing import Final

from wardgate.gateway.roaming.pins import RoamingPins
from wardgate.runtime import links, netlink
from wardgate.runtime.errors import WardgateError
from wardgate.runtime.info import link_info, program_info
from wardgate.runtime.links import AttachType
from wardgate.runtime.netlink import Block, FilterPlace, Interface, NetlinkError
from wardgate.runtime.syscall import Fd

_LOG: Final = logging.getLogger("wardgate.gateway.roaming")
_SEEN_ELSEWHERE: Final = frozenset({"bridge", "bond", "team"})
_FILTER_NAME: Final = "wardgate-roaming"
_HANDLE: Final = 0x5747_0000
"""Handle of a filter, with the port in its low half ("WG")."""


class Carriers:
    """`program` on the interfaces of the network namespace of the calling thread, but for `tunnel`."""

    def __init__(
        self, program: Fd, port: int, tunnel: str, pins: RoamingPins, *, use_links: bool = True
    ) -> None:
        """`port` is the one that the program watches. Nothing is attached before `refresh`. NetlinkError.
        `use_links` False: clsact alone."""
        self._program = program
        self._program_id = program_info(program).id
        self._port = port
        self._tunnel = tunnel
        self._pins = pins
        self._use_links = use_links
        self._links: dict[int, Fd] = {}
        self._filters: set[int] = set()
        self._names: dict[int, str] = {}
        self.uncovered: dict[str, str] = {}
        """Interfaces on which the program could not be attached, and why."""
        self.changes: socket.socket = netlink.watch_interfaces()
        """Readable when `refresh` has something to do."""

    @property
    def names(self) -> tuple[str, ...]:
        """The interfaces that are watched, sorted."""
        return tuple(sorted(self._names[index] for index in (*self._links, *self._filters)))

    def refresh(self) -> bool:
        """Attach to interfaces that came; says whether any did. What the kernel refuses is in `uncovered`,
        and tried again by the next call."""
        self._read_off()
        try:
            found = {one.index: one for one in netlink.interfaces() if self._carries(one)}
        except NetlinkError as error:
            self._note({**self.uncovered, "any other": f"cannot list interfaces: {error.cause}"})
            return False
        for index in [*self._links, *self._filters]:
            if index not in found or not self._is_attached(index):
                self._release(index)
        new = [one for index, one in found.items() if index not in self._links and index not in self._filters]
        self._names.update({index: one.name for index, one in found.items()})
        uncovered = {one.name: cause for one in new if (cause := self._attach(one))}
        self._note(uncovered)
        return bool(new)

    def _note(self, uncovered: dict[str, str]) -> None:
        for name, cause in uncovered.items():
            if self.uncovered.get(name) != cause:
                _LOG.warning("the underlay is not watched on %s: %s", name, cause)
        self.uncovered = uncovered

    def close(self) -> None:
        """Take the program off all of them."""
        self.changes.close()
        for index in [*self._links, *self._filters]:
            self._release(index)
        self._pins.remove_empty()

    def _carries(self, one: Interface) -> bool:
        return one.name != self._tunnel and one.port_of not in _SEEN_ELSEWHERE

    def _attach(self, one: Interface) -> str:
        """Why the program could not be attached to an interface; empty where it was."""
        try:
            if self._use_links:
                self._links[one.index] = links.create_tcx(self._program, one.index, AttachType.TCX_INGRESS)
                return ""
        except WardgateError as error:
            refused = error.cause
        else:
            refused = "not asked for"
        try:
            self._add_filter(one.index)
            self._filters.add(one.index)
        except WardgateError as error:
            return f"tcx: {refused}; clsact: {error.cause}"
        return ""

    def _add_filter(self, index: int) -> None:
        # First the marks, so that a crash in between leaves nothing that is nobody's.
        self._pins.make()
        for folder in (self._pins.filters, self._pins.qdiscs):
            folder.mkdir(exist_ok=True)
        mark = self._pins.qdiscs / str(index)
        if not netlink.has_clsact(index):
            mark.mkdir(exist_ok=True)
            if not netlink.add_clsact(index):
                mark.rmdir()
        (self._pins.filters / f"{index}-{self._port}").mkdir(exist_ok=True)
        _delete_filter(index, self._port)
        netlink.add_filter(index, Block.INGRESS, self._program, _FILTER_NAME, _place(self._port))

    def _is_attached(self, index: int) -> bool:
        """False where the interface has gone, and another has its number; or somebody took a filter off."""
        link = self._links.get(index)
        if link is not None:
            return link_info(link).ifindex == index
        try:
            return any(one.program_id == self._program_id for one in netlink.filters(index, Block.INGRESS))
        except NetlinkError:
            return False

    def _release(self, index: int) -> None:
        link = self._links.pop(index, None)
        if link is not None:
            link.close()
        if index in self._filters:
            self._filters.discard(index)
            _release_filter(index, self._port, self._pins)

    def _read_off(self) -> None:
        while True:
            try:
                if not self.changes.recv(1 << 16):
                    return
            except BlockingIOError:
                return
            except OSError as error:
                # ENOBUFS: some was lost, which makes no difference here.
                _LOG.debug("interface changes: %s", error)


def remove_filters(pins: RoamingPins) -> None:
    """Take off the filters that a process left which was killed, in the network namespace of the caller."""
    if pins.exists() and pins.filters.is_dir():
        for mark in list(pins.filters.iterdir()):
            index, port = map(int, mark.name.split("-"))
            _release_filter(index, port, pins)


def _place(port: int) -> FilterPlace:
    """The filter of the watch on a port: gateways in one network namespace have different ones. It is among
    the first, since others may end the chain."""
    return FilterPlace(_HANDLE | port)


def _release_filter(index: int, port: int, pins: RoamingPins) -> None:
    """Take a filter off, and the qdisc where it was made for one and nothing else is on it."""
    _delete_filter(index, port)
    qdisc = pins.qdiscs / str(index)
    if qdisc.is_dir():
        try:
            if not any(netlink.filters(index, block) for block in Block):
                netlink.remove_clsact(index)
        except NetlinkError as error:
            # The interface has gone, and all on it.
            _LOG.debug("clsact of interface %d: %s", index, error)
        qdisc.rmdir()
    (pins.filters / f"{index}-{port}").rmdir()


def _delete_filter(index: int, port: int) -> None:
    try:
        netlink.delete_filter(index, Block.INGRESS, _place(port))
    except NetlinkError as error:
        # There is none.
        _LOG.debug("filter of interface %d: %s", index, error)
