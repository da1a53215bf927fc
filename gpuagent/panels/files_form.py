"""The files that a run has brought back: what they are, and how to get them. Names are escaped, contents not shown."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import ipywidgets as w

from gpuagent.core.rights import Right
from gpuagent.core.text import counted
from gpuagent.core.units import show_size
from gpuagent.panels.file_copies import FOLDER, StoredFile, copy_files, download_link, stored_files
from gpuagent.panels.kit.fields import button, dropdown, row
from gpuagent.panels.kit.html import Html, el, join, table
from gpuagent.panels.kit.message import StatusLine, html_widget, styled
from gpuagent.panels.kit.tasks import ExclusiveTask, Tasks
from gpuagent.panels.tables import Document, vendor_name
from gpuagent.session import Session

ROWS_MAX = 200
NO_FILES = "No files yet: outputs and checkpoints are here once they are fetched and proven."
NO_JOB_FILE = join(
    "This run has no job file, so no files come back: ",
    el("code", "gpuagent run start --job job.yaml"),
    " starts one that has.",
)


def files_table(run: Document, files: Sequence[StoredFile], colours: Mapping[str, str]) -> Html:
    """A row per file, or a sentence."""
    if not files:
        return el("p", NO_FILES if run.get("workload") else NO_JOB_FILE, class_="faint")
    rows: list[list[object]] = [
        [
            el("code", file.label),
            el("span", show_size(file.bytes), class_="num", title=f"{file.bytes:,} bytes"),
            el("span", f"{file.kind}, deleted since" if file.deleted else file.kind, class_="num"),
            el("span", vendor_name(file.vendor_id, colours), el("span", f" try {file.attempt}", class_="faint num")),
            el("code", f"{file.sha256[:8]}…", title=file.sha256, class_="num"),
        ]
        for file in files[:ROWS_MAX]
    ]
    more = len(files) - ROWS_MAX
    return join(
        table(("path", "size", "kind", "vendor", "SHA-256"), rows, "Files"),
        el("p", f"and {more} more: Save files copies all of them", class_="faint") if more > 0 else "",
    )


class FilesForm:
    """The table of files, a link for one of them, copies of all. widget: the whole; hidden without an open run."""

    def __init__(self, session: Session, tasks: Tasks) -> None:
        self._session = session
        self._run_id = ""
        self._files: list[StoredFile] = []
        self.message = StatusLine()
        self._task = ExclusiveTask(tasks, self.message, self._draw)
        self.table = html_widget()
        self.file = dropdown("File", [], width="330px", label_width="30px")
        self.link = button("Get link", self._link, tip="A link that saves this file")
        self.save = button("Save files", self._save, tip=f"Copy all files into {FOLDER}/ where this console runs")
        may_save = session.rights.has(Right.OPERATE)
        self.controls = row(self.file, self.link, *([self.save] if may_save else []))
        self.widget = w.VBox([self.table, self.controls, self.message.widget])

    def show(self, run: Document, jobs: Sequence[Document], colours: Mapping[str, str]) -> None:
        if str(run["_id"]) != self._run_id:
            self._run_id = str(run["_id"])
            self.message.clear()
        recorded = stored_files(jobs)
        self.table.value = styled(join(el("h3", "Files"), files_table(run, recorded, colours)))
        files = [file for file in recorded if not file.deleted]
        if files != self._files:
            chosen, self._files = self.file.value, files
            options = {
                file.place: f"{file.label} ({show_size(file.bytes)}, {file.kind} of try {file.attempt})"
                for file in files[:ROWS_MAX]
            }
            self.file.options = [(text, place) for place, text in options.items()]
            self.file.value = chosen if chosen in options else next(iter(options), None)
        self._draw()

    def _draw(self) -> None:
        self.controls.layout.display = "" if self._files else "none"
        for control in (self.link, self.save):
            control.disabled = self._task.busy

    def _link(self) -> None:
        store, run_id = self._session.agent.ports.files, self._run_id
        chosen = [file for file in self._files if file.place == self.file.value]
        if chosen:
            self._task.run(
                f"Reading {chosen[0].path}",
                lambda: download_link(store, chosen[0]),
                lambda link: self.message.say(link) if self._run_id == run_id else self.message.clear(),
                Right.LOOK,
            )

    def _save(self) -> None:
        store, files, folder = self._session.agent.ports.files, self._files, Path(FOLDER).resolve() / self._run_id
        self._task.run(f"Copying {counted(len(files), 'file')}", lambda: copy_files(store, files, folder), self._saved)

    def _saved(self, folder: Path) -> None:
        self.message.say(join("Copied, and proven by SHA-256, into ", el("code", str(folder)), "."))
