"""The state machine as a picture, the current state lit. Inline SVG: no script, no fetch, prints well."""

from gpuagent.model import Phase
from gpuagent.palette import BLUE, FAILED, HELD, SUCCESS, text_on
from gpuagent.panels.markup import Html, el

WORDS = {
    Phase.PLANNING: "quotes, planner, guard",
    Phase.APPROVAL: "a person agrees",
    Phase.EXECUTING: "402, sign, pay",
    Phase.WAITING: "the vendor works",
    Phase.SUCCESS: "the goal is reached",
    Phase.FAILED: "given up or cancelled",
}
PLACES = {
    Phase.PLANNING: (10, 52),
    Phase.APPROVAL: (168, 110),
    Phase.EXECUTING: (326, 52),
    Phase.WAITING: (520, 52),
    Phase.SUCCESS: (714, 18),
    Phase.FAILED: (714, 88),
}
LIT = {Phase.APPROVAL: HELD, Phase.SUCCESS: SUCCESS, Phase.FAILED: FAILED}
WIDE, HIGH = 148, 46
ARROWS = (
    "M158 75 H322",
    "M84 98 V133 H164",
    "M316 133 H400 V102",
    "M474 75 H516",
    "M668 66 L710 45",
    "M668 86 L710 107",
)
BACK = "M594 52 V22 H84 V48"
"""A failed job leads back to planning."""


def colour_of(phase: str) -> str:
    return LIT.get(Phase(phase), BLUE)


def pill(phase: str) -> Html:
    """The phase as a word on its colour."""
    colour = colour_of(phase)
    return el("span", phase, class_="pill", style=f"background:{colour};color:{text_on(colour)}")


def picture(current: str) -> Html:
    """The machine with `current` lit, which its accessible name says too."""
    name = f"Phase {current}: {WORDS[Phase(current)]}"
    lines = [el("path", d=path, fill="none", stroke="currentColor", marker_end="url(#ga-tip)") for path in ARROWS]
    back = el("path", d=BACK, fill="none", stroke="currentColor", stroke_dasharray="4 3", marker_end="url(#ga-tip)")
    told = el("text", "a job failed: another vendor", x=339, y=16, text_anchor="middle", font_size=11)
    nodes = [_node(phase, phase.value == current) for phase in Phase]
    return el(
        "svg",
        el("title", name),
        el("defs", _tip()),
        *lines,
        back,
        told,
        *nodes,
        viewBox="0 0 872 162",
        role="img",
        aria_label=name,
    )


def _tip() -> Html:
    arrow = el("path", d="M0 0 L7 3.5 L0 7 z", fill="currentColor")
    return el("marker", arrow, id="ga-tip", markerWidth=7, markerHeight=7, refX=6, refY="3.5", orient="auto")


def _node(phase: Phase, lit: bool) -> Html:
    (x, y), colour = PLACES[phase], colour_of(phase)
    ink = text_on(colour) if lit else "currentColor"
    box = el(
        "rect",
        x=x,
        y=y,
        width=WIDE,
        height=HIGH,
        rx=7,
        fill=colour if lit else "none",
        stroke=colour if lit else "currentColor",
        stroke_opacity=1 if lit else 0.45,
    )
    middle = x + WIDE // 2
    title = el(
        "text",
        phase.value,
        x=middle,
        y=y + 20,
        text_anchor="middle",
        font_size=13,
        font_weight=700 if lit else 500,
        style=f"fill:{ink}",
    )
    words = el("text", WORDS[phase], x=middle, y=y + 36, text_anchor="middle", font_size=11, style=f"fill:{ink}")
    return el("g", box, title, words)
