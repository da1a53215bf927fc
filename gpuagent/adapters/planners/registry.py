"""Planners that are made when they are first asked for."""

from collections.abc import Callable, Iterator, Mapping

from gpuagent.core.ports import Planner


class OnDemand(Mapping[str, Planner]):
    """One that is not set up stops those that name it, and no others.

    makers get what stands after a colon in the name, such as the model in llm:openai/gpt-4o-mini, or "".

    Whether a name is in it is only known by making the planner: `in` raises ConfigError where it lacks a key, so that
    a run is refused before it starts.
    """

    def __init__(self, makers: Mapping[str, Callable[[str], Planner]]) -> None:
        self._makers = makers
        self._made: dict[str, Planner] = {}

    def __getitem__(self, name: str) -> Planner:
        if name not in self._made:
            kind, _, option = name.partition(":")
            self._made[name] = self._makers[kind](option)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)
