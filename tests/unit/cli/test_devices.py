"""The devices file: what is accepted, and a place for every mistake."""

from ipaddress import ip_address

import pytest
from wardgate.cli import devices


def mistakes(text: str | bytes) -> list[tuple[int, int, str]]:
    data = text.encode() if isinstance(text, str) else text
    with pytest.raises(devices.DevicesError) as caught:
        devices.parse(data, "devices.yaml")
    return [(m.line, m.column, m.message) for m in caught.value.mistakes]


def test_yaml_and_json_mean_the_same():
    yaml = b"- address: [10.9.0.2, 'fd09::2']\n  user: alice\n"
    json = b'[{"address": ["10.9.0.2", "fd09::2"], "user": "alice"}]'
    expected = (devices.Device((ip_address("10.9.0.2"), ip_address("fd09::2")), "alice", 1),)
    assert devices.parse(yaml, "a") == devices.parse(json, "b") == expected


def test_one_address_needs_no_list():
    (device,) = devices.parse(b"- {address: 10.9.0.2, user: 007}", "a")
    assert device.addresses == (ip_address("10.9.0.2"),)
    assert device.user == "007"


def test_no_devices():
    assert devices.parse(b"[]", "a") == ()


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("", 1, 1, "empty"),
        ("a: 1", 1, 1, "a list of devices"),
        ("- 1", 1, 3, "a device is written as"),
        ("- {address: [10.9.0.2]}", 1, 3, "no user"),
        ("- {}", 1, 3, "no address and no user"),
        ("- {adress: 10.9.0.2, user: a}", 1, 4, "nothing else"),
        ("- {address: 10.9.0.2, address: 10.9.0.3, user: a}", 1, 23, "given twice"),
        ("- {address: [], user: a}", 1, 13, "at least one"),
        ("- {address: {a: b}, user: a}", 1, 13, "not a mapping"),
        ("- {address: 10.9.0.0/24, user: a}", 1, 13, "not an IPv4"),
        ("- {address: 10.9.0.256, user: a}", 1, 13, "not an IPv4"),
        ('- {address: "fe80::1%eth0", user: a}', 1, 13, "plain"),
        ('- {address: "::ffff:10.9.0.2", user: a}', 1, 13, "plain"),
        ("- {address: 10.9.0.2, user: -a}", 1, 29, "a user's name"),
        ("- {address: 10.9.0.2, user: }", 1, 29, "a user's name"),
        ("- {address: 10.9.0.2, user: [a]}", 1, 29, "a user's name"),
        (f"- {{address: 10.9.0.2, user: {'a' * 64}}}", 1, 29, "at most 63"),
        ("- {address: 10.9.0.2, user: a}\n- {address: 10.9.0.2, user: b}", 2, 13, "already, in line 1"),
        ("- {address: [10.9.0.2, 10.9.0.2], user: a}", 1, 24, "already, in line 1"),
        ('- {address: ["fd09::2", "fd09:0::2"], user: a}', 1, 25, "already"),
        ("- {address: &x 10.9.0.2, user: a}", 1, 13, "anchors"),
        ("- {address: !!str 10.9.0.2, user: a}", 1, 13, "tag"),
        ("- {address: @x, user: a}", 1, 13, "not YAML"),
        ("[]\n---\n[]\n", 3, 1, "one document"),
        ("- [[[[1]]]]", 1, 6, "nested too deeply"),
    ],
)
def test_mistakes_have_places(text, line, column, words):
    ((found_line, found_column, message),) = mistakes(text)
    assert words in message
    assert (found_line, found_column) == (line, column)


def test_every_mistake_of_a_file_is_told():
    found = mistakes("- {address: x, user: a}\n- {address: 10.9.0.2, user: -}\n- 3\n")
    assert [line for line, _, _ in found] == [1, 2, 3]


def test_not_utf8_has_a_place():
    assert mistakes(b"- {address: 10.9.0.2,\n  user: \xff}") == [(2, 9, "the file is not UTF-8")]


def test_megabytes_of_nesting_are_refused():
    # By us, or by a YAML library that counts itself.
    assert "nest" in mistakes("[" * 10_000_000)[0][2]


def test_too_large(monkeypatch):
    monkeypatch.setattr(devices, "_LARGEST", 8)
    assert "larger than" in mistakes("- 1 #######")[0][2]


def test_the_text_shows_the_line_and_a_caret_and_no_control_characters():
    with pytest.raises(devices.DevicesError) as caught:
        devices.parse(b'- {address: 10.9.0.2, user: "\x1b[2J"}', "devices.yaml")
    assert "\x1b" not in str(caught.value)
    with pytest.raises(devices.DevicesError) as caught:
        devices.parse("- {address: 10.9.0.2, user: ü}".encode(), "devices.yaml")
    error, source, caret = str(caught.value).splitlines()
    assert error.startswith("devices.yaml:1:29: error: a user's name has letters, digits")
    assert (source, caret) == (
        "    - {address: 10.9.0.2, user: ü}",
        "                                ^",
    )
