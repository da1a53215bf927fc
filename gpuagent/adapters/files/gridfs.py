"""Files in MongoDB, in the format of GridFS, so that its tools and every driver read them.

Chunks are written one by one rather than by the driver's writer, which cannot go on with what another process began.
The format: https://github.com/mongodb/specifications/blob/master/source/gridfs/gridfs-spec.md.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import pymongo
from bson import Binary, ObjectId
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, PyMongoError

from gpuagent.adapters.files.parts import check_content, in_parts
from gpuagent.core.text import clean
from gpuagent.errors import FileAltered, FileMissing, StoreError

CHUNK = 255 * 1024
"""Bytes: the drivers' default, which leaves room in MongoDB's units of storage."""
DEADLINE_S = 20
BUCKET = "gpuagent_files"


class GridFsStore:
    """The port FileStore on a database. Safe to share between threads."""

    def __init__(self, database: Database[Any], now: Callable[[], float]) -> None:
        self._files, self._chunks, self._now = database[f"{BUCKET}.files"], database[f"{BUCKET}.chunks"], now
        with _explained():
            self._chunks.create_index([("files_id", 1), ("n", 1)], unique=True)
            self._files.create_index("filename", unique=True)

    def size(self, sha256: str) -> int | None:
        with _explained():
            file = self._files.find_one({"filename": sha256})
        return None if file is None else int(file["length"])

    def received(self, upload: str) -> int:
        with _explained():
            newest = self._chunks.aggregate(
                [
                    {"$match": {"files_id": upload}},
                    {"$sort": {"n": -1}},
                    {"$limit": 1},
                    {"$project": {"n": 1, "bytes": {"$binarySize": "$data"}}},
                ]
            )
            return next((int(chunk["n"]) * CHUNK + int(chunk["bytes"]) for chunk in newest), 0)

    def extend(self, upload: str, start: int, parts: Iterable[bytes], size: int) -> int:
        number, filled = divmod(start, CHUNK)
        received = start
        stream = chain([self._last(upload, number)] if filled else [], parts)
        for chunk in in_parts(stream, CHUNK, size - start + filled):
            if not self._keep(upload, number, filled, chunk):
                return self.received(upload)  # another tick is ahead with this upload
            received = number * CHUNK + len(chunk)
            number, filled = number + 1, 0
        return received

    def finish(self, upload: str, sha256: str, size: int) -> None:
        if self.size(sha256) is not None:
            self._drop(upload)
            return
        content, length = hashlib.sha256(), 0
        for chunk in self._content(upload):
            content.update(chunk)
            length += len(chunk)
        try:
            check_content(length, content.hexdigest(), size, sha256)
        except FileAltered:
            self._drop(upload)
            raise
        at = datetime.fromtimestamp(self._now(), UTC)
        file = {"_id": upload, "filename": sha256, "length": size, "chunkSize": CHUNK, "uploadDate": at}
        try:
            with _explained():
                self._files.insert_one(file)
        except DuplicateKeyError:
            if self._upload_of(sha256) != upload:  # another upload of the same content was finished first
                self._drop(upload)

    def read(self, sha256: str, start: int = 0) -> Iterator[bytes]:
        upload = self._upload_of(sha256)
        skip = start % CHUNK
        for chunk in self._content(upload, start // CHUNK):
            yield chunk[skip:]
            skip = 0

    def delete(self, sha256: str) -> None:
        with _explained():
            file = self._files.find_one_and_delete({"filename": sha256})
            if file is not None:
                self._chunks.delete_many({"files_id": file["_id"]})

    def sweep(self, before: float) -> int:
        with _explained():
            newest_of_each = self._chunks.aggregate(
                [
                    {
                        "$group": {
                            "_id": "$files_id",
                            "newest": {"$max": "$_id"},
                            "bytes": {"$sum": {"$binarySize": "$data"}},
                        }
                    },
                    {"$match": {"newest": {"$lt": ObjectId.from_datetime(datetime.fromtimestamp(before, UTC))}}},
                    {"$lookup": {"from": self._files.name, "localField": "_id", "foreignField": "_id", "as": "file"}},
                    {"$match": {"file": []}},
                ]
            )
            uploads = list(newest_of_each)
        for upload in uploads:
            self._drop(upload["_id"])
        return sum(int(upload["bytes"]) for upload in uploads)

    def _upload_of(self, sha256: str) -> str:
        with _explained():
            file = self._files.find_one({"filename": sha256})
        if file is None:
            raise FileMissing(f"the file store has no file {sha256}")
        return str(file["_id"])

    def _content(self, upload: str, first: int = 0) -> Iterator[bytes]:
        """Chunks one by one: a deadline holds for each, however long the reader takes between two."""
        number = first
        while True:
            with _explained():
                chunk = self._chunks.find_one({"files_id": upload, "n": number})
            if chunk is None:
                return
            yield bytes(chunk["data"])
            number += 1

    def _last(self, upload: str, number: int) -> bytes:
        """The chunk that an earlier tick left unfilled."""
        with _explained():
            chunk = self._chunks.find_one({"files_id": upload, "n": number})
        return bytes(chunk["data"]) if chunk else b""

    def _keep(self, upload: str, number: int, filled: int, data: bytes) -> bool:
        """Whether the chunk was kept: not where another tick has filled it since. filled: its bytes so far."""
        try:
            with _explained():
                if not filled:
                    self._chunks.insert_one({"_id": ObjectId(), "files_id": upload, "n": number, "data": Binary(data)})
                    return True
                as_it_was = {"files_id": upload, "n": number, "$expr": {"$eq": [{"$binarySize": "$data"}, filled]}}
                return self._chunks.update_one(as_it_was, {"$set": {"data": Binary(data)}}).matched_count == 1
        except DuplicateKeyError:
            return False

    def _drop(self, upload: str) -> None:
        with _explained():
            self._chunks.delete_many({"files_id": upload})


@contextmanager
def _explained() -> Iterator[None]:
    """One deadline for a command; failures as StoreError, but a duplicate key, which says that another was first."""
    try:
        with pymongo.timeout(DEADLINE_S):
            yield
    except DuplicateKeyError:
        raise
    except PyMongoError as error:
        raise StoreError(f"the file store did not do it ({type(error).__name__}): {clean(str(error), 200)}") from error
