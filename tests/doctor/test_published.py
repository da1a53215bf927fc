"""What a vendor's OpenAPI document promises of its paid answers, and what a hostile one does."""

from typing import Any

import pytest

from gpuagent.doctor.published import job_fields, state_words


def contract(status: Any = None, order: Any = None, **schemas: Any) -> dict[str, Any]:
    def answers(schema: Any) -> dict[str, Any]:
        return {"responses": {"202": {"content": {"application/json": {"schema": schema}}}, "404": {}}}

    return {
        "paths": {"/job-status": {"get": answers(status)}, "/submit-job": {"post": answers(order)}},
        "components": {"schemas": schemas},
    }


def reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"properties": {"status": {"enum": ["queued", "warming"]}}}, ("queued", "warming")),
        ({"properties": {"state": {"const": "done"}}}, ("done",)),
        (reference("Job"), ("queued", "boxed")),
        ({"anyOf": [reference("Job"), {"properties": {"status": {"enum": ["gone"]}}}]}, ("queued", "boxed", "gone")),
        ({"properties": {"status": {"type": "string"}}}, ()),
        ({"properties": {"status": {"enum": [1, None, "a\x1b"]}}}, ("a ",)),
        (reference("Missing"), ()),
        (7, ()),
    ],
)
def test_words_for_a_jobs_state(status: Any, words: tuple[str, ...]) -> None:
    schemas = {"Job": {"properties": {"status": reference("State")}}, "State": {"enum": ["queued", "boxed"]}}
    assert state_words(contract(status, **schemas)) == words


def test_fields_of_the_answer_to_an_order() -> None:
    order = {"allOf": [{"properties": {"job_id": {}}}, {"properties": {"status": {}}}]}
    assert job_fields(contract(order=order)) == ("job_id", "status")


@pytest.mark.parametrize("document", [{}, {"paths": []}, {"paths": {"/job-status": {"get": {"responses": "none"}}}}])
def test_a_document_of_another_shape_promises_nothing(document: dict[str, Any]) -> None:
    assert (state_words(document), job_fields(document)) == ((), ())


def test_references_in_circles_end() -> None:
    ring = {name: {"anyOf": [reference(other) for other in "abcdefgh"] * 50} for name in "abcdefgh"}
    assert state_words(contract(reference("a"), **ring)) == ()
