"""What all charts share: a figure without global state, texts that cannot break it, a PNG with words for it."""

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from gpuagent.core.money import UNIT
from gpuagent.render.palette import FAINT, PLANNER_COST, TEXT, UNLISTED, Mark, vendor_marks
from gpuagent.reports.figures.spend import PLANNER

WIDTH, HEIGHT, DPI = 9.0, 3.4, 110
LABEL_MAX = 28
USD_AXIS = FuncFormatter(lambda value, _: f"{value:,.2f}")


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart as PNG, its title, and its figures in words for those who do not see it."""

    title: str
    alt: str
    png: bytes = field(repr=False)

    @property
    def base64(self) -> str:
        return base64.b64encode(self.png).decode()

    def html(self) -> str:
        words = html.escape(f"{self.title}. {self.alt}")
        return f'<img class="chart" alt="{words}" src="data:image/png;base64,{self.base64}">'

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
        """For notebooks. Metadata carries the words, as IPython.display.Image does it."""
        bundle = {"image/png": self.base64, "text/plain": f"{self.title}\n{self.alt}"}
        return bundle, {"image/png": {"alt": f"{self.title}. {self.alt}"}}


def canvas(title: str, height: float = HEIGHT) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    dress(axes)
    axes.set_title(label(title, 90), loc="left", fontsize=12, fontweight="bold", color=TEXT, pad=10)
    return figure, axes


def panes(title: str, height: float) -> Figure:
    """A figure for several axes."""
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    figure.suptitle(label(title, 90), x=0.01, ha="left", fontsize=12, fontweight="bold", color=TEXT)
    return figure


def dress(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=TEXT, labelsize=9, length=3)
    axes.set_axisbelow(True)


def grid(axes: Axes, axis: Any) -> None:
    axes.grid(axis=axis, color="#E5E5E5", linewidth=0.8)


def empty(title: str, words: str) -> Picture:
    """A chart that says why there is nothing to see."""
    figure, axes = canvas(title, height=1.0)
    axes.set_axis_off()
    axes.text(0.0, 0.5, label(words, 120), transform=axes.transAxes, fontsize=11, color=FAINT)
    return picture(figure, title, words)


def picture(figure: Figure, title: str, alt: str) -> Picture:
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png", facecolor="white", metadata={"Title": title, "Software": None})
    return Picture(title, alt, buffer.getvalue())


def label(text: str, most: int = LABEL_MAX) -> str:
    """Anybody's text, fit to be drawn: one line, no mathematics, only what the font has."""
    known = _characters()
    plain = "".join(one if ord(one) in known else "?" for one in " ".join(str(text).split()))
    plain = plain if len(plain) <= most else f"{plain[: most - 1]}…"
    return plain.replace("$", r"\$")


@cache
def _characters() -> frozenset[int]:
    found = font_manager.get_font(font_manager.findfont("DejaVu Sans"))
    return frozenset(found.get_charmap())


def usd_float(atomic: float) -> float:
    """For drawing only."""
    return float(atomic / UNIT)


def marks(vendor_ids: Sequence[str]) -> "Marks":
    return Marks(vendor_marks(vendor_ids))


@dataclass(frozen=True, slots=True)
class Marks:
    """How the registry's vendors are drawn; a vendor that is in no registry is grey, the planner has its own colour."""

    by_vendor: dict[str, Mark]

    def __getitem__(self, who: str) -> Mark:
        if who == PLANNER:
            return Mark(PLANNER_COST, "|||", "h")
        return self.by_vendor.get(who, Mark(UNLISTED, "**", "p"))


def listed(parts: Sequence[str], most: int = 8) -> str:
    """Words in a row; past so many, how many more there are."""
    shown = list(parts[:most])
    return "; ".join([*shown, f"and {len(parts) - most} more"] if len(parts) > most else shown)
