"""The course of a run as one picture: when each job works and is expected to end, and below how the budget burns.

Both on one time axis, as inline SVG on the notebook's theme; what is expected is dashed, right of "now".
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from gpuagent.core.money import amount, show_usd, usd
from gpuagent.core.units import show_duration
from gpuagent.panels.job_notes import seconds_to_go
from gpuagent.panels.kit.html import Html, el
from gpuagent.panels.metric_axes import LEFT, RIGHT, TICKS, WIDTH, Scale, number
from gpuagent.panels.tables import ENDS, Document
from gpuagent.render import palette

ROW, BURN, MARGIN = 30, 120, 22
"""Heights: of a job, of the budget's part, of what is above and below."""
LABEL = 96
"""Width of the longest label of a time, as a phone shows it."""
ROWS_MAX = 12
"""Jobs that are drawn: the newest."""
TIMES_S = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14_400, 28_800, 86_400)
RELEASED = "voided"
"""The state of a job whose amount was never spent."""


@dataclass(frozen=True, slots=True)
class WorkSpan:
    """The work of one job. Times are seconds since the run's start; ends: so far, or for good.

    expected: when it is to end, by the vendor's progress or its quote, None once it has or where neither says it.
    """

    title: str
    status: str
    colour: str
    begins: float
    ends: float
    expected: float | None


@dataclass(frozen=True, slots=True)
class Course:
    """All that is drawn. Amounts are atomic units; settled, committed: from each time on, committed with what is held.

    price: of the newest job that was not released. now: seconds since the run's start, of its end once it has ended.
    until: where the axis ends.
    """

    spans: Sequence[WorkSpan]
    settled: Sequence[tuple[float, int]]
    committed: Sequence[tuple[float, int]]
    budget: int
    price: int
    now: float
    until: float

    @property
    def expected_end(self) -> float | None:
        """When the last of the open jobs is to end."""
        return max((span.expected for span in self.spans if span.expected is not None), default=None)


def course(
    run: Document, jobs: Sequence[Document], payments: Sequence[Document], colours: Mapping[str, str], at: datetime
) -> Course:
    """The course of a run at a moment, from its documents."""
    start: datetime = run["createdAt"]
    now = max(_seconds(start, at if run["status"] == "running" else max(run["updatedAt"], start)), 0.0)
    spans = [span for job in jobs if (span := _span(job, start, now, at, colours))]
    amounts = {job["_id"]: amount(job["expectedCost"]) for job in jobs if job["state"] != RELEASED}
    reserved = [(_seconds(start, job["createdAt"]), amounts[job["_id"]]) for job in jobs if job["_id"] in amounts]
    signed_at = {job["_id"]: _seconds(start, job["createdAt"]) for job in jobs}
    settled = [
        (max(_seconds(start, payment["settledAt"]), signed_at.get(payment["jobId"], 0.0)), amount(payment["amount"]))
        for payment in payments
        if payment["status"] == "completed"  # a block's whole seconds may lie before the signature
    ]
    planner = [(0.0, cost)] if (cost := amount(run["plannerCost"])) else []
    ends = [now, *(span.expected or span.ends for span in spans), *(time for time, _ in settled)]
    return Course(
        spans[-ROWS_MAX:],
        _sums([*planner, *settled]),
        _sums([*planner, *reserved]),
        amount(run["budgetTotal"]),
        next(reversed(amounts.values()), 0),
        now,
        max(*ends, 1.0) * 1.02,
    )


