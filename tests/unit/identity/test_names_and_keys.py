"""What may be a name or a key, and that nothing else passes for one."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wardgate.gateway.errors import InvalidError
from wardgate.gateway.identity import new_pair, public_key_of
from wardgate.gateway.identity.keys import check_public_key
from wardgate.gateway.identity.names import check_device, check_groups, check_user

FIELD = 2**255 - 19


@pytest.mark.parametrize("name", ["laptop", "a", "Alice-2.home_net", "9", "x" * 40])
def test_names_of_devices(name: str) -> None:
    assert check_device(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "", "x" * 41, "-rf", ".", "..", ".hidden", "_x", "a b", "a/b", "../etc", "a\n", "a\nPostUp = id",
        "a\0", "ä", "a\N{ZERO WIDTH SPACE}", "\N{FULLWIDTH LATIN SMALL LETTER A}", "a;id", "$(id)", "a\r",
        "\ud800", "\N{ARABIC-INDIC DIGIT ONE}",
    ],
)  # fmt: skip
def test_what_is_no_name_of_a_device(name: str) -> None:
    with pytest.raises(InvalidError) as caught:
        check_device(name)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "name",
    ["", "group:admins", "group:x", "*", "a/b", "..", "-x", "a b", "alice\n", "älice", "x" * 64, "\ud800"],
)
def test_what_is_no_name_of_a_user(name: str) -> None:
    with pytest.raises(InvalidError) as caught:
        check_user(name)
    assert str(caught.value).isprintable()


@given(st.text(max_size=60))
def test_a_name_that_passes_is_plain(name: str) -> None:
    for check in (check_device, check_user):
        try:
            check(name)
        except InvalidError:
            continue
        assert name.isascii()
        assert name.isprintable()
        assert not set(name) & set("/ :=#*\\'\"")


def test_groups_are_those_of_the_policy() -> None:
    known = {"group:admins", "group:contractors"}
    assert check_groups(["group:contractors", "group:admins", "group:admins"], known) == (
        "group:admins",
        "group:contractors",
    )
    with pytest.raises(InvalidError, match=r"did you mean group:admins\?"):
        check_groups(["admin"], known)
    with pytest.raises(InvalidError, match=r"did you mean group:admins\?"):
        check_groups(["group:Admins"], known)
    with pytest.raises(InvalidError, match="define it"):
        check_groups(["group:zzz"], ())


def test_a_new_pair_is_one() -> None:
    one, other = new_pair(), new_pair()
    assert one.private != other.private
    assert public_key_of(one.private) == one.public == check_public_key(one.public)
    assert one.private not in repr(one)
    secret = base64.b64decode(one.private)
    assert (secret[0] & 7, secret[31] & 192) == (0, 64)


def encoded(number: int) -> str:
    return base64.b64encode(number.to_bytes(32, "little")).decode()


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "32 bytes"),
        ("alice", "32 bytes"),
        (encoded(9)[:-1], "32 bytes"),
        (encoded(9) + "\n", "32 bytes"),
        (" " + encoded(9), "32 bytes"),
        # The last letter has two bits that mean nothing: another text of the same bytes.
        (encoded(9)[:-2] + "B=", "32 bytes"),
        (base64.b64encode(bytes(31)).decode(), "32 bytes"),
        (base64.b64encode(bytes(33)).decode(), "32 bytes"),
        (encoded(0), "small order"),
        (encoded(1), "small order"),
        (encoded(FIELD - 1), "small order"),
        (encoded(325606250916557431795983626356110631294008115727848805560023387167927233504), "small order"),
        (encoded(FIELD), "as any program writes"),
        (encoded(FIELD + 9), "as any program writes"),
        (encoded(9 | 1 << 255), "as any program writes"),
        ("ä" * 44, "32 bytes"),
        ("\ud800", "32 bytes"),
    ],
)
def test_what_is_no_public_key(text: str, cause: str) -> None:
    with pytest.raises(InvalidError, match=cause):
        check_public_key(text)


def test_a_bad_private_key_is_not_shown() -> None:
    with pytest.raises(InvalidError) as caught:
        public_key_of("c2VjcmV0")
    assert "c2VjcmV0" not in str(caught.value)


@given(st.binary(min_size=32, max_size=32))
def test_a_key_has_one_text(secret: bytes) -> None:
    public = public_key_of(base64.b64encode(secret).decode())
    assert check_public_key(public) == public
    assert int.from_bytes(base64.b64decode(public), "little") < FIELD
