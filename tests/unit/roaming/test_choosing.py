"""The best detector is taken, and each better one says why not."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address

import pytest
from wardgate.gateway.compiling.errors import CompileError
from wardgate.gateway.roaming import (
    DetectorError,
    OnRoam,
    Roamed,
    Tunnel,
    Watched,
    choose,
    open_detector,
)
from wardgate.gateway.roaming.choose import IgnoringDetector
from wardgate.gateway.roaming.layout import pack_remote, unpack_remote

KEY = bytes([7]) * 32
FIRST, SECOND = (ip_address("192.0.2.1"), 4000), (ip_address("2001:db8::2"), 51_820)


def tunnel(*, in_kernel: bool) -> Tunnel:
    return Tunnel("unit", "wg0", 51_820, bytes(32), in_kernel)


def no_compiler(detector: str) -> bytes:
    raise CompileError("compile program", detector, "there is no clang", "install one")


class Peers:
    """WireGuard, of which `endpoint` is where the one peer is."""

    def __init__(self) -> None:
        self.endpoint = FIRST
        self.dumps = 0

    def dump(self):
        self.dumps += 1
        return {KEY: self.endpoint}


def test_polling_is_left_where_nothing_else_works():
    detector = open_detector(tunnel(in_kernel=False), Peers().dump, OnRoam.CHALLENGE, compile_for=no_compiler)
    status = detector.status()
    assert status.detector == "polling"
    assert [(one.detector, one.cause) for one in status.refused] == [
        ("fentry", "the device is wireguard-go's, not the kernel's"),
        ("underlay", "there is no clang"),
    ]


def test_a_compiler_that_is_missing_is_a_cause_for_each():
    detector = open_detector(tunnel(in_kernel=True), Peers().dump, OnRoam.HANDSHAKE, compile_for=no_compiler)
    assert [one.cause for one in detector.refused] == ["there is no clang"] * 2
    assert detector.status().on_roam is OnRoam.HANDSHAKE


@pytest.mark.parametrize("on_roam", [OnRoam.CHALLENGE, OnRoam.IGNORE])
def test_what_ends_sessions_in_the_kernel_is_taken_away_where_another_is_taken(monkeypatch, on_roam):
    """Its slots are those of sessions that nobody hands over to it any more."""
    removed = []
    monkeypatch.setattr(choose.fentry, "remove", removed.append)
    open_detector(
        tunnel(in_kernel=False), Peers().dump, on_roam, allowed=("polling",), compile_for=no_compiler
    )
    assert removed == ["unit"]


def test_what_the_settings_leave_out_is_not_tried():
    def compile_for(detector: str) -> bytes:
        raise AssertionError(detector)

    detector = open_detector(
        tunnel(in_kernel=True), Peers().dump, OnRoam.CHALLENGE, allowed=("polling",), compile_for=compile_for
    )
    assert {one.cause for one in detector.refused} == {"the settings leave it out"}


def test_none_left_is_an_error():
    with pytest.raises(DetectorError, match="fentry: there is no clang"):
        open_detector(
            tunnel(in_kernel=True), Peers().dump, OnRoam.CHALLENGE,
            allowed=("fentry",), compile_for=no_compiler,
        )  # fmt: skip


def test_roaming_that_is_ignored_is_not_watched():
    peers = Peers()
    detector = open_detector(tunnel(in_kernel=True), peers.dump, OnRoam.IGNORE, compile_for=no_compiler)
    assert isinstance(detector, IgnoringDetector)
    detector.reset({KEY: Watched(1, FIRST)})
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(anext(detector.changes()), 0.05))
    assert peers.dumps == 0


def test_polling_tells_of_a_change_once():
    async def work() -> list[Roamed]:
        peers = Peers()
        detector = open_detector(
            tunnel(in_kernel=False), peers.dump, OnRoam.CHALLENGE,
            allowed=("polling",), interval=0.02,
        )  # fmt: skip
        detector.reset({KEY: Watched(1, FIRST)})
        found: list[Roamed] = []

        async def collect() -> None:
            async for one in detector.changes():
                found.append(one)
                if one.new == SECOND:
                    detector.watch(KEY, Watched(1, SECOND))
                    peers.endpoint = FIRST

        task = asyncio.create_task(collect())
        await asyncio.sleep(0.1)
        assert not found
        peers.endpoint = SECOND
        while len(found) < 2:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        task.cancel()
        return found

    moves = [(one.old, one.new, one.cleared) for one in asyncio.run(work())]
    assert moves == [(FIRST, SECOND, False), (SECOND, FIRST, False)]


@pytest.mark.parametrize("endpoint", [FIRST, SECOND, None])
def test_programs_get_endpoints_and_give_them_back(endpoint):
    assert unpack_remote(pack_remote(endpoint)) == endpoint


def test_an_endpoint_has_one_form():
    mapped = (ip_address("::ffff:192.0.2.1"), 4000)
    assert pack_remote(mapped) == pack_remote(FIRST)
    assert pack_remote((ip_address("fe80::1%2"), 1)) == pack_remote((ip_address("fe80::1%3"), 1))
