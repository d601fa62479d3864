"""Where peers are, from one dump to the next: whatever changes, the answer is that of the last dump."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wardgate.gateway.wireguard import Endpoint, uapi
from wardgate.gateway.wireguard.places import Places

TOLD = st.dictionaries(
    st.sampled_from([b"a", b"b", b"c", b"d"]), st.sampled_from([b"", b"1", b"2", b"3"]), max_size=4
)


def read(text: bytes) -> Endpoint:
    return Endpoint(ip_address("192.0.2.1"), int(text))


@settings(max_examples=60)
@given(st.lists(TOLD, max_size=6))
def test_what_is_told_last_is_so(dumps):
    places, before, last = Places(bytes.upper, read), {}, {}
    for told in dumps:
        found = places.now(told)
        assert found == {key.upper(): read(text) if text else None for key, text in told.items()}
        # What was answered before is nobody's to change, and who did not move has the same object.
        for key, text in told.items():
            if before.get(key, b"") == text and key in before:
                assert found[key.upper()] is last[key.upper()]
        assert places.now(told) == found
        last, before = found, told


def test_an_answer_that_was_given_stays_as_it_was():
    places = Places(bytes, read)
    first = places.now({b"a": b"1", b"b": b"2"})
    places.now({b"a": b"3"})
    assert first == {b"a": read(b"1"), b"b": read(b"2")}


def test_what_cannot_be_read_changes_nothing():
    places = Places(bytes, uapi.endpoint_of)
    first = places.now({b"a": b"192.0.2.1:1"})
    with pytest.raises(uapi.AnswerError):
        places.now({b"a": b"192.0.2.1:2", b"b": b"nowhere"})
    assert places.told == {b"a": b"192.0.2.1:1"}
    assert places.now({b"a": b"192.0.2.1:1"}) == first
    assert str(places.now({b"a": b"192.0.2.1:2"})[b"a"]) == "192.0.2.1:2"


def test_only_what_differs_is_read():
    asked = []

    def count(text: bytes) -> Endpoint:
        asked.append(text)
        return read(text)

    places = Places(bytes, count)
    many = {b"%d" % number: b"1" for number in range(100)}
    places.now(many)
    asked.clear()
    places.now({**many, b"7": b"2"})
    assert asked == [b"2"]
