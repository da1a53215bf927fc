"""The port Planner by a language model, and by others in turn when one gives no usable answer.

What it answers is not checked here: an unknown vendor or other hours are for the guard. What asking costs is
bounded before the first call, counted for every call that may have been billed, and reported even when no answer came.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from gpuagent.adapters.planners.llm import answer as llm_answer
from gpuagent.adapters.planners.llm import prompt as llm_prompt
from gpuagent.adapters.planners.llm.answer_object import AnswerInvalid
from gpuagent.adapters.planners.llm.call import CallFailed, Completion, Model, complete
from gpuagent.adapters.planners.llm.consultation import Consultation, SentCall
from gpuagent.adapters.planners.llm.models import read_models
from gpuagent.adapters.planners.llm.prices import atomic
from gpuagent.adapters.planners.llm.prompt import Prompt
from gpuagent.core.context import Context, Thought
from gpuagent.core.model import Decision
from gpuagent.core.money import show_usd
from gpuagent.core.text import shown
from gpuagent.errors import ConfigError, PlannerError

TIMEOUT_S = 30.0
MAX_TOKENS = 2_000
PAUSES_S = (1.0, 4.0)
"""Before the tries after the first one, while the time for the question lasts."""
CALL_MIN_S = 0.1


class LlmPlanner:
    """The Planner port over language models by litellm. Safe to share between threads.

    timeout_s: how long one question to one model may take, further tries included. max_tokens: of one answer.
    """

    name = "llm"

    def __init__(
        self,
        models: Sequence[Model],
        *,
        timeout_s: float = TIMEOUT_S,
        max_tokens: int = MAX_TOKENS,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._models = tuple(models)
        self._timeout_s, self._max_tokens = timeout_s, max_tokens
        self._clock, self._pause = clock, pause

    def decide(self, context: Context, objection: str = "") -> Thought:
        """The first model's decision that can be read. Raises PlannerError: too dear to ask, or no usable answer."""
        prompt = llm_prompt.write(context, objection)
        worst = self.cost_max(prompt)
        if worst > context.asking_max:
            reserve = ", and the rest is kept for the jobs" if context.jobs_missing else ""
            raise PlannerError(
                f"asking {self._models[0].name} may cost {show_usd(worst)}, "
                f"available are {show_usd(context.asking_max)}{reserve}"
            )
        consultation = Consultation(prompt, self._clock)
        for model in self._models:
            decision = self._consult(model, context, consultation)
            if decision is not None:
                return Thought(decision, consultation.cost, consultation.record())
        names = ", ".join(model.name for model in self._models)
        message = f"no usable answer from {names}: {consultation.errors[-1]}"
        raise PlannerError(message, consultation.cost, consultation.record())

    @property
    def identity(self) -> str:
        """All that an answer depends on beside the context: the key under which answers are cached."""
        names = "+".join(model.name for model in self._models)
        return f"{self.name} {names} {llm_prompt.version()} {llm_answer.READING} {self._max_tokens}"

    def price(self, context: Context) -> int:
        """Atomic units that one question about it may cost at most."""
        return self.cost_max(llm_prompt.write(context, ""))

    def cost_max(self, prompt: Prompt) -> int:
        """Atomic units that asking may cost at most: every model, both questions, every try, all of it billed."""
        sizes = (prompt.size, prompt.size + llm_prompt.CORRECTION_MAX)
        question = [SentCall(model, size, self._max_tokens).cost_max for model in self._models for size in sizes]
        return atomic((1 + len(PAUSES_S)) * sum(question, Decimal(0)))

    def _consult(self, model: Model, context: Context, consultation: Consultation) -> Decision | None:
        """The model's decision, None when neither of two answers can be read."""
        vendor_ids = [candidate.vendor_id for candidate in context.candidates]
        prompt = consultation.prompt
        for _ in ("the question", "once more, with what was wrong with the answer"):
            reply = self._reply(model, prompt, consultation)
            if reply is None:
                return None
            try:
                decision, repairs = llm_answer.read(reply.final(), vendor_ids, context.now)
            except AnswerInvalid as error:
                consultation.errors.append(f"{model.name}: {error}")
                prompt = prompt.with_correction(reply.raw, str(error))
            else:
                consultation.repairs += repairs
                return decision
        return None

    def _reply(self, model: Model, prompt: Prompt, consultation: Consultation) -> Completion | None:
        """The model's reply, None when it did not answer in time, in as many tries as that leaves."""
        call = SentCall(model, prompt.size, self._max_tokens)
        ends_at = self._clock() + self._timeout_s
        for pause in (*PAUSES_S, None):
            remaining_s = max(ends_at - self._clock(), CALL_MIN_S)
            try:
                reply = complete(model, prompt.messages, self._max_tokens, remaining_s)
            except CallFailed as error:
                consultation.failed(call, error)
                wait = max(pause or 0, error.retry_after_s)
                if pause is None or not error.transient or self._clock() + wait + CALL_MIN_S > ends_at:
                    return None
                self._pause(wait)
            else:
                consultation.answered(call, reply)
                return reply
        return None


def open_planner(environ: Mapping[str, str]) -> LlmPlanner:
    """The planner that the environment describes. Raises ConfigError naming the variable and what to write."""
    return LlmPlanner(
        read_models(environ),
        timeout_s=_number(environ, "PLANNER_TIMEOUT_S", TIMEOUT_S, 600),
        max_tokens=int(_number(environ, "PLANNER_MAX_TOKENS", MAX_TOKENS, 100_000)),
    )


def _number(environ: Mapping[str, str], name: str, unset: float, most: int) -> float:
    text = environ.get(name, "") or str(round(unset))
    if not (text.isascii() and text.isdecimal() and 0 < int(text[:9]) <= most):
        raise ConfigError(f"{name}={shown(text)}: write a whole number from 1 to {most}")
    return int(text)
