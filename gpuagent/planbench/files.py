"""Scenario files of schema planbench/1: reading and validation; an error names the file, the place and the fault."""

import json
from collections.abc import Iterator, Mapping, Sized
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from gpuagent.core.model import AT_ONCE_MAX, COUNT_MAX
from gpuagent.errors import BadInput

Family = Literal[
    "honest", "liars", "outage", "spikes", "drift", "coldstart", "ktries", "mismatch", "deadline", "sweep", "late",
    "trace",
]  # fmt: skip
Share = Annotated[float, Field(ge=0, le=1)]
Usd = Annotated[float, Field(gt=0, le=10**9)]
Script = Annotated[str, Field(pattern="^[01]+$")]
Delays = Annotated[str, Field(pattern="^[0-9]+$")]


class _Part(BaseModel):
    """A part of a file. As the schema says, keys that it does not name are ignored; the others must fit their types."""

    model_config = ConfigDict(alias_generator=to_camel, strict=True, frozen=True, allow_inf_nan=False)


class JobsPart(_Part):
    """Several jobs of one run. A key that is none of these is refused: a misspelt one would change the market."""

    model_config = ConfigDict(extra="forbid")

    count: Annotated[int, Field(ge=1, le=COUNT_MAX)]
    at_once: Annotated[int, Field(ge=1, le=AT_ONCE_MAX)] = 1
    hedge_after_ticks: Annotated[int, Field(ge=1, le=1000)] | None = None


class RunPart(_Part):
    goal: str
    gpu_type: str
    budget_total: Usd
    hours_required: Annotated[float, Field(gt=0, le=720)]
    deadline_ticks: Annotated[int, Field(ge=1, le=1000)]
    jobs: JobsPart = JobsPart(count=1)


class VendorPart(_Part):
    vendor_id: Annotated[str, Field(min_length=1)]
    base_price_per_hour: Usd
    reliability_score: Share | None
    supported_gpu_types: tuple[str, ...]
    refund_on_fail: Share = 0.0


class HistoryPart(_Part):
    vendor_id: str
    status: Literal["completed", "failed"]
    expected_cost: Annotated[float, Field(ge=0)]
    actual_cost: Annotated[float, Field(ge=0)]
    hours: Annotated[float, Field(gt=0)]
    tick: Annotated[int, Field(le=-1)] | None = None


class TruthPart(_Part):
    index: Literal["attempt", "tick"]
    p_success: Mapping[str, Share | tuple[Share, ...]]
    outcomes: Mapping[str, Annotated[tuple[Script, ...], Field(min_length=1)]]
    delays: Mapping[str, Annotated[tuple[Delays, ...], Field(min_length=1)]] = {}
    price: Mapping[str, tuple[Usd, ...]] = {}
    refund: Mapping[str, tuple[Share, ...]] = {}
    posterior: Mapping[str, Annotated[tuple[Share, ...], Field(min_length=1)]] = {}


class BoundPart(_Part):
    """The result of a planner that knows more; the post pair under the generator's posterior, not the drawn truth.

    jobs: of a run with several, how many complete.
    """

    complete: Share
    spend: Annotated[float, Field(ge=0)]
    jobs: Annotated[float, Field(ge=0)] | None = None
    complete_post: Share | None = None
    spend_post: Annotated[float, Field(ge=0)] | None = None


class FilePart(_Part):
    """One file, or one of its variants merged into it."""

    schema_: Annotated[Literal["planbench/1"], Field(alias="schema")]
    id: Annotated[str, Field(min_length=1)]
    family: Family
    run: RunPart
    vendors: Annotated[tuple[VendorPart, ...], Field(min_length=1)]
    history: tuple[HistoryPart, ...]
    truth: TruthPart
    bounds: Mapping[str, BoundPart] = {}


def read(path: Path) -> tuple[FilePart, ...]:
    """The file's variants, each merged into the rest; the file itself where it has none. Raises BadInput."""
    try:
        document = json.loads(path.read_text("utf-8"), parse_constant=_refuse_constant)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise BadInput(f"{path} is not JSON: {error}") from error
    return parse(path.name, document)


