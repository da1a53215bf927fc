"""The table of faults, and the decorator that enters one."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

Change = TypeVar("Change", bound=Callable[..., Any])


class Hook(StrEnum):
    """The stage at which a fault takes hold. The value says what is changed there."""

    QUOTE = "the stored quote, so that the 402 will agree with it"
    CHALLENGE = "what the 402 asks for, so that a payment of it is taken"
    VERDICT = "whether a payment is taken, held back or refused"
    ANSWER = "the answer on its way out"
    ACCEPTS = "what the vendor can, and says so"
    NODE = "whether the machine that runs a job is lost"
    SOURCE = "the job whose file is sent: the ids of all, the right one first"
    FILE = "the file on its way out"


@dataclass(frozen=True)
class Fault:
    """A fault of one stage: quote, offer, paid, refused, job or file.

    `change` takes what the hook changes, and the scene.
    """

    name: str
    stage: str
    hook: Hook
    description: str
    change: Callable[..., Any]


TABLE: dict[str, Fault] = {}


def fault(stage: str, hook: Hook = Hook.ANSWER) -> Callable[[Change], Change]:
    """Register the decorated function as a fault; its docstring describes it."""

    def register(change: Change) -> Change:
        name = change.__name__
        assert change.__doc__, f"fault {name} has no description"
        TABLE[name] = Fault(name, stage, hook, change.__doc__.strip(), change)
        return change

    return register
