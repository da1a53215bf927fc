"""The errors that end the command before it is ready.

Exception
├── BadSetting    a variable of the environment cannot be used
└── ChainError    the chain cannot be started, or refused a call
"""


class BadSetting(Exception):
    """A setting that cannot be used: the message names the variable and says what to write."""


class ChainError(Exception):
    """The chain refused a request, which the message names."""
