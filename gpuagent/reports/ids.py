"""Ids of a column, twelve bytes each: where those of one column are in another, and what they are as text."""

from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np
import pandas as pd

from gpuagent.reports.summary_rows import Array

ID = np.dtype([("high", ">u8"), ("low", ">u4")])
DIGITS = 24


class Ids(Sequence[str]):
    """The ids of an array of ID, as hexadecimal texts, which are made when they are asked for."""

    def __init__(self, array: Array) -> None:
        self.array = array

    @classmethod
    def of(cls, texts: Sequence[str]) -> "Ids":
        return cls(np.frombuffer(bytes.fromhex("".join(texts)), ID))

    def __len__(self) -> int:
        return len(self.array)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> "Ids": ...
    def __getitem__(self, place: int | slice) -> "str | Ids":
        return Ids(self.array[place]) if isinstance(place, slice) else str(self.array[place].tobytes().hex())

    def __iter__(self) -> Iterator[str]:
        return iter(self.texts(slice(None)))

    def texts(self, places: Any) -> list[str]:
        digits = self.array[places].tobytes().hex()
        return [digits[start : start + DIGITS] for start in range(0, len(digits), DIGITS)]

    def places_of(self, keys: "Ids") -> Array:
        """The place here of each of these ids, -1 for none. No two here may be the same."""
        ids = np.concatenate([self.array, keys.array])
        codes, low_values = pd.factorize(ids["low"].astype("u4"))
        high_codes = pd.factorize(ids["high"].astype("u8"))[0]
        # Both halves have fewer values than there are ids: their product fits.
        codes = pd.factorize(high_codes * max(len(low_values), 1) + codes)[0][len(self) :]
        return np.where(codes < len(self), codes, -1)
