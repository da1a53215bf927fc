"""The errors that end the command before it is ready.

Exception
├── BadSetting    a variable of the environment cannot be used
└── ChainError    the chain cannot be started, or refused a call
"""


class BadSetting(Exception):
    """The message names the variable and says what to write."""


class ChainError(Exception):
    """The message says what was asked of the chain."""
