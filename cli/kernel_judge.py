"""Packets judged by the kernel: the artefact is loaded, attached to nothing, and test-run on each.

The kernel's clock is its own: a flow or a session does not end by the times that packets have.
"""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Final

from wardgate.cli.kernel_engine import load_programs
from wardgate.compiler.explain import packets
from wardgate.compiler.explain.enrolment import Enrolment
from wardgate.compiler.explain.judgement import Device, Frame, Judgement, addresses_in, read_judgement
from wardgate.compiler.explain.probe import EngineError, Entry
from wardgate.compiler.explain.vm_judge import PROGRAMS
from wardgate.compiler.language.model import ICMPV6
from wardgate.runtime.errors import BpfError
from wardgate.runtime.layout.codes import Direction, LinkHeader
from wardgate.runtime.layout.maps import SUBJECT_CLASS
from wardgate.runtime.layout.records import EVENT, Value
from wardgate.runtime.testrun import test_run

_NEIGHBOUR_DISCOVERY: Final = (135, 136)
_ROOM: Final = 2
"""Addresses that a device has in the map of those, at least, for which there is room."""


class KernelJudge:
    """Judges packets one after the other: a context manager, which owns the loaded programs and maps.

    `devices`: the largest slot that packets come with; `authed`: every device's session is authorised.
    The constructor raises WardgateError (runtime.errors) where the artefact is damaged or refused.
    """

    def __init__(self, artefact: bytes, *, authed: bool, devices: int) -> None:
        with ExitStack() as stack:
            slots = 1 << (_ROOM * (devices + 1)).bit_length()
            self.manifest, self._object, self._events = load_programs(artefact, slots, stack)
            self._stack = stack.pop_all()
        self._enrolment = Enrolment(self.manifest, authed=authed)

    def judge(self, frame: Frame, direction: Direction, device: Device | None) -> Judgement:
        """See Judge. EngineError where the kernel does not take the packet: it wants a whole IP header behind
        14 bytes of Ethernet's, and not more than about a page in all."""
        ends = addresses_in(frame.data, frame.link)
        if device is not None and ends is not None:
            self._enrolment.enrol(device, ends[direction is Direction.TO_DEVICE], self._classes, self._put)
        data = frame.data.ljust(frame.length, b"\0") if frame.length <= _LARGEST else frame.data
        if frame.link is LinkHeader.NONE:
            if _would_be_link_local(data):
                raise EngineError(
                    "the kernel runs it as an Ethernet frame, where neighbour discovery passes unjudged"
                )
            data = _framed(data)
        try:
            if frame.length > _LARGEST:
                raise EngineError(f"the kernel test-runs no packet of {frame.length} bytes")
            returned = test_run(self._object.programs[PROGRAMS[direction]], data, want_data=False).retval
        except BpfError as error:
            raise EngineError(f"the kernel does not test-run it: {error.cause}") from None
        events: list[dict[str, Value]] = [EVENT.unpack(record) for record in self._events.read()]
        return read_judgement(self.manifest, direction, device, returned, events)

    def _classes(self, key: bytes) -> bytes | None:
        there = self._object.maps.get(SUBJECT_CLASS.name)
        return there.lookup(key) if there else None

    def _put(self, entry: Entry) -> None:
        table = self._object.maps.get(entry.layout.name)
        if table is None:
            return
        try:
            table.update(entry.key, entry.value)
        except BpfError as error:
            raise EngineError(f"the map {entry.layout.name} takes no more devices: {error.cause}") from None

    def close(self) -> None:
        """Unload the programs and maps."""
        self._stack.close()

    def __enter__(self) -> KernelJudge:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_LARGEST: Final = 1 << 12
"""Bytes, more than any kernel test-runs: PAGE_SIZE less room of its own (bpf_test_init in
net/bpf/test_run.c)."""


def _framed(packet: bytes) -> bytes:
    """An IP packet as an Ethernet frame, whose EtherType is of the version in its first byte."""
    wide = packet[:1] >= b"\x60"
    return packets.ethernet(packet, packets.ETHERTYPE_IPV6 if wide else packets.ETHERTYPE_IPV4)


def _would_be_link_local(packet: bytes) -> bool:
    return (
        len(packet) >= 48
        and packet[0] >> 4 == 6
        and packet[6:8] == bytes([ICMPV6, 255])
        and packet[40] in _NEIGHBOUR_DISCOVERY
    )
