"""A report as files: CSV and Parquet of its frames, a journal, FOCUS columns, one HTML page.

Money in files is exact: USD with 6 decimals, in CSV as plain numbers, in Parquet as decimal128. Times are ISO 8601 UTC.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpuagent.core.money import usd
from gpuagent.errors import BadInput
from gpuagent.reports import frames, sections
from gpuagent.reports.exports.focus import focus
from gpuagent.reports.exports.journal import journal
from gpuagent.reports.frames import Frame
from gpuagent.reports.page import page
from gpuagent.reports.report import Report

FILES, FOLDERS = ("html", "focus", "journal"), ("csv", "parquet")
FORMATS = (*FILES, *FOLDERS)
MONEY = {
    *("budgetTotal", "budgetRemaining", "settled", "held", "plannerCost"),
    *("expectedCost", "actualCost", "paid", "refunded", "cost", "amount", "basePricePerHour"),
}
LEFT_OUT = ("approval",)
TIMES, SECONDS = "%Y-%m-%dT%H:%M:%S.%fZ", "%Y-%m-%dT%H:%M:%SZ"
"""FOCUS has no fractions of seconds."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write(report: Report, form: str, out: Path) -> list[Path]:
    """The files that were written: html, focus and journal to the file `out`, csv and parquet into the folder `out`.

    Raises BadInput for an unknown form, or where nothing can be written.
    """
    check(form)
    try:
        if form in FILES:
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(text(report, form), "utf-8", newline="")
            return [out]
        out.mkdir(parents=True, exist_ok=True)
        return [_write_frame(frame, form, out / name) for name, frame in tables(report).items()]
    except OSError as error:
        raise BadInput(f"{error.filename or out} cannot be written: {error.strerror}") from error


def write_all(report: Report, folder: str) -> list[Path]:
    """Every format, in a folder; "": nothing. Raises BadInput."""
    if not folder:
        return []
    names = {"html": "report.html", "focus": "focus.csv", "journal": "journal.csv", "csv": "csv", "parquet": "parquet"}
    return [path for form in FORMATS for path in write(report, form, Path(folder) / names[form])]


def check(form: str) -> None:
    if form not in FORMATS:
        raise BadInput(f"no format {form!r}; there are: {', '.join(FORMATS)}")


def text(report: Report, form: str) -> str:
    """One of FILES as text."""
    match form:
        case "html":
            return html(report)
        case "journal":
            return csv(journal(report))
        case "focus":
            return csv(focus(report), SECONDS)
    raise BadInput(f"{form} is no single file")


def html(report: Report) -> str:
    asked = report.asked
    named = {"user": asked.user, "tag": asked.tag, "vendor": asked.vendor}
    chosen = [f"{name} {value}" for name, value in named.items() if value]
    money = f"Amounts in USD; 1 USDC is booked as 1 USD. {report.shown.words}"
    told = [
        f"{report.period.words} · {', '.join(chosen) or 'all users, tags and vendors'} · network {report.network}",
        f"Made {report.made_at:%Y-%m-%d %H:%M} UTC. {money}".rstrip(),
    ]
    return page(f"GPU cost report: {report.period.label}", told, [make(report) for make in sections.ALL])


def tables(report: Report) -> Mapping[str, Frame]:
    """What csv and parquet hold, money as Decimal USD: purchases and runs of the period, paid answers, vendors."""
    purchases = _of_period(report)
    found = {
        "purchases": purchases.drop(columns=list(LEFT_OUT)),
        "runs": report.started.assign(plannerArms=report.started.plannerArms.map(_arms)),
        "planner": report.decisions,
        "vendors": report.frames.vendors,
        "attention": report.attention,
    }
    return {name: _in_usd(_joined(frame)) for name, frame in found.items()}


def _of_period(report: Report) -> Frame:
    """Jobs that were reserved, paid or ended in it."""
    purchases, chosen = report.frames.purchases, None
    for name in ("createdAt", "settledAt", "completedAt"):
        within = (purchases[name] >= report.period.since) & (purchases[name] < report.period.until)
        chosen = within if chosen is None else chosen | within
    return purchases[chosen].reset_index(drop=True)


def _arms(arms: Any) -> str:
    return " ".join(f"{arm['planner']}={arm['weight']}" for arm in arms)


def _joined(frame: Frame) -> Frame:
    """Tags as one text, for a file has no lists."""
    return frame.assign(tags=frame.tags.map(" ".join).astype("str")) if "tags" in frame else frame


def _in_usd(frame: Frame) -> Frame:
    money = [name for name in frame.columns if name in MONEY]
    return frame.assign(**{name: frame[name].map(lambda one: usd(int(one))).astype("object") for name in money})


def _write_frame(frame: Frame, form: str, path: Path) -> Path:
    path = path.with_suffix(f".{form}")
    if form == "csv":
        path.write_text(csv(frame), "utf-8", newline="")
    else:
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pandas(frame, _schema(frame), preserve_index=False), path)
    return path


def _schema(frame: Frame) -> Any:
    """Also of an empty frame: what a column holds is known from its name."""
    import pyarrow

    kinds = {"str": pyarrow.string(), "int64": pyarrow.int64(), "float64": pyarrow.float64(), "bool": pyarrow.bool_()}
    kinds[frames.TIME] = pyarrow.timestamp("us", "UTC")
    money, words = pyarrow.decimal128(20, 6), pyarrow.string()
    return pyarrow.schema(
        [(name, money if name in MONEY else kinds.get(str(kind), words)) for name, kind in frame.dtypes.items()]
    )


def csv(frame: Frame, times: str = TIMES) -> str:
    """Vendors' and users' texts that a spreadsheet would take for a formula begin with an apostrophe."""
    plain = frame.assign(**{name: frame[name].map(_plain) for name in frame.columns if str(frame[name].dtype) == "str"})
    return str(plain.to_csv(index=False, lineterminator="\n", date_format=times))


def _plain(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
