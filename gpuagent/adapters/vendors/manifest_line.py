"""The lines that the wrapper writes among a job's output: what it left, and where; read as strangers' text is.

MARK{"checkpoint":[ENTRY…]}MARK for each checkpoint, MARK{"metric":{…}}MARK, and at the end
MARK{"end":true,"exit":0,"files":[ENTRY…]}MARK, with "problem" where the work did not begin. An entry of a manifest has
its `slot` beside it. The program could write such lines too: they name nothing but what is in the job's own folder, and
a file counts once its SHA-256 is proven.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gpuagent.adapters.vendors.manifest import read_checkpoint, read_files
from gpuagent.adapters.vendors.news import read_exit_code, read_rows
from gpuagent.adapters.vendors.wrapper import mark_of
from gpuagent.core.orders import manifest_sha256
from gpuagent.core.text import clean
from gpuagent.core.work import CheckpointOffer, FileEntry, JobReport, JobStatus
from gpuagent.wire import strict_json

LINE_MAX = 256 * 1024
"""Characters of one line for the agent."""
LINES_MAX = 2_000
"""Lines for the agent that are read: the newest count."""
PROBLEM_MAX = 300
_SLOT = re.compile(r"[oab][0-9]{1,4}", re.ASCII)
Place = tuple[str, str, str]
"""A file by the SHA-256 of its checkpoint's manifest ("" for an output), its path, and its own SHA-256."""


@dataclass(frozen=True, slots=True)
class JobNews:
    """What the wrapper said. lines: the program's own. slots: where each file is. exit_code: None before the end."""

    lines: tuple[str, ...] = ()
    ended: bool = False
    exit_code: int | None = None
    problem: str = ""
    files: tuple[FileEntry, ...] = ()
    checkpoint: CheckpointOffer | None = None
    metrics: tuple[Mapping[str, object], ...] = ()
    refused: tuple[str, ...] = ()
    slots: Mapping[Place, str] = field(default_factory=dict)


def read_news(lines: Iterable[str], folder: str) -> JobNews:
    """What the wrapper of the job with this folder wrote among these lines. The last end counts, and checkpoint."""
    mark, program_lines, texts = mark_of(folder), [], []
    for line in lines:
        head, delimiter, rest = line.partition(mark)
        if not delimiter:
            program_lines.append(line)
            continue
        if head:  # the program's last line, which it did not end
            program_lines.append(head)
        text = rest.rstrip("\r")
        texts.append(text.removesuffix(mark) if text.endswith(mark) and len(text) <= LINE_MAX else "")
    news, rows = JobNews(tuple(program_lines)), []
    for text in texts[-LINES_MAX:]:
        content = _object(text)
        if content is None:
            news = replace(news, refused=("a line of the wrapper cannot be read",))
        elif "metric" in content:
            rows.append(content["metric"])
        elif "checkpoint" in content:
            news = _with_checkpoint(news, content["checkpoint"])
        elif content.get("end") is True:
            news = _with_end(news, content)
    return replace(news, metrics=read_rows(rows)) if news.ended else news


def with_news(report: JobReport, news: JobNews) -> JobReport:
    """The vendor's report with what the wrapper said. Of how the program ended the vendor's own word counts first."""
    over = report.status in (JobStatus.COMPLETED, JobStatus.FAILED)
    report = replace(report, checkpoint=news.checkpoint, refused=(*report.refused, *news.refused)[:6])
    if not over:
        return report
    if news.problem:
        problem = f"the work did not begin: {news.problem}"
        return replace(report, status=JobStatus.FAILED, exit_code=None, error_message=problem)
    if not news.ended:
        return replace(report, refused=(*report.refused, "its output does not say which files the job left"))
    exit_code = news.exit_code if report.exit_code is None else report.exit_code
    return replace(report, exit_code=exit_code, files=news.files, metrics=news.metrics)


def _object(text: str) -> dict[str, Any] | None:
    try:
        content = strict_json.parse(text.encode())
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _with_end(news: JobNews, content: Mapping[str, Any]) -> JobNews:
    files, reasons = read_files(content.get("files"))
    problem = content.get("problem")
    return replace(
        news,
        ended=True,
        exit_code=read_exit_code(content.get("exit")),
        problem=clean(problem, PROBLEM_MAX) if isinstance(problem, str) else "",
        files=files,
        refused=reasons,
        slots={**news.slots, **_slots(content.get("files"), files, "")},
    )


def _with_checkpoint(news: JobNews, entries: object) -> JobNews:
    """A checkpoint is named by the SHA-256 of its list, which is computed here."""
    files, _ = read_files(entries)
    sha256 = manifest_sha256(files)
    checkpoint, reasons = read_checkpoint({"files": entries, "sha256": sha256})
    if checkpoint is None:
        return replace(news, refused=reasons)
    slots = {**news.slots, **_slots(entries, files, sha256)}
    return replace(news, checkpoint=checkpoint, slots=slots)


def _slots(entries: object, files: tuple[FileEntry, ...], checkpoint: str) -> dict[Place, str]:
    """The place of each file; none for one whose slot is no such name."""
    known = {(file.path, file.sha256) for file in files}
    return {
        (checkpoint, entry["path"], entry["sha256"].lower()): entry["slot"]
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, dict)
        and isinstance(entry.get("sha256"), str)
        and (entry.get("path"), entry["sha256"].lower()) in known
        and isinstance(entry.get("slot"), str)
        and _SLOT.fullmatch(entry["slot"])
    }
