"""The registry of planners by name, each made when it is first used."""

from collections.abc import Callable, Iterator, Mapping

from gpuagent.core.ports.planner import Planner


class PlannerRegistry(Mapping[str, Planner]):
    """Planners by name. One that is not set up stops the runs that name it, and no others.

    makers get what stands after a colon in the name, such as the model in llm:openai/gpt-4o-mini, or "".

    Whether a name is in it is only known by making the planner: `in` raises ConfigError where it lacks a key, so that
    a run is refused before it starts.
    """

    def __init__(self, makers: Mapping[str, Callable[[str], Planner]]) -> None:
        self._makers = makers
        self._planners: dict[str, Planner] = {}

    def __getitem__(self, name: str) -> Planner:
        if name not in self._planners:
            kind, _, option = name.partition(":")
            self._planners[name] = self._makers[kind](option)
        return self._planners[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)
