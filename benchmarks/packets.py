"""Real packets over veth: no gate, ours by TCX and by generic XDP, and nftables for the same policy."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import partial
from ipaddress import IPv4Address
from typing import Any, Final

from wardgate.compiler.compile import compile_parsed
from wardgate.compiler.language.model import MAX_PORT, UDP
from wardgate.runtime.attach import Rung
from wardgate.runtime.devices import DeviceSpec
from wardgate.runtime.gate import Gate
from wardgate.runtime.layout.codes import Verdict

from benchmarks import nftables
from benchmarks.contest import say
from benchmarks.model import PolicyModel
from benchmarks.path import TUNNEL, Path
from benchmarks.policies import GeneratedPolicy, Shape, generate
from benchmarks.sampling import Summary, interleave
from benchmarks.streams import BulkStream, SmallPackets, StreamError
from benchmarks.traces import TraceError, TraceMaker, Tuple, class_of, device_address

NONE: Final = "none"
_MIB: Final = 1 << 20
_SESSION_S: Final = 3600.0
_CANDIDATES: Final = 20
_CHECKED: Final = 64


def measure(rules: int, devices: int, rounds: int, bulk_mib: int, datagrams: int) -> dict[str, Any]:
    """Bulk TCP (seconds a run) and small datagrams (ns each), and ratios to no gate within a round."""
    say(f"real packets: {rules:,} rules, {devices:,} devices")
    generated = generate(Shape.of_rules(rules))
    maker = TraceMaker(generated, devices)
    segment = maker.draw(4, 1).tuples[0]
    datagram, forbidden = _open_and_closed(maker)
    refused: dict[str, str] = {}
    with ExitStack() as stack:
        bulk: dict[str, Callable[[], float]] = {}
        small: dict[str, Callable[[], float]] = {}
        for name, install in _guards(generated, devices).items():
            path = stack.enter_context(
                Path(
                    [_device(t) for t in (segment, datagram)],
                    [_remote(t) for t in (segment, datagram)],
                )
            )
            try:
                install(path, stack)
            except nftables.NftError as error:
                refused[name] = str(error)
                continue
            _check(path, name, forbidden)
            stream = BulkStream(path, _device(segment), _remote(segment), segment.port)
            stack.callback(stream.close)
            packets = SmallPackets(path, _device(datagram), _remote(datagram), datagram.port)
            stack.callback(packets.close)
            bulk[name] = partial(stream.run, bulk_mib * _MIB)
            small[name] = partial(packets.run, datagrams)
        results: dict[str, Any] = {
            "rules": rules,
            "devices": devices,
            "bulk_mib": bulk_mib,
            "refused": refused,
            "bulk": _compare(bulk, rounds),
            "small": _compare(small, rounds),
        }
    for kind in ("bulk", "small"):
        ratios = ", ".join(f"{n} {one['of_none']['median']:.3f}" for n, one in results[kind].items())
        say(f"  {kind}: speed of none: {ratios}")
    return results


def _open_and_closed(maker: TraceMaker) -> tuple[Tuple, Tuple]:
    """A datagram that passes, and one from and to the same that does not."""
    for passing in maker.draw(4, _CANDIDATES, protocol=UDP).tuples:
        for port in range(1, MAX_PORT):
            other = passing._replace(port=port)
            if maker.verdict(4, UDP, other) in (Verdict.DENY, Verdict.NONE):
                return passing, other
    raise TraceError("each remote that lets a datagram pass lets all pass")


def _check(path: Path, name: str, forbidden: Tuple) -> None:
    """StreamError if what stands on the gateway lets a forbidden datagram pass, or nothing does not."""
    with closing(SmallPackets(path, _device(forbidden), _remote(forbidden), forbidden.port)) as packets:
        before = packets.arrived()
        sent = _CHECKED
        packets.send(sent)
        arrived = packets.arrived() - before
    if arrived != (sent if name == NONE else 0):
        raise StreamError(f"{name}: {arrived} of {sent} datagrams arrived that the policy forbids")


def _compare(runs: dict[str, Callable[[], float]], rounds: int) -> dict[str, Any]:
    for run in runs.values():
        run()
    samples = interleave(runs, rounds)
    return {
        name: {
            "taken": Summary.of(found).to_json(),
            "of_none": Summary.of(
                [none / own for none, own in zip(samples[NONE], found, strict=True)]
            ).to_json(),
        }
        for name, found in samples.items()
    }


Install = Callable[[Path, ExitStack], None]


def _guards(generated: GeneratedPolicy, devices: int) -> dict[str, Install]:
    """What stands on the gateway, by name."""
    artefact = compile_parsed(generated.policy).data
    model = PolicyModel(generated.policy, generated.users)
    specs = [
        DeviceSpec.of(class_of(device, generated.users), device_address(4, device))
        for device in range(devices)
    ]

    def gate(name: str, hook: str, rung: Rung, path: Path, stack: ExitStack) -> None:
        with path.gateway.enter():
            made = Gate.create_or_adopt(
                artefact,
                device=TUNNEL,
                name=f"bench-{os.getpid()}-{name}",
                hook=hook,
                device_slots=devices + 1,
                rungs={rung},
            )
        stack.callback(made.detach)
        made.set_devices(specs)
        for number in range(devices):
            made.sessions.grant(device_address(4, number), _SESSION_S)

    def nft(stateful: bool, path: Path, stack: ExitStack) -> None:  # noqa: ARG001
        nftables.install(path.gateway, nftables.ruleset(model, devices, stateful=stateful))

    return {
        NONE: lambda path, stack: None,  # noqa: ARG005
        "tcx": partial(gate, "tcx", "tc", Rung.TCX),
        "xdp generic": partial(gate, "xdp", "xdp", Rung.XDP_GENERIC),
        "nftables": partial(nft, False),
        "nftables + conntrack": partial(nft, True),
    }


def _device(one: Tuple) -> str:
    return str(device_address(4, one.device))


def _remote(one: Tuple) -> str:
    return str(IPv4Address(one.remote))
