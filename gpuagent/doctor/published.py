"""The answers that a vendor's OpenAPI document promises: its words for a job's state, the fields that name a job. Pure.

The document is untrusted: what is missing or of another shape promises nothing.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from gpuagent.core.text import clean
from gpuagent.wire.vendor_words import STATE_NAMES

WORDS_MAX, WORD_MAX = 50, 64


def state_words(contract: Mapping[str, Any]) -> tuple[str, ...]:
    """The words for a job's state in the answers of GET /job-status, in their order."""
    schemas = _answers(contract, "/job-status", "get")
    states = [field for schema in schemas for name, field in _properties(contract, schema) if name in STATE_NAMES]
    words = [word for state in states for schema in _variants(contract, state, set()) for word in _values(schema)]
    return tuple(dict.fromkeys(clean(word, WORD_MAX) for word in words[:WORDS_MAX]))


def job_fields(contract: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields of the answers by which POST /submit-job takes an order."""
    schemas = _answers(contract, "/submit-job", "post")
    names = [name for schema in schemas for name, _ in _properties(contract, schema)]
    return tuple(dict.fromkeys(clean(name, WORD_MAX) for name in names[:WORDS_MAX]))


def _answers(contract: Mapping[str, Any], path: str, method: str) -> Iterator[Mapping[str, Any]]:
    """The JSON schemas of the 2xx answers."""
    responses = _at(contract, "paths", path, method, "responses")
    for status, response in responses.items():
        if str(status).startswith("2"):
            yield _at(response, "content", "application/json", "schema")


def _properties(contract: Mapping[str, Any], schema: Mapping[str, Any]) -> list[tuple[str, Any]]:
    variants = _variants(contract, schema, set())
    return [field for variant in variants for field in _at(variant, "properties").items()]


def _variants(contract: Mapping[str, Any], schema: object, references: set[str]) -> Iterator[Mapping[str, Any]]:
    """The schema, with alternatives apart and each reference followed once: they may go round in circles."""
    if not isinstance(schema, Mapping):
        return
    yield schema
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference not in references:
        references.add(reference)
        yield from _variants(contract, _at(contract, *reference.removeprefix("#/").split("/")), references)
    for key in ("anyOf", "oneOf", "allOf"):
        parts = schema.get(key)
        for part in parts if isinstance(parts, list) else []:
            yield from _variants(contract, part, references)


def _values(schema: Mapping[str, Any]) -> list[str]:
    values = schema.get("enum")
    candidates = [*(values if isinstance(values, list) else []), schema.get("const")]
    return [value for value in candidates if isinstance(value, str)]


def _at(value: object, *path: str) -> Mapping[str, Any]:
    """The object at this path, empty where there is none."""
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}
