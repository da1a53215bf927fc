"""The parts of a section as HTML that stands alone: tables with a search field, cards of headlines, paragraphs.

All texts are escaped.
"""

import html
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, auto
from typing import Any
from urllib.parse import urlsplit

from gpuagent.core.money import usd
from gpuagent.core.status import planner_label
from gpuagent.core.text import is_web_url
from gpuagent.core.units import show_size
from gpuagent.reports.display import USD_ALONE, Display, cents, duration, moment, share
from gpuagent.reports.figures.headlines import Headline
from gpuagent.reports.frames import Frame

ROWS_MAX = 250
"""Rows of a table on the page: the exports have them all."""
CELL_MAX = 120
FILTER = (
    "const query=this.value.toLowerCase();"
    "for(const row of this.parentNode.querySelectorAll('tbody tr'))"
    "row.hidden=!row.textContent.toLowerCase().includes(query)"
)

SORT = (
    "const head=event.target.closest('th');if(!head)return;const heads=[...this.querySelectorAll('th')],"
    "place=heads.indexOf(head),down=head.getAttribute('aria-sort')==='ascending',body=this.parentNode.tBodies[0],"
    "key=row=>row.cells[place].dataset.v??row.cells[place].textContent.trim(),"
    "order=(x,y)=>(Number(x===''||y==='')?(x==='')-(y===''):(down?-1:1)*(isNaN(x-y)?x.localeCompare(y):x-y));"
    "for(const other of heads)other.removeAttribute('aria-sort');"
    "head.setAttribute('aria-sort',down?'descending':'ascending');"
    "body.append(...[...body.rows].sort((a,b)=>order(key(a),key(b))))"
)
"""Sorts by the column whose heading is pressed; pressed again, the other way round. Rows without a value come last."""


class Cell(Enum):
    """The kind of a table's cells, by which their values are written."""

    TEXT = auto()
    ID = auto()
    PLANNER = auto()
    """The name of a planner, as its label."""
    AMOUNT = auto()
    """Atomic units, as USD."""
    BOTH = auto()
    """Atomic units, as USD and beside it in the second currency."""
    RATE = auto()
    """Decimal USD per hour."""
    SHARE = auto()
    COUNT = auto()
    HOURS = auto()
    TIME = auto()
    SECONDS = auto()
    FILES = auto()
    """Files with path, bytes and sha256, the hash on hover; with a url they are links."""
    LINK = auto()
    """A vendor's web address, as a link that names its host."""


