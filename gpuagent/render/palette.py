"""One visual language for charts and panels: a vendor, an amount and an outcome look the same everywhere. Pure.

The colours are those of Okabe and Ito (https://jfly.uni-koeln.de/color/), told apart by people with any
colour vision. A hatch and a marker go with each, for print in black and white and for when the colours run out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
SKY, VERMILLION, YELLOW, BLACK = "#56B4E9", "#D55E00", "#F0E442", "#000000"
GREY, PALE = "#767676", "#D9D9D9"

SETTLED, HELD, AVAILABLE, PLANNER_COST = BLUE, ORANGE, PALE, PURPLE
"""The parts of a budget."""
SUCCESS, FAILED, WAITING = GREEN, VERMILLION, SKY
"""The result of a job or a run; waiting: it is still under way."""
TEXT, FAINT, UNLISTED = "#1A1A1A", GREY, GREY
"""UNLISTED: a vendor that is not in the registry."""

VENDORS = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION, YELLOW, BLACK)
HATCHES = ("", "///", "...", "xxx", "\\\\\\", "+++", "ooo", "---")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


@dataclass(frozen=True, slots=True)
class Mark:
    """The look of one vendor in charts. hatch and marker are matplotlib's."""

    colour: str
    hatch: str
    marker: str


def vendor_marks(vendor_names: Sequence[str]) -> dict[str, Mark]:
    """One mark per vendor, in the order of registration: the first 64 differ, the first 8 in colour already.

    Always pass the whole registry, or a vendor changes its colour between two charts.
    """
    names = list(dict.fromkeys(vendor_names))
    turns = [divmod(position, len(VENDORS)) for position in range(len(names))]
    return {
        name: Mark(VENDORS[colour], HATCHES[turn % len(HATCHES)], MARKERS[(colour + turn) % len(MARKERS)])
        for name, (turn, colour) in zip(names, turns, strict=True)
    }


def vendor_colours(vendor_names: Sequence[str]) -> dict[str, str]:
    """The colour of each vendor, as #RRGGBB; past 8 vendors they repeat, and vendor_marks() tells them apart."""
    return {name: mark.colour for name, mark in vendor_marks(vendor_names).items()}


def text_on(colour: str) -> str:
    """Black or white, whichever is read better on this #RRGGBB (WCAG 2.2, relative luminance)."""
    channels = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    linear = [channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4 for channel in channels]
    luminance = sum(weight * channel for weight, channel in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return BLACK if luminance > 0.179 else "#FFFFFF"
