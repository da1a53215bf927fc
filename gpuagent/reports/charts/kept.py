"""Charts that an earlier page has drawn, by the figures that they show and the code that draws them.

To draw takes longer than all else of a page that is added up from summaries, and matplotlib is loaded for it alone.
"""

import json
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gpuagent.render import palette
from gpuagent.reports import display
from gpuagent.reports.charts.style import Picture


class ChartBook:
    """The charts of a page. content: those of an earlier one, b"" for none; what is torn is not believed."""

    def __init__(self, content: bytes) -> None:
        digest, _, text = content.partition(b":")
        whole = bool(text) and sha256(text).hexdigest().encode() == digest
        self._kept: Mapping[str, Mapping[str, str]] = json.loads(text) if whole else {}
        self._shown: dict[str, Picture] = {}

    def picture(self, draw: Callable[..., Picture], *arguments: Any) -> Picture:
        """What draw() makes of the arguments, drawn only where no page before has."""
        key = _digest(draw, arguments)
        if key not in self._shown:
            entry = self._kept.get(key)
            picture = Picture(entry["title"], entry["alt"], b64decode(entry["png"])) if entry else draw(*arguments)
            self._shown[key] = picture
        return self._shown[key]

    @property
    def changed(self) -> bool:
        """Whether any of its charts was drawn."""
        return not self._shown.keys() <= self._kept.keys()

    def content(self) -> bytes:
        """All that were asked for, to be kept."""
        pictures = {
            key: {"title": picture.title, "alt": picture.alt, "png": picture.base64}
            for key, picture in self._shown.items()
        }
        text = json.dumps(pictures, separators=(",", ":")).encode()
        return sha256(text).hexdigest().encode() + b":" + text


def _digest(draw: Callable[..., Picture], arguments: tuple[Any, ...]) -> str:
    digest = sha256(f"{_code()}{draw.__module__}.{draw.__qualname__}".encode())
    for part in _parts(arguments):
        digest.update(part + b"\0")
    return digest.hexdigest()


@cache
def _code() -> str:
    """What decides on the look of charts beside their figures: the code here, and the version of matplotlib."""
    files = [*sorted(Path(__file__).parent.glob("*.py")), Path(palette.__file__), Path(display.__file__)]
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest() + version("matplotlib")


def _parts(value: Any) -> Iterator[bytes]:
    """The value in bytes that are the same ones for equal values alone."""
    match value:
        case pd.DataFrame():
            yield from _parts([value.index, *((name, value[name].array) for name in value.columns)])
        case pd.Series():
            yield from _parts([value.name, value.index, value.array])
        case pd.Index():
            yield from _parts(value.array)
        case pd.api.extensions.ExtensionArray():
            yield f"{value.dtype}{len(value)}".encode()
            yield _content(value)
        case np.ndarray():
            yield f"{value.dtype}{value.shape}".encode()
            yield value.tobytes()
        case Mapping():
            yield from _parts([len(value), *value.items()])
        case list() | tuple():
            yield f"{len(value)}".encode()
            for item in value:
                yield from _parts(item)
        case _:
            yield repr(value).encode()


def _content(column: Any) -> bytes:
    """The values of a column. Of numbers and times their bytes: to write them out takes a hundred times as long."""
    if column.dtype.kind in "mM":
        return bytes(column.view("int64").tobytes())
    return np.asarray(column).tobytes() if column.dtype.kind in "iuf" else repr(column.tolist()).encode()