def parse(name: str, document: Any) -> tuple[FilePart, ...]:
    """The variants of a JSON value, as read() gives them. Raises BadInput."""
    if not isinstance(document, dict):
        raise BadInput(f"{name} is to hold one JSON object of schema planbench/1")
    return tuple(_validate(name, variant) for variant in merge_variants(name, document))


def merge_variants(name: str, document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every variant, completed from the document; truth is merged key by key. Raises BadInput."""
    variants = document.get("variants", [])
    if not isinstance(variants, list) or not all(isinstance(variant, dict) for variant in variants):
        raise BadInput(f"{name}: variants is to be a list of objects")
    common = {key: value for key, value in document.items() if key != "variants"}
    for variant in variants or [{}]:
        truths = common.get("truth", {}), variant.get("truth", {})
        if not all(isinstance(truth, dict) for truth in truths):
            raise BadInput(f"{name}: truth is to be an object")
        yield {**common, **variant, "truth": {**truths[0], **truths[1]}}


def _validate(name: str, document: Mapping[str, Any]) -> FilePart:
    try:
        # From JSON again: a strict model takes lists for tuples there, and nowhere else.
        part = FilePart.model_validate_json(json.dumps(document))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"]) or "the file"
        raise BadInput(f"{name}: {place}: {first['msg']} ({error.error_count()} found)") from error
    for problem in _contradictions(part):
        raise BadInput(f"{name}: {problem}")
    return part


def _contradictions(part: FilePart) -> Iterator[str]:
    """Faults that the schema cannot express: every vendor needs a truth for all ticks; no other vendor may be named."""
    names = [vendor.vendor_id for vendor in part.vendors]
    ticks, truth = part.run.deadline_ticks, part.truth
    if len(set(names)) < len(names):
        yield "vendors: a vendorId is there twice"
    for name in names:
        for key, table in (("pSuccess", truth.p_success), ("outcomes", truth.outcomes)):
            if name not in table:
                yield f"truth.{key}: {name} is missing"
    per_tick: dict[str, Mapping[str, Any]] = {
        "pSuccess": truth.p_success,
        "price": truth.price,
        "refund": truth.refund,
        "outcomes": _scripts(truth.outcomes) if truth.index == "tick" else {},
        "delays": _scripts(truth.delays) if truth.index == "tick" else {},
    }
    for key, table in per_tick.items():
        for name, values in table.items():
            if isinstance(values, Sized) and len(values) < ticks:
                yield f"truth.{key}.{name}: {len(values)} ticks of {ticks}"
    if len({len(replicates) for replicates in truth.outcomes.values()}) > 1:
        yield "truth.outcomes: every vendor is to have as many replicates as the others"
    for name, replicates in truth.delays.items():
        if len(replicates) != len(truth.outcomes.get(name, ())):
            yield f"truth.delays.{name}: write as many replicates as truth.outcomes.{name} has"
    for number, job in enumerate(part.history):
        if job.vendor_id not in names:
            yield f"history.{number}: {job.vendor_id} is no vendor here"
    if part.run.jobs.count > 1:
        yield from _several_contradictions(part)
    elif part.run.jobs.at_once > 1:
        yield "run.jobs.atOnce: a scenario with one job has one open at a time: write 1, or a higher count"
    elif part.run.jobs.hedge_after_ticks or truth.delays:
        yield "run.jobs: late jobs and their hedges are played in a run with several: write a higher count"


def _scripts(table: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Every replicate of every vendor, by the place of it."""
    return {
        f"{name}.{number}": script for name, replicates in table.items() for number, script in enumerate(replicates)
    }


def _several_contradictions(part: FilePart) -> Iterator[str]:
    """Faults of a run with several jobs alone. What a vendor gives back returns to no run's budget."""
    if part.truth.refund or any(vendor.refund_on_fail for vendor in part.vendors):
        yield "run.jobs: several jobs are bought of vendors without refunds: leave refundOnFail and truth.refund out"
    for name, bound in part.bounds.items():
        if bound.jobs is None or bound.jobs > part.run.jobs.count:
            yield f"bounds.{name}.jobs: write how many of the {part.run.jobs.count} jobs complete"


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is no number")
