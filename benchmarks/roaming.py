"""What the detectors of roaming cost, and how soon they see that a client moved.

    python -m benchmarks.roaming [--peers N] [--moves N] [--json]

Needs root and wireguard-go. What is added to the kernel's WireGuard is measured on the program's own code
with a peer that is made up, so that no such kernel is needed. A call of a fentry program costs some ns more.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import random
import statistics
import struct
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from wardgate.compiler.explain import packets
from wardgate.gateway.compiling.programs import compile_program
from wardgate.gateway.roaming import Detector, Endpoint, OnRoam, Watched, layout
from wardgate.gateway.roaming.looker import Looker
from wardgate.gateway.roaming.objects import read_program
from wardgate.gateway.roaming.pace import Pace
from wardgate.gateway.roaming.polling import PollingDetector
from wardgate.gateway.roaming.sources import fentry_source, underlay_source
from wardgate.gateway.roaming.underlay import UnderlayDetector
from wardgate.runtime.layout.maps import MapLayout, MapType, Scope
from wardgate.runtime.layout.records import Field, Record
from wardgate.runtime.object import LoadedObject, load_object
from wardgate.runtime.testrun import test_run

from benchmarks.roaming_tunnel import PORT, RoamingTunnel

PEERS: Final = 10_000
_REPEAT: Final = 200_000
_ROUNDS: Final = 7
_IDLE_SECONDS: Final = 5.0
_SETTLE_SECONDS: Final = 3.0
_FIRST_PLACE: Final = ip_address("11.0.0.1")
_FIRST_ADDRESS: Final = ip_address("10.100.0.1")

_PEER_KEY_AT, _ENDPOINT_AT = 64, 128
_MADE_UP = Record("made_up", "A peer.", (Field("bytes", "u8", "as struct wg_peer", 256),))
_MADE_UP_MAP = MapLayout(
    "made_up", MapType.ARRAY, Scope.GATE, 1, None, _MADE_UP, 0, True, "The peer that is asked about."
)


def _median_ns(loaded: LoadedObject, program: str, packet: bytes) -> float:
    runs = [
        test_run(loaded.programs[program], packet, repeat=_REPEAT, want_data=False).duration_ns
        for _ in range(_ROUNDS)
    ]
    return statistics.median(runs)


def fentry_cost(peers: int) -> dict[str, float]:
    """Added ns a packet: of a peer where its session was granted, and of one without a session."""
    source = fentry_source()
    text = (Path(__file__).parent / "roaming_fentry.c").read_text(encoding="utf-8")
    source = dataclasses.replace(
        source,
        files={**source.files, "benchmarks/roaming_fentry.c": text},
        records=[*source.records, _MADE_UP],
        maps=[*source.maps, _MADE_UP_MAP],
    )
    places = {"peer_key": _PEER_KEY_AT, "peer_endpoint": _ENDPOINT_AT}
    spec = read_program(compile_program(source), layout.KERNEL, places)
    ours = {name: one for name, one in spec.programs.items() if name.startswith("bench")}
    packet = packets.ethernet(packets.opening("10.9.0.2", "10.0.0.5", packets.TCP, 443))
    chance = random.Random(1)  # noqa: S311 - the same keys each time are what is wanted
    key, endpoint = chance.randbytes(32), (ip_address("192.0.2.7"), PORT)
    with load_object(dataclasses.replace(spec, programs=ours)) as loaded:
        place = bytearray(_MADE_UP.size)
        place[_PEER_KEY_AT : _PEER_KEY_AT + 32] = key
        address = struct.pack("<H", 2) + struct.pack("!H", PORT) + ip_address("192.0.2.7").packed
        place[_ENDPOINT_AT : _ENDPOINT_AT + len(address)] = address
        loaded.maps["made_up"].update(bytes(4), bytes(place))
        watched = layout.WATCHED.pack({"slot": 1, "granted": layout.pack_remote(endpoint)})
        for other in (chance.randbytes(32) for _ in range(peers - 1)):
            loaded.maps["peers"].update(other, watched)
        nothing = _median_ns(loaded, "bench_nothing", packet)
        without = _median_ns(loaded, "bench_packet", packet)
        loaded.maps["peers"].update(key, watched)
        within = _median_ns(loaded, "bench_packet", packet)
    return {"without_session": without - nothing, "where_granted": within - nothing}


def underlay_cost(peers: int) -> dict[str, float]:
    """Added ns a packet that comes in by a watched interface."""
    spec = read_program(compile_program(underlay_source()), layout.UNDERLAY, {"port": _network_order(PORT)})
    here, there = "192.0.2.1", "198.51.100.7"
    data = struct.pack("<II", 4, 7) + bytes(1400)
    wireguard = packets.ipv4(there, here, packets.UDP, packets.udp(4000, PORT, data))
    frames = {
        "tcp": packets.opening(there, here, packets.TCP, 443),
        "udp_of_other_port": packets.ipv4(there, here, packets.UDP, packets.udp(4000, 443, data)),
        "wireguard_of_unknown_source": wireguard,
        "wireguard_of_known_peer": wireguard,
        "not_ip": None,
    }
    found = {}
    with load_object(spec) as loaded:
        for name, packet in frames.items():
            frame = packets.ethernet(packet) if packet else packets.ethernet(wireguard, 0x0806)
            if name == "wireguard_of_known_peer":
                for number in range(peers - 1):
                    loaded.maps["sources"].update(_source(ip_address(0x0A000000 + number)), bytes(4))
                loaded.maps["sources"].update(_source(ip_address(there)), bytes(4))
            found[name] = _median_ns(loaded, "underlay_watch", frame)
    base = found.pop("not_ip")
    return {name: ns - base for name, ns in found.items()}


def _network_order(port: int) -> int:
    return int.from_bytes(port.to_bytes(2, "big"), "little")


def _source(address: Any) -> bytes:
    return layout.SOURCE.pack({"address": layout.address_bytes(address), "port": _network_order(4000)})


async def _collect(detector: Detector, found: asyncio.Queue[tuple[float, Any]]) -> None:
    async for one in detector.changes():
        found.put_nowait((time.monotonic(), one))


async def _latency(tunnel: RoamingTunnel, detector: Detector, moves: int) -> dict[str, float]:
    """Seconds from the first packet that a client sends from elsewhere until the detector tells."""
    tunnel.send()
    (key,) = (key for key, at in tunnel.dump().items() if at is not None and str(at[0]) == tunnel.at)
    detector.reset({key: Watched(1, tunnel.dump()[key])})
    found: asyncio.Queue[tuple[float, Any]] = asyncio.Queue()
    task = asyncio.create_task(_collect(detector, found))
    await asyncio.sleep(_SETTLE_SECONDS)
    chance, seconds = random.Random(2), []  # noqa: S311 - not for secrets
    for _ in range(moves):
        # At any moment of whatever the detector does at intervals, and not when it has just looked.
        await asyncio.sleep(2.2 + chance.random())
        after = await asyncio.to_thread(tunnel.move)
        started = time.monotonic()
        tunnel.start_sending()
        at, _one = await found.get()
        seconds.append(at - started)
        detector.watch(key, Watched(1, after))
    await asyncio.sleep(_SETTLE_SECONDS)
    before = detector.status().dumps
    await asyncio.sleep(_IDLE_SECONDS)
    idle = (detector.status().dumps - before) / _IDLE_SECONDS
    status = detector.status()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    detector.close()
    ordered = sorted(seconds)
    return {
        "median_ms": statistics.median(ordered) * 1000,
        "worst_ms": ordered[-1] * 1000,
        "idle_dumps_a_second": idle,
        "dump_ms": status.dump_seconds / max(status.dumps, 1) * 1000,
    }


def looks(peers: int, moves: int) -> dict[str, Any]:
    """The detectors that look, at a gateway with so many peers of which one moves."""
    program = compile_program(underlay_source())
    made: dict[str, Any] = {}
    with ExitStack() as stack:
        tunnel = stack.enter_context(RoamingTunnel(f"wgb{os.getpid()}"))
        chance = random.Random(3)  # noqa: S311 - not for secrets
        keys = [chance.randbytes(32) for _ in range(peers - 1)]
        # Each has an address in the tunnel, and has sent something.
        tunnel.configure(
            "".join(
                f"public_key={key.hex()}\nendpoint={_FIRST_PLACE + number}:{20_000 + number % 40_000}\n"
                f"allowed_ip={_FIRST_ADDRESS + number}/32\n"
                for number, key in enumerate(keys)
            )
        )
        with tunnel.gateway.enter():
            for name, detector in (
                ("underlay", UnderlayDetector(
                    tunnel.device, program, tunnel.device, PORT, tunnel.dump, OnRoam.CHALLENGE)),
                ("polling", PollingDetector(tunnel.dump, OnRoam.CHALLENGE)),
            ):  # fmt: skip
                made[name] = asyncio.run(_latency(tunnel, detector, moves))
    return made


def comparing(peers: int) -> float:
    """Milliseconds to compare so many endpoints with those of the dump before, and of as many sessions."""
    chance = random.Random(4)  # noqa: S311 - not for secrets
    known: Mapping[bytes, Endpoint | None] = {
        chance.randbytes(32): (ip_address(chance.getrandbits(32)), PORT) for _ in range(peers)
    }

    async def look() -> float:
        # As a device's dumps do, those of who did not move have the same objects.
        dumps = [dict(known) for _ in range(2)]
        looker = Looker("benchmark", dumps.pop, OnRoam.CHALLENGE, Pace())
        looker.reset({key: Watched(1, at) for key, at in known.items()})
        await looker.look()
        started = time.perf_counter()
        if await looker.look():
            raise RuntimeError("nobody moved")
        return time.perf_counter() - started

    return statistics.median(asyncio.run(look()) for _ in range(_ROUNDS)) * 1000


def main() -> int:
    """The command; its exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", type=int, default=PEERS)
    parser.add_argument("--moves", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    results = {
        "fentry_ns": fentry_cost(given.peers),
        "underlay_ns": underlay_cost(given.peers),
        "one_peer": looks(1, given.moves),
        "peers": given.peers,
        "many_peers": looks(given.peers, given.moves),
        "compare_ms": comparing(given.peers),
    }
    if given.json:
        print(json.dumps(results, indent=1))
        return 0
    for what in ("fentry_ns", "underlay_ns"):
        for name, ns in results[what].items():
            print(f"{what[:-3]:9} {name.replace('_', ' '):30} {ns:6.0f} ns a packet")
    for what, words in (("one_peer", "1 peer"), ("many_peers", f"{given.peers:,} peers")):
        for name, row in results[what].items():
            figures = ", ".join(f"{key.replace('_', ' ')} {value:.1f}" for key, value in row.items())
            print(f"{name}, {words}: {figures}")
    print(f"compare {given.peers:,} endpoints: {results['compare_ms']:.1f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
