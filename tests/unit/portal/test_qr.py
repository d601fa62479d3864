"""The page's QR encoder: symbol by symbol like another encoder's, and readable by a reader."""

from __future__ import annotations

from pathlib import Path

import pytest
import segno
from drawn_codes import codes_in, symbols_in
from hypothesis import given, settings
from hypothesis import strategies as st
from segno import consts
from wardgate.gateway import portal

pytestmark = pytest.mark.tool("chromium")

SCRIPT = Path(portal.__file__).parent / "static" / "qr.js"
CONFIGURATION = (
    "[Interface]\nPrivateKey = {key}\nAddress = 10.9.0.2/32, fd09::2/128\nDNS = 10.0.0.53\n\n[Peer]\n"
    "PublicKey = {key}\nPresharedKey = {key}\nEndpoint = vpn.example.com:51820\nAllowedIPs = {prefixes}\n"
)


@pytest.fixture(scope="module")
def page(browser):
    found = browser.new_page()
    found.add_script_tag(content=SCRIPT.read_text() + "\nwindow.Qr = Qr;")
    yield found
    found.close()


def encoded(page, data: bytes) -> dict | None:
    return page.evaluate("data => Qr.encode(Uint8Array.from(data))", list(data))


def room(version: int, level: str) -> int:
    """Bytes that fit, by segno's table of symbols."""
    number = {"L": consts.ERROR_LEVEL_L, "M": consts.ERROR_LEVEL_M}[level]
    words = sum(group.num_blocks * group.num_data for group in consts.ECC[version][number])
    return words - (2 if version < 10 else 3)


def same_as_segnos(found: dict, data: bytes) -> bool:
    """Only where `data` fills the symbol: elsewhere segno 1.6 puts a zero byte more before the padding."""
    other = segno.make_qr(
        data,
        error=found["level"],
        version=found["version"],
        mode="byte",
        mask=found["mask"],
        boost_error=False,
        encoding="latin-1",
    )
    return found["rows"] == [list(row) for row in other.matrix]


def smallest(length: int) -> tuple[int, str] | None:
    """The symbol that such a text should get: M where it is no larger than L."""
    symbols = ((version, level) for version in range(1, 41) for level in "ML")
    return next((one for one in symbols if length <= room(*one)), None)


@pytest.mark.parametrize("level", ["M", "L"])
@pytest.mark.parametrize("version", [*range(1, 19), 21, 25, 28, 32, 40])
def test_symbols_as_full_as_can_be(page, version: int, level: str) -> None:
    length = room(version, level)
    data = bytes((version * 31 + number * 7) % 256 for number in range(length))
    found, expected = encoded(page, data), smallest(length)
    assert (found["version"], found["level"]) == expected
    if room(*expected) == length:
        assert same_as_segnos(found, data)
    else:
        assert symbols_in(found["rows"]) == [data]


def test_every_version_has_the_room_that_it_should_have(page) -> None:
    lengths = [room(version, level) + more for version in range(1, 41) for level in "ML" for more in (0, 1)]
    found = page.evaluate("lengths => lengths.map((length) => Qr.choose(length))", lengths)
    assert [tuple(one) if one else None for one in found] == [smallest(length) for length in lengths]


def test_any_bytes(page) -> None:
    @settings(max_examples=20)
    @given(st.binary(min_size=1, max_size=300))
    def check(data: bytes) -> None:
        assert symbols_in(encoded(page, data)["rows"]) == [data]

    check()


@pytest.mark.parametrize("prefixes", [1, 12, 60])
def test_a_reader_reads_what_is_drawn(page, prefixes: int) -> None:
    text = CONFIGURATION.format(
        key="Z2F0ZXdheS1wdWJsaWMta2V5LW9mLTMyLWJ5dGVzISE=",
        prefixes=", ".join(f"10.{number}.0.0/16" for number in range(prefixes)),
    )
    page.evaluate(
        """text => {
          const svg = Qr.svg(Qr.encode(new TextEncoder().encode(text)));
          svg.style.cssText = "width: 700px; height: 700px; background: #fff";
          document.body.replaceChildren(svg);
        }""",
        text,
    )
    assert codes_in(page, page.locator("svg").screenshot()) == [text]
