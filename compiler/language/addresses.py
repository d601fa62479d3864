"""Addresses and prefixes, read strictly.

Python's ipaddress takes more than a policy should hold: netmasks, zones, IPv4-mapped IPv6. What one
reader could take for another address than the next reader does is refused.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network

from wardgate.compiler.language.diagnostics import Code, Severity
from wardgate.compiler.language.model import Address, Prefix
from wardgate.compiler.language.names import quoted
from wardgate.compiler.language.words import Flaw, Reading, WordError

_LENGTH = re.compile(r"0|[1-9][0-9]{0,2}", re.ASCII)
_NUMERIC = re.compile(r"[0-9./]+", re.ASCII)
_OCTET = re.compile(r"[0-9]{1,3}", re.ASCII)
_ORDINARY = re.compile(
    r"{0}\.{0}\.{0}\.{0}(?:/(3[0-2]|[12]?[0-9]))?".format("(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"),
    re.ASCII,
)
"""An IPv4 address or prefix without any flaw but bits beyond the length."""
_MAPPED = 0xFFFF
"""The bits before the last 32 of an IPv4-mapped address (::ffff:0:0/96)."""


def looks_like_address(word: str) -> bool:
    """Whether `word` can only be meant as an address or a prefix, so that it's never taken for a name."""
    return ":" in word or "/" in word or _NUMERIC.fullmatch(word) is not None


def read_prefix(word: str) -> Reading[Prefix]:
    """The prefix that an address (of full length) or a prefix stands for.

    Bits beyond the length are masked, with a warning.
    """
    found = _ORDINARY.fullmatch(word)
    if found is not None:
        first, second, third, fourth, length_text = found.groups()
        length = 32 if length_text is None else int(length_text)
        number = int(first) << 24 | int(second) << 16 | int(third) << 8 | int(fourth)
        if not number & 0xFFFF_FFFF >> length:
            return Reading(IPv4Network((number, length)))
    try:
        return _prefix(word)
    except WordError as error:
        return Reading(None, (error.flaw,))


def parse_address(word: str) -> Address:
    """The address that `word` is. WordError where it is none."""
    if "/" in word:
        raise WordError(
            Flaw(Code.ADDRESS, f"{quoted(word)} is a prefix, not an address", "write one address")
        )
    return _address(word, word)


def _prefix(word: str) -> Reading[Prefix]:
    text, slash, length_text = word.partition("/")
    address = _address(text, word)
    if not slash:
        return Reading(_network(address, address.max_prefixlen))
    if "." in length_text:
        raise WordError(
            Flaw(
                Code.PREFIX,
                f"{quoted(length_text)} is a netmask, not a prefix length",
                "write the number of leading one bits, as in 10.0.0.0/8",
                offset=len(text) + 1,
            )
        )
    if not _LENGTH.fullmatch(length_text) or int(length_text) > address.max_prefixlen:
        raise WordError(
            Flaw(
                Code.PREFIX,
                f"{quoted(length_text)} is no prefix length of an IPv{address.version} address",
                f"write a number from 0 to {address.max_prefixlen}, without leading zeros",
                offset=len(text) + (1 if length_text else 0),
            )
        )
    prefix = _network(address, int(length_text))
    number = int(prefix.network_address)
    if prefix.version == 6 and prefix.prefixlen >= 96 and number >> 32 == _MAPPED:
        raise WordError(_mapped_flaw(word, str(IPv4Address(number & 0xFFFFFFFF))))
    if number == int(address):
        return Reading(prefix)
    flaw = Flaw(
        Code.HOST_BITS,
        f"{quoted(word)} has bits set beyond its length; it is read as {prefix}",
        f"write {prefix}, or {address} if the one address is meant",
        severity=Severity.WARNING,
    )
    return Reading(prefix, (flaw,))


def _network(address: Address, length: int) -> Prefix:
    # Made from numbers: ipaddress would print the address and parse it again.
    beyond = address.max_prefixlen - length
    masked = int(address) >> beyond << beyond
    return IPv4Network((masked, length)) if address.version == 4 else IPv6Network((masked, length))


def _address(text: str, word: str) -> Address:
    if ":" in text:
        return _address6(text)
    octets = text.split(".")
    if len(octets) != 4:
        raise WordError(
            Flaw(
                Code.ADDRESS,
                f"{quoted(word)} is no address: IPv4 has four numbers, this has {len(octets)}",
                "write all four, as in 10.0.0.0/8",
            )
        )
    offset = 0
    for octet in octets:
        _check_octet(octet, offset)
        offset += len(octet) + 1
    return IPv4Address(text)


def _check_octet(octet: str, offset: int) -> None:
    if not _OCTET.fullmatch(octet) or int(octet) > 255:
        raise WordError(
            Flaw(
                Code.ADDRESS,
                f"{quoted(octet)} is no part of an IPv4 address",
                "each of the four parts is a number from 0 to 255",
                offset=offset,
                length=max(1, len(octet)),
            )
        )
    if octet != "0" and octet.startswith("0"):
        raise WordError(
            Flaw(
                Code.ADDRESS,
                f"{quoted(octet)} has a leading zero, which some programs read as octal",
                f"write {int(octet)}",
                offset=offset,
                length=len(octet),
            )
        )


def _address6(text: str) -> IPv6Address:
    if "%" in text:
        raise WordError(
            Flaw(
                Code.ADDRESS,
                f"{quoted(text)} has a zone, which means something on one machine only",
                "leave out the `%` and what follows it",
                offset=text.index("%"),
            )
        )
    try:
        address = IPv6Address(text)
    except AddressValueError:
        raise WordError(
            Flaw(
                Code.ADDRESS,
                f"{quoted(text)} is no IPv6 address",
                "write eight groups of up to four hexadecimal digits, or `::` once for a run of zeros; "
                "a port does not belong here, as in `fd00::1 443/tcp`",
            )
        ) from None
    if int(address) >> 32 == _MAPPED:
        raise WordError(_mapped_flaw(text, str(address.ipv4_mapped)))
    return address


def _mapped_flaw(word: str, plain: str) -> Flaw:
    return Flaw(
        Code.ADDRESS,
        f"{quoted(word)} is an IPv4 address in IPv6 form, which no packet in a tunnel carries",
        f"write it as IPv4: {plain}",
    )
