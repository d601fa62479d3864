"""QR codes are read back by a reader that is not ours, as they are drawn."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
import zxingcpp
from identities import CONFIGURATION, pair
from wardgate.gateway.errors import InvalidError
from wardgate.gateway.identity import qr_svg, qr_terminal

TEXT = CONFIGURATION.text(pair(0).private)


def read(light: np.ndarray) -> str:
    """The text of a picture, given as which modules are light."""
    pixels = np.kron(light.astype(np.uint8) * 255, np.ones((6, 6), np.uint8))
    (found,) = zxingcpp.read_barcodes(pixels)
    return found.text


def drawn_by_svg(svg: str) -> np.ndarray:
    """Which modules are light: a light ground, and strokes of dark on it."""
    root = ElementTree.fromstring(svg)  # noqa: S314 - our own
    paths = [element for element in root.iter() if element.tag.endswith("path")]
    ground = next(path for path in paths if path.get("fill") == "#fff")
    strokes = next(path for path in paths if path.get("stroke") == "#000")
    size = int(re.match(r"M0 0h(\d+)v\1h-\1z", ground.get("d"))[1])
    light = np.ones((size, size), bool)
    x, y = 0.0, 0.0
    for command, arguments in re.findall(r"([Mmh])([-\d. ]+)", strokes.get("d")):
        numbers = [float(number) for number in re.findall(r"-?[\d.]+", arguments)]
        if command == "h":
            light[int(y), int(x) : int(x + numbers[0])] = False
            x += numbers[0]
        else:
            dx, dy = numbers
            x, y = (dx, dy) if command == "M" else (x + dx, y + dy)
    return light


def drawn_in_terminal(lines: list[str]) -> np.ndarray:
    """Which modules are light, of block characters in light on dark."""
    rows = []
    for line in lines:
        rows.append([cell in "█▀" for cell in line])
        rows.append([cell in "█▄" for cell in line])
    return np.array(rows)


@pytest.mark.parametrize("text", [TEXT, "x", "ä€\n"])
def test_both_forms_are_read_back(text: str) -> None:
    assert read(drawn_by_svg(qr_svg(text))) == text
    assert read(drawn_in_terminal(qr_terminal(text, colours=False).splitlines())) == text
    coloured = qr_terminal(text).splitlines()
    assert all(re.fullmatch("\x1b\\[97;40m[█▀▄ ]+\x1b\\[0m", line) for line in coloured)
    assert read(drawn_in_terminal([line[8:-4] for line in coloured])) == text


def test_the_svg_stands_alone_in_a_page() -> None:
    svg = qr_svg("<script>")
    assert svg.startswith("<svg ")
    assert "style" not in svg
    assert "script" not in svg


def test_more_than_fits() -> None:
    assert qr_svg("x" * 2_953)
    for draw in (qr_svg, qr_terminal):
        with pytest.raises(InvalidError, match=r"client\.allowed_ips"):
            draw("x" * 2_954)
