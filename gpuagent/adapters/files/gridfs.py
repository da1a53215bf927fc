"""Files in MongoDB, in the format of GridFS, so that its tools and every driver read them.

Chunks are written one by one rather than by the driver's writer, which cannot go on with what another process began.
The format: https://github.com/mongodb/specifications/blob/master/source/gridfs/gridfs-spec.md.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pymongo
from bson import Binary, ObjectId
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, PyMongoError

from gpuagent.core.text import clean
from gpuagent.errors import FileAltered, FileMissing, StoreError

CHUNK = 255 * 1024
"""Bytes: the drivers' default, which leaves room in MongoDB's units of storage."""
DEADLINE_S = 20
BUCKET = "gpuagent_files"


class GridFsStore:
    """The port FileStore on a database. Safe to share between threads."""

    def __init__(self, database: Database[Mapping[str, Any]], now: Callable[[], float]) -> None:
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
        received = start
        for chunk in _in_chunks(parts, size - start):
            if len(chunk) < CHUNK and received + len(chunk) < size:
                break  # the end of this answer and not of the file: sent again next time
            document = {"_id": ObjectId(), "files_id": upload, "n": received // CHUNK, "data": Binary(chunk)}
            try:
                with _explained():
                    self._chunks.insert_one(document)
            except DuplicateKeyError:
                return self.received(upload)  # another tick is ahead with this upload
            received += len(chunk)
        return received

    def finish(self, upload: str, sha256: str, size: int) -> None:
        if self.size(sha256) is not None:
            self._drop(upload)
            return
        content, length = hashlib.sha256(), 0
        for chunk in self._content(upload):
            content.update(chunk)
            length += len(chunk)
        if length != size or content.hexdigest() != sha256:
            self._drop(upload)
            raise FileAltered(f"{length} of {size} bytes came, with the SHA-256 {content.hexdigest()} and not {sha256}")
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

    def _drop(self, upload: str) -> None:
        with _explained():
            self._chunks.delete_many({"files_id": upload})


def _in_chunks(parts: Iterable[bytes], size_max: int) -> Iterator[bytes]:
    """The same bytes in chunks of CHUNK, the last one shorter. Raises FileAltered beyond size_max."""
    rest, total = bytearray(), 0
    for part in parts:
        total += len(part)
        if total > size_max:
            raise FileAltered(f"more came than the {size_max} bytes that were announced")
        rest += part
        while len(rest) >= CHUNK:
            yield bytes(rest[:CHUNK])
            del rest[:CHUNK]
    if rest:
        yield bytes(rest)


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
