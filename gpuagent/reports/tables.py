"""Frames and figures as HTML that stands alone: tables with a search field, cards of headlines. Texts are escaped."""

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from gpuagent.core.money import usd
from gpuagent.reports import display
from gpuagent.reports.display import Display
from gpuagent.reports.figures.headlines import Headline
from gpuagent.reports.frames import Frame

ROWS_MAX = 250
"""Rows of a table that are shown: the exports have them all."""
CELL_MAX = 120
FILTER = (
    "const words=this.value.toLowerCase();"
    "for(const row of this.parentNode.querySelectorAll('tbody tr'))"
    "row.hidden=!row.textContent.toLowerCase().includes(words)"
)
TEXT, ID, AMOUNT, BOTH, RATE, SHARE, COUNT, HOURS, TIME, SECONDS = range(10)
"""BOTH: an amount, and beside it the second currency."""
LEFT = (TEXT, ID)
USD_ALONE = Display()


@dataclass(frozen=True, slots=True)
class Table:
    """columns: of the frame, each with its heading and its kind. nothing: what is said where the frame is empty."""

    title: str
    frame: Frame
    columns: Mapping[str, tuple[str, int]]
    nothing: str
    shown: Display = USD_ALONE

    def html(self) -> str:
        if self.frame.empty:
            return f'<p class="nothing">{html.escape(self.nothing)}</p>'
        named = html.escape(self.title)
        search = f'<input type="search" aria-label="Search: {named}" placeholder="Search" oninput="{FILTER}">'
        heads = "".join(f"<th{_side(kind)}>{html.escape(head)}</th>" for head, kind in self.columns.values())
        rows = self.frame.head(ROWS_MAX)[list(self.columns)].itertuples(index=False, name=None)
        kinds = [kind for _, kind in self.columns.values()]
        body = "".join(f"<tr>{''.join(map(self._cell, row, kinds))}</tr>" for row in rows)
        more = f"<p>The first {ROWS_MAX} of {len(self.frame):,} rows; the CSV export has all.</p>"
        return (
            f'<div class="rows">{search if len(self.frame) > 5 else ""}<table><caption>{named}</caption>'
            f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
            f"{more if len(self.frame) > ROWS_MAX else ''}</div>"
        )

    def _cell(self, value: Any, kind: int) -> str:
        words = written(value, kind, self.shown)
        if kind == ID:  # long ones are cut by the page, so that they can be searched for
            return f'<td class="t id" title="{html.escape(words)}">{html.escape(words)}</td>'
        return f"<td{_side(kind)}>{html.escape(words)}</td>"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """For notebooks."""
        plain = self.nothing if self.frame.empty else self.frame.head(20)[list(self.columns)].to_string(index=False)
        return {"text/html": STYLE + self.html(), "text/plain": f"{self.title}\n{plain}"}


def _side(kind: int) -> str:
    return ' class="t"' if kind in LEFT else ' class="n"'


def written(value: Any, kind: int, shown: Display = USD_ALONE) -> str:
    """One cell in words. Amounts are atomic units, rates Decimal USD per hour."""
    if kind in (TEXT, ID):
        text = "" if value is None else str(value)
        return text if len(text) <= CELL_MAX else f"{text[: CELL_MAX - 1]}…"
    if kind == TIME:
        return display.moment(value)
    if value is None or value != value:
        return "–"
    forms: dict[int, Callable[[], str]] = {
        AMOUNT: lambda: display.cents(usd(int(value))),
        BOTH: lambda: _both(usd(int(value)), shown),
        RATE: lambda: display.cents(value),
        SHARE: lambda: display.share(float(value)),
        COUNT: lambda: f"{int(value):,}",
        HOURS: lambda: f"{float(value):,.2f}",
        SECONDS: lambda: display.duration(float(value)),
    }
    return forms[kind]()


def _both(value: Decimal, shown: Display) -> str:
    """The heading says USD; the second currency says its name."""
    second = shown.second(value)
    return display.cents(value) + (f" ({second})" if second else "")


@dataclass(frozen=True, slots=True)
class Cards:
    """Headlines side by side."""

    headlines: Sequence[Headline]
    shown: Display = USD_ALONE

    def html(self) -> str:
        return f'<div class="cards" role="list">{"".join(map(self._card, self.headlines))}</div>'

    def _card(self, one: Headline) -> str:
        mood = {True: "better", False: "worse", None: "same"}[one.better]
        word = f"{mood}: " if mood != "same" else ""
        lines = {"name": one.name, "value": one.words(USD_ALONE), "small": one.second(self.shown)}
        told = {**lines, f"small {mood}": word + one.change}
        inside = "".join(f'<div class="{name}">{html.escape(text)}</div>' for name, text in told.items() if text)
        return f'<div role="listitem">{inside}</div>'

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """For notebooks."""
        plain = "\n".join(f"{one.name}: {one.words(self.shown)} ({one.change})" for one in self.headlines)
        return {"text/html": STYLE + self.html(), "text/plain": plain}


@dataclass(frozen=True, slots=True)
class Words:
    """A paragraph."""

    text: str
    alarm: bool = False

    @property
    def mood(self) -> str:
        return "alarm" if self.alarm else "calm"

    def html(self) -> str:
        return f'<p class="{self.mood}">{html.escape(self.text)}</p>'

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """For notebooks."""
        return {"text/html": STYLE + self.html(), "text/plain": self.text}


RULES = """
.rows{overflow-x:auto;margin:.6em 0 1.4em}
.rows table{border-collapse:collapse;font-size:.85em;width:100%;font-variant-numeric:tabular-nums}
.rows caption{text-align:left;font-weight:600;padding:.2em 0}
.rows table th,.rows table td{padding:.25em .6em;border-bottom:1px solid #bbb8;vertical-align:top}
.rows table th{border-bottom:2px solid #888}
.rows table .t{text-align:left}
.rows table .n{text-align:right}.rows table td.n{white-space:nowrap}
.rows table .id{max-width:15em;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.rows input{float:right;padding:.2em .5em;font:inherit;font-size:.85em}
.nothing{opacity:.8;font-style:italic}.alarm{font-weight:600}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(13.5em,1fr));gap:.7em;margin:1em 0}
.cards>div{border:1px solid #8888;border-radius:6px;padding:.5em .8em;break-inside:avoid}
.cards .name,.cards .small{font-size:.82em;opacity:.85}
.cards .value{font-size:1.25em;font-weight:600;font-variant-numeric:tabular-nums}
.chart{max-width:100%;height:auto;display:block;margin:.4em 0}
"""
"""No colours but greys that read on white and on black, for notebooks have themes; the page adds its own."""
STYLE = f"<style>{RULES}</style>"
