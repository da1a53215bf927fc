"""Files in MongoDB, in the format of GridFS, so that its tools and every driver read them.

Chunks are written one by one rather than by the driver's writer, which cannot go on with what another process began.
The format: https://github.com/mongodb/specifications/blob/master/source/gridfs/gridfs-spec.md.

A file's `_id` is the upload that brought its content first, and `metadata.uploads` names the newest that brought it:
an upload is proven once it stands there, whatever becomes of its chunks. Only delete() drops the chunks of a file.
The indexes are part of the database's schema (adapters/mongo/schema.py).
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import pymongo
from bson import Binary, ObjectId
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, PyMongoError

from gpuagent.adapters.files.digests import RunningDigests
from gpuagent.core.content import check_content, in_parts
from gpuagent.core.text import driver_text
from gpuagent.errors import FileAltered, FileMissing, FileStoreError

CHUNK = 255 * 1024
"""Bytes: the drivers' default, which leaves room in MongoDB's units of storage."""
DEADLINE_S = 20
BUCKET = "gpuagent_files"
UPLOADS_MAX = 1_000
"""The newest uploads that a file remembers: a tick asks for its own within seconds."""
TRIES = 3


class GridFsStore:
    """The port FileStore on a database. Safe to share between threads."""

    def __init__(self, database: Database[dict[str, Any]], now: Callable[[], float]) -> None:
        self._files, self._chunks, self._now = database[f"{BUCKET}.files"], database[f"{BUCKET}.chunks"], now
        self._digests = RunningDigests()

    def size(self, sha256: str) -> int | None:
        file = self._file({"filename": sha256})
        return None if file is None else int(file["length"])

    def received(self, upload: str) -> int:
        if file := self._proven(upload):
            return int(file["length"])
        with _explained():
            newest = self._chunks.aggregate(
                [
                    {"$match": {"files_id": upload}},
                    {"$sort": {"n": -1}},
                    {"$limit": 1},
                    {"$project": {"n": 1, "bytes": {"$binarySize": "$data"}}},
                ]
            )
            chunk = next(iter(newest), None)
            if chunk is None:
                return 0
            whole = self._chunks.count_documents({"files_id": upload}) > chunk["n"]
        if not whole:  # it was being dropped
            self._drop(upload)
            return 0
        return int(chunk["n"]) * CHUNK + int(chunk["bytes"])

    def extend(self, upload: str, start: int, parts: Iterable[bytes], size: int) -> int:
        if file := self._proven(upload):
            return int(file["length"])
        number, filled = divmod(start, CHUNK)
        received = start
        stream = chain([self._last(upload, number)] if filled else [], parts)
        version = self._version(upload) if start else self._chunk_id()
        with self._digests.writing(upload, start, version) as digest:
            for chunk in in_parts(stream, CHUNK, size - start + filled):
                if not self._keep(upload, number, filled, chunk, self._chunk_id() if number else version):
                    return self.received(upload)  # another tick is ahead with this upload
                digest.update(chunk[filled:])
                received = number * CHUNK + len(chunk)
                number, filled = number + 1, 0
        return received

    def finish(self, upload: str, sha256: str, size: int) -> None:
        file = self._proven(upload)
        if file is None and self._prove(upload, sha256, size):
            self._publish(upload, sha256, size)
        elif file:
            check_content(int(file["length"]), str(file["filename"]), size, sha256)
        self._drop(upload)

    def read(self, sha256: str, start: int = 0) -> Iterator[bytes]:
        file = self._file({"filename": sha256})
        if file is None:
            raise FileMissing(f"the file store has no file {sha256}")
        skip, position = start % CHUNK, start - start % CHUNK
        for chunk in self._content(str(file["_id"]), start // CHUNK):
            position += len(chunk)
            yield chunk[skip:]
            skip = 0
        if position < file["length"]:
            raise FileMissing(f"the file {sha256} was deleted while it was read")

    def delete(self, sha256: str, before: float | None = None) -> int:
        old: Mapping[str, Any] = {} if before is None else {"uploadDate": {"$lt": _date(before)}}
        with _explained():
            file = self._files.find_one_and_delete({"filename": sha256, **old})
            if file is None:
                return 0
            self._chunks.delete_many({"files_id": file["_id"]})
        return int(file["length"])

    def sharers(self) -> tuple[str, ...]:
        """None: the files are in the database that records them."""
        return ()

    def older(self, before: float) -> Iterator[tuple[str, int]]:
        with _explained():
            match = {"uploadDate": {"$lt": _date(before)}, "filename": {"$regex": "^[0-9a-f]{64}$"}}
            files = list(self._files.find(match, {"filename": 1, "length": 1}))
        yield from ((str(file["filename"]), int(file["length"])) for file in files)

    def sweep(self, before: float, *, dry_run: bool = False) -> int:
        with _explained():
            if not dry_run:
                self._files.delete_many({"swept": {"$lt": _date(before)}})
            unfinished = self._chunks.aggregate(
                [
                    {"$sort": {"files_id": 1, "n": 1}},  # as the index has it: no chunk is read
                    {"$group": {"_id": "$files_id"}},
                    {"$lookup": {"from": self._files.name, "localField": "_id", "foreignField": "_id", "as": "file"}},
                    {"$match": {"file.filename": {"$not": {"$regex": "^[0-9a-f]{64}$"}}}},
                    {"$project": {"_id": 1}},
                ]
            )
            uploads = [str(upload["_id"]) for upload in unfinished]
        return sum(self._sweep(upload, before, dry_run) for upload in uploads)

    def _file(self, match: Mapping[str, Any]) -> Mapping[str, Any] | None:
        with _explained():
            return self._files.find_one(match, {"filename": 1, "length": 1})

    def _proven(self, upload: str) -> Mapping[str, Any] | None:
        """The file whose content the upload has brought."""
        return self._file({"metadata.uploads": upload})

    def _prove(self, upload: str, sha256: str, size: int) -> bool:
        """Whether the upload is still to be published. Raises FileAltered, FileMissing, and drops it."""
        digest = self._digests.take(upload, size, self._version(upload)) if self.received(upload) == size else ""
        length = size
        if not digest:  # another process wrote some of it
            content, length = hashlib.sha256(), 0
            for chunk in self._content(upload):
                content.update(chunk)
                length += len(chunk)
            digest = content.hexdigest()
        try:
            check_content(length, digest, size, sha256)
        except (FileAltered, FileMissing):
            if self._proven(upload):  # another tick has finished it, and dropped its chunks meanwhile
                return False
            self._drop(upload)
            raise
        return True

    def _publish(self, upload: str, sha256: str, size: int) -> None:
        """Make a file of the upload, or note at the file with this content that the upload has brought it too."""
        at = _date(self._now())
        file = {"_id": upload, "filename": sha256, "length": size, "chunkSize": CHUNK, "uploadDate": at}
        brought = {"$push": {"metadata.uploads": {"$each": [upload], "$slice": -UPLOADS_MAX}}}
        for _ in range(TRIES):
            with _explained():
                if self._files.update_one({"filename": sha256}, {"$set": {"uploadDate": at}, **brought}).matched_count:
                    return
            with suppress(DuplicateKeyError), _explained():
                self._files.insert_one({**file, "metadata": {"uploads": [upload]}})
                return
            # The same content came by another upload, or this one is being swept.
        raise FileStoreError("the file store is sweeping this upload: begin it again")

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

    def _version(self, upload: str) -> ObjectId | None:
        """The id of the first chunk: an upload only grows, and what is dropped and comes again has another."""
        with _explained():
            chunk = self._chunks.find_one({"files_id": upload, "n": 0}, {"_id": 1})
        return chunk["_id"] if chunk else None

    def _keep(self, upload: str, number: int, filled: int, data: bytes, chunk_id: ObjectId | None) -> bool:
        """Whether the chunk was kept: not where another tick has filled it since. filled: its bytes so far."""
        try:
            with _explained():
                if not filled:
                    chunk = {"_id": chunk_id, "files_id": upload, "n": number, "data": Binary(data)}
                    self._chunks.insert_one(chunk)
                    return True
                as_it_was = {"files_id": upload, "n": number, "$expr": {"$eq": [{"$binarySize": "$data"}, filled]}}
                return self._chunks.update_one(as_it_was, {"$set": {"data": Binary(data)}}).matched_count == 1
        except DuplicateKeyError:
            return False

    def _chunk_id(self) -> ObjectId:
        """A new id that begins with our clock's time, by which uploads are swept."""
        return ObjectId(int(self._now()).to_bytes(4, "big") + ObjectId().binary[4:])

    def _drop(self, upload: str) -> None:
        """Drop an upload's chunks, unless they are a file's."""
        with _explained():
            if self._files.find_one({"_id": upload}, {"_id": 1}) is None:
                self._chunks.delete_many({"files_id": upload})

    def _sweep(self, upload: str, before: float, dry_run: bool) -> int:
        """Drop an upload that nothing came to since; the bytes that became free."""
        with _explained():
            newest = self._chunks.find_one({"files_id": upload}, {"_id": 1}, sort=[("n", -1)])
            if newest is None or newest["_id"] >= ObjectId.from_datetime(_date(before)):
                return 0
            sizes: list[dict[str, Any]] = [
                {"$match": {"files_id": upload}},
                {"$group": {"_id": None, "bytes": {"$sum": {"$binarySize": "$data"}}}},
            ]
            freed = sum(int(group["bytes"]) for group in self._chunks.aggregate(sizes))
            if dry_run:
                return freed
            swept = {"_id": upload, "filename": f"swept {upload}", "length": 0, "swept": _date(self._now())}
            try:
                self._files.insert_one(swept)  # a tick that comes back just now cannot make a file of it any more
            except DuplicateKeyError:
                if self._files.find_one({"_id": upload, "swept": {"$exists": True}}) is None:
                    return 0  # it has been finished
            self._chunks.delete_many({"files_id": upload})
            self._files.delete_one({"_id": upload, "swept": {"$exists": True}})
        return freed


def _date(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@contextmanager
def _explained() -> Iterator[None]:
    """One deadline for a command; failures as FileStoreError, but a duplicate key: that says that another was first."""
    try:
        with pymongo.timeout(DEADLINE_S):
            yield
    except DuplicateKeyError:
        raise
    except PyMongoError as error:
        raise FileStoreError(
            f"the file store did not do it ({type(error).__name__}): {driver_text(str(error))}"
        ) from error
