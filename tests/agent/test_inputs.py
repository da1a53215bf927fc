"""The inputs of a run are kept and proven before the run is there; what is refused leaves no file."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gpuagent.adapters.files.folder import FolderStore
from gpuagent.agent.inputs import keep_inputs
from gpuagent.agent.start import Order, start
from gpuagent.core.orders import order_files, order_text
from gpuagent.core.policy import Policy
from gpuagent.core.ports import Ports
from gpuagent.core.ports.files import FileStore
from gpuagent.core.workload import Source, Workload, from_canonical
from gpuagent.errors import BadInput, ChainError, FileMissing
from tests.support.world import World

SCRIPT, DATA = b"print(1)\n", b"x" * 300_000


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def workload(*entries: tuple[str, bytes], **fields: Any) -> Workload:
    listed = [{"path": path, "sha256": sha256(content), "bytes": len(content)} for path, content in entries]
    return Workload.model_validate({"name": "tiny", "command": "python train.py", "inputs": listed, **fields})


def sources(*contents: bytes) -> dict[str, Source]:
    return {sha256(content): stream(content) for content in contents}


def stream(content: bytes) -> Source:
    return lambda: (content[start : start + 1_000] for start in range(0, len(content), 1_000))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def ports(folder: Path) -> Ports:
    """A file store, ids, and a policy."""
    return with_policy(FolderStore(folder))


def with_policy(files: FileStore, **rules: int) -> Ports:
    numbers = count()
    store = SimpleNamespace(new_id=lambda: f"{next(numbers):024x}", policy=lambda: Policy(**rules))
    return cast("Ports", SimpleNamespace(files=files, store=store))


def kept(folder: Path) -> set[str]:
    return {path.name for path in (folder / "files").iterdir()}


def refusal(ports: Ports, job: Workload, streams: Mapping[str, Source]) -> str:
    with pytest.raises(BadInput) as refused:
        keep_inputs(job, streams, ports)
    return str(refused.value)


def test_inputs_are_kept_each_content_once(ports: Ports, folder: Path) -> None:
    job = workload(("train.py", SCRIPT), ("data.bin", DATA), ("copy.bin", DATA), ("empty", b""))
    assert keep_inputs(job, sources(SCRIPT, DATA, b""), ports).canonical == job.canonical
    assert kept(folder) == {sha256(SCRIPT), sha256(DATA), sha256(b"")}
    assert b"".join(ports.files.read(sha256(DATA))) == DATA
    assert [file.path for file in order_files(order_text(job.canonical, None))] == ["train.py", "copy.bin", "empty"]


def test_what_is_there_already_is_not_read_again(ports: Ports) -> None:
    def broken() -> Iterable[bytes]:
        raise AssertionError

    job = workload(("train.py", SCRIPT))
    keep_inputs(job, sources(SCRIPT), ports)
    assert keep_inputs(job, {sha256(SCRIPT): broken}, ports) == job
    assert keep_inputs(job, {}, ports) == job


def test_an_order_has_no_files_whose_bytes_are_not_known_yet() -> None:
    job = workload(inputs=[{"path": "data.bin", "url": "https://files.example/data.bin", "sha256": sha256(DATA)}])
    assert order_files(order_text(job.canonical, None)) == (), "as in a dry run, which fetches nothing"


def test_a_url_is_fetched_and_its_query_which_may_be_a_key_is_dropped(ports: Ports) -> None:
    url = "https://files.example/data.bin?X-Amz-Signature=abcdef"
    job = workload(inputs=[{"path": "data.bin", "url": url, "sha256": sha256(DATA)}])
    (entry,) = keep_inputs(job, sources(DATA), ports).inputs
    assert (entry.url, entry.bytes) == ("https://files.example/data.bin", len(DATA))


def test_a_missing_content_leaves_no_file_of_the_others(ports: Ports, folder: Path) -> None:
    job = workload(("train.py", SCRIPT), ("data.bin", DATA))
    assert "input data.bin: there is no file with the SHA-256" in refusal(ports, job, sources(SCRIPT))
    assert kept(folder) == set()
    assert ports.files.sweep(float("inf")) == len(SCRIPT)
    with pytest.raises(FileMissing):
        list(ports.files.read(sha256(SCRIPT)))


def test_a_file_that_changed_after_it_was_hashed_is_refused(ports: Ports, folder: Path) -> None:
    job = workload(("data.bin", DATA))
    for other in (DATA[:-1], DATA[:-1] + b"y", b"", DATA + b"more"):
        assert "input data.bin: " in refusal(ports, job, {sha256(DATA): stream(other)})
    assert kept(folder) == set()


def test_another_file_at_a_url_is_refused_in_words(ports: Ports, folder: Path) -> None:
    url = "https://files.example/data.bin"
    job = workload(inputs=[{"path": "data.bin", "url": url, "sha256": sha256(DATA)}])
    assert f"{url} does not have it" in refusal(ports, job, {sha256(DATA): stream(b"<html>")})
    assert kept(folder) == set()


def test_a_source_that_breaks_off_says_why(ports: Ports, folder: Path) -> None:
    def breaking() -> Iterator[bytes]:
        yield DATA[:1_000]
        raise BadInput("data.bin cannot be read: it is gone")

    assert "it is gone" in refusal(ports, workload(("data.bin", DATA)), {sha256(DATA): breaking})
    assert kept(folder) == set()


def test_bounds_of_a_file_and_of_a_run(folder: Path) -> None:
    files = FolderStore(folder)
    ports = with_policy(files, file_max=len(DATA) - 1)
    assert "more than the 299,999 bytes" in refusal(ports, workload(("data.bin", DATA)), sources(DATA))
    url = {"path": "data.bin", "url": "https://files.example/data.bin", "sha256": sha256(DATA)}
    assert "more than the 299,999 bytes" in refusal(ports, workload(inputs=[url]), sources(DATA))
    assert ports.files.sweep(float("inf")) < len(DATA), "no more is kept than the bound"
    ports = with_policy(files, file_max=len(DATA), run_files_max=len(DATA) + 5)
    assert "the inputs have 300,009 bytes" in refusal(
        ports, workload(("a", SCRIPT), ("data.bin", DATA)), sources(SCRIPT, DATA)
    )
    both = workload(inputs=[url, {"path": "a", "sha256": sha256(SCRIPT)}])
    assert "the inputs have 300,009 bytes" in refusal(ports, both, sources(SCRIPT, DATA))
    assert kept(folder) == set()
    keep_inputs(workload(("data.bin", DATA), ("twin.bin", DATA)), sources(DATA), ports)  # one content counts once


def test_bytes_that_the_job_names_hold(ports: Ports) -> None:
    job = workload(inputs=[{"path": "a", "sha256": sha256(SCRIPT), "bytes": 5}])
    assert "it has 9 bytes, and the job file names 5" in refusal(ports, job, sources(SCRIPT))


@pytest.mark.parametrize(
    ("fields", "order", "message"),
    [
        ({"resources": {"gpu": "A100:2"}}, {}, "A100:2: one GPU for a job is supported"),
        (
            {"resources": {"gpu": "H100"}},
            {"gpu_type": "A100"},
            r"asks for H100 \(resources.gpu\), and the order for A10",
        ),
        ({"max_duration": "2h"}, {"max_hours": Decimal(1)}, r"asks for 2 hours \(max_duration\), and the order for 1"),
    ],
)
def test_an_order_does_not_contradict_its_job(fields: Any, order: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        _ = Order("", 1, workload=workload(**fields), **order).terms


def test_the_terms_of_an_order_follow_from_its_job() -> None:
    job = workload(resources={"gpu": "H100:1"}, max_duration="90m")
    assert Order("", 1, workload=job).terms == ("tiny", "H100", Decimal("1.5"))
    assert Order(" Tune ", 1, "h100", Decimal("1.50"), workload=job).terms == ("Tune", "H100", Decimal("1.5"))
    assert Order("Tune", 1).terms == ("Tune", "A100", Decimal(1))


def test_a_run_has_its_workload_by_its_hash_or_is_not_there(world: World) -> None:
    job = workload(("train.py", b"a run of its own\n"))
    order = Order("", 5_000_000, workload=job)
    with pytest.raises(BadInput, match="upload it first"):
        start(order, world.ports)
    assert world.reads.runs() == []
    assert world.ports.files.sweep(float("4e9")) == 0
    run = start(replace(order, sources=sources(b"a run of its own\n")), world.ports)
    assert world.store.load(run.run_id) == run
    assert (run.goal, run.max_hours, from_canonical(run.workload)) == ("tiny", 1, job)
    (document,) = world.reads.documents(run.run_id)["runs"]
    assert document["workloadHash"] == job.sha256 == sha256(document["workload"].encode())
    assert "workload" not in world.reads.runs()[0], "a list does without it"
    plain = world.start()
    assert world.store.load(plain.run_id).workload == ""
    assert "workload" not in world.reads.documents(plain.run_id)["runs"][0], "as in an older record"


def test_without_a_chain_no_input_is_kept(world: World) -> None:
    class Away:
        def __getattr__(self, name: str) -> Any:
            raise ChainError("away")

    content = b"nothing is kept of this\n"
    ports = replace(world.ports, chain=cast("Any", Away()))
    with pytest.raises(ChainError):
        start(Order("", 5_000_000, workload=workload(("a", content)), sources=sources(content)), ports)
    assert world.ports.files.size(sha256(content)) is None
