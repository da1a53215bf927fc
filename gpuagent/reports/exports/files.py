"""The files of a report: CSV and Parquet of its frames, and the journal, FOCUS columns and page as one file each.

Money in files is exact: USD with 6 decimals, in CSV as plain numbers, in Parquet as decimal128. Times are ISO 8601 UTC.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import pandas as pd

from gpuagent.core.money import usd
from gpuagent.errors import BadInput
from gpuagent.render.drafts import output
from gpuagent.reports import frames, sections
from gpuagent.reports.exports import focus, journal
from gpuagent.reports.exports.csv_text import SECONDS, Frames, csv_pieces
from gpuagent.reports.frames import Frame
from gpuagent.reports.page import page
from gpuagent.reports.report import Report
from gpuagent.reports.stream import ExportStream

FILES = ("html", "focus", "journal")
FOLDERS = ("csv", "parquet")
FORMATS = (*FILES, *FOLDERS)
FILE_NAMES = {"html": "report.html", "focus": "focus.csv", "journal": "journal.csv"}
MONEY = {
    *("budgetTotal", "budgetRemaining", "settled", "held", "plannerCost"),
    *("expectedCost", "actualCost", "paid", "refunded", "cost", "amount", "basePricePerHour"),
    *("saved", "credit"),
}
ROWS = 2_000
"""Rows of the journal or of FOCUS that are written together."""
Count: TypeAlias = Callable[[int], None]
"""Called with the number of rows of each batch on its way into a file."""


def uncounted(rows: int) -> None:
    """Counts nothing."""


def write(report: Report, form: str, out: Path, count: Count = uncounted) -> list[Path]:
    """Write html, focus or journal to the file `out`, or csv or parquet into the folder `out`; the files written.

    All but the page are written as they are read, in bounded memory, and take their places once all is written. count:
    is called with the rows of each batch. Raises BadInput for an unknown form, or where nothing can be written.
    """
    if form not in FORMATS:
        raise BadInput(f"no format {form!r}; there are: {', '.join(FORMATS)}")
    try:
        if form in FILES:
            out.parent.mkdir(parents=True, exist_ok=True)
            with output(out) as file:
                file.writelines(piece.encode() for piece in pieces(report, form, count))
            return [out]
        out.mkdir(parents=True, exist_ok=True)
        with report.stream() as stream, ExitStack() as whole:  # the tables of one moment take their places together
            batched = batched_tables(report, stream)
            files = {name: whole.enter_context(output(out / f"{name}.{form}")) for name in batched}
            for name, batches in batched.items():
                _write_frames(_counted(batches, count), form, files[name])
        return [out / f"{name}.{form}" for name in files]
    except OSError as error:
        raise BadInput(f"{out} cannot be written: {error.strerror}") from error


def write_all(report: Report, folder: str) -> list[Path]:
    """Write every format into a folder, or nothing for ""; the files written. Raises BadInput."""
    if not folder:
        return []
    return [path for form in FORMATS for path in write(report, form, Path(folder) / FILE_NAMES.get(form, form))]


def text(report: Report, form: str) -> str:
    """A report in one of FILES."""
    return "".join(pieces(report, form))


def pieces(report: Report, form: str, count: Count = uncounted) -> Iterator[str]:
    """The text of a report in one of FILES, piece by piece."""
    match form:
        case "html":
            yield html(report)
        case "journal":
            with report.stream() as stream:
                yield from csv_pieces(_counted(_framed(journal.lines(stream), journal.frame_of), count))
        case "focus":
            with report.stream() as stream:
                yield from csv_pieces(_counted(_framed(focus.charges(stream), focus.frame_of), count), SECONDS)
        case _:
            raise BadInput(f"{form} is no single file")


def _counted(batches: Frames, count: Count) -> Frames:
    for frame in batches:
        count(len(frame))
        yield frame


def _framed(rows: Iterator[Mapping[str, Any]], frame_of: Callable[[Iterable[Mapping[str, Any]]], Frame]) -> Frames:
    """Frames of ROWS rows; at least one, which may be empty, for its columns."""
    yield frame_of(islice(rows, ROWS))
    while batch := list(islice(rows, ROWS)):
        yield frame_of(batch)


def html(report: Report) -> str:
    """The page."""
    request = report.request
    filters = {"user": request.user, "tag": request.tag, "vendor": request.vendor}
    scope = ", ".join(f"{name} {value}" for name, value in filters.items() if value) or "all users, tags and vendors"
    money = f"Amounts in USD; 1 USDC is booked as 1 USD. {report.display.rate_note}".rstrip()
    subtitles = [
        f"{report.period.description} · {scope} · network {report.network}",
        f"Made {report.made_at:%Y-%m-%d %H:%M} UTC. {money}",
    ]
    title = f"GPU cost report: {report.period.label}"
    parts = [section(report) for section in sections.ALL]
    report.keep_charts()
    return page(title, subtitles, parts)


def tables(report: Report) -> Mapping[str, Frame]:
    """The tables of csv and parquet, money as Decimal USD: purchases and runs of the period, paid answers, vendors."""
    with report.stream() as stream:
        return {name: _joined(list(batches)) for name, batches in batched_tables(report, stream).items()}


def _joined(batches: list[Frame]) -> Frame:
    """The rows of all batches, of which the first may be empty."""
    return pd.concat([batch for batch in batches if len(batch)] or batches[:1], ignore_index=True)


def batched_tables(report: Report, stream: ExportStream) -> Mapping[str, Frames]:
    """The same tables in frames of some thousand rows; of each there is at least one, which may be empty."""
    batches = {
        "purchases": map(_purchases, _never_none(stream.purchases(), frames.PURCHASES)),
        "runs": (
            runs.assign(plannerArms=runs.plannerArms.map(_arms_text))
            for runs in _never_none(stream.started(), frames.RUNS)
        ),
        "planner": _never_none(stream.decisions("at"), frames.DECISIONS),
        "vendors": iter([stream.vendors]),
        "attention": (report.attention for _ in range(1)),
    }
    return {name: (_in_usd(_with_tags_joined(frame)) for frame in batch) for name, batch in batches.items()}


def _never_none(batches: Iterator[Frame], columns: Mapping[str, str]) -> Frames:
    """The batches, after an empty one: a file has its columns though it has no row."""
    yield frames.frame([], columns)
    yield from batches


def _purchases(purchases: Frame) -> Frame:
    return purchases.drop(columns=["approval"]).assign(outputs=purchases.outputs.map(_outputs_text).astype("str"))


def _outputs_text(outputs: Any) -> str:
    """The outputs of a job as JSON, for a file has no lists."""
    names = ("path", "bytes", "sha256")
    return json.dumps([{name: file[name] for name in names} for file in outputs], ensure_ascii=False) if outputs else ""


def _arms_text(arms: Any) -> str:
    return " ".join(f"{arm['planner']}={arm['weight']}" for arm in arms)


def _with_tags_joined(frame: Frame) -> Frame:
    """Tags as one text, for a file has no lists."""
    return frame.assign(tags=frame.tags.map(" ".join).astype("str")) if "tags" in frame else frame


def _in_usd(frame: Frame) -> Frame:
    money = [name for name in frame.columns if name in MONEY]
    return frame.assign(**{name: frame[name].map(lambda units: usd(int(units))).astype("object") for name in money})


def _write_frames(batches: Frames, form: str, file: BinaryIO) -> None:
    if form == "csv":
        file.writelines(piece.encode() for piece in csv_pieces(batches))
        return
    import pyarrow
    from pyarrow import parquet

    first = next(batches)
    schema = _schema(first)

    def table(frame: Frame) -> Any:
        return pyarrow.Table.from_pandas(frame, schema, preserve_index=False)

    with parquet.ParquetWriter(file, table(first).schema) as writer:
        for frame in chain([first], batches):
            if len(frame):
                writer.write_table(table(frame))


def _schema(frame: Frame) -> Any:
    """The Parquet types of a frame's columns, the same where the frame is empty: money is known by its name."""
    import pyarrow

    types = {
        "str": pyarrow.string(),
        "int64": pyarrow.int64(),
        "float64": pyarrow.float64(),
        "bool": pyarrow.bool_(),
        frames.TIME: pyarrow.timestamp("us", "UTC"),
    }
    money = pyarrow.decimal128(20, 6)
    columns = [
        (name, money if name in MONEY else types.get(str(kind), pyarrow.string()))
        for name, kind in frame.dtypes.items()
    ]
    return pyarrow.schema(columns)
