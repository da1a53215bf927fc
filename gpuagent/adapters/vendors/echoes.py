"""What vendors say, without what they were sent: terms that an objection quotes, and reports that are kept."""

from collections.abc import Mapping
from dataclasses import replace

from gpuagent.core.model import Quote, Terms
from gpuagent.core.work import FileEntry, JobReport
from gpuagent.wire.scrub import Scrubber


def scrubbed_terms(terms: Terms, quote: Quote, scrubber: Scrubber) -> Terms:
    """The terms, whose texts an objection to them quotes. What is as agreed is a name that we know, and stays."""
    agreed = {quote.network, quote.asset, quote.pay_to, str(quote.amount)}

    def shown(text: str) -> str:
        return text if text in agreed else scrubber.scrub_words(text)

    return replace(
        terms,
        scheme=shown(terms.scheme),
        network=shown(terms.network),
        asset=shown(terms.asset),
        amount=shown(terms.amount),
        pay_to=shown(terms.pay_to),
        extra=scrubber.scrub_value(dict(terms.extra)),
    )


def scrubbed_report(report: JobReport, scrubber: Scrubber) -> JobReport:
    files = tuple(file for file in report.files if not _leaks(file, scrubber))
    checkpoint, refused = report.checkpoint, scrubber.scrub_lines(report.refused)
    if checkpoint and any(_leaks(file, scrubber) for file in checkpoint.files):
        checkpoint = None
    if len(files) < len(report.files) or checkpoint is not report.checkpoint:
        refused += ("a path holds a secret that the vendor was sent",)
    cursor = report.cursor if scrubber.scrub_words(report.cursor) == report.cursor else ""
    if cursor != report.cursor:
        refused += ("the cursor holds a secret that the vendor was sent",)
    return replace(
        report,
        logs=scrubber.scrub_lines(report.logs),
        final_metrics=_scrubbed_metrics(report.final_metrics, scrubber),
        metrics=tuple(_scrubbed_metrics(metrics, scrubber) for metrics in report.metrics),
        files=files,
        checkpoint=checkpoint,
        cursor=cursor,
        refused=refused,
        artifact_url=scrubber.scrub_words(report.artifact_url),
        error_message=scrubber.scrub(report.error_message),
        word=scrubber.scrub(report.word),
    )


def _scrubbed_metrics(metrics: Mapping[str, object], scrubber: Scrubber) -> dict[str, object]:
    return {
        scrubber.scrub(name): scrubber.scrub(value) if isinstance(value, str) else value
        for name, value in metrics.items()
    }


def _leaks(file: FileEntry, scrubber: Scrubber) -> bool:
    """Whether the path holds a secret. It cannot be scrubbed: the file is asked for by it."""
    return scrubber.scrub_words(file.path) != file.path