def course_chart(drawn: Course) -> Html:
    """The picture; a sentence where nothing has been bought yet."""
    if not drawn.committed and not drawn.spans:
        return el("p", "Nothing has been bought yet.", class_="faint")
    x = Scale(0.0, drawn.until, LEFT, RIGHT, _time_step(drawn.until))
    top, floor = MARGIN + ROW * len(drawn.spans), MARGIN + ROW * len(drawn.spans) + BURN
    y = Scale.over([0.0, float(usd(drawn.budget))], floor, top + MARGIN)
    text = _sentences(drawn)
    height = floor + MARGIN + 12
    parts = [*_axes(x, y, top, floor), *_now(drawn, x, floor), *_bars(drawn, x), *_burn(drawn, x, y)]
    label = {"role": "img", "aria_label": text, "class_": "chart"}
    return el("svg", el("title", text), *parts, viewBox=f"0 0 {WIDTH} {height}", **label)


def _span(job: Document, start: datetime, now: float, at: datetime, colours: Mapping[str, str]) -> WorkSpan | None:
    started_at = job.get("startedAt")
    if not started_at:
        return None
    begins = max(_seconds(start, started_at), 0.0)
    ended_at = job.get("completedAt")
    ends = _seconds(start, ended_at) if ended_at else now
    title = f"try {job['ordinal'] + 1}, {job['vendorId']}"
    expected = None if ended_at else _expected(job, begins, now, at)
    status = job["status"]
    colour = ENDS.get(status) or colours.get(job["vendorId"], palette.UNLISTED)
    return WorkSpan(title, status, colour, begins, max(ends, begins), expected)


def _expected(job: Document, begins: float, now: float, at: datetime) -> float | None:
    if job["status"] != "running":
        return None
    if (remaining := seconds_to_go(job, at)) is not None:
        return now + remaining
    quoted = begins + float(job["quote"].get("etaSeconds") or 0)
    return quoted if quoted > now else None


def _sums(changes: Sequence[tuple[float, int]]) -> list[tuple[float, int]]:
    total, sums = 0, []
    for time, change in sorted(changes):
        total += change
        sums.append((max(time, 0.0), total))
    return sums


def _seconds(start: datetime, time: datetime) -> float:
    return (time - start).total_seconds()


def _time_step(until: float) -> float:
    days = math.ceil(until / TICKS / 86_400) * 86_400.0
    return next((float(step) for step in TIMES_S if until / step <= TICKS + 1), days)


def _axes(x: Scale, y: Scale, top: float, floor: float) -> Iterator[Html]:
    faint = {"stroke": "currentColor", "stroke_opacity": 0.14}
    for tick in x.ticks():
        yield el("path", d=f"M{x(tick):.1f} {MARGIN} V{floor}", **faint)
        last = x(tick) > RIGHT - LABEL / 2  # else it would be cut off by the picture's side
        anchor = {"x": WIDTH, "text_anchor": "end"} if last else {"x": f"{x(tick):.1f}", "text_anchor": "middle"}
        place = {**anchor, "y": floor + 15, "font_size": 11}
        yield el("text", show_duration(tick), **place)
    for tick in y.ticks():
        yield el("path", d=f"M{LEFT} {y(tick):.1f} H{RIGHT}", **faint)
        yield el("text", number(tick), x=LEFT - 7, y=f"{y(tick) + 4:.1f}", text_anchor="end", font_size=11)
    yield el("text", "USD", x=2, y=top + 6, font_size=11, font_weight=600)
    yield el("path", d=f"M{LEFT} {floor} H{RIGHT}", stroke="currentColor", stroke_opacity=0.5)


def _bars(drawn: Course, x: Scale) -> Iterator[Html]:
    for place, span in enumerate(drawn.spans):
        base = MARGIN + ROW * place
        start, right = x(span.begins), max(x(span.ends), x(span.begins) + 2)
        yield el("rect", x=f"{start:.1f}", y=base + 15, width=f"{right - start:.1f}", height=8, rx=2, fill=span.colour)
        if span.expected is not None:
            dashes = {"stroke": span.colour, "stroke_width": 3, "stroke_dasharray": "5 4"}
            yield el("path", d=f"M{right:.1f} {base + 19} H{x(span.expected):.1f}", **dashes)
        late = start > (LEFT + RIGHT) / 2
        anchor = {"x": f"{right if late else start:.1f}", "text_anchor": "end" if late else "start"}
        yield el("text", _span_text(span), y=base + 11, font_size=11, **anchor)


