"""The delivery of the example job: its files, where it went on after a loss, a line of what the model writes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from gpuagent import wiring
from gpuagent.core.model import Run, Settled
from gpuagent.core.resume import resumed_from
from gpuagent.core.run_files import RunFile
from gpuagent.core.text import clean, counted
from gpuagent.core.work import FileKind
from gpuagent.errors import ConfigError
from gpuagent.wire.download import Download
from gpuagent.wire.egress import direct
from gpuagent.wire.examples import example_jobs, root_of
from gpuagent.wire.job_inputs import SealedJob, open_job

EXAMPLE = "tiny_llm"
SAMPLE = "sample.txt"
"""The output with a text that the model writes."""
SAMPLE_MAX = 80
MARKUP = dict.fromkeys(map(ord, "|`*#_-"), " ")


@dataclass(frozen=True, slots=True)
class Resumed:
    """The job that went on from another's checkpoint. Hours are GPU hours; from_fraction: of the work, 0 to 1."""

    vendor_id: str
    from_fraction: float
    hours_bought: Decimal
    hours_saved: Decimal

    def as_json(self) -> dict[str, float]:
        return {
            "from_fraction": self.from_fraction,
            "hours_bought": float(self.hours_bought),
            "hours_saved": float(self.hours_saved),
        }


@dataclass(frozen=True, slots=True)
class Delivery:
    """The outputs of the completed job. resumed: None where no job went on from another's checkpoint.

    sample: the beginning of what the model writes.
    """

    files: tuple[RunFile, ...] = ()
    resumed: Resumed | None = None
    sample: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "files": [
                {"path": file.path, "bytes": file.bytes, "sha256": file.sha256, "vendor": file.vendor_id}
                for file in self.files
            ],
            "resumed": self.resumed and self.resumed.as_json(),
        }


def example_job(name: str = EXAMPLE) -> SealedJob:
    """An example that comes with the program. Raises ConfigError where it was installed without it."""
    path = example_jobs().get(name)
    if path is None:
        raise ConfigError(f"there is no example job {name!r} here; there are: {', '.join(example_jobs()) or 'none'}")
    return open_job(path, {}, Download(direct()), root_of(path))


def delivery_of(run: Run, agent: wiring.Agent) -> Delivery:
    listed = agent.reads.files(run.run_id)
    files = tuple(file for file in listed if file.kind == FileKind.OUTPUT and file.completed)
    return Delivery(files, _resumed(run), _sample(files, agent))


def delivery_parts(delivery: Delivery) -> Iterator[RenderableType]:
    """What came back, for a terminal; in 100 columns each hash stays on its line."""
    if resumed := delivery.resumed:
        yield Text(
            f"\n{resumed.vendor_id} went on from {resumed.from_fraction:.0%} of the work: "
            f"{resumed.hours_bought} h were bought there, {resumed.hours_saved} h saved",
            "bold",
        )
    if delivery.files:
        count = counted(len(delivery.files), "file")
        yield Text(f"\n{count} came back from {delivery.files[0].vendor_id}, proven by SHA-256:")
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
        table.add_column(overflow="fold", style="dim")
        for file in delivery.files:
            table.add_row(Text(file.path), f"{file.bytes:,} bytes", file.sha256)
        yield table
    if delivery.sample:
        yield Text.assemble("the model writes: ", (delivery.sample, "italic green"))


def _resumed(run: Run) -> Resumed | None:
    """The last job that went on from a checkpoint."""
    checkpoints = {
        job.checkpoint.sha256: job.checkpoint for job in run.jobs if isinstance(job, Settled) and job.checkpoint
    }
    for job in reversed(run.jobs):
        origin = checkpoints.get(resumed_from(job.quote))
        if origin:
            hours = job.quote.max_hours
            return Resumed(job.quote.vendor_id, origin.fraction or 0.0, hours, run.max_hours - hours)
    return None


def _sample(files: Iterable[RunFile], agent: wiring.Agent) -> str:
    """The beginning of what the model writes, on one line, without the markup of the texts that it has learned from."""
    for file in files:
        if file.path == SAMPLE:
            text = b"".join(agent.ports.files.read(file.sha256)).decode(errors="replace")
            return clean(" ".join(text.translate(MARKUP).split()), SAMPLE_MAX)
    return ""
