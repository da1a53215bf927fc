"""The part of a form that takes a job: pasted, uploaded with its inputs, or one of the examples."""

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import ipywidgets as w

from gpuagent.core.text import counted
from gpuagent.core.units import show_duration
from gpuagent.core.workload import Workload
from gpuagent.errors import BadInput
from gpuagent.panels.kit.fields import dropdown, row, text_area
from gpuagent.panels.kit.html import el
from gpuagent.panels.kit.message import html_widget, styled
from gpuagent.wire.download import Download
from gpuagent.wire.examples import example_jobs, root_of
from gpuagent.wire.job_file import read_job_file, seal_job
from gpuagent.wire.job_inputs import SealedJob, sealed_job, with_contents

NO_JOB = "none: a practice training"
HINT = (
    "name: my-job\ncommand: python train.py\ninputs: [{path: train.py, file: train.py}]\noutputs: [{path: model.npz}]"
)
JOB_SUFFIXES = (".yaml", ".yml", ".json")


class JobForm:
    """What is to run. changed: called at every change. widget: the form's part."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._examples = example_jobs()
        self._example: Path | None = None
        self.uploaded: dict[str, bytes] = {}
        self.example = dropdown("Job", [(NO_JOB, ""), *[(f"example {name}", name) for name in self._examples]])
        self.upload = w.FileUpload(multiple=True, description="Job and its inputs", layout=w.Layout(width="180px"))
        self.text = text_area("Job file", HINT, width="620px", height="110px")
        self._note = html_widget()
        self.example.observe(lambda change: self._choose(change["new"]), "value")
        self.upload.observe(lambda change: self._receive(change["new"]), "value")
        self.text.observe(lambda _: self._draw(), "value")
        self.widget = w.VBox([row(self.example, self.upload), self.text, self._note])

    @property
    def note(self) -> str:
        """What the job is, or what is wrong with it, as HTML."""
        return str(self._note.value)

    def workload(self) -> Workload | None:
        """The job as it stands there, none of its inputs read; None without one. Raises BadInput."""
        text = self.text.value
        return read_job_file(text.encode("utf-8", "replace"), "job") if text.strip() else None

    def problem(self) -> str:
        try:
            self.workload()
        except BadInput as error:
            return str(error)
        return ""

    def sealed(self, download: Download) -> SealedJob | None:
        """The job with its inputs read: uploaded ones by their names, others below the notebook's folder or the
        example's. Raises BadInput."""
        workload = self.workload()
        if workload is None:
            return None
        uploads = {
            path: self.uploaded[PurePosixPath(file).name]
            for path, file in workload.local_files.items()
            if PurePosixPath(file).name in self.uploaded
        }
        folder = self._example.parent if self._example else Path.cwd()
        root = root_of(self._example) if self._example else folder
        uploaded = with_contents(workload, uploads)
        sealed = sealed_job(*seal_job(uploaded.workload, "job", folder, root, download.file_max), download)
        return SealedJob(sealed.workload, {**sealed.sources, **uploaded.sources})

    def fill(self, text: str) -> None:
        """A job file, or "" for none, in place of what was chosen, pasted or uploaded."""
        self.example.value = ""
        self._example, self.uploaded = None, {}
        self.text.value = text

    def _choose(self, name: str) -> None:
        self._example = self._examples.get(name)
        self.uploaded = {}
        self.text.value = self._example.read_text(encoding="utf-8") if self._example else ""

    def _receive(self, files: tuple[Any, ...]) -> None:
        """A file with a job's suffix is the job; the others are its inputs, by their names."""
        self.uploaded = {str(file["name"]): bytes(file["content"]) for file in files}
        jobs = [name for name in self.uploaded if name.lower().endswith(JOB_SUFFIXES)]
        if len(jobs) == 1:
            self._example = None
            self.text.value = self.uploaded.pop(jobs[0]).decode("utf-8", "replace")
        self._draw()

    def _draw(self) -> None:
        try:
            workload = self.workload()
        except BadInput as error:
            lines = [el("div", line) for line in str(error).splitlines()]
            self._note.value = styled(el("div", *lines, class_="bad", role="alert"))
        else:
            self._note.value = styled(el("p", self._summary(workload), class_="faint")) if workload else ""
        self._changed()

    def _summary(self, workload: Workload) -> str:
        inputs = f", {counted(len(workload.inputs), 'input')}" if workload.inputs else ""
        uploaded = f"; uploaded: {', '.join(self.uploaded)}" if self.uploaded else ""
        jobs = f", {counted(workload.jobs.count, 'job')}, {workload.jobs.at_once} at once" if workload.jobs else ""
        if workload.jobs and workload.jobs.hedge_after:
            jobs += f", hedged when {show_duration(workload.jobs.hedge_after)} late"
        return f"{workload.name}: {workload.hours} h of {workload.resources.gpu}{jobs}{inputs}{uploaded}"
