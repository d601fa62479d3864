"""Where the running kernel's WireGuard has what the program reads: from the module's own types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from wardgate.gateway.roaming.errors import DetectorError
from wardgate.gateway.roaming.layout import KERNEL, KEY_BYTES
from wardgate.runtime.btf import Kind
from wardgate.runtime.errors import WardgateError
from wardgate.runtime.fd import Fd
from wardgate.runtime.kernel_btf import KernelBtf, KernelTypesError, open_module_btf, read_kernel_btf
from wardgate.runtime.program import TracedFunction

MODULE: Final = "wireguard"
FUNCTIONS: Final = ("wg_socket_set_peer_endpoint", "wg_socket_set_peer_endpoint_from_skb")

_FIELDS: Final = {
    "peer_device": ("wg_peer", ("device",), 8),
    "peer_endpoint": ("wg_peer", ("endpoint",), 28),
    "peer_key": ("wg_peer", ("handshake", "remote_static"), KEY_BYTES),
    "device_key": ("wg_device", ("static_identity", "static_public"), KEY_BYTES),
}
"""Field of records.KERNEL to struct, path, and the bytes that the program reads there."""

_PACKET_FIELDS: Final = {
    "packet_head": ("head", 8),
    "packet_network": ("network_header", 2),
    "packet_transport": ("transport_header", 2),
}


@dataclass(frozen=True, slots=True)
class KernelPlaces:
    """`offsets` for records.KERNEL, and ids of FUNCTIONS in BTF of the module; `built_in`: it is no module,
    and the ids are of vmlinux."""

    offsets: dict[str, int]
    functions: dict[str, int]
    built_in: bool


def find_places(wireguard: KernelBtf, kernel: KernelBtf) -> KernelPlaces:
    """From the types of WireGuard and those of the kernel, which are the same where it is built in.
    KernelTypesError where something is missing or of another size than the program reads."""
    offsets: dict[str, int] = {}
    wanted = [(name, wireguard, *row) for name, row in _FIELDS.items()]
    wanted += [(name, kernel, "sk_buff", (field,), size) for name, (field, size) in _PACKET_FIELDS.items()]
    for name, types, struct, path, size in wanted:
        place = types.place(struct, *path)
        # An endpoint is a union of addresses and something behind it, of which only the beginning is read.
        if place.size != size and not (name == "peer_endpoint" and place.size > size):
            raise KernelTypesError(
                types.name, f"{struct}.{'.'.join(path)} has {place.size} bytes, not {size}"
            )
        offsets[name] = place.offset
    assert set(offsets) < {field.name for field in KERNEL.fields}  # noqa: S101 - both are in this package
    functions = {name: wireguard.function(name) for name in FUNCTIONS}
    return KernelPlaces(offsets, functions, wireguard is kernel)


def read_places() -> KernelPlaces:
    """Of the running kernel. DetectorError where it has no WireGuard, or does not tell its types."""
    try:
        kernel = read_kernel_btf()
        try:
            wireguard = read_kernel_btf(MODULE, kernel)
        except KernelTypesError:
            if kernel.find("wg_peer", Kind.STRUCT) is None:
                cause = "the kernel's WireGuard is neither loaded nor built in, or does not tell its types"
                raise DetectorError("fentry", cause, f"modprobe {MODULE}") from None
            wireguard = kernel
        return find_places(wireguard, kernel)
    except DetectorError:
        raise
    except WardgateError as error:
        raise DetectorError("fentry", f"{error.target}: {error.cause}", error.remedy) from error


def traced_functions(places: KernelPlaces) -> tuple[dict[str, TracedFunction], Fd | None]:
    """For load_object, and the fd that they refer to, which the caller closes. DetectorError."""
    btf = None if places.built_in else open_module_btf(MODULE)
    if btf is None and not places.built_in:
        raise DetectorError("fentry", f"the module {MODULE} has gone", f"load it: modprobe {MODULE}")
    return {name: TracedFunction(number, btf) for name, number in places.functions.items()}, btf
