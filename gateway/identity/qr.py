"""QR codes, which WireGuard's apps scan a configuration from."""

from __future__ import annotations

import io
from typing import Final

import segno
from wardgate.gateway.errors import InvalidError

_LIGHT_ON_DARK: Final = "\x1b[97;40m"
_AS_BEFORE: Final = "\x1b[0m"
_BORDER: Final = 4
"""Light modules around it (ISO/IEC 18004, quiet zone)."""


def qr_svg(text: str, *, scale: int = 4) -> str:
    """`text` as an SVG element, `scale` pixels a module, dark on white whatever is behind it; InvalidError
    where it is too long. It holds nothing of the text but its code."""
    return _code(text).svg_inline(scale=scale, border=_BORDER, dark="#000", light="#fff")


def qr_terminal(text: str, *, colours: bool = True) -> str:
    """`text` as lines of block characters, each two modules high; InvalidError where it is too long.

    `colours`: with escape sequences for light on dark whatever the terminal has; without, it is right where
    text is light on dark.
    """
    drawn = io.StringIO()
    _code(text).terminal(out=drawn, border=_BORDER, compact=True)
    lines = drawn.getvalue().splitlines()
    return "".join(f"{_LIGHT_ON_DARK}{line}{_AS_BEFORE}\n" if colours else f"{line}\n" for line in lines)


def _code(text: str) -> segno.QRCode:
    try:
        return segno.make_qr(text, error="L")
    except segno.DataOverflowError:
        raise InvalidError(
            "make QR code",
            "",
            f"{len(text.encode())} bytes are more than a QR code holds (2,953)",
            "use the file, or name fewer prefixes in `client.allowed_ips`",
        ) from None
