"""Files over REST: downloads of what came back, by Range and by hash, never shown or executed."""

import hashlib
from typing import Any

import pytest

from tests.support import delivered_run
from tests.support.delivered_run import CONTENTS, MODEL
from tests.support.rest_server import Served

DIGEST = hashlib.sha256(MODEL).hexdigest()


@pytest.fixture
def files(served: Served) -> str:
    """The address of the files of a run whose second job delivered."""
    served.world.market.outcomes("gpu_vendor_1", "0")
    run_id = served.start()
    served.finish(run_id)
    delivered_run.deliver(served.world.store.connection.database, served.world.ports.files, run_id)
    return f"/api/runs/{run_id}/files"


def test_files_are_listed_and_downloaded(served: Served, files: str) -> None:
    listed = served.get(files, kind="output")["files"]
    assert {file["path"]: file["sha256"] for file in listed}["model.npz"] == DIGEST
    reply = served.http.get(f"{files}/model.npz")
    assert (reply.status_code, reply.content) == (200, MODEL)
    wanted = {
        "etag": f'"{DIGEST}"',
        "content-type": "application/octet-stream",
        "content-disposition": "attachment; filename=\"model.npz\"; filename*=UTF-8''model.npz",
        "x-content-type-options": "nosniff",
        "content-security-policy": "sandbox",
        "accept-ranges": "bytes",
    }
    assert {name: reply.headers[name] for name in wanted} == wanted
    assert served.http.get(f"{files}/out/sample.txt").content == CONTENTS["out/sample.txt"]
    head = served.http.head(f"{files}/model.npz")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(MODEL)))


@pytest.mark.parametrize(
    ("headers", "status", "content"),
    [
        ({"Range": "bytes=0-9"}, 206, MODEL[:10]),
        ({"Range": "bytes=100000-"}, 206, MODEL[100_000:]),
        ({"Range": "bytes=-5"}, 206, MODEL[-5:]),
        ({"Range": "bytes=5-99999999"}, 206, MODEL[5:]),
        ({"Range": "bytes=0-0", "If-Range": f'"{DIGEST}"'}, 206, MODEL[:1]),
        ({"Range": "bytes=0-0", "If-Range": '"another"'}, 200, MODEL),
        ({"Range": "bytes=0-1,5-6"}, 200, MODEL),
        ({"Range": "lines=0-1"}, 200, MODEL),
        ({"Range": "bytes=-"}, 200, MODEL),
        ({"If-None-Match": f'"{DIGEST}"'}, 304, b""),
        ({"If-None-Match": f'W/"{DIGEST}", "x"'}, 304, b""),
        ({"If-None-Match": "*"}, 304, b""),
        ({"If-None-Match": '"another"'}, 200, MODEL),
    ],
)
def test_parts_and_what_is_known(
    served: Served, files: str, headers: dict[str, str], status: int, content: bytes
) -> None:
    reply = served.http.get(f"{files}/model.npz", headers=headers)
    assert (reply.status_code, reply.content) == (status, content)
    if status == 206:
        assert reply.headers["content-range"].endswith(f"/{len(MODEL)}")


def test_what_is_not_there_is_a_problem_in_words(served: Served, files: str) -> None:
    def problem(path: str, status: int, **headers: str) -> Any:
        return served.answered(served.http.get(f"{files}/{path}", headers=headers), status)

    assert "no file" in problem("model.npy", 404)["detail"]
    assert "has 160000 bytes" in problem("model.npz", 416, Range=f"bytes={len(MODEL)}-")["detail"]
    assert "no file" in problem("model.npz?vendor=gpu_vendor_1", 404)["detail"]
    assert "no file" in problem("..%2f..%2fetc%2fpasswd", 404)["detail"]
    served.get("/api/runs/aaaaaaaaaaaaaaaaaaaaaaaa/files", 404)
    served.world.ports.files.delete(DIGEST)
    assert "FILE_STORE" in problem("model.npz", 503)["detail"]
