"""Fields of many BSON documents as numpy columns, decoded ten times as fast as by a dict for each document.

All documents are read along at once, an element of each at a time, in the order in which the first of them has its
fields; so a column takes a few operations on arrays, whatever the number of documents. Every element's type and whole
name is read, so documents may differ in their fields, in the order of these and in their types.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property

import numpy as np

from gpuagent.adapters.mongo.bson_batches import (
    ARRAY,
    DOCUMENT,
    FIXED,
    STRING,
    Batches,
    length_at,
    name_at,
    unusable,
)
from gpuagent.adapters.mongo.bson_texts import MASKS, Array
from gpuagent.adapters.mongo.bson_values import Column, ColumnKind, FieldPlaces, FieldValues, sizes_at
from gpuagent.errors import StoreError


class BsonColumns(Mapping[str, Column]):
    """Columns of documents, each decoded whenever it is asked for; the documents are read along for the first one.

    fields: by the column's name, the path of the field, `name` or `outer.name`, and its kind. read_at: as batches
    have it. To be used by one thread at a time. Raises StoreError.
    """

    def __init__(self, batches: Batches, fields: Mapping[str, tuple[str, ColumnKind]]) -> None:
        self._batches, self._fields, self.read_at = batches, fields, batches.read_at

    @property
    def count(self) -> int:
        """The number of documents."""
        return len(self._batches.starts)

    def __getitem__(self, name: str) -> Column:
        path, kind = self._fields[name]
        values, places = self._read
        return values.column(places[path], kind)

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    @cached_property
    def _read(self) -> tuple[FieldValues, Mapping[str, FieldPlaces]]:
        starts, paths = np.array(self._batches.starts, "int64"), [path for path, _ in self._fields.values()]
        places = {path: FieldPlaces(np.full(len(starts), -1, "int64"), np.zeros(len(starts), "u1")) for path in paths}
        trees: dict[str, dict[str, str]] = {"": {}}
        for path in paths:
            outer, _, name = path.rpartition(".")
            trees[""].setdefault(outer or name, "" if outer else path)
            if outer:
                trees.setdefault(outer, {})[name] = path
        data = self._batches.data
        data += bytes(16)  # so that words may be read from the last bytes on
        array = np.frombuffer(data, "u1")
        chunks: Array = np.ndarray((max(len(array) - 7, 0),), "<u8", array, strides=(1,))
        _Finder(array, chunks, trees, places).find(np.arange(len(starts)), starts + 4, "")
        return FieldValues(array, chunks), places


class _Finder:
    """Finds the values of fields, and writes down where they are. chunks: eight bytes of the data from each place on.

    trees: by the path of a document, its fields' names and paths, "" for documents.
    """

    def __init__(
        self, data: Array, chunks: Array, trees: Mapping[str, Mapping[str, str]], places: Mapping[str, FieldPlaces]
    ) -> None:
        self._data, self._chunks, self._trees, self._places = data, chunks, trees, places

    def find(self, rows: Array, positions: Array, path: str) -> None:
        """rows: the documents' numbers. positions: of the first element of each, or of the zero byte at its end."""
        tree = self._trees[path]
        remaining = self._in_order(tree, positions)
        heads = self._chunks[positions]
        while (heads & 0xFF).any():
            advanced = False
            for name in remaining:
                matching = self._matching(heads, positions, name)
                if not len(matching):
                    continue
                advanced = True
                every = len(matching) == len(positions)
                at = (positions if every else positions[matching]) + len(name) + 2
                types = (heads if every else heads[matching]).astype("u1")
                ends = at + self._lengths(types, at)
                self._take(rows if every else rows[matching], at, types, f"{path}.{name}".lstrip("."), tree[name])
                if every:
                    positions, heads = ends, self._chunks[ends]
                else:
                    positions[matching], heads[matching] = ends, self._chunks[ends]
            if not advanced:
                raise StoreError(f"MongoDB sent a field that was not asked for in {path or 'a document'}")

    def _in_order(self, tree: Mapping[str, str], positions: Array) -> list[str]:
        """The names in the order of the first document, and then those that it does not have."""
        if not len(positions):
            return []
        data, position, names = memoryview(self._data), int(positions[0]), []  # type: ignore[arg-type]
        while data[position]:
            name, value = name_at(data, position + 1)
            names.append(name.decode())
            position = value + length_at(data[position], data, value)
        ordered = [name for name in names if name in tree]
        return [*ordered, *(name for name in tree if name not in ordered)]

    def _matching(self, heads: Array, positions: Array, name: str) -> Array:
        """The places of the documents whose next element has this name. A zero byte ends it."""
        text = name.encode() + b"\0"
        length = min(len(text), 7)
        first = int.from_bytes(text[:7], "little")
        matching: Array = np.flatnonzero(((heads >> np.uint64(8)) & MASKS[length]) == first)
        matching = matching[(heads[matching] & np.uint64(0xFF)) != 0]
        for start in range(7, len(text), 8):
            rest = text[start : start + 8]
            chunks = self._chunks[positions[matching] + 1 + start] & MASKS[len(rest)]
            matching = matching[chunks == int.from_bytes(rest, "little")]
        return matching

    def _lengths(self, types: Array, at: Array) -> Array | int:
        kind = int(types[0])
        if (types != kind).any():
            lengths = np.empty(len(types), "int64")
            for each in np.unique(types):
                some = np.flatnonzero(types == each)
                lengths[some] = self._lengths(types[some], at[some])
            return lengths
        if kind in FIXED:
            return FIXED[kind]
        if kind not in (STRING, DOCUMENT, ARRAY):
            raise unusable(kind)
        return sizes_at(self._chunks, at) + (4 if kind == STRING else 0)

    def _take(self, rows: Array, at: Array, types: Array, path: str, column: str) -> None:
        """The values of an element: of a column, or of the fields of a document."""
        if column:
            places = self._places[column]
            places.at[rows], places.types[rows] = at, types
            return
        documents = types == DOCUMENT
        if documents.any():
            self.find(rows[documents], at[documents] + 4, path)
