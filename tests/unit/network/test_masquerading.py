"""The transaction for nft: what is in it, whatever the ranges; nothing runs here."""

from __future__ import annotations

import re
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wardgate.gateway.network import masquerading
from wardgate.gateway.network.errors import NetworkError
from wardgate.gateway.network.masquerading import (
    Masquerade,
    apply_masquerade,
    remove_masquerade,
    table_name,
    transaction,
)

NETWORKS = st.builds(
    lambda address, bits: ip_network(f"{address}/{min(bits, address.max_prefixlen)}", strict=False),
    st.ip_addresses(),
    st.integers(0, 128),
)


def covered(text: str, family: str, what: str) -> list:
    """The networks of a set in the rule of a family."""
    found = re.search(rf"^ +{family} saddr .*", text, re.MULTILINE)
    inner = re.search(rf"{what} {{ (.*?) }}", found[0]) if found else None
    return [ip_network(one) for one in inner[1].split(", ")] if inner else []


@given(st.lists(NETWORKS, max_size=8), st.lists(NETWORKS, max_size=8))
def test_every_range_is_covered_once(sources, excluded):
    text = transaction(Masquerade("wg0", tuple(sources), tuple(excluded)))
    for version, family in ((4, "ip"), (6, "ip6")):
        own = [one for one in sources if one.version == version]
        other = [one for one in excluded if one.version == version]
        assert bool(covered(text, family, "saddr")) == bool(own)
        for ranges, what in ((own, "saddr"), (other if own else [], "daddr !=")):
            shown = covered(text, family, what)
            assert all(any(one.subnet_of(wide) for wide in shown) for one in ranges)
            # Nothing beyond them: as many addresses as they have together.
            assert all(not one.overlaps(two) for one in shown for two in shown if one is not two)
            assert sum(one.num_addresses for one in shown) == size_of(ranges)


def size_of(ranges: list) -> int:
    """How many addresses lie in at least one of these."""
    widest = [one for one in set(ranges) if not any(one != two and one.subnet_of(two) for two in ranges)]
    return sum(one.num_addresses for one in widest)


def test_it_begins_by_removing_what_was():
    lines = transaction(Masquerade("wg0", (ip_network("10.9.0.0/16"),))).splitlines()
    assert lines[:3] == [
        "table inet wardgate_wg0", "delete table inet wardgate_wg0", "table inet wardgate_wg0 {",
    ]  # fmt: skip
    assert sum("masquerade" in line for line in lines) == 1


def test_nothing_to_masquerade_is_an_empty_chain():
    assert "masquerade" not in transaction(Masquerade("wg0", (), (ip_network("10.0.0.0/8"),)))


@pytest.mark.parametrize("name", ["wg0", "wg-office.2", "_x", "a" * 15])
def test_names(name):
    assert table_name(name) == f"wardgate_{name}"


@given(
    st.text(max_size=20)
    | st.sampled_from(["", ".", "..", "a/b", "wg0\n", 'x"y', "-wg", "a b", "wg{", "w" * 16])
)
def test_a_name_can_say_nothing_else_to_nft(name):
    if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,14}", name) and name.isascii() and "\n" not in name:
        assert table_name(name).endswith(name)
        return
    with pytest.raises(NetworkError) as caught:
        Masquerade(name, ())
    assert caught.value.remedy


@pytest.fixture
def nft(tmp_path, monkeypatch):
    """Has nft say something and fail."""

    def saying(text: str) -> None:
        program = tmp_path / "nft"
        program.write_text(f"#!/bin/sh\ncat >/dev/null\necho '{text}' >&2\nexit 1\n")
        program.chmod(0o755)
        monkeypatch.setattr(masquerading, "find_nft", lambda: str(program))

    return saying


def test_a_kernel_without_tables_has_none_to_remove(nft):
    nft("netlink: Error: cache initialization failed: Operation not supported")
    remove_masquerade("wg0")
    with pytest.raises(NetworkError) as caught:
        apply_masquerade(Masquerade("wg0", (ip_network("10.9.0.0/16"),)))
    assert "modprobe nft_masq" in caught.value.remedy


def test_what_may_not_be_removed_is_told(nft):
    nft("Error: Could not process rule: Operation not permitted")
    with pytest.raises(NetworkError) as caught:
        remove_masquerade("wg0")
    assert "CAP_NET_ADMIN" in caught.value.remedy
