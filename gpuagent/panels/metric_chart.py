"""The chart of a run's metric against the step: a line per try, resumes marked. Inline SVG on the notebook's theme."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gpuagent.panels.kit.html import Html, el, join
from gpuagent.panels.metric_axes import BOTTOM, HEIGHT, LEFT, RIGHT, ROOM, TOP, WIDTH, Scale, axes, number
from gpuagent.panels.tables import Document
from gpuagent.render import palette

STEP, USUAL = "step", "loss"
NAME_MAX, NAMES_MAX = 40, 50
BUCKETS = 300
"""A line is drawn of the lowest and the highest value in each of so many parts of it."""
MAGNITUDE_MAX = 1e15
DASHES = (None, "7 3", "2 3", "9 3 2 3")
"""Of the first line of a vendor, the second, and so on."""
NO_METRICS = "No metrics yet: a job with a job file appends them to metrics.jsonl as lines of JSON, with step and loss."


@dataclass(frozen=True, slots=True)
class Curve:
    """One try's values of a metric. odd: how many values are no numbers that can be drawn."""

    title: str
    colour: str
    dash: str | None
    status: str
    resumed: str
    points: Sequence[tuple[float, float]]
    odd: int


def metric_names(metrics: Sequence[Document], favourite: str = "") -> list[str]:
    """The names of all metrics but the step, the one to show first in front. favourite: that of the success test."""
    names = {
        name: None for row in metrics for name, value in row["metric"].items() if name != STEP and _is_number(value)
    }
    first = [name for name in (favourite, USUAL) if name in names]
    return list(dict.fromkeys([*first, *names]))[:NAMES_MAX]


def curves(name: str, metrics: Sequence[Document], jobs: Sequence[Document], colours: Mapping[str, str]) -> list[Curve]:
    """A curve for each job that reported the metric."""
    drawn: list[Curve] = []
    for job in jobs:
        rows = [row for row in metrics if row["jobId"] == job["_id"] and name in row["metric"]]
        if not rows:
            continue
        points = [(_step(row), _float(row["metric"][name])) for row in rows]
        sound = [(x, y) for x, y in points if abs(x) < MAGNITUDE_MAX and abs(y) < MAGNITUDE_MAX]  # NaN compares false
        vendor = job["vendorId"]
        earlier = sum(line.title.endswith(f", {vendor}") for line in drawn)
        drawn.append(
            Curve(
                title=f"try {job['ordinal'] + 1}, {vendor}",
                colour=colours.get(vendor, palette.UNLISTED),
                dash=DASHES[earlier % len(DASHES)],
                status=job["status"],
                resumed=resumed_at(job),
                points=sound,
                odd=len(points) - len(sound),
            )
        )
    return drawn


def resumed_at(job: Document) -> str:
    """The place where a job went on from another's checkpoint, such as "resumed at 47%"; "" for a first start."""
    resumed = job.get("resumedFrom")
    if not resumed:
        return ""
    fraction = resumed.get("fraction")
    return f"resumed at {fraction:.0%}" if _is_number(fraction) else "resumed from a checkpoint"


def metric_chart(name: str, metrics: Sequence[Document], jobs: Sequence[Document], colours: Mapping[str, str]) -> Html:
    """The chart and its legend, or a sentence where there is nothing to draw."""
    drawn = curves(name, metrics, jobs, colours)
    points = [point for line in drawn for point in line.points]
    if not drawn:
        return el("p", NO_METRICS, class_="faint")
    legend = el("div", *(_legend_entry(name, line) for line in drawn), class_="legend tries")
    if not points:
        return join(el("p", "No value is a number that can be drawn.", class_="faint"), legend)
    x = Scale.over([step for step, _ in points], LEFT, RIGHT)
    y = Scale.over([value for _, value in points], BOTTOM - ROOM, TOP)
    title = f"{name[:NAME_MAX]} against the step: {'; '.join(_text(name, line) for line in drawn)}"
    marks = [_resume(line, x) for line in drawn if line.resumed and line.points]
    paths = [_path(line, x, y) for line in drawn if line.points]
    return join(
        el(
            "svg",
            el("title", title),
            *axes(x, y, name[:NAME_MAX], STEP),
            *marks,
            *paths,
            viewBox=f"0 0 {WIDTH} {HEIGHT}",
            role="img",
            aria_label=title,
            class_="chart",
        ),
        legend,
    )


