"""Keys, prefixes, and names of any text in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_conformance import NO_KEYS, NO_PREFIXES
from wardgate.gateway.store.errors import InvalidKeyError, TransactionError
from wardgate.gateway.store.interface import (
    MOST_OPERATIONS,
    MOST_VALUE_BYTES,
    Delete,
    Put,
    Transaction,
    Unchanged,
)
from wardgate.gateway.store.keys import MOST_KEY_BYTES, check_key, check_prefix, name_of, segment, successor


@pytest.mark.parametrize("key", NO_KEYS, ids=repr)
def test_no_keys(key: object) -> None:
    with pytest.raises(InvalidKeyError):
        check_key(key)  # type: ignore[arg-type]


@pytest.mark.parametrize("prefix", NO_PREFIXES, ids=repr)
def test_no_prefixes(prefix: object) -> None:
    with pytest.raises(InvalidKeyError):
        check_prefix(prefix)  # type: ignore[arg-type]


@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=30))
def test_any_text_can_be_a_name_in_a_key(text: str) -> None:
    part = segment(text)
    assert check_key(f"users/{part}") == f"users/{part}"
    assert "/" not in part
    assert name_of(part) == text


def test_no_text_is_no_name() -> None:
    with pytest.raises(InvalidKeyError):
        segment("")


@given(st.text(st.sampled_from("/0a\U0010ffff.é"), max_size=8), st.sampled_from(["a/", "a/a/", "é/"]))
def test_the_successor_of_a_prefix_is_behind_its_keys_and_no_others(key: str, prefix: str) -> None:
    end = successor(prefix)
    assert end
    assert (prefix <= key < end) == key.startswith(prefix)


def test_long_keys() -> None:
    assert check_key("k" * MOST_KEY_BYTES)
    with pytest.raises(InvalidKeyError, match="bytes"):
        check_key("k" * (MOST_KEY_BYTES + 1))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Transaction((Put("a", b""), Delete("a"))), "twice"),
        (lambda: Transaction((Put("a", "text"),)), "not bytes"),  # type: ignore[arg-type]
        (lambda: Transaction((Put("a", bytes(MOST_VALUE_BYTES + 1)),)), "fit"),
        (lambda: Transaction(tuple(Delete(f"a{n}") for n in range(MOST_OPERATIONS + 1))), "129 operations"),
        (lambda: Transaction((), tuple(Unchanged(f"a{n}", 0) for n in range(129))), "129 conditions"),
        (lambda: Transaction((), (Unchanged("a", True),)), "no revision"),
        (lambda: Transaction((), (Unchanged("a", "1"),)), "no revision"),  # type: ignore[arg-type]
    ],
)
def test_no_transactions(make: object, said: str) -> None:
    with pytest.raises(TransactionError, match=said):
        make()  # type: ignore[operator]
