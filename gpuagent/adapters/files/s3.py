"""Files in a bucket of S3, or of any service that speaks its protocol.

An upload is a row of pieces under `incoming/`, each with the byte it begins at, so that another process can go on with
it, and once it is finished the proof of that; a file lies under `files/` and its SHA-256, under `databases/` what
marks.py says, and under `handed/` what strangers write by signed URLs (places.py). The protocol:
https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html.
"""

import hashlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from gpuagent.adapters.files.marks import MARKS, Owner, StoreMarks
from gpuagent.adapters.files.places import HANDED, S3Places, folder_moment
from gpuagent.adapters.files.s3_client import AnotherWasFirst, code_of, explained, is_missing, open_client
from gpuagent.core.content import check_content, in_parts
from gpuagent.errors import FileAltered, FileMissing

PART = 8 * 2**20
"""Bytes. S3 takes parts of 5 MiB or more, but for the last, and 10,000 of them: files up to 80 GiB."""
READ = 256 * 1024
PROOF = "proven"
"""What the name of the object begins with that says which file an upload has brought."""


class S3Store(S3Places):
    """The ports FileStore and Depot on a bucket. Safe to share between threads."""

    def __init__(
        self, bucket: str, prefix: str = "", environ: Mapping[str, str] | None = None, owner: Owner | None = None
    ) -> None:
        """environ: as open_client() has it. Raises ConfigError."""
        self._client = open_client(bucket, environ or {})
        self._bucket, self._prefix = bucket, f"{prefix.strip('/')}/".lstrip("/")
        self._marks = StoreMarks(owner, self._write_mark, self._read_marks)

    def close(self) -> None:
        self._client.close()

    def size(self, sha256: str) -> int | None:
        with explained(sha256):
            try:
                return int(self._client.head_object(Bucket=self._bucket, Key=self._file(sha256))["ContentLength"])
            except ClientError as error:
                if is_missing(error):
                    return None
                raise

    def received(self, upload: str) -> int:
        state = self._state(upload)
        return state.proof[1] if state.proof else sum(size for _, size in state.pieces)

    def extend(self, upload: str, start: int, parts: Iterable[bytes], size: int) -> int:
        self._marks.leave()
        if proof := self._state(upload).proof:
            return proof[1]
        received = start
        for piece in in_parts(parts, PART, size - start):
            try:
                with explained():
                    self._client.put_object(
                        Bucket=self._bucket, Key=f"{self._incoming(upload)}/{received:015}", Body=piece, IfNoneMatch="*"
                    )
            except AnotherWasFirst:
                return self.received(upload)
            received += len(piece)
        return received

    def finish(self, upload: str, sha256: str, size: int) -> None:
        """The content is proven while it is put together: the file appears, or is written again, only if it is right.

        The proof is kept before the pieces go.
        """
        state = self._state(upload)
        if state.proof:
            check_content(state.proof[1], state.proof[0], size, sha256)
        else:
            try:
                self._assemble(state.pieces, sha256, size)
            except (FileAltered, FileMissing):
                if self._state(upload).proof:  # another tick has finished it, and dropped its pieces meanwhile
                    return
                self._drop(upload)
                raise
            with explained():
                proof = f"{self._incoming(upload)}/{PROOF}-{sha256}-{size}"
                self._client.put_object(Bucket=self._bucket, Key=proof, Body=b"")
        self._drop(upload)

    def read(self, sha256: str, start: int = 0) -> Iterator[bytes]:
        size = self.size(sha256)
        if size is None:
            raise FileMissing(f"the file store has no file {sha256}")
        if start < size:
            yield from self._content(self._file(sha256), start, sha256)

    def delete(self, sha256: str, before: float | None = None) -> int:
        """Looks at the time first: S3 itself knows no such condition."""
        with explained():
            try:
                file = self._client.head_object(Bucket=self._bucket, Key=self._file(sha256))
            except ClientError as error:
                if is_missing(error):
                    return 0
                raise
            if before is not None and file["LastModified"].timestamp() >= before:
                return 0
            self._client.delete_object(Bucket=self._bucket, Key=self._file(sha256))
            return int(file["ContentLength"])

    def older(self, before: float) -> Iterator[tuple[str, int]]:
        moment = datetime.fromtimestamp(before, UTC)
        with explained():
            entries = [entry for entry in self._objects(f"{self._prefix}files/") if entry["LastModified"] < moment]
        yield from ((entry["Key"].rpartition("/")[2], int(entry["Size"])) for entry in entries)

    def sharers(self) -> tuple[str, ...]:
        return self._marks.sharers()

    def sweep(self, before: float, *, dry_run: bool = False) -> int:
        moment, freed = datetime.fromtimestamp(before, UTC), 0
        if not dry_run:
            self._marks.leave()
            self._abort_old(moment)
        uploads: dict[str, list[dict[str, Any]]] = {}
        with explained():
            for entry in (*self._objects(f"{self._prefix}incoming/"), *self._objects(f"{self._prefix}{HANDED}/")):
                uploads.setdefault(entry["Key"].rpartition("/")[0], []).append(entry)
            for entries in uploads.values():
                is_folder = f"/{HANDED}/" in f"/{entries[0]['Key']}"
                until = folder_moment(moment) if is_folder else moment
                if all(entry["LastModified"] < until for entry in entries):
                    freed += sum(int(entry["Size"]) if dry_run else self._remove(entry) for entry in entries)
        return freed

    def _abort_old(self, moment: datetime) -> None:
        """Gives up what finish() began to put together and was killed at."""
        with explained():
            for page in self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self._bucket, Prefix=f"{self._prefix}files/"
            ):
                for entry in page.get("Uploads", ()):
                    if entry["Initiated"] < moment:
                        self._abort(entry["Key"], entry["UploadId"])

    def url(self, sha256: str, seconds: int) -> str:
        """A link that reads one file for so long, without any other right."""
        return self._signed("get_object", self._file(sha256), seconds)

    def _signed(self, call: str, key: str, seconds: int) -> str:
        with explained():
            parameters = {"Bucket": self._bucket, "Key": key}
            return str(self._client.generate_presigned_url(call, Params=parameters, ExpiresIn=seconds))

    def _write(self, key: str, content: bytes) -> None:
        with explained():
            self._client.put_object(Bucket=self._bucket, Key=key, Body=content)

    def _write_mark(self, name: str, content: bytes) -> None:
        with explained():
            self._client.put_object(Bucket=self._bucket, Key=f"{self._prefix}{MARKS}/{name}", Body=content)

    def _read_marks(self) -> Iterator[tuple[str, bytes]]:
        with explained():
            keys = [entry["Key"] for entry in self._objects(f"{self._prefix}{MARKS}/")]
        yield from ((key.rpartition("/")[2], b"".join(self._content(key, 0, key))) for key in keys)

    def _file(self, sha256: str) -> str:
        return f"{self._prefix}files/{sha256}"

    def _incoming(self, upload: str) -> str:
        """The upload's id comes from ids of ours; its hash as a key needs no trust in that."""
        return f"{self._prefix}incoming/{hashlib.sha256(upload.encode()).hexdigest()}"

    def _objects(self, prefix: str) -> Iterator[dict[str, Any]]:
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
            yield from page.get("Contents", ())

    def _state(self, upload: str) -> "_Upload":
        pieces, end, proof = [], 0, None
        with explained():
            for entry in self._objects(f"{self._incoming(upload)}/"):
                name, length = entry["Key"].rpartition("/")[2], int(entry["Size"])
                if name.startswith(PROOF):
                    _, sha256, size = name.split("-")
                    proof = (sha256, int(size))
                elif int(name) == end:
                    pieces.append((entry["Key"], length))
                    end += length
        return _Upload(pieces, proof if proof and self.size(proof[0]) == proof[1] else None)

    def _assemble(self, pieces: list[tuple[str, int]], sha256: str, size: int) -> None:
        """Writes the file. Raises FileAltered, FileMissing, and there is none."""
        content, length, upload_id = hashlib.sha256(), 0, ""
        target: dict[str, Any] = {"Bucket": self._bucket, "Key": self._file(sha256)}
        stream = in_parts((part for key, _ in pieces for part in self._content(key, 0, key)), PART, size)
        parts: list[dict[str, Any]] = []
        try:
            for number, part in enumerate(stream, 1):
                content.update(part)
                length += len(part)
                with explained():
                    if not upload_id:
                        upload_id = self._client.create_multipart_upload(**target)["UploadId"]
                    answer = self._client.upload_part(**target, UploadId=upload_id, PartNumber=number, Body=part)
                parts.append({"PartNumber": number, "ETag": answer["ETag"]})
            check_content(length, content.hexdigest(), size, sha256)
            with explained():
                if parts:
                    self._client.complete_multipart_upload(
                        **target, UploadId=upload_id, MultipartUpload={"Parts": parts}
                    )
                    upload_id = ""
                else:
                    self._client.put_object(**target, Body=b"")
        finally:
            if upload_id:
                self._abort(self._file(sha256), upload_id)

    def _content(self, key: str, start: int, sha256: str) -> Generator[bytes, None, None]:
        with explained(sha256):
            options = {"Range": f"bytes={start}-"} if start else {}
            body = self._client.get_object(Bucket=self._bucket, Key=key, **options)["Body"]
            with body:
                yield from body.iter_chunks(READ)

    def _drop(self, upload: str) -> None:
        """Drop an upload's pieces. The proof stays until it is swept."""
        with explained():
            for entry in self._objects(f"{self._incoming(upload)}/"):
                if not entry["Key"].rpartition("/")[2].startswith(PROOF):
                    self._remove(entry)

    def _remove(self, entry: Mapping[str, Any]) -> int:
        self._client.delete_object(Bucket=self._bucket, Key=entry["Key"])
        return int(entry["Size"])

    def _abort(self, key: str, upload_id: str) -> None:
        with explained():
            try:
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload_id)
            except ClientError as error:
                if code_of(error) != "NoSuchUpload":
                    raise


class _Upload(NamedTuple):
    """What there is of an upload: keys and bytes of its pieces, in order, as far as each begins where the one before
    it ends; and SHA-256 and bytes of the file whose content it has brought, while that is there."""

    pieces: list[tuple[str, int]]
    proof: tuple[str, int] | None
