"""The few rtnetlink requests that attachments need: clsact filters, XDP without a link, interfaces.

Spoken through a plain socket: a gate must know the id of the program that a filter runs, why the
kernel refused (extended acknowledgements), and must work inside a running event loop, and pyroute2
0.9 offers none of the three (docs/decisions/021-netlink.md). Formats: rtnetlink(7),
include/uapi/linux/{netlink,rtnetlink,pkt_sched,pkt_cls,if_link}.h. A request goes to the network
namespace that the thread is in.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from wardgate.runtime.errors import WardgateError, describe_errno
from wardgate.runtime.links import XdpMode
from wardgate.runtime.syscall import Fd

_F_REQUEST, _F_ACK, _F_EXCL, _F_DUMP, _F_CREATE = 0x1, 0x4, 0x200, 0x300, 0x400
_F_CAPPED, _F_ACK_TLVS = 0x100, 0x200
_ERROR, _DONE = 2, 3
_GETLINK, _SETLINK = 18, 19
_NEWQDISC, _DELQDISC, _GETQDISC = 36, 37, 38
_NEWTFILTER, _DELTFILTER, _GETTFILTER = 44, 45, 46

_HEADER: Final = struct.Struct("=IHHII")
_ATTRIBUTE: Final = struct.Struct("=HH")
_IFINFO: Final = struct.Struct("=BxHiII")
_TCMSG: Final = struct.Struct("=BxxxiIII")
_SOL_NETLINK, _CAP_ACK, _EXT_ACK = 270, 10, 11

_TCA_KIND, _TCA_OPTIONS = 1, 2
_BPF_FD, _BPF_NAME, _BPF_FLAGS, _BPF_ID = 6, 7, 8, 11
_IFLA_XDP = 43
_IFLA_IFNAME, _IFLA_LINKINFO, _INFO_KIND, _INFO_SLAVE_KIND = 3, 18, 1, 4
_GROUP_LINK = 1
_XDP_FD, _XDP_ATTACHED, _XDP_FLAGS, _XDP_PROG_ID, _XDP_DRV_ID, _XDP_SKB_ID, _XDP_EXPECTED = (
    1,
    2,
    3,
    4,
    5,
    6,
    8,
)
_XDP_IF_NOEXIST, _XDP_REPLACE = 1 << 0, 1 << 4
_CLSACT_HANDLE, _CLSACT_PARENT = 0xFFFF0000, 0xFFFFFFF1
_ETH_P_ALL = 3

FILTER_HANDLE: Final = 0x57474154
"""Handle of the gate's filter ("WGAT"), by which people tell it from theirs in `tc filter show`."""
FILTER_PRIORITY: Final = 1
"""The first: filters before ours could let packets pass that ours would drop."""


@dataclass(frozen=True, slots=True)
class FilterPlace:
    """By what a filter of ours is told from others."""

    handle: int = FILTER_HANDLE
    priority: int = FILTER_PRIORITY


GATE_FILTER: Final = FilterPlace()


class Block(IntEnum):
    """The parents of a clsact qdisc's filters (TC_H_MIN_INGRESS, TC_H_MIN_EGRESS)."""

    INGRESS = 0xFFFFFFF2
    EGRESS = 0xFFFFFFF3


class NetlinkError(WardgateError, OSError):
    """The kernel refused a netlink request; `errno` is its code, `cause` has its words if it had any."""

    def __init__(self, operation: str, target: str, code: int, words: str = "") -> None:
        cause = f"{words} ({errno.errorcode.get(code, code)})" if words else describe_errno(code)
        remedy = "run as root or with CAP_NET_ADMIN" if code in (errno.EPERM, errno.EACCES) else ""
        WardgateError.__init__(self, operation, target, cause, remedy)
        OSError.__init__(self, code, cause)

    __str__ = WardgateError.__str__


@dataclass(frozen=True, slots=True)
class Filter:
    """A tc filter; `program_id` is None for one that is not BPF."""

    handle: int
    priority: int
    kind: str
    program_id: int | None


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface of a network namespace. `kind` is empty for hardware; `port_of` says what kind of device
    it is a port of, if it is: `bridge`, `bond`, `vrf`."""

    index: int
    name: str
    kind: str
    port_of: str


@dataclass(frozen=True, slots=True)
class Xdp:
    """XDP programs of a device by mode, as ids; programs attached through links show too."""

    driver: int | None
    generic: int | None

    def program(self, mode: XdpMode) -> int | None:
        """Id of the program in this mode."""
        return self.driver if mode is XdpMode.DRIVER else self.generic


def add_clsact(ifindex: int) -> bool:
    """Give the device a clsact qdisc; False where it had one. NetlinkError."""
    try:
        _clsact(ifindex, "add clsact qdisc", _NEWQDISC, _F_CREATE | _F_EXCL)
    except NetlinkError as error:
        if error.errno == errno.EEXIST and has_clsact(ifindex):
            return False
        raise
    return True


def remove_clsact(ifindex: int) -> None:
    """Remove the device's clsact qdisc with all that is on it; NetlinkError."""
    _clsact(ifindex, "remove clsact qdisc", _DELQDISC, 0)