LEFT_ALIGNED = (Cell.TEXT, Cell.ID, Cell.PLANNER, Cell.FILES, Cell.LINK)
FILES_SHOWN = 5
_HOST = re.compile(r"[a-z0-9.:-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a frame. columns: of the frame, each with its heading and its kind. empty: the text without rows.

    total: the rows that there are, where the frame has only the first of them.
    """

    title: str
    frame: Frame
    columns: Mapping[str, tuple[str, Cell]]
    empty: str
    display: Display = USD_ALONE
    total: int | None = None

    def html(self) -> str:
        if self.frame.empty:
            return f'<p class="nothing">{html.escape(self.empty)}</p>'
        caption = html.escape(self.title)
        search = f'<input type="search" aria-label="Search: {caption}" placeholder="Search" oninput="{FILTER}">'
        head = "".join(
            f'<th{_side(kind)} scope="col"><button type="button">{html.escape(heading)}</button></th>'
            for heading, kind in self.columns.values()
        )
        rows = self.frame.head(ROWS_MAX)[list(self.columns)].itertuples(index=False, name=None)
        kinds = [kind for _, kind in self.columns.values()]
        body = "".join(f"<tr>{''.join(map(self._cell, row, kinds))}</tr>" for row in rows)
        total = len(self.frame) if self.total is None else self.total
        more = f"<p>The first {ROWS_MAX} of {total:,} rows; the CSV export has all.</p>"
        return (
            f'<div class="rows">{search if len(self.frame) > 5 else ""}<table><caption>{caption}</caption>'
            f'<thead onclick="{SORT}"><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
            f"{more if total > ROWS_MAX else ''}</div>"
        )

    def _cell(self, value: Any, kind: Cell) -> str:
        if kind is Cell.FILES:
            return f'<td class="t">{_files(value)}</td>'
        if kind is Cell.LINK:
            return f'<td class="t">{_link(value)}</td>'
        text = cell_text(value, kind, self.display)
        if kind is Cell.ID:  # long ones are cut by the page, so that they can be searched for
            return f'<td class="t id" title="{html.escape(text)}">{html.escape(text)}</td>'
        return f"<td{_side(kind)}{_sort_key(value, kind)}>{html.escape(text)}</td>"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """The table in a notebook."""
        plain = self.empty if self.frame.empty else self.frame.head(20)[list(self.columns)].to_string(index=False)
        return {"text/html": STYLE + self.html(), "text/plain": f"{self.title}\n{plain}"}


def _side(kind: Cell) -> str:
    return ' class="t"' if kind in LEFT_ALIGNED else ' class="n"'


def _sort_key(value: Any, kind: Cell) -> str:
    """The number that a cell is sorted by, where its text is not one."""
    if kind in LEFT_ALIGNED or kind is Cell.TIME:
        return ""
    return ' data-v=""' if value is None or value != value else f' data-v="{value:f}"'


def _files(files: Any) -> str:
    """The first few files by path and size, each with its SHA-256 on hover."""
    entries = [
        f'<span title="SHA-256 {html.escape(file["sha256"])}">{_file_name(file)}, '
        f"{show_size(file['bytes']).replace(' ', '&nbsp;')}</span>"
        for file in (files or ())[:FILES_SHOWN]
    ]
    more = [f"and {len(files) - FILES_SHOWN} more"] if len(files or ()) > FILES_SHOWN else []
    return "<br>".join([*entries, *more])


def _file_name(file: Any) -> str:
    name, url = html.escape(cell_text(file["path"], Cell.TEXT)), html.escape(file.get("url", ""))
    return f'<a href="{url}" rel="noopener noreferrer">{name}</a>' if url else name


def _link(url: str) -> str:
    """A link for an https address at a plain host, which the page does not load; else the text as it is."""
    host = (urlsplit(url).hostname or "") if url.startswith("https://") and is_web_url(url) else ""
    if not _HOST.fullmatch(host):
        return html.escape(cell_text(url, Cell.TEXT))
    address = html.escape(url)
    return f'<a href="{address}" title="{address}" target="_blank" rel="noopener noreferrer">{host}</a>'


def cell_text(value: Any, kind: Cell, display: Display = USD_ALONE) -> str:
    """A cell's value as text; a dash where there is none."""
    if kind in LEFT_ALIGNED:
        text = "" if value is None else str(value)
        text = planner_label(text) if kind is Cell.PLANNER else text
        return text if len(text) <= CELL_MAX else f"{text[: CELL_MAX - 1]}…"
    if kind is Cell.TIME:
        return moment(value)
    if value is None or value != value:  # not a number
        return "–"
    return FORMS[kind](value, display)


def _both(value: Decimal, display: Display) -> str:
    """The heading names USD; the second currency names itself."""
    second = display.second(value)
    return cents(value) + (f" ({second})" if second else "")


FORMS: Mapping[Cell, Callable[[Any, Display], str]] = {
    Cell.AMOUNT: lambda value, _: cents(usd(int(value))),
    Cell.BOTH: lambda value, display: _both(usd(int(value)), display),
    Cell.RATE: lambda value, _: cents(value),
    Cell.SHARE: lambda value, _: share(float(value)),
    Cell.COUNT: lambda value, _: f"{int(value):,}",
    Cell.HOURS: lambda value, _: f"{float(value):,.2f}",
    Cell.SECONDS: lambda value, _: duration(float(value)),
}
"""The texts of numbers, by kind."""


@dataclass(frozen=True, slots=True)
class Cards:
    """Headlines side by side."""

    headlines: Sequence[Headline]
    display: Display = USD_ALONE

    def html(self) -> str:
        return f'<div class="cards" role="list">{"".join(map(self._card, self.headlines))}</div>'

    def _card(self, headline: Headline) -> str:
        mood = {True: "better", False: "worse", None: "same"}[headline.better]
        prefix = "" if headline.better is None else f"{mood}: "
        texts = {
            "name": headline.name,
            "value": headline.text(USD_ALONE),
            "small": headline.second(self.display),
            f"small {mood}": prefix + headline.change,
        }
        lines = "".join(f'<div class="{name}">{html.escape(text)}</div>' for name, text in texts.items() if text)
        return f'<div role="listitem">{lines}</div>'

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """The cards in a notebook."""
        changes = [f" ({line.change})" if line.change else "" for line in self.headlines]
        lines = [
            f"{line.name}: {line.text(self.display)}{change}"
            for line, change in zip(self.headlines, changes, strict=True)
        ]
        return {"text/html": STYLE + self.html(), "text/plain": "\n".join(lines)}


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph. alarm: whether it must not be overlooked."""

    text: str
    alarm: bool = False

    def html(self) -> str:
        mood = "alarm" if self.alarm else "calm"
        return f'<p class="{mood}">{html.escape(self.text)}</p>'

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """The paragraph in a notebook."""
        return {"text/html": STYLE + self.html(), "text/plain": self.text}


RULES = """
.rows{overflow:auto;max-height:36em;margin:.6em 0 1.4em}
.rows table{border-collapse:collapse;font-size:.85em;width:100%;font-variant-numeric:tabular-nums}
.rows thead th{position:sticky;top:0;background:var(--jp-layout-color0,#fff)}
.rows caption{text-align:left;font-weight:600;padding:.2em 0}
.rows table th,.rows table td{padding:.25em .6em;border-bottom:1px solid #bbb8;vertical-align:top}
.rows table th{border-bottom:2px solid #888}
.rows th button{all:unset;cursor:pointer}.rows th button:focus-visible{outline:2px solid #1976d2}
.rows th[aria-sort=ascending] button::after{content:" ▲"}.rows th[aria-sort=descending] button::after{content:" ▼"}
.rows table .t{text-align:left}
.rows table .n{text-align:right}.rows table td.n{white-space:nowrap}
.rows table .id{max-width:15em;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.rows table td a{overflow-wrap:anywhere}
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