def _burn(drawn: Course, x: Scale, y: Scale) -> Iterator[Html]:
    def steps(sums: Sequence[tuple[float, int]]) -> str:
        corners = [(0.0, 0), *sums, (drawn.now, sums[-1][1])]
        path = "".join(f" H{x(time):.1f} V{y(float(usd(total))):.1f}" for _, (time, total) in pairwise(corners))
        return f"M{x(0.0):.1f} {y(0.0):.1f}{path}"

    limit = y(float(usd(drawn.budget)))
    yield el("path", d=f"M{LEFT} {limit:.1f} H{RIGHT}", stroke="currentColor", stroke_dasharray="2 3", fill="none")
    place = {"x": RIGHT, "y": f"{limit - 5:.1f}", "text_anchor": "end", "font_size": 11}
    yield el("text", f"budget {show_usd(drawn.budget)}", **place)
    if drawn.committed:
        yield el("path", d=steps(drawn.committed), fill="none", stroke=palette.HELD, stroke_width=2)
    if drawn.settled:
        area = f"{steps(drawn.settled)} V{y(0.0):.1f} Z"
        yield el("path", d=area, fill=palette.SETTLED, fill_opacity=0.25, stroke="none")
        yield el("path", d=steps(drawn.settled), fill="none", stroke=palette.SETTLED, stroke_width=2)
    if drawn.committed and (end := drawn.expected_end) is not None and end > drawn.now:
        level = y(float(usd(drawn.committed[-1][1])))
        dashes = {"stroke": palette.HELD, "stroke_width": 2, "stroke_dasharray": "6 4", "fill": "none"}
        yield el("path", d=f"M{x(drawn.now):.1f} {level:.1f} H{x(end):.1f}", **dashes)
        yield el("circle", cx=f"{x(end):.1f}", cy=f"{level:.1f}", r=3.5, fill=palette.HELD)


def _now(drawn: Course, x: Scale, floor: float) -> Iterator[Html]:
    if drawn.expected_end is None:
        return
    place = x(drawn.now)
    yield el("path", d=f"M{place:.1f} {MARGIN - 4} V{floor}", stroke="currentColor", stroke_opacity=0.55)
    yield el("text", "now", x=f"{place:.1f}", y=MARGIN - 8, text_anchor="middle", font_size=11, font_weight=600)


def _span_text(span: WorkSpan) -> str:
    elapsed = show_duration(span.ends - span.begins)
    if span.expected is not None:
        return f"{span.title}: {elapsed} so far, about {show_duration(max(span.expected - span.ends, 0))} to go"
    return f"{span.title}: {span.status} after {elapsed}" if span.status in ENDS else f"{span.title}: {elapsed} so far"


def _sentences(drawn: Course) -> str:
    """The picture in words."""
    paid = show_usd(drawn.settled[-1][1]) if drawn.settled else show_usd(0)
    committed = show_usd(drawn.committed[-1][1]) if drawn.committed else show_usd(0)
    forecast = ""
    if (end := drawn.expected_end) is not None:
        forecast = f"; {committed} will be spent when the last job ends, expected in {show_duration(end - drawn.now)}"
    jobs = "; ".join(map(_span_text, drawn.spans)) or "no job works yet"
    return f"{jobs}. {paid} spent, {committed} with what is held, of {show_usd(drawn.budget)}{forecast}"


def forecast(drawn: Course) -> str:
    """What the budget still allows once the open jobs have ended, in a sentence; "" while none is to end."""
    if not drawn.price or drawn.expected_end is None:
        return ""
    rest = drawn.budget - drawn.committed[-1][1]
    tries = rest // drawn.price
    again = f"enough for {tries} more at {show_usd(drawn.price)}" if tries else "not enough for one more at this price"
    return f"{show_usd(rest)} will be left then, {again}."