def has_clsact(ifindex: int) -> bool:
    """Whether the device has a clsact qdisc."""
    answers = _request("list qdiscs", ifindex, _GETQDISC, _F_DUMP, _TCMSG.pack(0, ifindex, 0, 0, 0))
    for body in answers:
        _, index, _, parent, _ = _TCMSG.unpack_from(body)
        kind = dict(_attributes(body[_TCMSG.size :])).get(_TCA_KIND, b"")
        if index == ifindex and parent == _CLSACT_PARENT and kind == b"clsact\0":
            return True
    return False


def filters(ifindex: int, block: Block) -> list[Filter]:
    """The filters of one direction, in the order in which they run; none without a clsact qdisc."""
    message = _TCMSG.pack(0, ifindex, 0, block, 0)
    found = []
    for body in _request("list filters", ifindex, _GETTFILTER, _F_DUMP, message):
        _, _, handle, _, info = _TCMSG.unpack_from(body)
        attributes = dict(_attributes(body[_TCMSG.size :]))
        options = attributes.get(_TCA_OPTIONS)
        if options is None:
            continue  # the head of a priority's list, not a filter
        number = dict(_attributes(options)).get(_BPF_ID)
        kind = attributes.get(_TCA_KIND, b"").rstrip(b"\0").decode(errors="replace")
        program = int.from_bytes(number, "little") if kind == "bpf" and number else None
        found.append(Filter(handle, info >> 16, kind, program))
    return found


def add_filter(ifindex: int, block: Block, program: Fd, name: str, place: FilterPlace = GATE_FILTER) -> None:
    """Make the program a direct-action filter; NetlinkError, EEXIST where there is one of ours."""
    flags, options = _F_CREATE | _F_EXCL, _bpf_options(program, name)
    _filter(ifindex, block, "add filter", _NEWTFILTER, flags, options, place)


def replace_filter(ifindex: int, block: Block, program: Fd, name: str) -> None:
    """Put the program in place of the one in our filter, in one step (list_replace_rcu in
    net/sched/cls_bpf.c); NetlinkError, also where there is no filter of ours."""
    _filter(ifindex, block, "replace filter", _NEWTFILTER, 0, _bpf_options(program, name))


def delete_filter(ifindex: int, block: Block, place: FilterPlace = GATE_FILTER) -> None:
    """Remove our filter; NetlinkError, ENOENT where there is none."""
    _filter(ifindex, block, "delete filter", _DELTFILTER, 0, b"", place)


def interfaces() -> list[Interface]:
    """All interfaces of this network namespace; NetlinkError."""
    found = []
    for body in _request("list interfaces", 0, _GETLINK, _F_DUMP, _IFINFO.pack(0, 0, 0, 0, 0)):
        index = _IFINFO.unpack_from(body)[2]
        attributes = dict(_attributes(body[_IFINFO.size :]))
        about = dict(_attributes(attributes.get(_IFLA_LINKINFO, b"")))
        name, kind, port_of = (
            text.rstrip(b"\0").decode(errors="replace")
            for text in (
                attributes.get(_IFLA_IFNAME, b""),
                about.get(_INFO_KIND, b""),
                about.get(_INFO_SLAVE_KIND, b""),
            )
        )
        found.append(Interface(index, name, kind, port_of))
    return found


def watch_interfaces() -> socket.socket:
    """A socket that becomes readable whenever an interface of this network namespace comes, goes or changes.
    What it says is of no use, since some of it may be lost: read it off, and ask `interfaces`."""
    channel = socket.socket(
        socket.AF_NETLINK,
        socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK,
        socket.NETLINK_ROUTE,
    )
    try:
        channel.bind((0, _GROUP_LINK))
    except OSError as error:
        channel.close()
        raise NetlinkError("watch interfaces", "", error.errno or 0) from error
    return channel


def xdp(ifindex: int) -> Xdp:
    """The device's XDP programs; NetlinkError."""
    message = _IFINFO.pack(0, 0, ifindex, 0, 0)
    (body,) = _request("look up interface", ifindex, _GETLINK, _F_ACK, message)
    nested = dict(_attributes(body[_IFINFO.size :])).get(_IFLA_XDP, b"")
    parts = {key: int.from_bytes(value, "little") for key, value in _attributes(nested)}
    driver, generic = parts.get(_XDP_DRV_ID), parts.get(_XDP_SKB_ID)
    if driver is None and generic is None and parts.get(_XDP_PROG_ID):
        # Before 4.19 only one id is told; IFLA_XDP_ATTACHED says its mode (1 driver, 2 generic).
        if parts.get(_XDP_ATTACHED) == 1:
            driver = parts[_XDP_PROG_ID]
        else:
            generic = parts[_XDP_PROG_ID]
    return Xdp(driver or None, generic or None)


