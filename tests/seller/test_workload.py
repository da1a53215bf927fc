"""What a seller reads of a workload: only what a runner can be trusted with."""

from typing import Any

import pytest
from pydantic import ValidationError

from seller.work.workload import WorkOrder, canonical, sha256_of

DIGEST = "ab" * 32


def work(**fields: Any) -> dict[str, Any]:
    return {"name": "x", "command": "true", "success": {"exit_code": 0}, **fields}


def test_it_takes_what_it_needs_and_leaves_the_rest() -> None:
    resume = {"sha256": DIGEST, "files": [{"path": "progress.json", "bytes": 3, "sha256": "cd" * 32}]}
    order = WorkOrder.model_validate(
        {"workload": work(inputs=[{"path": "a/b", "sha256": DIGEST, "bytes": 3}]), "resume": resume}
    )
    assert (order.inputs, order.checkpoint) == ({"a/b": DIGEST}, {"progress.json": "cd" * 32})
    assert order.needed == {DIGEST, "cd" * 32}


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../x", "a/../b", "", "a//b", "a\\b", "a\0", "a\n", "\ud800", "a/" * 20]
)
@pytest.mark.parametrize("field", ["inputs", "outputs", "checkpoint"])
def test_paths_stay_in_the_jobs_folder(field: str, path: str) -> None:
    entry = {"path": path, "sha256": DIGEST}
    with pytest.raises(ValidationError):
        WorkOrder.model_validate({"workload": work(**{field: entry if field == "checkpoint" else [entry]})})


@pytest.mark.parametrize(
    "fields",
    [
        {"command": []},
        {"command": "a\0b"},
        {"command": "x" * 64_001},
        {"env": {"A=B": "1"}},
        {"env": {"A": "\0"}},
        {"env": {"A": "\ud800"}},
        {"secrets": ["A B"]},
        {"inputs": [{"path": "a"}]},
        {"inputs": [{"path": "a", "sha256": "../../etc"}]},
        {"inputs": [{"path": "a", "sha256": DIGEST}, {"path": "a", "sha256": DIGEST}]},
        {"inputs": [{"path": "a/b/c", "sha256": DIGEST}, {"path": "a/b", "sha256": DIGEST}]},
        {"outputs": [{"path": str(number)} for number in range(1_001)]},
    ],
)
def test_what_no_program_can_be_given_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        WorkOrder.model_validate({"workload": work(**fields)})


def test_the_text_that_both_sides_hash() -> None:
    assert canonical({"b": [1, 2.5], "a": "ü"}) == '{"a":"ü","b":[1,2.5]}'
    assert sha256_of({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
