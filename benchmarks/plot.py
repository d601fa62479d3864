"""Line plots with logarithmic axes, as SVG: the same figures give the same bytes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT = 820, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 74, 260, 46, 58
_COLOURS: Final = ("#0b6e4f", "#c0392b", "#d68910", "#2e5fa3", "#7d3c98", "#566573")
_FONT: Final = "font-family='system-ui, sans-serif'"
_POINT: Final = 3.5


@dataclass(frozen=True, slots=True)
class Series:
    """A line: its points, x and y above 0, and optionally the least and greatest y of each. Series of the
    same `colour` number belong together."""

    name: str
    points: Sequence[tuple[float, float]]
    colour: int
    ranges: Sequence[tuple[float, float]] = ()
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis: its title, and what a value is called there."""

    title: str
    binary: bool = False

    def label(self, value: float) -> str:
        """A tick's text."""
        if self.binary:
            for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
                if value >= 1 << power:
                    return f"{value / (1 << power):g} {unit}"
            return f"{value:g} B"
        if value >= 1e6:
            return f"{value / 1e6:g}M"
        return f"{value / 1e3:g}k" if value >= 1e4 else f"{value:g}"


class _Scale:
    """From values to places on one axis, which goes from tick to tick: powers of `base` times `steps`."""

    def __init__(
        self, values: Sequence[float], start: float, end: float, base: int, steps: Sequence[int]
    ) -> None:
        lowest = math.floor(math.log(min(values), base)) - 1
        highest = math.ceil(math.log(max(values), base)) + 1
        every = [float(step) * base**power for power in range(lowest, highest + 1) for step in steps]
        first = max(n for n, tick in enumerate(every) if tick <= min(values) * (1 + 1e-9))
        last = min(n for n, tick in enumerate(every) if tick >= max(values) * (1 - 1e-9))
        self.ticks = every[first : max(last, first + 1) + 1]
        self._start, self._end = start, end

    def place(self, value: float) -> float:
        """Where a value is; one beyond the axis is put at its end."""
        low, high = self.ticks[0], self.ticks[-1]
        share = math.log(min(max(value, low), high) / low) / math.log(high / low)
        return self._start + share * (self._end - self._start)


def line_plot(title: str, x: Axis, y: Axis, series: Sequence[Series]) -> str:
    """The SVG of a plot with at least one point."""
    drawn = [one for one in series if one.points]
    xs = [px for one in drawn for px, _ in one.points]
    ys = [py for one in drawn for _, py in one.points]
    across = _Scale(xs, _LEFT, _WIDTH - _RIGHT, 10, (1,))
    base, steps = (4, (1,)) if y.binary else (10, (1, 2, 5))
    up = _Scale(ys, _HEIGHT - _BOTTOM, _TOP, base, steps)
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {_WIDTH} {_HEIGHT}' role='img'>",
        f"<title>{escape(title)}</title>",
        f"<rect width='{_WIDTH}' height='{_HEIGHT}' fill='#ffffff'/>",
        _text(_LEFT, 26, title, size=15, anchor="start", weight=600),
        *_grid(x, y, across, up),
    ]
    for one in drawn:
        parts += _line(one, across, up)
    parts += _legend(drawn)
    return "\n".join([*parts, "</svg>\n"])


def _text(
    x: float, y: float, text: str, *, size: int = 12, anchor: str = "middle", weight: int = 400, turn: int = 0
) -> str:
    rotated = f" transform='rotate({turn} {x:.1f} {y:.1f})'" if turn else ""
    style = f"{_FONT} font-size='{size}' font-weight='{weight}' text-anchor='{anchor}' fill='#222222'"
    return f"<text x='{x:.1f}' y='{y:.1f}' {style}{rotated}>{escape(text)}</text>"


def _grid(x: Axis, y: Axis, across: _Scale, up: _Scale) -> list[str]:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = []
    for value in across.ticks:
        place = across.place(value)
        parts.append(f"<path d='M{place:.1f} {_TOP}V{bottom}' stroke='#e3e3e3' fill='none'/>")
        parts.append(_text(place, bottom + 18, x.label(value)))
    for value in up.ticks:
        place = up.place(value)
        parts.append(f"<path d='M{_LEFT} {place:.1f}H{right}' stroke='#e3e3e3' fill='none'/>")
        parts.append(_text(_LEFT - 8, place + 4, y.label(value), anchor="end"))
    parts.append(f"<path d='M{_LEFT} {_TOP}V{bottom}H{right}' stroke='#444444' fill='none'/>")
    parts.append(_text((_LEFT + right) / 2, _HEIGHT - 16, x.title))
    parts.append(_text(18, (_TOP + bottom) / 2, y.title, turn=-90))
    return parts


def _line(one: Series, across: _Scale, up: _Scale) -> list[str]:
    colour = _COLOURS[one.colour % len(_COLOURS)]
    places = [(across.place(px), up.place(py)) for px, py in one.points]
    path = "M" + "L".join(f"{px:.1f} {py:.1f}" for px, py in places)
    dash = " stroke-dasharray='6 4'" if one.dashed else ""
    parts = [f"<path d='{path}' stroke='{colour}' stroke-width='2' fill='none'{dash}/>"]
    for (px, _), (low, high) in zip(places, one.ranges, strict=False):
        ends = up.place(low), up.place(high)
        parts.append(f"<path d='M{px:.1f} {ends[0]:.1f}V{ends[1]:.1f}' stroke='{colour}' opacity='0.5'/>")
    parts += [f"<circle cx='{px:.1f}' cy='{py:.1f}' r='{_POINT}' fill='{colour}'/>" for px, py in places]
    return parts


def _legend(series: Sequence[Series]) -> list[str]:
    parts = []
    left = _WIDTH - _RIGHT + 14
    for number, one in enumerate(series):
        y = _TOP + 12 + 20 * number
        colour = _COLOURS[one.colour % len(_COLOURS)]
        dash = " stroke-dasharray='6 4'" if one.dashed else ""
        parts.append(f"<path d='M{left} {y}h24' stroke='{colour}' stroke-width='2'{dash}/>")
        parts.append(_text(left + 30, y + 4, one.name, size=11, anchor="start"))
    return parts