def set_xdp(ifindex: int, mode: XdpMode, program: Fd | None, expected: Fd | None) -> None:
    """Put `program` in place of `expected`; None: nothing. NetlinkError where the device has another.

    Replacing needs kernel 5.7 (XDP_FLAGS_REPLACE), and is one step.
    """
    flags = mode | (_XDP_REPLACE if expected else _XDP_IF_NOEXIST)
    nested = _attribute(_XDP_FD, struct.pack("=i", program.fileno() if program else -1))
    nested += _attribute(_XDP_FLAGS, struct.pack("=I", flags))
    if expected:
        nested += _attribute(_XDP_EXPECTED, struct.pack("=i", expected.fileno()))
    message = _IFINFO.pack(0, 0, ifindex, 0, 0) + _attribute(_IFLA_XDP | 0x8000, nested)
    _request("set XDP program", ifindex, _SETLINK, _F_ACK, message)


def _clsact(ifindex: int, operation: str, kind: int, flags: int) -> None:
    message = _TCMSG.pack(0, ifindex, _CLSACT_HANDLE, _CLSACT_PARENT, 0) + _attribute(_TCA_KIND, b"clsact\0")
    _request(operation, ifindex, kind, _F_ACK | flags, message)


def _filter(
    ifindex: int,
    block: Block,
    operation: str,
    kind: int,
    flags: int,
    options: bytes,
    place: FilterPlace = GATE_FILTER,
) -> None:
    info = place.priority << 16 | socket.htons(_ETH_P_ALL)
    message = _TCMSG.pack(0, ifindex, place.handle, block, info) + _attribute(_TCA_KIND, b"bpf\0") + options
    _request(f"{operation} ({block.name.lower()})", ifindex, kind, _F_ACK | flags, message)


def _bpf_options(program: Fd, name: str) -> bytes:
    direct_action = 1
    return _attribute(
        _TCA_OPTIONS,
        _attribute(_BPF_FD, struct.pack("=I", program.fileno()))
        + _attribute(_BPF_NAME, name.encode() + b"\0")
        + _attribute(_BPF_FLAGS, struct.pack("=I", direct_action)),
    )


def _attribute(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(-length % 4)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size:
            return
        yield kind & 0x3FFF, data[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3


def _request(operation: str, ifindex: int, kind: int, flags: int, message: bytes) -> list[bytes]:
    """Send one request and give the bodies of its answers."""
    target = _describe(ifindex) if ifindex else ""
    try:
        with socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        ) as channel:
            for option in (_CAP_ACK, _EXT_ACK):
                channel.setsockopt(_SOL_NETLINK, option, 1)
            length = _HEADER.size + len(message)
            channel.send(_HEADER.pack(length, kind, flags | _F_REQUEST, 1, 0) + message)
            return list(_answers(channel, operation, target))
    except NetlinkError:
        raise
    except OSError as error:
        raise NetlinkError(operation, target, error.errno or 0) from error


def _answers(channel: socket.socket, operation: str, target: str) -> Iterator[bytes]:
    while True:
        data = channel.recv(1 << 18)
        at = 0
        while at < len(data):
            length, kind, flags, _, _ = _HEADER.unpack_from(data, at)
            body = data[at + _HEADER.size : at + length]
            at += (length + 3) & ~3
            if kind not in (_ERROR, _DONE):
                yield body
                continue
            # A dump ends in DONE with its status, anything else in ERROR, which is 0 for success.
            code = -int.from_bytes(body[:4], "little", signed=True) if body else 0
            if code:
                words = _refusal(body, flags) if kind == _ERROR else ""
                raise NetlinkError(operation, target, code, words)
            return


def _refusal(body: bytes, flags: int) -> str:
    """The kernel's words in an extended acknowledgement (NLMSGERR_ATTR_MSG), empty for none."""
    if not flags & _F_ACK_TLVS:
        return ""
    start = 4 + _HEADER.size
    if not flags & _F_CAPPED:
        (echoed,) = struct.unpack_from("=I", body, 4)
        start = 4 + ((echoed + 3) & ~3)
    return dict(_attributes(body[start:])).get(1, b"").rstrip(b"\0").decode(errors="replace")


def _describe(ifindex: int) -> str:
    try:
        return socket.if_indextoname(ifindex)
    except OSError:
        return f"interface {ifindex}"
