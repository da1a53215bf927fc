"""The file stores: files come in parts, over many ticks and processes, and count once their content is proven."""

import hashlib
import random
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from pymongo import MongoClient

from gpuagent import settings, wiring
from gpuagent.adapters.files.folder import FolderStore
from gpuagent.adapters.files.gridfs import BUCKET, CHUNK, GridFsStore
from gpuagent.adapters.files.s3 import PART, S3Store
from gpuagent.adapters.mongo.setup import ensure_schema
from gpuagent.core.ports.files import FileStore
from gpuagent.errors import ConfigError, FileAltered, FileMissing, FileStoreError, StoreError
from gpuagent.wiring.database import Database
from tests.support import s3_server
from tests.support.kill_points import killed_at
from tests.support.market import Market

CONTENT = random.Random(1).randbytes(3 * CHUNK + 1_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
SIZE = len(CONTENT)
NOW = 1_800_000_000.0


@pytest.fixture(scope="module")
def file_database(shared_market: Market) -> Iterator[Any]:
    client: MongoClient[Any] = MongoClient(shared_market.environment["MONGODB_URI"], tz_aware=True)
    ensure_schema(client["gpuagent_file_store"])
    yield client["gpuagent_file_store"]
    client.drop_database("gpuagent_file_store")
    client.close()


@pytest.fixture
def database(file_database: Any) -> Any:
    for name in ("files", "chunks"):
        file_database[f"{BUCKET}.{name}"].delete_many({})
    return file_database


@pytest.fixture(scope="module")
def bucket() -> Iterator[dict[str, str]]:
    with s3_server.running() as environ:
        yield environ


@pytest.fixture(params=["gridfs", "folder", "s3"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], FileStore]:
    """Opens the same store again and again, as several processes do."""
    if request.param == "folder":
        return lambda: FolderStore(tmp_path / "store")
    if request.param == "s3":
        environ = request.getfixturevalue("bucket")
        return lambda: S3Store(s3_server.BUCKET, tmp_path.name, environ)
    database = request.getfixturevalue("database")
    return lambda: GridFsStore(database, lambda: NOW)


@pytest.fixture
def store(open_store: Callable[[], FileStore]) -> FileStore:
    return open_store()


def parts(content: bytes, size: int = 100_000) -> Iterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


def put(store: FileStore, content: bytes, upload: str = "job-1") -> str:
    sha256 = hashlib.sha256(content).hexdigest()
    assert store.extend(upload, 0, parts(content), len(content)) == len(content)
    store.finish(upload, sha256, len(content))
    return sha256


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, SIZE])
def test_a_file_comes_back_as_it_was(store: FileStore, size: int) -> None:
    sha256 = put(store, CONTENT[:size])
    assert store.size(sha256) == size
    assert b"".join(store.read(sha256)) == CONTENT[:size]


@pytest.mark.parametrize("start", [0, 1, CHUNK - 1, CHUNK, CHUNK + 7, SIZE - 1, SIZE])
def test_it_is_read_from_any_byte(store: FileStore, start: int) -> None:
    assert b"".join(store.read(put(store, CONTENT), start)) == CONTENT[start:]


def test_a_file_of_several_parts_of_s3(bucket: dict[str, str]) -> None:
    content = random.Random(2).randbytes(PART + 1_000)
    store = S3Store(s3_server.BUCKET, "several", bucket)
    assert b"".join(store.read(put(store, content), PART - 1)) == content[PART - 1 :]


@pytest.mark.parametrize("bucket_name", ["none-such", "not a bucket"])
def test_a_bucket_that_is_not_there(bucket: dict[str, str], bucket_name: str) -> None:
    with pytest.raises(ConfigError, match="FILE_STORE=s3://"):
        S3Store(bucket_name, "", bucket)


