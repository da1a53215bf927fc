"""The files of a report: CSV and Parquet of its frames, and the journal, FOCUS columns and page as one file each.

Money in files is exact: USD with 6 decimals, in CSV as plain numbers, in Parquet as decimal128. Times are ISO 8601 UTC.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpuagent.core.money import usd
from gpuagent.core.text import spreadsheet_text
from gpuagent.errors import BadInput
from gpuagent.reports import frames, sections
from gpuagent.reports.exports.focus import focus
from gpuagent.reports.exports.journal import journal
from gpuagent.reports.frames import Frame
from gpuagent.reports.page import page
from gpuagent.reports.report import Report

FILES = ("html", "focus", "journal")
FOLDERS = ("csv", "parquet")
FORMATS = (*FILES, *FOLDERS)
FILE_NAMES = {"html": "report.html", "focus": "focus.csv", "journal": "journal.csv"}
MONEY = {
    *("budgetTotal", "budgetRemaining", "settled", "held", "plannerCost"),
    *("expectedCost", "actualCost", "paid", "refunded", "cost", "amount", "basePricePerHour"),
    *("saved", "credit"),
}
MICROSECONDS = "%Y-%m-%dT%H:%M:%S.%fZ"
SECONDS = "%Y-%m-%dT%H:%M:%SZ"
"""FOCUS has no fractions of seconds."""


def write(report: Report, form: str, out: Path) -> list[Path]:
    """Write html, focus or journal to the file `out`, or csv or parquet into the folder `out`; the files written.

    Raises BadInput for an unknown form, or where nothing can be written.
    """
    if form not in FORMATS:
        raise BadInput(f"no format {form!r}; there are: {', '.join(FORMATS)}")
    try:
        if form in FILES:
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(text(report, form), "utf-8", newline="")
            return [out]
        out.mkdir(parents=True, exist_ok=True)
        return [_write_frame(frame, form, out / f"{name}.{form}") for name, frame in tables(report).items()]
    except OSError as error:
        raise BadInput(f"{error.filename or out} cannot be written: {error.strerror}") from error


def write_all(report: Report, folder: str) -> list[Path]:
    """Write every format into a folder, or nothing for ""; the files written. Raises BadInput."""
    if not folder:
        return []
    return [path for form in FORMATS for path in write(report, form, Path(folder) / FILE_NAMES.get(form, form))]


def text(report: Report, form: str) -> str:
    """A report in one of FILES."""
    match form:
        case "html":
            return html(report)
        case "journal":
            return csv(journal(report))
        case "focus":
            return csv(focus(report), SECONDS)
    raise BadInput(f"{form} is no single file")


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
    return page(title, subtitles, [section(report) for section in sections.ALL])


def tables(report: Report) -> Mapping[str, Frame]:
    """The tables of csv and parquet, money as Decimal USD: purchases and runs of the period, paid answers, vendors."""
    started = report.started
    purchases = _purchases_of_period(report).drop(columns=["approval"])
    frames_by_name = {
        "purchases": purchases.assign(outputs=purchases.outputs.map(_outputs_text).astype("str")),
        "runs": started.assign(plannerArms=started.plannerArms.map(_arms_text)),
        "planner": report.decisions,
        "vendors": report.frames.vendors,
        "attention": report.attention,
    }
    return {name: _in_usd(_with_tags_joined(frame)) for name, frame in frames_by_name.items()}


def _purchases_of_period(report: Report) -> Frame:
    """Purchases whose job was reserved, paid or ended in the period."""
    purchases = report.frames.purchases
    times = purchases[["createdAt", "settledAt", "completedAt"]]
    within = (times >= report.period.since) & (times < report.period.until)
    return purchases[within.any(axis=1)].reset_index(drop=True)


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


def _write_frame(frame: Frame, form: str, path: Path) -> Path:
    if form == "csv":
        path.write_text(csv(frame), "utf-8", newline="")
    else:
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pandas(frame, _schema(frame), preserve_index=False), path)
    return path


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


def csv(frame: Frame, time_format: str = MICROSECONDS) -> str:
    """A frame as CSV. Untrusted texts are no formulas, whichever separator a spreadsheet's locale expects."""
    text_columns = [name for name, kind in frame.dtypes.items() if str(kind) in ("str", "object")]
    texts = {name: frame[name].map(_inert) for name in text_columns}
    return str(frame.assign(**texts).to_csv(index=False, lineterminator="\n", date_format=time_format))


def _inert(value: Any) -> Any:
    """A text as spreadsheet_text() has it, and any other value, such as an amount, as it is."""
    return spreadsheet_text(value) if isinstance(value, str) else value
