"""Texts of many BSON documents as integer codes: equal codes for equal bytes."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

Array: TypeAlias = npt.NDArray[Any]
WORDS_MAX = 12
"""Of eight bytes: longer texts are few, and compared one by one."""
FEW = 12
"""Texts of a column that are looked for in turn: to compare with one takes a tenth of a hash table's time."""
MASKS = np.array([(1 << 8 * count) - 1 for count in range(9)], "<u8")
"""By the number of a word's bytes that count."""


def codes_of(data: Array, chunks: Array, at: Array, sizes: Array) -> tuple[Array, list[bytes]]:
    """The code of each text, and the text of each code. chunks: eight bytes of the data from each place on."""
    codes = np.full(len(at), -1, "int64")
    short = np.flatnonzero(sizes <= 8 * WORDS_MAX)
    codes[short], firsts = _short_codes(chunks, at[short], sizes[short])
    values = [data[at[row] : at[row] + sizes[row]].tobytes() for row in short[firsts]]
    numbers = {value: code for code, value in enumerate(values)}
    for row in np.flatnonzero(sizes > 8 * WORDS_MAX):
        value = data[at[row] : at[row] + sizes[row]].tobytes()
        codes[row] = numbers.setdefault(value, len(numbers))
    return codes, list(numbers)


def _short_codes(chunks: Array, at: Array, sizes: Array) -> tuple[Array, Array]:
    """Codes, and where each is first."""
    codes = np.full(len(at), -1, "int64")
    firsts: list[int] = []
    heads = chunks[at] & MASKS[np.minimum(sizes, 8)]
    remaining = np.arange(len(at))
    while len(remaining) and len(firsts) < FEW:
        first = int(remaining[0])
        size = int(sizes[first])
        same = remaining[(heads[remaining] == heads[first]) & (sizes[remaining] == size)]
        for start in range(8, size, 8):
            mask = MASKS[min(size - start, 8)]
            same = same[(chunks[at[same] + start] & mask) == (chunks[at[first] + start] & mask)]
        codes[same] = len(firsts)
        firsts.append(first)
        remaining = remaining[codes[remaining] < 0]
    rest_codes, rest_firsts = _many_codes(chunks, at[remaining], sizes[remaining])
    codes[remaining] = rest_codes + len(firsts)
    return codes, np.array([*firsts, *remaining[rest_firsts]], "int64")


def _many_codes(chunks: Array, at: Array, sizes: Array) -> tuple[Array, Array]:
    codes = pd.factorize(sizes)[0]
    for start in range(0, int(sizes.max(initial=0)), 8):
        masked = chunks[np.where(sizes > start, at + start, 0)] & MASKS[np.clip(sizes - start, 0, 8)]
        own, values = pd.factorize(masked)
        codes = pd.factorize(codes * len(values) + own)[0]
    firsts = np.full(int(codes.max(initial=-1)) + 1, 0, "int64")
    firsts[codes[::-1]] = np.arange(len(codes))[::-1]
    return codes, firsts
