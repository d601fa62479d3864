"""Judging packets by their bytes: one in hexadecimal, or a capture of many."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from wardgate.cli import columns
from wardgate.cli.console import Console, dumps
from wardgate.cli.failures import USAGE, CommandError

if TYPE_CHECKING:
    from wardgate.cli.engines import Source
    from wardgate.compiler.explain.judgement import Devices, Frame, Judge, Judgement
    from wardgate.compiler.explain.reading import Transport
    from wardgate.compiler.language import Resolver

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ADDRESSES = 1 << 15
"""Of a tunnel that is all one user's, so many may be in a capture for the kernel to judge."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A packet and what became of it. `judgement` None: nobody could say, and `detail` says why; it also says
    what is wrong with a malformed one. `ends` None: its addresses cannot be read; without `service`, nothing
    more of it can."""

    number: int
    time: int | None
    length: int
    ends: Transport | None
    service: str | None
    judgement: Judgement | None
    detail: str

    def to_json(self) -> dict[str, Any]:
        """Its JSON object."""
        ends = self.ends
        when = (_EPOCH + timedelta(microseconds=self.time // 1000)).isoformat() if self.time else None
        return {
            "number": self.number,
            "time": when,
            "source": str(ends.source) if ends else None,
            "source_port": ends.source_port if ends else 0,
            "destination": str(ends.destination) if ends else None,
            "destination_port": ends.destination_port if ends else 0,
            "protocol": ends.protocol if ends and self.service else None,
            "service": self.service,
            "length": self.length,
            **(self.judgement.to_json() if self.judgement else {"pass": None, "reason": None}),
            "detail": self.detail,
        }

    def text(self) -> str:
        """One line: `12  DROP  carol 10.9.0.4 -> 10.1.2.3 22/tcp: deny rule, office.yaml:36:13 "lab ssh"`."""
        said = self.judgement
        fate = "?" if said is None else "pass" if said.passes else "DROP"
        user = f"{said.user} " if said and said.user else ""
        return f"{self.number:>6}  {fate:<4}  {user}{self._packet()}: {self._why()}"

    def block(self) -> str:
        """Several lines, for one packet alone."""
        said = self.judgement
        rows = [("packet", f"{self._packet()}, {self.length} bytes")]
        if said is None:
            return columns.align([*rows, ("fate", f"not judged: {self.detail}")], limit=10_000)
        way = "from" if said.direction.name == "FROM_DEVICE" else "to"
        rows += [
            ("device", f"{way} {said.user or 'no device that was looked for'}"),
            ("verdict", "none" if said.link_local else said.verdict.label),
            ("fate", "pass" if said.passes else f"drop: {self._reason()}"),
            ("bucket", said.prefix or "none"),
            ("rule", _rule(said) or "no rule"),
        ]
        return columns.align(rows, limit=10_000)

    def _packet(self) -> str:
        ends = self.ends
        if ends is None:
            return "a packet"
        shown = f"{ends.source} -> {ends.destination}{f' {self.service}' if self.service else ''}"
        said = self.judgement
        return f"{shown} (reply)" if said and said.is_reply and said.rule else shown

    def _why(self) -> str:
        said = self.judgement
        if said is None:
            return f"not judged: {self.detail}"
        rule = _rule(said)
        if rule and said.passes:
            return rule
        return f"{self._reason()}{f', {rule}' if rule else ''}"

    def _reason(self) -> str:
        said = self.judgement
        if said is None or said.link_local:
            return "of the link itself, which is not judged"
        return f"{said.reason.label} ({self.detail})" if self.detail else said.reason.label


def _rule(said: Judgement) -> str:
    rule = said.rule
    return f'{rule.file}:{rule.line}:{rule.column} "{rule.text}"' if rule else ""


def judge_frame(judge: Judge, frame: Frame, number: int, devices: Devices) -> Judged:
    """What becomes of a packet at all hooks that it meets."""
    from wardgate.compiler.explain.judgement import addresses_in, end_to_end, hops
    from wardgate.compiler.explain.probe import EngineError
    from wardgate.compiler.explain.reading import CutError, MalformedError, Transport, is_arp, read_packet
    from wardgate.compiler.vm.errors import ProgramError
    from wardgate.runtime.events import service_word
    from wardgate.runtime.layout.codes import Direction, Reason

    addresses = addresses_in(frame.data, frame.link)
    ends = Transport(*addresses, 0) if addresses else None
    length, service = frame.length - frame.link, None
    detail = ""
    try:
        if not is_arp(frame.data, frame.link):
            try:
                reading = read_packet(frame.data, frame.length, frame.link)
                ends, length = reading.outer, reading.length
                service = service_word(ends.protocol, ends.destination_port)
            except MalformedError as error:
                detail = str(error)
        ways = hops(*addresses, devices) if addresses else [(Direction.FROM_DEVICE, None)]
        said = end_to_end(judge, frame, ways)
    except (CutError, EngineError, ProgramError) as error:
        return Judged(number, frame.time, length, ends, service, None, str(error))
    if said.reason is not Reason.MALFORMED:
        detail = ""
    return Judged(number, frame.time, length, ends, service, said, detail)


def judge_capture(judge: Judge, stream: BinaryIO, devices: Devices) -> Iterator[Judged]:
    """What becomes of each packet of a capture; CaptureError where the file is broken."""
    from wardgate.compiler.explain.capture import read_capture
    from wardgate.compiler.explain.frames import FrameError, frame_of

    for captured in read_capture(stream):
        try:
            frame = frame_of(captured)
        except FrameError as error:
            yield Judged(captured.number, captured.time, captured.length, None, None, None, str(error))
        else:
            yield judge_frame(judge, frame, captured.number, devices)


def show_capture(console: Console, judge: Judge, stream: BinaryIO, devices: Devices) -> None:
    """Print a line for each packet of a capture."""
    from wardgate.compiler.explain.capture import CaptureError

    counts = {"pass": 0, "dropped": 0, "not judged": 0}
    try:
        for judged in judge_capture(judge, stream, devices):
            said = judged.judgement
            counts["not judged" if said is None else "pass" if said.passes else "dropped"] += 1
            sys.stdout.write((dumps(judged.to_json()) if console.json else judged.text()) + "\n")
    except CaptureError as error:
        name = "<stdin>" if stream.name in ("-", "<stdin>") else stream.name
        raise CommandError(f"{name}: {error}", status=USAGE) from None
    shown = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    console.note(f"{sum(counts.values()):,} packets{f': {shown}' if shown else ''}")


def show_packet(console: Console, judge: Judge, frame: Frame, devices: Devices) -> None:
    """Print what becomes of one packet."""
    judged = judge_frame(judge, frame, 1, devices)
    if console.json:
        console.document(judged.to_json())
    else:
        console.text(judged.block())


def devices_of(user: str | None, file: Path | None, tunnel: Sequence[str]) -> tuple[Devices, int]:
    """Who has which address: all of the tunnel `user`, or those of a devices file; and how many there are."""
    from wardgate.compiler.explain.judgement import Device, KnownDevices, OneUser

    if file is None:
        from wardgate.compiler.language.query import parse_query_user

        if not tunnel:
            raise CommandError(
                "the policy has no tunnel, so its users' addresses are not known",
                "give --devices FILE",
                USAGE,
            )
        return OneUser(parse_query_user(user or ""), tunnel), _ADDRESSES
    from wardgate.cli import devices

    found = devices.read(file)
    known = {
        address: Device(slot, one.user) for slot, one in enumerate(found, 1) for address in one.addresses
    }
    return KnownDevices(known), len(found)


@contextmanager
def opened_judge(
    source: Source, name: str, resolver: Resolver | None, *, authed: bool, devices: int
) -> Iterator[Judge]:
    """The engine `name` for packets; a policy is compiled where the engine runs programs."""
    from wardgate.cli.engines import artefact_of, policy_of

    if name == "reference":
        from wardgate.compiler.explain.flight import ReferenceJudge

        yield ReferenceJudge(policy_of(source), authed=authed)
    elif name == "vm":
        from wardgate.compiler.explain.vm_judge import VmJudge

        yield VmJudge(artefact_of(source, resolver), authed=authed)
    else:
        from wardgate.cli.kernel_judge import KernelJudge

        with KernelJudge(artefact_of(source, resolver), authed=authed, devices=devices) as judge:
            yield judge
