"""The form of a comparison: who is compared over what, what it may cost, how far it is, and a button that stops it."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import ipywidgets as w

from gpuagent.errors import BadInput, GpuAgentError
from gpuagent.panels.comparison import results as compared
from gpuagent.panels.comparison.runner import COUNT_MAX, FREE, Choice, Trial, why_no_llm
from gpuagent.panels.kit.fields import Field, button, card, dropdown, row, text_input
from gpuagent.panels.kit.html import Html, el, join
from gpuagent.panels.kit.message import StatusLine, html_widget, styled
from gpuagent.panels.kit.style import sheet
from gpuagent.panels.kit.tasks import Tasks
from gpuagent.planbench.compare import MODES, Comparison

NO_LLM = "llm is not set up, so planners that are free are compared alone: "


class Comparing:
    """Made in a cell. trial, comparison: the last one that was played, for the cells below. environ: the settings."""

    def __init__(self, choice_: Choice, environ: Mapping[str, str], cache: Path | None = None) -> None:
        self._environ, self._cache = environ, cache
        self._tasks, self.message = Tasks(), StatusLine()
        self._busy = False
        self.trial: Trial | None = None
        self.comparison: Comparison | None = None
        self._no_llm = why_no_llm(environ)
        known = list(dict.fromkeys((*FREE, *(() if self._no_llm else ("llm",)), *choice_.planners)))
        self.planners = {
            name: w.Checkbox(value=name in choice_.planners, description=name, indent=False) for name in known
        }
        self._fields(choice_)
        self.estimate = button(
            "Estimate", lambda: self._act(self._estimate), tip="What it is going to take; asks nobody"
        )
        self.run = button("Run", lambda: self._act(self._played), "primary", "Play all planners over all scenarios")
        self.stop = button("Stop", self._stop, "warning", "Keep what is played, begin nothing more")
        self.bar = w.IntProgress(value=0, max=1, layout=w.Layout(width="240px"))
        self.progress, self.results = html_widget(), html_widget()
        self.widget = card(
            row(html_widget(el("b", "Planners")), *self.planners.values()),
            html_widget(el("p", NO_LLM + self._no_llm, class_="note") if self._no_llm else ""),
            *(field.box for field in self.fields.values()),
            row(self.estimate, self.run, self.stop, self.bar, self.progress),
            self.message.widget,
            self.results,
        )
        self.widget.add_class("ga-panel")
        self._draw()

    def read(self) -> Choice:
        """What the form asks for. Raises BadInput, which is said beside the field."""
        chosen = tuple(name for name, box in self.planners.items() if box.value)
        if not chosen:
            raise BadInput("choose at least one planner")
        return Choice(chosen, **{name: field.read() for name, field in self.fields.items()})

    async def play(self) -> Comparison:
        """As the button Run, for a cell: Stop is heard while it waits. Raises BadInput, ConfigError."""
        if self._busy:
            raise BadInput("a comparison is under way: stop it first")
        self._begin("Playing")
        try:
            trial = await asyncio.to_thread(Trial, self.read(), self._environ, self._cache)
            self.trial = trial
            self._draw()
            comparison = await asyncio.to_thread(trial.play, self._tell)
        except GpuAgentError as error:
            self.message.error(str(error))
            raise
        finally:
            self._busy = False
            self._draw()
        self.comparison = comparison
        self.message.say(comparison.stopped or f"Played. {trial.words()}")
        self.results.value = styled(self._result())
        return comparison

    async def settled(self) -> None:
        """Returns once nothing that a button began is under way."""
        await self._tasks.settled()

    def _fields(self, asked: Choice) -> None:
        self.fields: dict[str, Field[Any]] = {
            "scenarios": Field(text_input("Scenarios", asked.scenarios, "generated, own, or a folder"), str.strip),
            "seed": Field(text_input("Seed", str(asked.seed)), _number("a seed", 10**9)),
            "count": Field(text_input("How many", str(asked.count)), _number("how many to generate", COUNT_MAX)),
            "mode": Field(dropdown("Mode", MODES), str),
            "limit": Field(text_input("Limit, USD", asked.limit, "what asking may cost"), str.strip),
            "against": Field(text_input("Paired with", asked.against, "the first planner"), str.strip),
        }
        self.fields["mode"].widget.value = asked.mode

    async def _played(self) -> None:
        await self.play()

    async def _estimate(self) -> None:
        self._begin("Estimating")
        try:
            trial = await asyncio.to_thread(Trial, self.read(), self._environ, self._cache)
            self.message.say(await asyncio.to_thread(trial.words))
        finally:
            self._busy = False
            self._draw()

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
        if self.trial and self._busy:
            self.trial.stop()
            self.stop.disabled = True
            self.message.busy("Stopping")

    def _begin(self, words: str) -> None:
        self._busy, self.trial = True, None
        self.message.busy(words)
        self._draw()

    def _tell(self, planner: str, played: int, total: int) -> None:
        """From the thread that plays."""
        self._tasks.call(lambda: self._show_progress(planner, played, total))

    def _show_progress(self, planner: str, played: int, total: int) -> None:
        names = [asker.planner.name for asker in self.trial.askers] if self.trial else [planner]
        self.bar.max, self.bar.value = total * len(names), names.index(planner) * total + played
        self.progress.value = styled(el("span", f"{planner}: {played} of {total} scenarios", role="status"))

    def _draw(self) -> None:
        self.estimate.disabled = self.run.disabled = self._busy
        self.stop.disabled = not (self._busy and self.trial)

    def _result(self) -> Html:
        if self.comparison is None:
            return el("p", "Nothing is played yet.", class_="faint")
        return compared.scores(self.comparison).html

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        """The widgets, and for where there are none what they show."""
        chosen = ", ".join(name for name, box in self.planners.items() if box.value)
        note = el("p", NO_LLM + self._no_llm) if self._no_llm else Html("")
        content = join(
            el("p", f"Planners: {chosen}. {self.fields['scenarios'].widget.value} scenarios."), note, self._result()
        )
        plain = f"a comparison of {chosen}" + (f"\n{NO_LLM}{self._no_llm}" if self._no_llm else "")
        bundle: dict[str, Any] = self.widget._repr_mimebundle_()
        return {**bundle, "text/html": join(sheet(), styled(content)), "text/plain": plain}


def _number(what: str, most: int) -> Callable[[str], int]:
    def check(value: str) -> int:
        if not value.strip().isdecimal() or not value.isascii() or int(value) > most:
            raise BadInput(f"{what} is a whole number of at most {most}")
        return int(value)

    return check
