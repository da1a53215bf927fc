"""The axes of a chart as inline SVG: a scale from values to places, round numbers beside it. Pure."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gpuagent.panels.kit.html import Html, el

WIDTH, HEIGHT = 620, 250
LEFT, RIGHT, TOP, BOTTOM = 54, 606, 24, 216
"""The sides of the area in which lines are drawn."""
ROOM = 6
"""Between the lowest value and the axis below it."""
TICKS = 5
STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear scale. low, high: values; start, end: their places. step: from one round number to the next."""

    low: float
    high: float
    start: float
    end: float
    step: float

    @classmethod
    def over(cls, values: Sequence[float], start: float, end: float) -> "Scale":
        """A scale for all of the values, some room about a single one."""
        low, high = min(values), max(values)
        if low == high:
            room = abs(low) / 2 or 1.0
            low, high = low - room, high + room
        exact = (high - low) / TICKS
        power = 10.0 ** math.floor(math.log10(exact))
        return cls(low, high, start, end, next(step * power for step in STEPS if step * power >= exact * 0.999))

    def __call__(self, value: float) -> float:
        """The place of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> Iterator[float]:
        """The round numbers on the scale."""
        first, last = math.ceil(self.low / self.step - 1e-9), math.floor(self.high / self.step + 1e-9)
        return (round(place * self.step, 12) for place in range(first, last + 1))


def number(value: float) -> str:
    """A number for readers: whole with separators, else with four digits that count."""
    return f"{int(value):,}" if value == int(value) and abs(value) < 1e9 else f"{value:.4g}"


def axes(x: Scale, y: Scale, y_name: str, x_name: str) -> list[Html]:
    """The grid, the numbers beside it, and the names of both axes."""
    grid = [
        el("path", d=f"M{LEFT} {y(tick):.1f} H{RIGHT}", stroke="currentColor", stroke_opacity=0.14)
        for tick in y.ticks()
    ]
    base = el("path", d=f"M{LEFT} {BOTTOM} H{RIGHT}", stroke="currentColor", stroke_opacity=0.5)
    beside = [
        el("text", number(tick), x=LEFT - 7, y=f"{y(tick) + 4:.1f}", text_anchor="end", font_size=11)
        for tick in y.ticks()
    ]
    below = [
        el("text", number(tick), x=f"{x(tick):.1f}", y=BOTTOM + 15, text_anchor="middle", font_size=11)
        for tick in x.ticks()
    ]
    names = [
        el("text", y_name, x=2, y=12, font_size=11, font_weight=600),
        el("text", x_name, x=RIGHT, y=HEIGHT - 4, text_anchor="end", font_size=11, font_weight=600),
    ]
    return [*grid, base, *beside, *below, *names]
