"""The order of a workload, as a quote keeps it: what is sold is these bytes."""

from typing import Any

from pydantic import ValidationError

from seller.api.answers import Refusal
from seller.runners import Runner
from seller.work.workload import WorkOrder, canonical

WORKLOAD, FILES, CHECKPOINT, CANCEL = "workload", "files", "checkpoint", "cancel"
ACCEPTS = (WORKLOAD, FILES, CHECKPOINT, CANCEL)
"""What a vendor can, and says in its quote for a workload."""


def order_text(workload: Any, resume: Any) -> str:
    """The canonical JSON of an order, "" without a workload. Raises ValueError for what is not JSON."""
    if workload is None:
        return ""
    try:
        return canonical({"workload": workload} if resume is None else {"workload": workload, "resume": resume})
    except RecursionError:
        raise ValueError("nested too deep") from None


def job_order(workload: dict[str, Any], resume: dict[str, Any] | None, accepts: tuple[str, ...], runner: Runner) -> str:
    """The order that a quote is for. Raises Refusal for a workload that cannot be run here."""
    try:
        text = order_text(workload, resume)
        work = WorkOrder.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise Refusal(422, "workload_invalid", f"{place}: {first['msg']}") from None
    except ValueError as error:
        raise Refusal(422, "workload_invalid", f"the workload is no JSON: {error}") from None
    if refusal := image_refusal(work.workload.image, runner):
        raise Refusal(422, "image_not_offered", refusal)
    if any(file.url for file in work.workload.inputs):
        raise Refusal(422, "url_not_offered", "inputs are not fetched here: send their content by PUT /job-input")
    if resume is not None and CHECKPOINT not in accepts:
        raise Refusal(422, "resume_not_offered", "nothing is resumed here: order the workload without resume")
    return text


def image_refusal(image: str, runner: Runner) -> str:
    """Why no job can have this image now, in words for its buyer; "" where it can."""
    return runner.refusal(image) or runner.absence(image)


def read_order(text: str) -> WorkOrder:
    return WorkOrder.model_validate_json(text)


def same_terms(job_params: dict[str, Any], gpu_type: str, hours: str) -> bool:
    """Whether the parameters are for the GPU and the hours that were quoted."""
    ordered = job_params.get("maxHours")
    if isinstance(ordered, bool) or not isinstance(ordered, int | float):
        return False
    try:
        return job_params.get("gpuType") == gpu_type and float(ordered) == float(hours)
    except OverflowError:
        return False