def test_a_bucket_without_a_key(bucket: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    environ = {name: value for name, value in bucket.items() if "ACCESS" not in name}
    with pytest.raises(ConfigError, match="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        S3Store(s3_server.BUCKET, "", environ)
    with pytest.raises(ConfigError, match="AWS_ENDPOINT_URL_S3 is no URL") as error:
        S3Store(s3_server.BUCKET, "", {**bucket, "AWS_ENDPOINT_URL_S3": "sk-live-0123456789"})
    assert "sk-live" not in str(error.value)


def test_a_missing_extra_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    for name in ("s3", "s3_client"):
        monkeypatch.delitem(sys.modules, f"gpuagent.adapters.files.{name}")
    opening = wiring.open_files(settings.read({"FILE_STORE": "s3://bucket"}), cast(Database, None))
    with pytest.raises(ConfigError, match=r"pip install 'gpuagent\[s3\]'"), opening:
        pass


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    opening = wiring.open_files(settings.read({"FILE_STORE": f"file://{tmp_path}/file"}), cast(Database, None))
    with pytest.raises(ConfigError, match="FILE_STORE=file:///"), opening:
        pass


def test_a_service_that_is_away_is_opened_and_says_so_when_it_is_needed(bucket: dict[str, str]) -> None:
    store = S3Store(s3_server.BUCKET, "", bucket | {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"})
    with pytest.raises(FileStoreError, match="Could not connect"):
        store.size(SHA256)


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_a_store_that_two_databases_share_says_so(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    def open_for(identity: str, name: str) -> FileStore:
        if kind == "folder":
            return FolderStore(tmp_path, lambda: NOW, owner=lambda: (identity, name))
        return S3Store(s3_server.BUCKET, tmp_path.name, request.getfixturevalue("bucket"), lambda: (identity, name))

    ours, theirs = open_for("1" * 24, "ours"), open_for("2" * 24, "theirs\x1b[2J")
    put(ours, b"our model")
    put(open_for("1" * 24, "ours, renamed"), b"another of our models", "job-2")
    assert ours.sharers() == ()
    assert theirs.sharers() == (f"'ours, renamed' (databases/{'1' * 24})",)
    theirs.sweep(NOW, dry_run=True)
    assert ours.sharers() == ()
    theirs.sweep(NOW)
    assert ours.sharers() == (f"'theirs [2J' (databases/{'2' * 24})",)


def test_a_link_reads_one_file_without_a_key(bucket: dict[str, str]) -> None:
    store = S3Store(s3_server.BUCKET, "link", bucket)
    assert httpx.get(store.url(put(store, b"content"), 60), timeout=60).content == b"content"


def test_it_comes_in_over_many_ticks(store: FileStore) -> None:
    """Each answer is cut off somewhere; the next goes on with what is kept."""
    received = rounds = 0
    while received < SIZE:
        received = store.extend("job-1", received, parts(CONTENT[received : received + CHUNK // 2]), SIZE)
        assert received == store.received("job-1")
        assert store.size(SHA256) is None, "not there before it is proven"
        rounds += 1
    assert rounds > 4
    store.finish("job-1", SHA256, SIZE)
    assert b"".join(store.read(SHA256)) == CONTENT


def test_a_connection_that_breaks_keeps_what_came(store: FileStore) -> None:
    def broken() -> Iterator[bytes]:
        yield from parts(CONTENT[: 2 * CHUNK + 5])
        raise ConnectionResetError

    with pytest.raises((ConnectionResetError, StoreError)):
        store.extend("job-1", 0, broken(), SIZE)
    received = store.received("job-1")
    assert received == 2 * CHUNK + 5
    store.extend("job-1", received, parts(CONTENT[received:]), SIZE)
    store.finish("job-1", SHA256, SIZE)
    assert b"".join(store.read(SHA256)) == CONTENT


@pytest.mark.parametrize(
    "content",
    [CONTENT[:-1] + b"x", CONTENT[:-1], b"\0" * SIZE, CONTENT[CHUNK:] + CONTENT[:CHUNK]],
    ids=["another byte", "short", "zeros", "parts in another order"],
)
def test_another_content_is_dropped(store: FileStore, content: bytes) -> None:
    store.extend("job-1", 0, parts(content), SIZE)
    with pytest.raises(FileAltered, match="SHA-256"):
        store.finish("job-1", SHA256, SIZE)
    assert (store.received("job-1"), store.size(SHA256)) == (0, None)
    assert put(store, CONTENT) == SHA256, "and the right one can still come"


def test_what_another_process_wrote_anew_is_proven_as_it_is(open_store: Callable[[], FileStore]) -> None:
    """The beginning that this process saw was dropped meanwhile, and has come again as another of the same length."""
    ours, theirs, half = open_store(), open_store(), CHUNK + 5
    assert ours.extend("job-1", 0, parts(CONTENT[:half]), SIZE) == half
    theirs.extend("job-1", half, parts(b"\0" * (SIZE - half)), SIZE)
    with pytest.raises(FileAltered):
        theirs.finish("job-1", SHA256, SIZE)
    theirs.extend("job-1", 0, parts(b"\0" * half), SIZE)
    assert ours.extend("job-1", half, parts(CONTENT[half:]), SIZE) == SIZE
    with pytest.raises(FileAltered):
        ours.finish("job-1", SHA256, SIZE)
    assert ours.size(SHA256) is None


def test_more_than_was_announced_is_refused(store: FileStore) -> None:
    endless = (b"\0" * 100_000 for _ in range(10**9))
    with pytest.raises(FileAltered, match="more came"):
        store.extend("job-1", 0, endless, SIZE)
    assert store.received("job-1") <= SIZE


def test_an_upload_spoils_no_other(store: FileStore) -> None:
    """A vendor that lies about a file does not keep the honest one's from coming."""
    store.extend("job-1", 0, parts(b"\0" * SIZE), SIZE)
    put(store, CONTENT, "job-2")
    with pytest.raises(FileMissing):
        next(store.read("0" * 64))
    with pytest.raises(FileAltered):
        store.finish("job-1", SHA256, SIZE)  # its content is there, and this upload has not brought it
    assert b"".join(store.read(SHA256)) == CONTENT


def test_content_that_is_there_is_no_credit_for_an_upload_that_brought_nothing(store: FileStore) -> None:
    put(store, CONTENT, "job-1")
    with pytest.raises(FileMissing, match="begin again"):
        store.finish("job-2", SHA256, SIZE)
    assert (store.received("job-2"), store.size(SHA256)) == (0, SIZE)


def test_a_finished_upload_stays_finished(store: FileStore) -> None:
    """A tick that was killed before it could save finds its work done, whoever brought the content first."""
    for upload in ("job-1", "job-2"):
        put(store, CONTENT, upload)
    for upload in ("job-1", "job-2", "job-1"):
        assert store.received(upload) == SIZE
        assert store.extend(upload, SIZE, iter([]), SIZE) == SIZE
        assert store.extend(upload, 0, parts(CONTENT), SIZE) == SIZE, "nothing is kept twice"
        store.finish(upload, SHA256, SIZE)
        with pytest.raises(FileAltered):
            store.finish(upload, "0" * 64, SIZE)  # the id is given to no other content
        assert b"".join(store.read(SHA256)) == CONTENT
    assert store.delete(SHA256) == SIZE
    assert [store.received(upload) for upload in ("job-1", "job-2")] == [0, 0], "what is deleted must come again"
    put(store, CONTENT, "job-2")


@pytest.mark.parametrize("uploads", [("job-1", "job-1"), ("job-1", "job-2")], ids=["one upload", "two runs"])
@pytest.mark.parametrize("there", [False, True], ids=["new", "there already"])
def test_two_ticks_finish_the_same_content_at_once(store: FileStore, uploads: tuple[str, str], there: bool) -> None:
    content = CONTENT[: CHUNK + 5]
    sha256 = hashlib.sha256(content).hexdigest()
    if there:
        put(store, content, "job-0")
    for upload in set(uploads):
        store.extend(upload, 0, parts(content), len(content))
    meeting, failures = threading.Barrier(2, timeout=30), []

    def finish(upload: str) -> None:
        meeting.wait()
        try:
            store.finish(upload, sha256, len(content))
        except Exception as error:  # noqa: BLE001 - shown below
            failures.append(error)

    threads = [threading.Thread(target=finish, args=(upload,)) for upload in uploads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert b"".join(store.read(sha256)) == content
    assert [store.received(upload) for upload in uploads] == [len(content)] * 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the dead close no file
@pytest.mark.parametrize("there", [False, True], ids=["new", "there already"])
def test_killed_anywhere_while_it_finishes(store: FileStore, there: bool) -> None:
    """Whichever line it was killed at: the next tick has the file by what is kept, and asks the vendor for nothing."""
    if there:
        put(store, CONTENT[:1_000], "job-0")
    word = "" if isinstance(store, FolderStore) else "explained("
    sha256, kills = hashlib.sha256(CONTENT[:1_000]).hexdigest(), 0
    while True:
        upload = f"job-{kills + 1}"
        store.extend(upload, 0, [CONTENT[:1_000]], 1_000)
        killed = killed_at(kills, type(store), partial(store.finish, upload, sha256, 1_000), word)
        assert store.received(upload) == 1_000
        store.finish(upload, sha256, 1_000)
        assert b"".join(store.read(sha256)) == CONTENT[:1_000]
        if not there:
            store.delete(sha256)
        if not killed:
            break
        kills += 1
    assert kills >= 6


def test_a_file_that_was_proven_again_is_not_deleted_as_old(store: FileStore) -> None:
    put(store, CONTENT[:10])
    sha256 = hashlib.sha256(CONTENT[:10]).hexdigest()
    assert store.delete(sha256, before=1.0) == 0
    assert store.delete(sha256, before=4_000_000_000.0) == 10
    assert store.delete(sha256, before=4_000_000_000.0) == 0


@pytest.mark.parametrize("kind", ["gridfs", "folder"])
def test_what_comes_again_is_young_again(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A run that brings the content of an old file while it is about to be deleted keeps it."""
    now = [NOW]
    store = (
        FolderStore(tmp_path, lambda: now[0])
        if kind == "folder"
        else GridFsStore(request.getfixturevalue("database"), lambda: now[0])
    )
    put(store, CONTENT[:10], "old")
    now[0] += 1_000
    put(store, CONTENT[:10], "new")
    sha256 = hashlib.sha256(CONTENT[:10]).hexdigest()
    assert store.delete(sha256, before=NOW + 500) == 0
    assert b"".join(store.read(sha256)) == CONTENT[:10]


def test_the_same_file_twice_is_kept_once(store: FileStore, request: pytest.FixtureRequest) -> None:
    put(store, CONTENT, "job-1")
    put(store, CONTENT, "job-2")
    store.finish("job-2", SHA256, SIZE)  # a tick that was killed after it does it again
    if isinstance(store, GridFsStore):
        assert request.getfixturevalue("database")[f"{BUCKET}.chunks"].count_documents({}) == 4
    store.delete(SHA256)
    store.delete(SHA256)
    assert store.size(SHA256) is None
    with pytest.raises(FileMissing):
        list(store.read(SHA256))


def test_two_ticks_at_once_keep_no_byte_twice(store: FileStore) -> None:
    meeting = threading.Barrier(2, timeout=30)

    def tick() -> None:
        meeting.wait()
        received = 0
        while received < SIZE:
            received = store.extend("job-1", received, parts(CONTENT[received:], 9_000), SIZE)

    threads = [threading.Thread(target=tick) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.finish("job-1", SHA256, SIZE)
    assert b"".join(store.read(SHA256)) == CONTENT


def test_uploads_that_were_left_are_swept_and_files_are_not(store: FileStore) -> None:
    put(store, CONTENT, "job-1")
    store.extend("job-2", 0, parts(CONTENT[: 2 * CHUNK]), SIZE)
    assert store.sweep(before=1.0) == 0, "it may still go on"
    assert store.sweep(before=4_000_000_000.0) == 2 * CHUNK
    assert store.received("job-2") == 0
    assert b"".join(store.read(SHA256)) == CONTENT
    put(store, CONTENT, "job-2")


def test_an_upload_that_is_being_swept_becomes_no_file_without_content(database: Any) -> None:
    """A tick comes back to an old upload and finishes it, just when a sweep has begun to drop it."""
    store = GridFsStore(database, lambda: NOW)
    store.extend("job-1", 0, parts(CONTENT), SIZE)
    database[f"{BUCKET}.files"].insert_one({"_id": "job-1", "filename": "swept job-1", "swept": datetime.now(UTC)})
    with pytest.raises(StoreError, match="begin it again"):
        store.finish("job-1", SHA256, SIZE)
    assert store.size(SHA256) is None
    assert store.sweep(before=4_000_000_000.0) == SIZE, "a sweep that was killed is finished by the next"
    put(store, CONTENT, "job-1")


def test_what_a_killed_sweep_left_of_an_upload_counts_for_nothing(database: Any) -> None:
    store = GridFsStore(database, lambda: NOW)
    store.extend("job-1", 0, parts(CONTENT), SIZE)
    database[f"{BUCKET}.chunks"].delete_one({"files_id": "job-1", "n": 0})
    assert store.received("job-1") == 0
    put(store, CONTENT, "job-1")


def test_a_file_that_is_deleted_while_it_is_read_is_no_shorter_file(database: Any) -> None:
    store = GridFsStore(database, lambda: NOW)
    reading = store.read(put(store, CONTENT))
    next(reading)
    store.delete(SHA256)
    with pytest.raises(FileMissing, match="while it was read"):
        list(reading)


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "a" * 63, "A" * 64, "g" * 64])
def test_what_is_no_hash_is_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileMissing):
        list(FolderStore(tmp_path).read(name))


def test_the_folder_is_private(tmp_path: Path) -> None:
    FolderStore(tmp_path / "store")
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "store", *(tmp_path / "store").iterdir())} == {0o700}


def test_every_driver_reads_it(database: Any) -> None:
    import gridfs

    store = GridFsStore(database, lambda: NOW)
    put(store, CONTENT)
    bucket = gridfs.GridFSBucket(database, bucket_name=BUCKET)
    assert bucket.open_download_stream_by_name(SHA256).read() == CONTENT
