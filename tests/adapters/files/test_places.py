"""Folders of a bucket that others reach by signed URLs: each URL is for one object, and what lies there is swept."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest

from gpuagent.adapters.files.places import URL_MAX
from gpuagent.adapters.files.s3 import S3Store
from gpuagent.core.ports.files import Depot, FileStore
from gpuagent.errors import FileMissing
from tests.support import s3_server
from tests.support.memory_depot import MemoryDepot
from tests.support.memory_files import MemoryFiles


@pytest.fixture(scope="module")
def store() -> Iterator[S3Store]:
    with s3_server.running() as environ:
        yield S3Store(s3_server.BUCKET, "agent", environ)


def test_one_url_reads_or_writes_one_object(store: S3Store) -> None:
    folder = store.new_folder()
    assert len(folder) == 32
    assert store.new_folder() != folder
    with pytest.raises(FileMissing):
        list(store.fetch(folder, "o0"))
    writes, reads = store.place_url(folder, "o0", 60, write=True), store.place_url(folder, "o0", 60)
    assert httpx.put(writes, content=b"made there", timeout=60).status_code == 200
    assert b"".join(store.fetch(folder, "o0", 5)) == b"there"
    store.leave(folder, "o0", b"from here")
    assert httpx.get(reads, timeout=60).content == b"from here"
    content = b"an input"
    sha256 = hashlib.sha256(content).hexdigest()
    store.extend("up", 0, [content], len(content))
    store.finish("up", sha256, len(content))
    assert httpx.get(store.url(sha256, 60), timeout=60).content == content


def test_what_is_signed_is_the_key_the_time_and_the_verb(store: S3Store) -> None:
    signed = [
        store.place_url("f", "a", 60),
        store.place_url("f", "a", 61),
        store.place_url("f", "a", 60, write=True),
        store.place_url("g", "a", 60),
        store.place_url("f", "b", 60),
    ]
    assert len({url.rpartition("X-Amz-Signature=")[2] for url in signed}) == len(signed)
    for url in signed:
        assert "X-Amz-SignedHeaders=host&" in url, "whoever writes needs no header of ours"
        assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in url


def test_a_folder_is_swept_once_no_url_of_it_can_live(store: S3Store) -> None:
    folder = store.new_folder()
    store.leave(folder, "o0", b"12345")
    now = datetime.now(UTC).timestamp()
    assert store.sweep(now + 60, dry_run=True) == 0
    later = now + URL_MAX.total_seconds() + 60
    assert store.sweep(later, dry_run=True) >= 5
    assert store.sweep(later) >= 5
    with pytest.raises(FileMissing):
        list(store.fetch(folder, "o0"))


def test_only_a_store_that_signs_is_a_depot(store: S3Store) -> None:
    stores: tuple[FileStore, ...] = (store, MemoryDepot(), MemoryFiles())
    assert [isinstance(each, Depot) for each in stores] == [True, True, False]
