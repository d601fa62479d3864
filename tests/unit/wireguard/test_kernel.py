"""How the kernel's refusals are told; what it does is tried in the guests of tests/kernels."""

from __future__ import annotations

import errno
import os

import pytest
from wardgate.gateway.network.errors import NetworkError
from wardgate.gateway.wireguard import (
    DeviceGoneError,
    DeviceRefusedError,
    DeviceUnavailableError,
    Peer,
    kernel,
)
from wardgate.gateway.wireguard.generic_netlink import InterruptedDumpError, RefusalError
from wardgate.gateway.wireguard.kernel import KernelDevice
from wireguard_peers import key


class Channel:
    """A channel that fails as often as it is told, and then works."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.asked = 0

    def _fail(self) -> None:
        self.asked += 1
        if self.failures:
            raise self.failures.pop(0)

    def family(self, _name: str) -> int:
        return 30

    def dump(self, *_: object) -> list[bytes]:
        self._fail()
        return []

    def request(self, *_: object) -> None:
        self._fail()

    def __enter__(self) -> Channel:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""


@pytest.fixture
def failing(monkeypatch):
    """A device whose channel fails so."""
    monkeypatch.setattr(kernel, "_PAUSE", 0)

    def make(*failures):
        channel = Channel(*failures)
        monkeypatch.setattr(kernel, "GenericNetlink", lambda: channel)
        return KernelDevice("wg0", adopted=True), channel

    return make


def refusal(code: int) -> RefusalError:
    return RefusalError(code, os.strerror(code))


def test_a_dump_that_is_interrupted_is_made_again(failing):
    device, channel = failing(*[InterruptedDumpError()] * 5)
    assert device.peers() == {}
    assert channel.asked == 6


def test_one_that_always_is_is_an_error(failing):
    device, _ = failing(*[InterruptedDumpError()] * 1000)
    with pytest.raises(DeviceRefusedError, match="changed during each") as caught:
        device.reconcile([])
    assert caught.value.remedy


@pytest.mark.parametrize("code", [errno.ENODEV, errno.ENOENT])
def test_a_device_that_is_gone(failing, code):
    device, _ = failing(*[refusal(code)] * 2)
    for use in (device.peers, lambda: device.add([Peer(key(1), ())])):
        with pytest.raises(DeviceGoneError, match="wg0") as caught:
            use()
        assert caught.value.remedy


@pytest.mark.parametrize(
    ("code", "remedy"), [(errno.EPERM, "CAP_NET_ADMIN"), (errno.EADDRINUSE, "UDP port"), (errno.EINVAL, "")]
)
def test_what_is_refused(failing, code, remedy):
    device, _ = failing(refusal(code))
    with pytest.raises(DeviceRefusedError) as caught:
        device.add([Peer(key(1), ())])
    assert caught.value.errno == code
    assert remedy in caught.value.remedy
    assert os.strerror(code) in str(caught.value)


@pytest.mark.parametrize(
    ("code", "cause", "remedy"),
    [
        (errno.EOPNOTSUPP, "no WireGuard", "modprobe wireguard"),
        (errno.EPERM, "not permitted", "CAP_NET_ADMIN"),
        (errno.EEXIST, "exists", ""),
    ],
)
def test_why_no_device_is_made(monkeypatch, code, cause, remedy):
    def refuse(name, kind):
        raise NetworkError.of(f"make {kind} interface", name, code)

    monkeypatch.setattr(kernel, "add_link", refuse)
    with pytest.raises(DeviceUnavailableError, match=cause) as caught:
        KernelDevice.create("wg0")
    assert remedy in caught.value.remedy
