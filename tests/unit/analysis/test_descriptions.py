"""Descriptions of users, addresses and services are what they describe, and as short as can be expected."""

from __future__ import annotations

import random
from ipaddress import IPv4Address, ip_address, ip_network
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_policies import RandomPolicy, policies
from wardgate.compiler.analysis.address_space import Interval, example_address
from wardgate.compiler.analysis.areas import Area, describe_addresses
from wardgate.compiler.analysis.boxes import Entries, boxes
from wardgate.compiler.analysis.people import Directory, People
from wardgate.compiler.analysis.policy_view import view_of_policy
from wardgate.compiler.analysis.service_space import (
    actual,
    describe_services,
    is_of_one_version,
    service_space,
)
from wardgate.compiler.language import parse_policy_text
from wardgate.compiler.language.model import ICMP, ICMPV6

USERS = [f"u{number}" for number in range(8)]
GROUPS = st.dictionaries(
    st.sampled_from([f"group:{letter}" for letter in "abcdef"]), st.frozensets(st.sampled_from(USERS))
)


def meant(directory: Directory, people: People) -> int:
    sets = [directory.members(term) for term in people.terms]
    found = sets[0] if sets else 0
    for one in sets[1:]:
        found = found & one if people.both else found | one
    for term in people.excepting:
        found &= ~directory.members(term)
    return found


@given(GROUPS, GROUPS, st.integers(1, (1 << len(USERS) + 1) - 1))
def test_people_are_who_they_are(
    groups: dict[str, frozenset[str]], old_groups: dict[str, frozenset[str]], users: int
) -> None:
    directory = Directory(USERS, groups, old_groups)
    people = directory.describe(users)
    assert meant(directory, people) == users
    assert people.size <= users.bit_count()


@pytest.mark.parametrize(
    ("users", "text"),
    [
        ("u0", "u0"),
        ("u0 u1 u2", "group:a"),
        ("u0 u1 u2 u5", "group:a, u5"),
        ("u0 u2", "group:d"),
        ("u3 u4 u5 u6", "group:b except u7"),
        ("u3 u4 u5", "group:b except group:e"),
        ("u1 u2", "u1, u2"),
        ("u1 u2 u3", "whoever is in group:f and in group:c"),
        ("u0 u1 u2 u3 u4 u5 u6 u7 -", "everybody"),
        ("u1 u2 u3 u4 u5 u6 u7 -", "everybody except u0"),
        ("-", "users without a name in the policy"),
    ],
)
def test_groups_come_before_users(users: str, text: str) -> None:
    members = {"a": "u0 u1 u2", "b": "u3 u4 u5 u6 u7", "c": "u1 u2 u3 u7", "d": "u0 u2", "e": "u6 u7"}
    members["f"] = "u0 u1 u2 u3"
    groups = {f"group:{name}": frozenset(own.split()) for name, own in members.items()}
    directory = Directory(USERS, groups)
    named = [user for user in users.split() if user != "-"]
    found = directory.mask(named) | (directory.unnamed if "-" in users else 0)
    assert directory.named(found) == named
    assert str(directory.describe(found)) == text


def intervals_of(numbers: set[int], base: int) -> list[Interval]:
    found: list[Interval] = []
    for number in sorted(numbers):
        address = base + number
        if found and found[-1][1] + 1 == address:
            found[-1] = (found[-1][0], address)
        else:
            found.append((address, address))
    return found


@given(st.sets(st.integers(0, 63), min_size=1), st.sampled_from(["10.0.0.0", "128.0.0.0", "255.255.255.192"]))
def test_areas_are_the_addresses(numbers: set[int], base: str) -> None:
    start = int(ip_address(base))
    areas = describe_addresses({4: intervals_of(numbers, start)})
    for number in range(64):
        assert sum(IPv4Address(start + number) in area for area in areas) == (number in numbers)
    assert sum(1 + len(area.excepting) for area in areas) <= len(numbers)


def test_both_versions_and_whole_spaces_are_described() -> None:
    everything = {4: [(0, (1 << 32) - 1)], 6: [(0, (1 << 128) - 1)]}
    assert describe_addresses(everything) == (Area(ip_network("0.0.0.0/0")), Area(ip_network("::/0")))


def test_what_is_left_out_and_taken_again() -> None:
    ten = int(ip_address("10.0.0.0"))
    site = int(ip_address("10.1.0.0"))
    parts = [(ten, site - 1), (site + 256, site + 511), (site + 65536, ten + (1 << 24) - 1)]
    areas = describe_addresses({4: parts})
    assert [str(area) for area in areas] == ["10.0.0.0/8 except 10.1.0.0/16", "10.1.1.0/24"]


@pytest.mark.parametrize(
    ("intervals", "example"),
    [
        (["::ffff:0:0 ::ffff:ffff:ffff"], "::ffff:0:1"),
        (["::fffe:0:0 ::ffff:ffff:ffff"], "::fffe:0:1"),
        (["::ffff:0:9 ::1:0:0:9"], "::1:0:0:1"),
        (["::ffff:1:1 ::ffff:1:2", "fd00:: fd00::1"], "fd00::"),
        (["fd00::5 fd00::5"], "fd00::5"),
    ],
)
def test_examples_can_be_asked_about(intervals: list[str], example: str) -> None:
    pairs = [tuple(int(ip_address(part)) for part in text.split()) for text in intervals]
    assert str(example_address([(first, last) for first, last in pairs], 6)) == example


@settings(max_examples=20)
@given(policies(most_rules=5), st.integers(0, 1 << 32))
def test_services_are_those_of_the_atoms(policy: RandomPolicy, seed: int) -> None:
    chance = random.Random(seed)
    space = service_space([view_of_policy(parse_policy_text(policy.text).policy, "p")])
    mask = np.array([chance.random() < 0.5 for _ in range(space.count)])
    versions = (4,) if is_of_one_version(space, mask) else (4, 6)
    for version in (4, 6):
        services = describe_services(space, mask, version if len(versions) == 1 else versions[0])
        for atom, pieces in enumerate(space.pieces):
            for piece in pieces:
                if piece.low is None or piece.high is None:
                    assert services.covers(actual(piece.protocol, version), None, version) is bool(mask[atom])
                else:
                    for port in (piece.low, piece.high):
                        assert services.covers(piece.protocol, port, version) is bool(mask[atom])


def test_icmp_trades_places() -> None:
    assert [actual(number, 4) for number in (ICMP, ICMPV6, 47)] == [1, 58, 47]
    assert [actual(number, 6) for number in (ICMP, ICMPV6, 47)] == [58, 1, 47]


@given(
    st.dictionaries(
        st.tuples(st.integers(0, 5), st.integers(0, 5)), st.sampled_from([0b1, 0b10, 0b11, 0b110, 0b111])
    )
)
def test_boxes_are_the_entries(found: dict[tuple[int, int], int]) -> None:
    services = sorted(set(found.values()))
    entries = Entries(
        np.array([row for row, _ in found], np.int64),
        np.array([cell for _, cell in found], np.int64),
        np.array([services.index(one) for one in found.values()], np.int64),
        services,
    )
    covered: dict[tuple[int, int], int] = {}
    for box in boxes(entries):
        for place in product(box.rows, box.cells):
            assert not covered.get(place, 0) & box.services
            covered[place] = covered.get(place, 0) | box.services
    assert covered == found


def test_a_rectangle_is_one_box() -> None:
    rows, cells = np.divmod(np.arange(12), 4)
    assert len(boxes(Entries(rows, cells, np.zeros(12, np.int64), [0b101]))) == 1
