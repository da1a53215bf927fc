"""The errors that end the command before it sells.

Exception
├── BadSetting    a setting cannot be used
├── Unreadable    what a seller keeps cannot be read
└── ChainError    the chain cannot be started, or refused a call
"""


class BadSetting(Exception):
    """A setting that cannot be used: the message names it and says what to write."""


class Unreadable(Exception):
    """A seller's folder or database that cannot be read: the message says why and what to do."""


class ChainError(Exception):
    """The chain refused a request, which the message names."""


SHOWN_MAX = 7
"""Characters: a longer value may be a secret in the wrong place, and is not repeated in an error."""


def shown(value: str) -> str:
    """A value for an error about it."""
    short = len(value) <= SHOWN_MAX and value.isprintable()
    return repr(value) if short else f"({len(value)} characters, not shown)"
