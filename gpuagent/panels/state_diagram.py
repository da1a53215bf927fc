"""The state diagram of a run with its current phase highlighted. Inline SVG: no script, no fetch, prints well."""

from collections.abc import Mapping
from dataclasses import dataclass

from gpuagent.core.model import Phase
from gpuagent.panels.kit.html import Html, el, join
from gpuagent.render.palette import BLUE, FAILED, HELD, SUCCESS, text_on

CAPTIONS = {
    Phase.PLANNING: "quotes, planner, guard",
    Phase.APPROVAL: "a user approves",
    Phase.EXECUTING: "402, sign, pay",
    Phase.WAITING: "the vendor works",
    Phase.SUCCESS: "the goal is reached",
    Phase.FAILED: "given up or cancelled",
}
HIGHLIGHTS = {Phase.APPROVAL: HELD, Phase.SUCCESS: SUCCESS, Phase.FAILED: FAILED}
WIDTH, HEIGHT = 152, 46


@dataclass(frozen=True, slots=True)
class Drawing:
    """Where everything is. retry: the arrow by which a failed job leads back to planning; remark: where its text is."""

    name: str
    size: tuple[int, int]
    positions: Mapping[Phase, tuple[int, int]]
    arrows: tuple[str, ...]
    retry: str
    remark: tuple[int, int]


ACROSS = Drawing(
    "phases",
    (1118, 156),
    {
        Phase.PLANNING: (2, 52),
        Phase.APPROVAL: (222, 108),
        Phase.EXECUTING: (442, 52),
        Phase.WAITING: (714, 52),
        Phase.SUCCESS: (964, 18),
        Phase.FAILED: (964, 88),
    },
    (
        "M154 75 H438",
        "M78 98 V131 H218",
        "M374 131 H518 V102",
        "M594 75 H710",
        "M866 66 L960 43",
        "M866 84 L960 109",
    ),
    "M790 52 V22 H78 V48",
    (434, 16),
)
DOWN = Drawing(
    "narrow",
    (386, 282),
    {
        Phase.PLANNING: (30, 26),
        Phase.APPROVAL: (230, 26),
        Phase.EXECUTING: (30, 106),
        Phase.WAITING: (30, 202),
        Phase.SUCCESS: (230, 168),
        Phase.FAILED: (230, 232),
    },
    (
        "M106 72 V102",
        "M182 49 H226",
        "M306 72 V129 H186",
        "M106 152 V198",
        "M182 218 L226 196",
        "M182 232 L226 252",
    ),
    "M30 225 H10 V49 H26",
    (90, 14),
)
"""For a screen as narrow as a phone's, on which the other is too small to read."""


def colour_of(phase: str) -> str:
    return HIGHLIGHTS.get(Phase(phase), BLUE)


def pill(phase: str) -> Html:
    """The phase's name on its colour."""
    colour = colour_of(phase)
    return el("span", phase, class_="pill", style=f"background:{colour};color:{text_on(colour)}")


def diagram(current: str, caption: str = "") -> Html:
    """The phases with `current` highlighted, and named for screen readers too. caption: another one for `current`.

    Drawn twice: the style sheet shows the one that fits the screen.
    """
    captions = {**CAPTIONS, **({Phase(current): caption} if caption else {})}
    return join(*(_picture(drawing, current, captions) for drawing in (ACROSS, DOWN)))


def _picture(drawing: Drawing, current: str, captions: Mapping[Phase, str]) -> Html:
    name, tip = f"Phase {current}: {captions[Phase(current)]}", f"ga-tip-{drawing.name}"
    line: dict[str, object] = {"fill": "none", "stroke": "currentColor", "marker_end": f"url(#{tip})"}
    lines = [el("path", d=path, **line) for path in drawing.arrows]
    back = el("path", d=drawing.retry, stroke_dasharray="4 3", **line)
    x, y = drawing.remark
    remark = el("text", "a job failed: another vendor", x=x, y=y, text_anchor="middle", font_size=11)
    nodes = [
        _node(phase, captions[phase], drawing.positions[phase], phase.value == current) for phase in drawing.positions
    ]
    width, height = drawing.size
    return el(
        "svg",
        el("title", name),
        el("defs", _tip(tip)),
        *lines,
        back,
        remark,
        *nodes,
        viewBox=f"0 0 {width} {height}",
        role="img",
        aria_label=name,
        class_=drawing.name,
    )


def _tip(name: str) -> Html:
    arrow = el("path", d="M0 0 L7 3.5 L0 7 z", fill="currentColor")
    return el("marker", arrow, id=name, markerWidth=7, markerHeight=7, refX=6, refY="3.5", orient="auto")


def _node(phase: Phase, explanation: str, position: tuple[int, int], current: bool) -> Html:
    (x, y), colour = position, colour_of(phase)
    ink = text_on(colour) if current else "currentColor"
    box = el(
        "rect",
        x=x,
        y=y,
        width=WIDTH,
        height=HEIGHT,
        rx=7,
        fill=colour if current else "none",
        stroke=colour if current else "currentColor",
        stroke_opacity=1 if current else 0.45,
    )
    middle = x + WIDTH // 2
    title = el(
        "text",
        phase.value,
        x=middle,
        y=y + 20,
        text_anchor="middle",
        font_size=13,
        font_weight=700 if current else 500,
        style=f"fill:{ink}",
    )
    caption = el("text", explanation, x=middle, y=y + 36, text_anchor="middle", font_size=11, style=f"fill:{ink}")
    return el("g", box, title, caption)
