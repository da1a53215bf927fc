"""Form of a comparison: planners, scenarios and limit; buttons to estimate, run and stop; progress and scores."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import ipywidgets as w

from gpuagent.core.status import planner_label
from gpuagent.errors import BadInput, GpuAgentError
from gpuagent.panels.comparison.results import score_table
from gpuagent.panels.comparison.runner import COUNT_MAX, ComparisonRequest, ComparisonRun, llm_problem
from gpuagent.panels.kit.fields import Field, button, card, dropdown, row, text_input
from gpuagent.panels.kit.html import Html, el, join
from gpuagent.panels.kit.keys import show_panel
from gpuagent.panels.kit.message import StatusLine, html_widget, styled
from gpuagent.panels.kit.style import sheet
from gpuagent.panels.kit.tasks import Tasks
from gpuagent.planbench.catalog import FREE
from gpuagent.planbench.compare import MODES, Comparison
from gpuagent.planbench.labels import planner_labels

NO_LLM = "llm is not set up, so planners that are free are compared alone: "


class ComparisonForm:
    """The form, to be made in a cell. run, comparison: the last one that was played, None at first."""

    def __init__(self, request: ComparisonRequest, environ: Mapping[str, str], cache: Path | None = None) -> None:
        """environ: the settings. cache: the folder of paid answers."""
        self._environ, self._cache = environ, cache
        self._tasks, self.message = Tasks(), StatusLine()
        self._busy = self._stopping = False
        self.run: ComparisonRun | None = None
        self.comparison: Comparison | None = None
        problem = llm_problem(environ)
        self._llm_note = NO_LLM + problem if problem else ""
        self.planners = self._planner_boxes(request.planners, has_llm=not problem)
        self.fields = _fields(request)
        self.estimate_button = button(
            "Estimate", lambda: self._act(self._estimate), tip="The size and the most it can cost; asks no planner"
        )
        self.run_button = button("Run", lambda: self._act(self._run), "primary", "Play all planners over all scenarios")
        self.stop_button = button("Stop", self._stop, "warning", "Keep what is played, begin nothing more")
        self.bar = w.IntProgress(value=0, max=1, layout=w.Layout(width="240px"))
        self.progress, self.results = html_widget(), html_widget()
        self.widget = card(
            row(html_widget(el("b", "Planners")), *self.planners.values()),
            html_widget(el("p", self._llm_note, class_="note") if self._llm_note else ""),
            *(field.box for field in self.fields.values()),
            row(self.estimate_button, self.run_button, self.stop_button, self.bar, self.progress),
            self.message.widget,
            self.results,
        )
        self.widget.add_class("ga-panel")
        self._update_buttons()

    def read(self) -> ComparisonRequest:
        """The request in the form. Raises BadInput, which is shown beside the field."""
        planners = self._chosen_planners()
        if not planners:
            raise BadInput("choose at least one planner")
        return ComparisonRequest(planners, **{name: field.read() for name, field in self.fields.items()})

    async def play(self) -> Comparison:
        """Plays as the button Run, for a cell; the button Stop works meanwhile. Raises BadInput, ConfigError."""
        if self._busy:
            raise BadInput("a comparison is under way: stop it first")
        self._begin("Playing")
        try:
            run = await self._make_run()
            self.run = run
            if self._stopping:
                run.stop()
            comparison = await asyncio.to_thread(run.play, self._report_progress)
        except GpuAgentError as error:
            self.message.error(str(error))
            raise
        finally:
            self._end()
        self.comparison = comparison
        self.message.say(comparison.stopped or f"Played. {run.summary()}")
        self.results.value = styled(await asyncio.to_thread(self._result))  # statistics of thousands of draws
        return comparison

    async def _make_run(self) -> ComparisonRun:
        return await asyncio.to_thread(ComparisonRun, self.read(), self._environ, self._cache, self._report_scenario)

    async def settled(self) -> None:
        """Returns once nothing that a button began is under way."""
        await self._tasks.settled()

    def _planner_boxes(self, chosen: tuple[str, ...], has_llm: bool) -> dict[str, w.Checkbox]:
        names = dict.fromkeys((*FREE, *(("llm",) if has_llm else ()), *chosen))
        return {name: w.Checkbox(value=name in chosen, description=planner_label(name), indent=False) for name in names}

    def _chosen_planners(self) -> tuple[str, ...]:
        return tuple(name for name, box in self.planners.items() if box.value)

    async def _run(self) -> None:
        await self.play()

    async def _estimate(self) -> None:
        self._begin("Estimating")
        try:
            run = await self._make_run()
            self.message.say(await asyncio.to_thread(run.summary))
        finally:
            self._end()

    def _act(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """A second click while one is under way is dropped; an error is shown, for nothing else would show it."""
        if not self._busy:
            self._tasks.spawn(lambda: self._guarded(work))

    async def _guarded(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await work()
        except GpuAgentError as error:
            self.message.error(str(error))
        except Exception as error:  # noqa: BLE001  a bug, which nothing else would show
            self.message.error(f"a bug: {type(error).__name__}: {error}")

    def _stop(self) -> None:
        if self._busy:
            self._stopping = True
            if self.run:
                self.run.stop()
            self._update_buttons()
            self.message.busy("Stopping; an answer that is being paid for is waited for")

    def _begin(self, activity: str) -> None:
        self._busy, self._stopping, self.run = True, False, None
        self.bar.max, self.bar.value, self.progress.value = 1, 0, ""
        self.message.busy(activity)
        self._update_buttons()

    def _end(self) -> None:
        self._busy = False
        self._update_buttons()

    def _report_scenario(self, count: int, total: int) -> None:
        """Called by the thread that generates. Raises BadInput once it is stopped."""
        if self._stopping:
            raise BadInput("stopped by hand while scenarios were generated: nothing was played")
        self._tasks.call(lambda: self._show_made(count, total))

    def _show_made(self, count: int, total: int) -> None:
        if self._busy and not self.run:
            self.progress.value = styled(el("span", f"{count} of {total} scenarios are generated", role="status"))

    def _report_progress(self, planner: str, played: int, total: int) -> None:
        """Called by the thread that plays."""
        self._tasks.call(lambda: self._show_progress(planner, played, total))

    def _show_progress(self, planner: str, played: int, total: int) -> None:
        names = [client.planner.name for client in self.run.clients] if self.run else [planner]
        self.bar.max, self.bar.value = total * len(names), names.index(planner) * total + played
        self.progress.value = styled(
            el("span", f"{planner_label(planner)}: {played} of {total} scenarios", role="status")
        )

    def _update_buttons(self) -> None:
        self.estimate_button.disabled = self.run_button.disabled = self._busy
        self.stop_button.disabled = not self._busy or self._stopping

    def _result(self) -> Html:
        if self.comparison is None:
            return el("p", "Nothing is played yet.", class_="faint")
        return score_table(self.comparison).html

    def _ipython_display_(self) -> None:
        show_panel(self._repr_mimebundle_())

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        """The widgets, and their content for readers without widgets."""
        planners = planner_labels(self._chosen_planners())
        note = el("p", self._llm_note) if self._llm_note else Html("")
        content = join(
            el("p", f"Planners: {planners}. {self.fields['scenarios'].widget.value} scenarios."), note, self._result()
        )
        plain = f"a comparison of {planners}" + (f"\n{self._llm_note}" if self._llm_note else "")
        bundle: dict[str, Any] = self.widget._repr_mimebundle_()
        return {**bundle, "text/html": join(sheet(), styled(content)), "text/plain": plain}


def _fields(request: ComparisonRequest) -> dict[str, Field[Any]]:
    """The fields by the names of ComparisonRequest, with its values."""
    mode = dropdown("Mode", MODES)
    mode.value = request.mode
    return {
        "scenarios": Field(text_input("Scenarios", request.scenarios, "generated, own, or a folder"), str.strip),
        "seed": Field(text_input("Seed", str(request.seed)), _number("a seed", 10**9)),
        "count": Field(text_input("How many", str(request.count)), _number("how many to generate", COUNT_MAX)),
        "mode": Field(mode, str),
        "limit": Field(text_input("Limit, USD", request.limit, "what asking may cost"), str.strip),
        "against": Field(text_input("Paired with", request.against, "the first planner"), str.strip),
    }


def _number(subject: str, most: int) -> Callable[[str], int]:
    """A check for a whole number. subject: the start of the error message."""

    def check(value: str) -> int:
        if not value.strip().isdecimal() or not value.isascii() or int(value) > most:
            raise BadInput(f"{subject} is a whole number of at most {most}")
        return int(value)

    return check
