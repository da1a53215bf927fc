"""The launch form filled with an order that was given before. Nothing starts: a user reads it, and presses Launch."""

import json
from collections.abc import Iterator

from gpuagent.agent.start import Order
from gpuagent.core.gpus import spelling
from gpuagent.core.money import show_usd
from gpuagent.core.units import exact_duration
from gpuagent.errors import BadInput
from gpuagent.panels.launch_form import LaunchForm
from gpuagent.wire.job_file import read_job_file


def fill(form: LaunchForm, order: Order) -> list[str]:
    """Write the order into the form. What the form cannot hold, in words. Raises BadInput for a job that no job file
    can say; then nothing was written."""
    job = _job_text(order)
    form.job.fill(job)
    fields = form.fields
    fields["goal"].widget.value = order.goal
    fields["budget"].widget.value = show_usd(order.budget).removesuffix(" USD")
    fields["tags"].widget.value = ", ".join(order.tags)
    notes = [*_fill_planner(form, order), *_fill_vendors(form, order)]
    if not job:
        notes += _fill_gpu(form, order)
    is_in_job_file = bool(order.workload and order.workload.jobs)
    fields["count"].widget.value = "1" if is_in_job_file else str(order.count or 1)
    fields["at_once"].widget.value = "1" if is_in_job_file else str(order.jobs_open_max)
    in_job_file = order.workload.jobs.hedge_after if order.workload and order.workload.jobs else None
    delay = order.hedge_after
    fields["hedge_after"].widget.value = "" if delay is None or delay == in_job_file else exact_duration(delay)
    return notes


def _job_text(order: Order) -> str:
    if order.workload is None:
        return ""
    text = json.dumps(json.loads(order.workload.canonical), indent=2, ensure_ascii=False)
    if read_job_file(text.encode(), "job") != order.workload:
        raise BadInput("the run's job cannot be written as a job file: start it by `gpuagent run start --like`")
    return text


def _fill_planner(form: LaunchForm, order: Order) -> Iterator[str]:
    planner, model = form.fields["planner"].widget, form.fields["model"].widget
    name, _, model_name = order.planner.partition(":")
    if name in [value for _, value in planner.options]:
        planner.value, model.value = name, model_name
    else:
        yield f"there is no planner {name} here: {planner.value} stays chosen"
    if order.planners:
        yield "its planner was drawn from several, and this form orders the one that it got"


def _fill_vendors(form: LaunchForm, order: Order) -> Iterator[str]:
    for vendor_id, box in form.vendors.items():
        box.value = not order.vendor_ids or vendor_id in order.vendor_ids
    if missing := [vendor_id for vendor_id in order.vendor_ids if vendor_id not in form.vendors]:
        yield f"{', '.join(missing)}: no enabled vendor any more"


def _fill_gpu(form: LaunchForm, order: Order) -> Iterator[str]:
    gpu, hours = form.fields["gpu"].widget, form.fields["hours"].widget
    if order.max_hours is not None:
        hours.value = f"{order.max_hours:f}"
    if offered := spelling(order.gpu_type, gpu.options):
        gpu.value = offered
    else:
        yield f"no enabled vendor offers {order.gpu_type}: {gpu.value} stays chosen"
