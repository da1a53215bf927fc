"""A report as one HTML file: nothing is loaded from anywhere, it reads on a screen and prints on A4."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gpuagent.reports.tables import RULES, Words

PAGE_RULES = """
body{font:15px/1.45 system-ui,"Segoe UI",Roboto,Arial,sans-serif;color:#1a1a1a;background:#fff;
max-width:66em;margin:0 auto;padding:1.5em}
h1{margin:0 0 .2em}h2{margin:1.8em 0 .3em;border-bottom:1px solid #bbb;padding-bottom:.15em}
header p{margin:.15em 0;color:#444}nav{margin:.8em 0;font-size:.9em}nav a{margin-right:.9em}
.note{color:#444;font-size:.92em;margin:.2em 0 .6em}
@page{size:A4;margin:14mm}
@media print{body{padding:0;max-width:none;font-size:10.5pt}nav,.rows input{display:none}
h2{break-after:avoid}.chart,.rows tr{break-inside:avoid}thead{display:table-header-group}
.rows .id{white-space:normal;overflow-wrap:anywhere}.rows{overflow:visible}
.note{break-after:avoid}}
"""


class Part(Protocol):
    """What a section is made of: it knows itself as HTML, and as what notebooks show."""

    def html(self) -> str: ...

    def _repr_mimebundle_(self, **_: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Section:
    """note: how to read it."""

    title: str
    note: str
    parts: Sequence[Part]

    @property
    def anchor(self) -> str:
        return "-".join("".join(one if one.isalnum() else " " for one in self.title.lower()).split())

    def _ipython_display_(self) -> None:
        from IPython.display import display

        show: Any = display
        show(*([Words(self.note)] if self.note else []), *self.parts)


def page(title: str, told: Sequence[str], sections: Sequence[Section]) -> str:
    """told: lines below the title."""
    lines = "".join(f"<p>{html.escape(line)}</p>" for line in told)
    links = "".join(f'<a href="#{one.anchor}">{html.escape(one.title)}</a>' for one in sections)
    body = "".join(map(_section, sections))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{RULES}{PAGE_RULES}</style></head>\n"
        f"<body><header><h1>{html.escape(title)}</h1>{lines}</header>"
        f'<nav aria-label="Sections">{links}</nav>\n<main>{body}</main></body></html>\n'
    )


def _section(one: Section) -> str:
    note = f'<p class="note">{html.escape(one.note)}</p>' if one.note else ""
    parts = "\n".join(part.html() for part in one.parts)
    return f'<section id="{one.anchor}"><h2>{html.escape(one.title)}</h2>{note}{parts}</section>\n'
