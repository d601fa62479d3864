"""Codes by RFC 6238, each right once and for a short time."""

from __future__ import annotations

import base64

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from totp import App, code, secret_of
from wardgate.gateway.challenges import Totp

SHA1 = b"12345678901234567890"
SEEDS = {"sha1": SHA1, "sha256": (SHA1 * 2)[:32], "sha512": (SHA1 * 4)[:64]}
# RFC 6238, appendix B.
VECTORS = [
    (59, "94287082", "46119246", "90693936"),
    (1111111109, "07081804", "68084774", "25091201"),
    (1111111111, "14050471", "67062674", "99943326"),
    (1234567890, "89005924", "91819424", "93441116"),
    (2000000000, "69279037", "90698825", "38618901"),
    (20000000000, "65353130", "77737706", "47863826"),
]
TOTP = Totp("Example VPN", 1)
SECRET = b"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
NOW = 1_800_000_015


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector[0]))
def test_the_second_implementation_is_the_rfc_s(vector: tuple[int, str, str, str]) -> None:
    at, *expected = vector
    found = [code(seed, at, digits=8, algorithm=name) for name, seed in SEEDS.items()]
    assert found == expected
    # Six digits are the last of eight.
    assert code(SHA1, at) == expected[0][2:]
    assert TOTP.verify(SECRET, expected[0][2:], 0, at)


@given(st.binary(min_size=20, max_size=20), st.integers(0, 1 << 35))
def test_both_implementations_agree(secret: bytes, at: int) -> None:
    text = base64.b32encode(secret).decode()
    assert pyotp.TOTP(text).at(at) == code(secret_of(text), at)


def test_a_new_secret_and_its_uri() -> None:
    begun, other = TOTP.begin("alice"), TOTP.begin("alice")
    assert begun.secret != other.secret
    app = App(begun.uri)
    assert (app.label, app.issuer) == ("Example VPN:alice", "Example VPN")
    assert len(app.secret) == 20
    assert app.secret == secret_of(begun.text) == secret_of(begun.secret.decode())
    assert all(len(group) == 4 for group in begun.text.split(" "))
    accepted = TOTP.confirm(begun.secret, app.code(NOW), NOW)
    assert accepted is not None
    assert accepted.used == NOW // 30
    shown = repr(begun)
    assert begun.text not in shown
    assert begun.secret.decode() not in shown


@pytest.mark.parametrize("account", ["a b", "alice@example.org", "a/b", "x&issuer=y", "é", "a:b", "100%"])
def test_an_account_of_any_name(account: str) -> None:
    app = App(TOTP.begin(account).uri)
    assert app.label == f"Example VPN:{account}"
    assert app.issuer == "Example VPN"


@pytest.mark.parametrize("drift", [0, 1, 2])
def test_the_window_is_as_wide_as_said(drift: int) -> None:
    method = Totp("x", drift)
    for steps in range(-4, 5):
        accepted = method.verify(SECRET, code(SHA1, NOW + 30 * steps), 0, NOW)
        assert (accepted is not None) == (abs(steps) <= drift)
        assert accepted is None or accepted.used == NOW // 30 + steps


def test_what_was_used_and_what_is_older_is_refused() -> None:
    step = NOW // 30
    for used in range(step - 3, step + 3):
        for steps in (-1, 0, 1):
            accepted = TOTP.verify(SECRET, code(SHA1, NOW + 30 * steps), used, NOW)
            assert (accepted is not None) == (step + steps > used)


def test_a_code_that_two_steps_share_is_spent_for_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyotp.TOTP, "generate_otp", lambda _, step: "111111" if step % 2 else "222222")
    odd = 30 * 101
    accepted = TOTP.verify(SECRET, "222222", 0, odd)
    assert accepted is not None
    assert accepted.used == 102
    assert TOTP.verify(SECRET, "222222", 102, odd) is None


RIGHT = code(SHA1, NOW)


@pytest.mark.parametrize("typed", [f"{RIGHT[:3]} {RIGHT[3:]}", f"  {RIGHT} ", " ".join(RIGHT)])
def test_blanks_do_not_matter(typed: str) -> None:
    assert TOTP.verify(SECRET, typed, 0, NOW)


@pytest.mark.parametrize(
    "typed",
    [
        "",
        " ",
        RIGHT[:5],
        RIGHT + "0",
        RIGHT + "\n",
        "\t" + RIGHT,
        "\0" + RIGHT,
        "-" + RIGHT[1:],
        "+" + RIGHT,
        RIGHT[:3] + "-" + RIGHT[3:],
        # Digits, but not those of ASCII.
        RIGHT.translate({ord("0") + n: 0x0660 + n for n in range(10)}),
        RIGHT.translate({ord("0") + n: 0xFF10 + n for n in range(10)}),
        "\ud800" + RIGHT,
        " " * 1_000_000 + RIGHT,
        RIGHT * 100_000,
    ],
    ids=lambda text: repr(text[:12]),
)
def test_what_is_no_code_is_refused(typed: str) -> None:
    assert TOTP.verify(SECRET, typed, 0, NOW) is None


def test_the_first_steps_of_all_time() -> None:
    assert TOTP.verify(SECRET, code(SHA1, 30), 0, 0)
    # Step 0 cannot be told from nothing used, so it is never right.
    assert TOTP.verify(SECRET, code(SHA1, 0), 0, 0) is None