def _path(line: Curve, x: Scale, y: Scale) -> Html:
    thinned = _thinned(line.points)
    corners = " L".join(f"{x(step):.1f} {y(value):.1f}" for step, value in thinned)
    stroke = f"stroke:{_ink(line.colour)}"
    end_x, end_y = x(thinned[-1][0]), y(thinned[-1][1])
    path = el("path", d=f"M{corners}", fill="none", stroke_width=2, stroke_dasharray=line.dash, style=stroke)
    if line.status == "failed":
        cross = f"M{end_x - 4:.1f} {end_y - 4:.1f} l8 8 m0 -8 l-8 8"
        return el("g", path, el("path", d=cross, fill="none", stroke_width=2.5, style=stroke))
    return el("g", path, el("circle", cx=f"{end_x:.1f}", cy=f"{end_y:.1f}", r=3.5, style=f"fill:{_ink(line.colour)}"))


def _resume(line: Curve, x: Scale) -> Html:
    """A vertical line where a try went on, and its words on the side that has room."""
    at = x(line.points[0][0])
    before = at > (LEFT + RIGHT) / 2
    rule = el(
        "path",
        d=f"M{at:.1f} {TOP} V{BOTTOM}",
        stroke_dasharray="3 3",
        stroke_width=1.5,
        style=f"stroke:{_ink(line.colour)}",
    )
    text = el(
        "text",
        f"{line.title.partition(',')[0]} {line.resumed}",
        x=f"{at + (-5 if before else 5):.1f}",
        y=TOP + 9,
        text_anchor="end" if before else "start",
        font_size=11,
    )
    return el("g", rule, text)


def _legend_entry(name: str, line: Curve) -> Html:
    stroke = f"stroke:{_ink(line.colour)}"
    sample = el("path", d="M0 5 H26", stroke_width=2.5, stroke_dasharray=line.dash, style=stroke)
    return el("span", el("svg", sample, viewBox="0 0 26 10", aria_hidden="true", class_="sample"), _text(name, line))


def _text(name: str, line: Curve) -> str:
    """A try in words, such as "try 2, acme: resumed at 47%, loss 1.92 at step 80"."""
    parts = [line.resumed]
    if line.points:
        step, value = line.points[-1]
        parts.append(f"{name[:NAME_MAX]} {number(value)} at step {number(step)}")
    if line.odd:
        parts.append(f"{line.odd} values are no numbers")
    if line.status in ("completed", "failed"):
        parts.append(line.status)
    return f"{line.title}: {', '.join(filter(None, parts))}"


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The first, the last, and the lowest and highest value in each of BUCKETS parts, in their order."""
    if len(points) <= 2 * BUCKETS:
        return list(points)
    size = -(-len(points) // BUCKETS)
    chosen = {0, len(points) - 1}
    for start in range(0, len(points), size):
        places = range(start, min(start + size, len(points)))
        chosen |= {min(places, key=lambda place: points[place][1]), max(places, key=lambda place: points[place][1])}
    return [points[place] for place in sorted(chosen)]


def _ink(colour: str) -> str:
    """A vendor's colour, drawn to the text's so far that it is seen on light and on dark."""
    return f"color-mix(in srgb, {colour} 78%, var(--jp-ui-font-color1, #1a1a1a))"


def _step(row: Document) -> float:
    step = row["metric"].get(STEP)
    return _float(step) if _is_number(step) else float(row["position"])


def _float(value: Any) -> float:
    return float(value) if _is_number(value) else math.nan


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
