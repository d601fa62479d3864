"""Log lines are one line each, in UTC, with their fields, and have no secrets."""

from __future__ import annotations

import base64
import io
import json
import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wardgate.gateway.journal import JsonFormatter, MaskingFilter, TextFormatter, masked, set_up

KEY = base64.b64encode(bytes(range(100, 132))).decode()
TOKEN = "wg_dGhpcyBpcyBh-c2VjcmV0IHRva2Vu"  # noqa: S105 - a test's


def record(message, *arguments, exc_info=None, **fields):
    """A log record of the gateway."""
    made = logging.LogRecord("wardgate.gateway.store", logging.INFO, "x.py", 1, message, arguments, exc_info)
    made.created = 1_700_000_000.25
    vars(made).update(fields)
    return made


@pytest.fixture
def journal():
    """Log lines of the process, in either form."""
    root, ours = logging.getLogger(), logging.getLogger("wardgate")
    before = root.handlers[:], root.level, ours.level
    stream = io.StringIO()
    yield lambda form, level="info": (set_up(form, level, stream), stream)[1]
    root.handlers[:], _ = before[0], root.setLevel(before[1])
    ours.setLevel(before[2])
    logging.captureWarnings(False)


def test_json_has_what_the_record_has():
    line = JsonFormatter().format(record("added %s", "alice", actor="uid:0 (root)", audit=7, level_name=None))
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.250Z", "level": "info", "logger": "wardgate.gateway.store",
        "message": "added alice", "actor": "uid:0 (root)", "audit": 7, "level_name": None,
    }  # fmt: skip


def test_a_field_cannot_stand_for_another():
    document = json.loads(JsonFormatter().format(record("x", time="never", level="fatal", logger="me")))
    assert (document["time"], document["level"]) == ("2023-11-14T22:13:20.250Z", "info")
    assert (document["time_"], document["level_"], document["logger_"]) == ("never", "fatal", "me")


def test_text_for_people():
    line = TextFormatter().format(record("added alice", actor="uid:0 (root)", audit=7, empty=""))
    assert line == (
        '2023-11-14T22:13:20.250Z info gateway.store: added alice actor="uid:0 (root)" audit=7 empty=""'
    )


@given(st.text(), st.text())
def test_a_record_is_one_line_whatever_is_in_it(message, value):
    for formatter in (JsonFormatter(), TextFormatter()):
        line = formatter.format(record("%s", message, name_=value))
        assert len(line.splitlines()) == 1
        assert line.isprintable()


@given(st.text())
def test_json_gives_back_what_went_in(value):
    document = json.loads(JsonFormatter().format(record("%s", value, detail=value)))
    assert (document["message"], document["detail"]) == (value, value)


def test_tracebacks():
    try:
        raise ValueError(f"bad token {TOKEN}")
    except ValueError:
        info = sys.exc_info()
    for formatter in (JsonFormatter(), TextFormatter()):
        made = record("failed", exc_info=info)
        assert MaskingFilter().filter(made)
        line = formatter.format(made)
        assert "ValueError: bad token [masked]" in line
        assert TOKEN not in line
    text = TextFormatter().format(record("failed", exc_info=info)).splitlines()
    assert all(line.startswith("    ") for line in text[1:])


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"enrolled with {TOKEN}.", TOKEN),
        (f"PrivateKey = {KEY}", KEY),
        (f"PresharedKey={KEY}", KEY),
        (f"private key {KEY} of wg0", KEY),
        (f"the preshared key for alice is {KEY}", KEY),
        (f'{{"private_key": "{KEY}"}}', KEY),
        (f"{{'preshared': '{KEY}'}}", KEY),
        ("password=hunter2", "hunter2"),
        ("Password: 'hunter two'", "hunter two"),
        ("Authorization: Basic-aHVudGVy", "aHVudGVy"),
        ("Set-Cookie: session=abcdef; HttpOnly", "abcdef"),
        ("otpauth://totp/Wardgate:alice?secret=JBSWY3DPEHPK3PXP&issuer=Wardgate", "JBSWY3DPEHPK3PXP"),
        ("secret: JBSWY3DPEHPK3PXP", "JBSWY3DPEHPK3PXP"),
    ],
)
def test_secrets_are_masked(text, secret):
    assert secret not in masked(text)
    assert "[masked]" in masked(text)
    for made in (record(text), record("%s", text), record("x", where=text), record("x", where=[{"a": text}])):
        assert MaskingFilter().filter(made)
        assert secret not in JsonFormatter().format(made)
        assert secret not in TextFormatter().format(made)


@pytest.mark.parametrize("name", ["private_key", "preshared_key", "password", "cookie", "totp_secret"])
def test_fields_that_say_they_are_secret_are(name):
    made = record("x", **{name: "JBSWY3DPEHPK"})
    MaskingFilter().filter(made)
    assert "JBSWY3DPEHPK" not in JsonFormatter().format(made)


@pytest.mark.parametrize(
    "text",
    [
        f"peer {KEY} moved from 192.0.2.1:51820 to 192.0.2.2:51820",
        "applied policy 3 digest=" + "ab" * 32,
        "added device alice/laptop",
        "wg_short and wg0",
        "the private network 10.0.0.0/8",
    ],
)
def test_what_is_no_secret_stays(text):
    assert masked(text) == text


def test_a_message_that_does_not_fit_its_arguments_is_told_and_not_raised():
    made = record("%d of %d", "x")
    assert MaskingFilter().filter(made)
    assert "wrong arguments" in JsonFormatter().format(made)


class Unprintable:
    """What cannot say what it is."""

    def __str__(self):
        raise RuntimeError("no")


@pytest.mark.parametrize("made", [record("%(a)s", {}), record("%s", Unprintable())])
def test_a_message_that_cannot_be_made_fails_nobody(made):
    assert MaskingFilter().filter(made)
    assert "wrong arguments" in TextFormatter().format(made)


@pytest.mark.parametrize("text", ["secret" * 20_000, "secret" + " " * 100_000 + "x", "private " * 20_000])
def test_no_text_keeps_the_filter_busy(text):
    # Work that grows with the square of the length would take minutes here.
    assert masked(text) == text


def test_logs_go_where_they_are_set_up_to_go(journal):
    stream = journal("json")
    logging.getLogger("wardgate.gateway.control").info("hello %s", TOKEN, extra={"actor": "uid:0 (root)"})
    logging.getLogger("wardgate.gateway.control").debug("unheard")
    logging.getLogger("uvicorn.error").info("unheard")
    logging.getLogger("uvicorn.error").warning("heard")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["logger"], line["message"]) for line in lines] == [
        ("wardgate.gateway.control", "hello [masked]"),
        ("uvicorn.error", "heard"),
    ]


def test_setting_up_again_replaces(journal):
    journal("json")
    stream = journal("text", "debug")
    logging.getLogger("wardgate.gateway.store").debug("once")
    assert stream.getvalue().count("once") == 1
    assert " debug gateway.store: once" in stream.getvalue()
