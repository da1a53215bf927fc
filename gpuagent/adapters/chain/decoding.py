"""Decoding of a node's answers: numbers and blocks. What cannot be decoded is a ChainError."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from eth_abi.exceptions import DecodingError

from gpuagent.core.records import Block
from gpuagent.errors import ChainError

P = ParamSpec("P")
T = TypeVar("T")


def decoded(read: Callable[P, T]) -> Callable[P, T]:
    """Decorates a method that reads a node's answer: raises ChainError where the answer cannot be decoded."""

    @wraps(read)
    def guarded_read(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return read(*args, **kwargs)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, DecodingError) as error:
            raise ChainError(f"the chain gave no answer that can be read ({type(error).__name__})") from error

    return guarded_read


def uint(word: str) -> int:
    """A number of any size. Raises ChainError for an empty word: no contract answered."""
    if word == "0x":
        raise ChainError("the token does not answer: it is not there, or was not yet at that block")
    return int(word, 16)


def count(word: str) -> int:
    """A block's number or time, small enough for MongoDB."""
    if (number := uint(word)) >= 2**63:
        raise ValueError(f"{word} is no number of a block")
    return number


def block_from(answer: dict[str, Any]) -> Block:
    """The block in an answer to eth_getBlockByNumber."""
    return Block(count(answer["number"]), count(answer["timestamp"]), str(answer["hash"]))
