"""Attaching a program to a device by the best way that the kernel offers: the ladder.

tc: TCX links, then filters on a clsact qdisc. XDP: links in driver mode, then generic mode, then the
same two by netlink. Each rung is tried, not inferred from a version; what the kernel said on those
above the one taken is kept, so that an operator sees why. Links are pinned in `links`; what hangs on
netlink needs no pin, the device holds it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Final

from wardgate.runtime import links, netlink
from wardgate.runtime.errors import PrivilegeError, WardgateError
from wardgate.runtime.info import LinkInfo, LinkType, link_info, program_id
from wardgate.runtime.links import AttachType, XdpMode
from wardgate.runtime.netlink import Block
from wardgate.runtime.syscall import Fd, obj_get, obj_pin


class Hook(Enum):
    """A place on a device at which a program judges packets."""

    INGRESS = "ingress"
    EGRESS = "egress"
    XDP = "xdp"


class Rung(Enum):
    """A way to attach, best first within `LADDERS`."""

    TCX = "tcx"
    CLSACT = "clsact"
    XDP_DRIVER = "xdp-link-driver"
    XDP_GENERIC = "xdp-link-generic"
    XDP_NETLINK_DRIVER = "xdp-netlink-driver"
    XDP_NETLINK_GENERIC = "xdp-netlink-generic"

    @property
    def is_link(self) -> bool:
        """Whether the attachment is a link of its own, which a pin keeps."""
        return self in (Rung.TCX, Rung.XDP_DRIVER, Rung.XDP_GENERIC)


_TC_RUNGS: Final = (Rung.TCX, Rung.CLSACT)
_XDP_RUNGS: Final = (
    Rung.XDP_DRIVER,
    Rung.XDP_GENERIC,
    Rung.XDP_NETLINK_DRIVER,
    Rung.XDP_NETLINK_GENERIC,
)
LADDERS: Final = {Hook.INGRESS: _TC_RUNGS, Hook.EGRESS: _TC_RUNGS, Hook.XDP: _XDP_RUNGS}

_TCX_TYPES: Final = {Hook.INGRESS: AttachType.TCX_INGRESS, Hook.EGRESS: AttachType.TCX_EGRESS}
_BLOCKS: Final = {Hook.INGRESS: Block.INGRESS, Hook.EGRESS: Block.EGRESS}
_MODES: Final = {
    Rung.XDP_DRIVER: XdpMode.DRIVER,
    Rung.XDP_GENERIC: XdpMode.GENERIC,
    Rung.XDP_NETLINK_DRIVER: XdpMode.DRIVER,
    Rung.XDP_NETLINK_GENERIC: XdpMode.GENERIC,
}
_FILTER_NAME: Final = "wardgate"
_CLSACT_MARK: Final = "made-clsact"


class AttachError(WardgateError):
    """No rung of the ladder held; `refusals` says what the kernel answered on each."""

    def __init__(self, hook: Hook, device: str, refusals: Sequence[Refusal], remedy: str) -> None:
        causes = "; ".join(f"{refusal.rung.value}: {refusal.cause}" for refusal in refusals)
        super().__init__("attach", f"{device} ({hook.value})", causes or "no rung to try", remedy)
        self.refusals = tuple(refusals)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A rung that was tried before the one taken, and what the kernel said."""

    rung: Rung
    cause: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """A program on a device, as the kernel tells it. `ifindex` 0: the device has gone, nothing is
    enforced there."""

    hook: Hook
    rung: Rung
    ifindex: int
    program_id: int

    @property
    def alive(self) -> bool:
        """Whether packets meet it."""
        return self.ifindex != 0


def rungs_for(hook: Hook, wanted: Collection[Rung] | None) -> tuple[Rung, ...]:
    """The rungs of `hook` that are allowed, best first; None: all, and all too where `wanted` names
    none of this hook's, so that forcing an XDP rung leaves tc egress as it is."""
    ladder = LADDERS[hook]
    allowed = tuple(rung for rung in ladder if wanted is not None and rung in wanted)
    return allowed or ladder


def attach(
    hook: Hook, program: Fd, ifindex: int, pins: Path, *, device: str, rungs: Collection[Rung] | None = None
) -> tuple[Attachment, tuple[Refusal, ...]]:
    """Attach `program` by the best rung that holds; also what the better ones answered.

    `pins` is the gate's folder for links; a pin of this hook that is there already is of a link whose
    device has gone, and is removed. AttachError where none holds, with nothing left behind.
    """
    refusals: list[Refusal] = []
    forbidden: PrivilegeError | None = None
    for rung in rungs_for(hook, rungs):
        try:
            _attach(hook, rung, program, ifindex, pins)
        except WardgateError as error:
            refusals.append(Refusal(rung, error.cause))
            if isinstance(error, PrivilegeError):
                forbidden = error
            continue
        return Attachment(hook, rung, ifindex, program_id(program)), tuple(refusals)
    if forbidden:
        remedy = forbidden.remedy
    elif len(refusals) < len(LADDERS[hook]):
        remedy = "allow the other rungs"
    else:
        remedy = _remedy(hook, ifindex, device)
    raise AttachError(hook, device, refusals, remedy)


