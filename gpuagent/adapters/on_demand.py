"""Parts that are made when they are first asked for."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any


class OnDemand(Mapping[str, Any]):
    """One that is not set up stops those that name it, and no others.

    Whether a name is in it is only known by making the part: `in` raises ConfigError where it lacks a key, so that a
    run is refused before it starts.
    """

    def __init__(self, makers: Mapping[str, Callable[[], Any]]) -> None:
        self._makers = makers
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)
