"""Where the program finds things follows from the types of the kernel that runs, and from nothing else."""

from __future__ import annotations

import pytest
from btf_writer import BtfWriter, kernel_types, wireguard_types
from wardgate.gateway.roaming.offsets import FUNCTIONS, find_places
from wardgate.runtime.btf import Kind
from wardgate.runtime.kernel_btf import KernelBtf, KernelTypesError, read_kernel_btf


def types(**changed):
    base = kernel_types()
    kernel = KernelBtf("vmlinux", base.data())
    return KernelBtf("wireguard", wireguard_types(base, **changed).data(), kernel), kernel


def test_places_in_a_module_and_in_the_kernel():
    wireguard, kernel = types()
    found = find_places(wireguard, kernel)
    assert found.offsets == {
        "peer_device": 8, "peer_endpoint": 300, "peer_key": 140, "device_key": 48,
        "packet_head": 24, "packet_network": 18, "packet_transport": 16,
    }  # fmt: skip
    assert set(found.functions) == set(FUNCTIONS)
    assert all(number >= kernel.end for number in found.functions.values())
    assert not found.built_in


def test_what_is_missing_or_of_another_size_is_refused():
    with pytest.raises(KernelTypesError, match="remote_static has 16 bytes, not 32"):
        find_places(*types(key_bytes=16))
    with pytest.raises(KernelTypesError, match="no function wg_socket_set_peer_endpoint"):
        find_places(*types(function=False))
    _, kernel = types()
    with pytest.raises(KernelTypesError, match="vmlinux: it has no struct wg_peer"):
        find_places(kernel, kernel)


def test_a_name_that_both_have_is_that_of_the_module():
    wireguard, kernel = types()
    assert wireguard.place("endpoint", "src").offset == 28
    assert kernel.place("endpoint", "unlike").offset == 0
    with pytest.raises(KernelTypesError, match="no field"):
        wireguard.place("endpoint", "unlike")


def test_no_field_is_found_through_a_pointer():
    wireguard, _ = types()
    with pytest.raises(KernelTypesError, match="struct wg_peer has no field device"):
        wireguard.place("wg_peer", "device", "dev")


@pytest.mark.parametrize("cut", [0, 10, 24, 60, -1])
def test_what_is_no_btf_is_refused(cut):
    with pytest.raises(KernelTypesError):
        KernelBtf("vmlinux", kernel_types().data()[:cut])


def test_a_type_behind_the_last_is_refused():
    kernel = KernelBtf("vmlinux", kernel_types().data())
    with pytest.raises(KernelTypesError, match="no type"):
        kernel.type(kernel.end)


def test_chains_without_end_are_refused():
    writer = BtfWriter()
    writer.typedef("round", 1)
    with pytest.raises(KernelTypesError, match="without end"):
        KernelBtf("vmlinux", writer.data()).size_of(1)


@pytest.mark.allow_skip("a kernel may have no BTF")
def test_the_running_kernel():
    try:
        kernel = read_kernel_btf()
    except KernelTypesError as error:
        pytest.skip(str(error))
    # Part of the interface of user programs, so the same everywhere.
    assert kernel.place("sockaddr_in6", "sin6_addr").offset == 8
    assert kernel.place("sk_buff", "network_header").size == 2
    assert kernel.find("ip_rcv", Kind.FUNC) == kernel.function("ip_rcv")
