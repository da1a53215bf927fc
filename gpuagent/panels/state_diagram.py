"""The state diagram of a run with its current phase highlighted. Inline SVG: no script, no fetch, prints well."""

from gpuagent.core.model import Phase
from gpuagent.panels.kit.html import Html, el
from gpuagent.render.palette import BLUE, FAILED, HELD, SUCCESS, text_on

CAPTIONS = {
    Phase.PLANNING: "quotes, planner, guard",
    Phase.APPROVAL: "a user approves",
    Phase.EXECUTING: "402, sign, pay",
    Phase.WAITING: "the vendor works",
    Phase.SUCCESS: "the goal is reached",
    Phase.FAILED: "given up or cancelled",
}
POSITIONS = {
    Phase.PLANNING: (2, 52),
    Phase.APPROVAL: (222, 108),
    Phase.EXECUTING: (442, 52),
    Phase.WAITING: (714, 52),
    Phase.SUCCESS: (964, 18),
    Phase.FAILED: (964, 88),
}
HIGHLIGHTS = {Phase.APPROVAL: HELD, Phase.SUCCESS: SUCCESS, Phase.FAILED: FAILED}
WIDTH, HEIGHT = 152, 46
ARROWS = (
    "M154 75 H438",
    "M78 98 V131 H218",
    "M374 131 H518 V102",
    "M594 75 H710",
    "M866 66 L960 43",
    "M866 84 L960 109",
)
RETRY_ARROW = "M790 52 V22 H78 V48"
"""A failed job leads back to planning."""


def colour_of(phase: str) -> str:
    return HIGHLIGHTS.get(Phase(phase), BLUE)


def pill(phase: str) -> Html:
    """The phase's name on its colour."""
    colour = colour_of(phase)
    return el("span", phase, class_="pill", style=f"background:{colour};color:{text_on(colour)}")


def diagram(current: str, caption: str = "") -> Html:
    """The phases with `current` highlighted, and named for screen readers too. caption: another one for `current`."""
    captions = {**CAPTIONS, **({Phase(current): caption} if caption else {})}
    name = f"Phase {current}: {captions[Phase(current)]}"
    lines = [el("path", d=path, fill="none", stroke="currentColor", marker_end="url(#ga-tip)") for path in ARROWS]
    back = el(
        "path", d=RETRY_ARROW, fill="none", stroke="currentColor", stroke_dasharray="4 3", marker_end="url(#ga-tip)"
    )
    retry = el("text", "a job failed: another vendor", x=434, y=16, text_anchor="middle", font_size=11)
    nodes = [_node(phase, captions[phase], phase.value == current) for phase in Phase]
    return el(
        "svg",
        el("title", name),
        el("defs", _tip()),
        *lines,
        back,
        retry,
        *nodes,
        viewBox="0 0 1118 156",
        role="img",
        aria_label=name,
    )


def _tip() -> Html:
    arrow = el("path", d="M0 0 L7 3.5 L0 7 z", fill="currentColor")
    return el("marker", arrow, id="ga-tip", markerWidth=7, markerHeight=7, refX=6, refY="3.5", orient="auto")


def _node(phase: Phase, explanation: str, current: bool) -> Html:
    (x, y), colour = POSITIONS[phase], colour_of(phase)
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
