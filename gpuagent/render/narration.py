"""Observations of a run as lines for a terminal, each once, in the order things happened."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rich.text import Text

Document = Mapping[str, Any]
Documents = Mapping[str, Sequence[Document]]

KIND_COLOURS = {"agent_reasoning": "yellow", "payment_event": "magenta", "error": "red", "job_log": "dim"}


class Narration:
    """The observations of one run, each returned once. documents: reads the run's documents by collection."""

    def __init__(self, documents: Callable[[str], Documents], run_id: str) -> None:
        self._documents, self._run_id = documents, run_id
        self._count = 0

    def observations(self) -> Sequence[Document]:
        """Those written since the last call."""
        observations = self._documents(self._run_id)["observations"]
        news, self._count = observations[self._count :], len(observations)
        return news

    def lines(self) -> list[Text]:
        """Those written since the last call, as lines."""
        return narration_lines(self.observations())


def narration_lines(observations: Iterable[Document]) -> list[Text]:
    """A line per observation. Bare progress, metrics and the files of checkpoints are left to columns and charts."""
    return [_line(observation) for observation in observations if not _is_detail(observation["data"])]


def _is_detail(data: Mapping[str, Any]) -> bool:
    return "progress" in data or data.get("kind") == "metric" or data.get("of") == "checkpoint"


def _line(observation: Document) -> Text:
    kind, time = observation["type"], observation["timestamp"].strftime("%H:%M:%S")
    indent = "    " if kind == "job_log" else ""
    return Text.assemble((f"{time}  ", "dim"), (indent + observation["content"], KIND_COLOURS.get(kind, "")))
