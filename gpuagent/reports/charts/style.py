"""The style of all charts: figures without global state, labels that cannot break them, a PNG with its text.

matplotlib is imported where something is drawn: a page whose charts are all kept does without.
"""

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from gpuagent.core.money import UNIT
from gpuagent.render.palette import FAINT, GREY, PLANNER_COST, TEXT, UNLISTED, Mark, vendor_marks
from gpuagent.reports.figures.groups import REMAINDER, UNNAMED
from gpuagent.reports.figures.spend import PLANNER

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

WIDTH, HEIGHT, DPI = 9.0, 3.4, 110
LABEL_MAX = 28
ROWS_MAX = 16
"""Bars in a chart of bars; the table beside it has all."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart as PNG, its title, and its figures as text for those who do not see it."""

    title: str
    alt: str
    png: bytes = field(repr=False)

    @property
    def base64(self) -> str:
        return base64.b64encode(self.png).decode()

    def html(self) -> str:
        alt = html.escape(f"{self.title}. {self.alt}")
        return f'<img class="chart" alt="{alt}" src="data:image/png;base64,{self.base64}">'

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
        """The picture in a notebook: as HTML, for JupyterLab shows a PNG without its text; as PNG where HTML is not."""
        bundle = {"text/html": self.html(), "image/png": self.base64, "text/plain": f"{self.title}\n{self.alt}"}
        return bundle, {"image/png": {"alt": f"{self.title}. {self.alt}"}}


def canvas(title: str, height: float = HEIGHT) -> "tuple[Figure, Axes]":
    """A figure with one pair of axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    dress(axes)
    axes.set_title(label(title, 90), loc="left", fontsize=12, fontweight="bold", color=TEXT, pad=10)
    return figure, axes


def panes(title: str, height: float) -> "Figure":
    """A figure for several axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    figure.suptitle(label(title, 90), x=0.01, ha="left", fontsize=12, fontweight="bold", color=TEXT)
    return figure


def dress(axes: "Axes") -> None:
    """Give axes the style of all charts."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=TEXT, labelsize=9, length=3)
    axes.set_axisbelow(True)


def usd_axis(axis: "Axis") -> None:
    """Label the ticks of an axis as USD."""
    axis.set_major_formatter(lambda value, _: f"{value:,.2f}")


def grid(axes: "Axes", axis: Any) -> None:
    axes.grid(axis=axis, color="#E5E5E5", linewidth=0.8)


def empty(title: str, reason: str) -> Picture:
    """A chart with the reason why there is nothing to see."""
    figure, axes = canvas(title, height=1.0)
    axes.set_axis_off()
    axes.text(0.0, 0.5, label(reason, 120), transform=axes.transAxes, fontsize=11, color=FAINT)
    return picture(figure, title, reason)


def picture(figure: "Figure", title: str, alt: str) -> Picture:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    # Not savefig(), which lays all out a first time without drawing it: that takes as long as the drawing.
    drawing: Any = FigureCanvasAgg(figure)
    drawing.print_png(buffer, metadata={"Title": title, "Software": None})
    return Picture(title, alt, buffer.getvalue())


def label(text: str, most: int = LABEL_MAX) -> str:
    """An untrusted text, fit to be drawn: one line, no mathematics, only what the font has."""
    drawable = _code_points()
    line = "".join(character if ord(character) in drawable else "?" for character in " ".join(str(text).split()))
    line = line if len(line) <= most else f"{line[: most - 1]}…"
    return line.replace("$", r"\$")


@cache
def _code_points() -> frozenset[int]:
    """The characters that the font of the charts has."""
    from matplotlib import font_manager

    font = font_manager.get_font(font_manager.findfont("DejaVu Sans"))
    return frozenset(font.get_charmap())


def usd_float(atomic: float) -> float:
    """USD as a float, for drawing only."""
    return float(atomic / UNIT)


@dataclass(frozen=True, slots=True)
class Marks:
    """The look of the registry's vendors, or of other groups of spend, by name.

    What is not among them is grey, and so is what stands for several or has no name; the planner has its own colour.
    """

    by_name: dict[str, Mark]

    def __getitem__(self, name: str) -> Mark:
        return SPECIAL.get(name) or self.by_name.get(name, Mark(UNLISTED, "**", "p"))


SPECIAL = {
    PLANNER: Mark(PLANNER_COST, "|||", "h"),
    REMAINDER: Mark(GREY, "", "p"),
    **dict.fromkeys(UNNAMED, Mark(GREY, "---", "p")),
}


def marks(names: Sequence[str]) -> Marks:
    """The look of vendors, given in the order of registration, or of groups, the dearest first."""
    return Marks(vendor_marks(names))


def joined(parts: Sequence[str], most: int = 8) -> str:
    """The parts with semicolons between them; past `most`, the number of the rest."""
    rest = [f"and {len(parts) - most} more"] if len(parts) > most else []
    return "; ".join([*parts[:most], *rest])
