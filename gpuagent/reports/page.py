"""A report as one HTML file: nothing is loaded from anywhere, it reads on a screen and prints on A4."""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gpuagent.reports.tables import RULES, Paragraph

PAGE_RULES = """
body{font:15px/1.45 system-ui,"Segoe UI",Roboto,Arial,sans-serif;color:#1a1a1a;background:#fff;
max-width:66em;margin:0 auto;padding:1.5em}
h1{margin:0 0 .2em}h2{margin:1.8em 0 .3em;border-bottom:1px solid #bbb;padding-bottom:.15em}
.alarm,.worse{color:#8a2d00}.better{color:#00604a}
header p{margin:.15em 0;color:#444}nav{margin:.8em 0;font-size:.9em}nav a{margin-right:.9em}
.note{color:#444;font-size:.92em;margin:.2em 0 .6em}
@page{size:A4;margin:14mm}
@media print{body{padding:0;max-width:none;font-size:10.5pt}nav,.rows input{display:none}
h2{break-after:avoid}.chart,.rows tr{break-inside:avoid}thead{display:table-header-group}.rows thead th{position:static}
.rows table{font-size:.76em}.rows table th,.rows table td{padding:.2em .4em}
.rows table td.id{white-space:normal;overflow-wrap:anywhere;max-width:none}.rows{overflow:visible;max-height:none}
.note{break-after:avoid}}
"""


class Part(Protocol):
    """A part of a section, as HTML and as notebooks show it."""

    def html(self) -> str: ...

    def _repr_mimebundle_(self, **_: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class ReportSection:
    """A section of a report. note: how to read it."""

    title: str
    note: str
    parts: Sequence[Part]

    @property
    def anchor(self) -> str:
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")

    def html(self) -> str:
        note = f'<p class="note">{html.escape(self.note)}</p>' if self.note else ""
        parts = "\n".join(part.html() for part in self.parts)
        return f'<section id="{self.anchor}"><h2>{html.escape(self.title)}</h2>{note}{parts}</section>\n'

    def _ipython_display_(self) -> None:
        from IPython.display import display

        show: Any = display
        show(*([Paragraph(self.note)] if self.note else []), *self.parts)


def page(title: str, subtitles: Sequence[str], sections: Sequence[ReportSection]) -> str:
    """The HTML of a page. subtitles: lines below the title."""
    lines = "".join(f"<p>{html.escape(line)}</p>" for line in subtitles)
    links = "".join(f'<a href="#{section.anchor}">{html.escape(section.title)}</a>' for section in sections)
    body = "".join(section.html() for section in sections)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{RULES}{PAGE_RULES}</style></head>\n"
        f"<body><header><h1>{html.escape(title)}</h1>{lines}</header>"
        f'<nav aria-label="Sections">{links}</nav>\n<main>{body}</main></body></html>\n'
    )
