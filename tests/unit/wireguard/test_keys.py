"""Keys are read strictly, written as WireGuard's tools do, and secret ones show nowhere."""

from __future__ import annotations

import dataclasses
import logging
import traceback
from base64 import b64decode, b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wardgate.cli.demo import x25519
from wardgate.gateway.errors import GatewayError
from wardgate.gateway.wireguard import KeyFormatError, PresharedKey, PrivateKey, PublicKey

KEYS = st.binary(min_size=32, max_size=32).filter(any)
TEXT = b64encode(bytes(range(32))).decode()
SECRETS = (PrivateKey, PresharedKey)


@given(KEYS)
def test_text_and_bytes_stand_for_each_other(data):
    text = b64encode(data).decode()
    assert PublicKey.parse(text) == PublicKey(data)
    assert str(PublicKey(data)) == text
    assert PresharedKey.parse(text).secret == data
    assert PresharedKey(data).reveal() == text


@given(st.text(max_size=50) | st.text("ABcd01+/=", min_size=44, max_size=44))
def test_only_what_the_tools_write_is_a_key(text):
    try:
        canonical = b64encode(b64decode(text, validate=True)).decode()
    except ValueError:
        canonical = ""
    if text and text == canonical and len(b64decode(text)) == 32 and any(b64decode(text)):
        assert str(PublicKey.parse(text)) == text
        return
    with pytest.raises(KeyFormatError) as caught:
        PublicKey.parse(text)
    assert caught.value.cause
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "0 characters"),
        (TEXT[:-1], "43 characters"),
        (f"{TEXT} ", "45 characters"),
        (f" {TEXT[:-1]}", "not base64"),
        (TEXT.replace("A", "_", 1), "not base64"),
        (f"{TEXT[:42]}é=", "not base64"),
        (f"{TEXT[:20]}={TEXT[21:]}", "not base64"),
        (b64encode(b"1" * 33).decode(), "33 bytes"),
        (b64encode(b"1" * 31).decode(), "31 bytes"),
        (f"{TEXT[:42]}9=", "bits that belong to no byte"),
        (b64encode(bytes(32)).decode(), "zeros"),
    ],
)
@pytest.mark.parametrize("kind", [PublicKey, *SECRETS])
def test_what_is_wrong_is_said(kind, text, cause):
    with pytest.raises(KeyFormatError, match=cause) as caught:
        kind.parse(text)
    assert isinstance(caught.value, GatewayError)
    shown = "".join(traceback.format_exception(caught.value))
    if kind in SECRETS and len(text) > 1:
        assert text.strip() not in str(caught.value)
        assert ascii(text) not in shown


@pytest.mark.parametrize("data", [b"", bytes(31), bytes(32), b"1" * 33])
@pytest.mark.parametrize("kind", [PublicKey, *SECRETS])
def test_bytes_are_checked_too(kind, data):
    with pytest.raises(KeyFormatError):
        kind(data)


@given(KEYS)
def test_a_private_key_is_clamped_and_has_its_public_key(data):
    key = PrivateKey(data)
    assert key.secret[0] % 8 == 0
    assert 64 <= key.secret[31] < 128
    assert PrivateKey(key.secret) == key
    assert PrivateKey.parse(key.reveal()) == key
    assert key.public_key().data == x25519.multiply(data, (9).to_bytes(32, "little"))


def test_generated_keys_differ():
    assert len({PrivateKey.generate() for _ in range(5)}) == 5
    assert len({PresharedKey.generate() for _ in range(5)}) == 5


@pytest.mark.parametrize("kind", SECRETS)
def test_secrets_show_nowhere(kind, caplog):
    key = kind.generate()

    @dataclasses.dataclass
    class Holder:
        key: object

    logging.getLogger("test").warning("%s %r %s", key, key, Holder(key))
    for shown in (str(key), repr(key), f"{key}", f"{[key]}", repr(Holder(key)), caplog.text):
        assert key.reveal() not in shown
        assert key.secret.hex() not in shown
        assert repr(key.secret) not in shown
    assert "hidden" in repr(key)


def test_secrets_compare_by_kind_and_value():
    data = PrivateKey.generate().secret
    assert PrivateKey(data) == PrivateKey(data)
    assert PrivateKey(data) != PresharedKey(data)
    assert PresharedKey(data) != PresharedKey.generate()
    assert PrivateKey(data) != data
    assert len({PrivateKey(data), PrivateKey(data), PresharedKey(data)}) == 2