def find(
    hook: Hook, ifindex: int | None, pins: Path, programs: Collection[int], known: Rung | None = None
) -> Attachment | None:
    """What the gate has attached at `hook`, asked of the kernel; None for nothing.

    `ifindex` is the gate's device in this network namespace, None where it is not there; `programs`
    are the ids of the gate's programs, by which its filters are told from those of others. `known` is
    the rung that is believed where this namespace cannot tell. A link whose device has gone is given,
    not alive, only where nothing else is there.
    """
    path = pins / hook.value
    gone = None
    if path.exists():
        with obj_get(path) as link:
            info = link_info(link)
        attachment = Attachment(hook, _link_rung(info, ifindex, known), info.ifindex, info.program_id)
        if attachment.alive:
            return attachment
        gone = attachment
    if ifindex is None:
        return gone
    if hook is Hook.XDP:
        shown = netlink.xdp(ifindex)
        for rung in (Rung.XDP_NETLINK_DRIVER, Rung.XDP_NETLINK_GENERIC):
            number = shown.program(_MODES[rung])
            if number is not None and number in programs:
                return Attachment(hook, rung, ifindex, number)
        return gone
    for entry in netlink.filters(ifindex, _BLOCKS[hook]):
        ours = (entry.handle, entry.priority) == (netlink.FILTER_HANDLE, netlink.FILTER_PRIORITY)
        if ours and entry.program_id is not None and entry.program_id in programs:
            return Attachment(hook, Rung.CLSACT, ifindex, entry.program_id)
    return gone


class Switch:
    """Another program in the place of the one at an attachment, made ready: a context manager.

    `forth` and `back` are one step each; WardgateError where the kernel refuses or another program than
    expected is there, with nothing changed.
    """

    def __init__(self, attachment: Attachment, pins: Path, old: Fd, new: Fd) -> None:
        self._attachment = attachment
        self._old, self._new = old, new
        self._link = obj_get(pins / attachment.hook.value) if attachment.rung.is_link else None

    def forth(self) -> None:
        """Put the new one in the place of the old."""
        self._put(self._new, self._old)

    def back(self) -> None:
        """Put the old one in the place of the new."""
        self._put(self._old, self._new)

    def _put(self, program: Fd, current: Fd) -> None:
        one = self._attachment
        if self._link is not None:
            links.update(self._link, program, current)
        elif one.rung is Rung.CLSACT:
            netlink.replace_filter(one.ifindex, _BLOCKS[one.hook], program, _FILTER_NAME)
        else:
            netlink.set_xdp(one.ifindex, _MODES[one.rung], program, current)

    def __enter__(self) -> Switch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._link is not None:
            self._link.close()


def detach(attachment: Attachment, pins: Path, current: Fd | None) -> None:
    """Take the program off the device and remove the pin; WardgateError.

    `current` is the program, which the netlink way of XDP asks for so as not to take off another's.
    """
    hook = attachment.hook
    if attachment.rung.is_link:
        path = pins / hook.value
        if attachment.alive:
            # Unlinking the pin alone would detach some time later, when the kernel frees the link.
            with obj_get(path) as link:
                links.detach(link)
        path.unlink()
    elif attachment.rung is Rung.CLSACT:
        netlink.delete_filter(attachment.ifindex, _BLOCKS[hook])
        _release_clsact(attachment.ifindex, pins)
    else:
        netlink.set_xdp(attachment.ifindex, _MODES[attachment.rung], None, current)


def _attach(hook: Hook, rung: Rung, program: Fd, ifindex: int, pins: Path) -> None:
    if rung is Rung.CLSACT:
        _attach_clsact(hook, program, ifindex, pins)
    elif not rung.is_link:
        netlink.set_xdp(ifindex, _MODES[rung], program, None)
    else:
        path = pins / hook.value
        path.unlink(missing_ok=True)
        if rung is Rung.TCX:
            link = links.create_tcx(program, ifindex, _TCX_TYPES[hook])
        else:
            link = links.create_xdp(program, ifindex, _MODES[rung])
        with link:
            # Until it is pinned the link lives by this fd alone: a crash here attaches nothing.
            try:
                obj_pin(link, path)
            except BaseException:
                links.detach(link)
                raise


def _attach_clsact(hook: Hook, program: Fd, ifindex: int, pins: Path) -> None:
    mark = pins / _CLSACT_MARK
    if not netlink.has_clsact(ifindex):
        # The mark comes first: a crash in between must not leave a qdisc that detach would not know
        # as ours.
        mark.mkdir(exist_ok=True)
        if not netlink.add_clsact(ifindex):
            mark.rmdir()
    try:
        netlink.add_filter(ifindex, _BLOCKS[hook], program, _FILTER_NAME)
    except BaseException:
        _release_clsact(ifindex, pins)
        raise


def _release_clsact(ifindex: int, pins: Path) -> None:
    """Remove the qdisc if the gate made it and nothing is left on it."""
    mark = pins / _CLSACT_MARK
    if mark.is_dir() and not any(netlink.filters(ifindex, block) for block in Block):
        netlink.remove_clsact(ifindex)
        mark.rmdir()


def _link_rung(info: LinkInfo, ifindex: int | None, known: Rung | None) -> Rung:
    if info.type == LinkType.TCX:
        return Rung.TCX
    if info.ifindex and info.ifindex == ifindex:
        driver = netlink.xdp(ifindex).driver == info.program_id
        return Rung.XDP_DRIVER if driver else Rung.XDP_GENERIC
    return known if known in (Rung.XDP_DRIVER, Rung.XDP_GENERIC) else Rung.XDP_GENERIC


def _remedy(hook: Hook, ifindex: int, device: str) -> str:
    if hook is Hook.XDP:
        shown = netlink.xdp(ifindex)
        if shown.driver or shown.generic:
            return f"the device has another XDP program: remove it (ip link set {device} xdp off)"
    return "the kernel needs TCX (6.6) or CONFIG_NET_CLS_BPF for tc, XDP support for XDP"
