"""Stands on the path before the library of this name, of which eth-keyfile takes three names at its import.

To import it is to compute pairings on curves: half a second of a processor in every process that sells. Only keyfiles
of validators' keys use them, which no wallet here has: what is not defined here raises AttributeError.
"""

import sys

sys.setrecursionlimit(max(100_000, sys.getrecursionlimit()))  # as the library does, which our bounds are to withstand
