"""The interpreter's recursion limit, which py_ecc lifts to 100,000 where eth_account or web3 is imported.

The json of the standard library recurses in C: a deeply nested text, from a client of the API or a wallet's service,
would overflow the stack and end the program, where it should be a RecursionError. Who parses by strict_json is safe;
frameworks and SDKs do not.
"""

import sys

RECURSION_MAX = 1000
"""Python's own limit."""
LIFTED = 100_000


def bound_recursion() -> None:
    """Sets the limit back. For modules that import such a library, behind their imports: it is lifted once."""
    if sys.getrecursionlimit() >= LIFTED:
        sys.setrecursionlimit(RECURSION_MAX)
