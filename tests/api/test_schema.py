"""Both OpenAPI documents against their servers, by generated requests: no 5xx, and no answer that is not declared."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.market import Market
from tests.support.rest_server import Served

EXAMPLES = 5
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)


def play(schema: Any, headers: dict[str, str]) -> Iterator[str]:
    """Every operation with requests that fit the document and requests that do not; its label."""
    for result in schema.get_all_operations():
        operation = result.ok()
        for mode in MODES:
            with suppress(Unsatisfiable):  # without a parameter there is nothing to get wrong
                _try(operation, mode, headers)
        yield operation.label


def _try(operation: Any, mode: GenerationMode, headers: dict[str, str]) -> None:
    @seed(1)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def play_case(case: Any) -> None:
        case.call_and_validate(checks=CHECKS, headers=headers, timeout=30)

    play_case()


def test_gpuagent_answers_as_its_schema_says(served: Served) -> None:
    schema = schemathesis.openapi.from_url(f"{served.url}/openapi.json")
    assert schema.raw_schema["openapi"].startswith("3.1")
    played = list(
        play(schema, {"Content-Type": "application/json"})
    )  # else what changes something refuses without tokens
    declared = [operation for path in served.app.openapi()["paths"].values() for operation in path]
    assert len(played) == len(declared)


def test_the_mock_vendor_answers_as_its_schema_says(market: Market) -> None:
    url, secret = market.environment["VENDOR_URL"], market.environment["GPU_VENDOR_SECRET"]
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    sold = schema.include(path_regex="^/(quote|submit-job|job-|healthz)")
    played = list(play(sold, {"Authorization": f"Bearer {secret}", "x-vendor-id": "gpu_vendor_1"}))
    assert len(played) == 8
