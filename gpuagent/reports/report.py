"""One report: its period, its scope and its figures. open_report() makes one."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cached_property
from typing import TYPE_CHECKING

import pandas as pd

from gpuagent.core.belief import PAST_JOBS_MAX
from gpuagent.core.months import BudgetShare
from gpuagent.core.records import ReportScope
from gpuagent.errors import BadInput
from gpuagent.reports.charts.kept import ChartBook
from gpuagent.reports.charts.style import Marks, marks
from gpuagent.reports.display import Display, parse_display
from gpuagent.reports.figures import attention, delivery, groups, headlines, runs, spend
from gpuagent.reports.figures.headlines import Headline
from gpuagent.reports.frames import Frame, Frames, ReportRows, read_frames
from gpuagent.reports.gather import Window
from gpuagent.reports.overview import Overview, overview
from gpuagent.reports.partitions import SIZES
from gpuagent.reports.period import Period, parse_period
from gpuagent.reports.request import ReportRequest, check_server
from gpuagent.reports.stream import ExportStream
from gpuagent.reports.summary_rows import Count, OpenRows, SummaryRows, uncounted

if TYPE_CHECKING:
    from gpuagent.core.ports.chain import Node
    from gpuagent.settings import Settings
    from gpuagent.wiring.database import Database


EXAMPLES_MAX = 5
"""Names that an error offers in place of an unknown one."""


@dataclass(frozen=True)
class Report:
    """The data of a report. Amounts in atomic units, times UTC. made_at: when the database was read.

    open_rows: opens rows of the database, for what is read when it is asked for.
    original_runs: the number of runs of the original system, which are left out everywhere.
    month_budgets: of the policy in force, with what is used of each while the report is made.
    fresh: what was kept of earlier reports is not believed. count: is called with the rows that the overview reads.

    frames, paid, decisions, started, delivered and unpaid hold every row, for analyses of one's own; no page or export
    asks for them.
    """

    request: ReportRequest
    period: Period
    display: Display
    network: str
    made_at: datetime
    chain: attention.ChainCheck
    open_rows: OpenRows
    original_runs: int = 0
    month_budgets: Sequence[BudgetShare] = ()
    fresh: bool = False
    count: Count = uncounted

    @cached_property
    def frames(self) -> Frames:
        """All rows that the report is about, as of when they are first asked for."""
        with self.open_rows() as rows:
            return read_frames(rows, self.scope, self.request.vendor, PAST_JOBS_MAX)

    @contextmanager
    def stream(self) -> Iterator[ExportStream]:
        """The rows of the period as of now, or of several moments where that takes minutes. Raises StoreError."""
        with self.open_rows() as rows:
            rows.allow_later_moments()
            yield ExportStream(rows, self.scope, self.period.since, self.period.until, self.request.vendor)

    @property
    def scope(self) -> ReportScope:
        period, request = self.period, self.request
        return ReportScope(self.network, period.before or period.since, period.until, request.user, request.tag)

    @cached_property
    def paid(self) -> Frame:
        """Purchases that settled in the period."""
        return spend.paid_in(self.frames.purchases, *self._window)

    @cached_property
    def decisions(self) -> Frame:
        """Paid answers of planners in the period."""
        return spend.decisions_in(self.frames.decisions, *self._window)

    @cached_property
    def started(self) -> Frame:
        """Runs that were started in the period."""
        return runs.started_in(self.frames.runs, *self._window)

    @cached_property
    def delivered(self) -> Frame:
        """Results that runs with a job file delivered, of those that were started in the period."""
        return delivery.delivered(self.started, self.frames.whole_purchases)

    @cached_property
    def overview(self) -> Overview:
        """What the page shows, as of when it is first asked for."""
        request = self.request
        return overview(
            self.open_rows, self.scope, request.vendor, self.period, self.made_at, self.count, self.fresh,
            self._charts_key,
        )  # fmt: skip

    @cached_property
    def charts(self) -> ChartBook:
        """The charts of the page, drawn or kept."""
        return ChartBook(self.overview.kept_charts)

    def keep_charts(self) -> None:
        """Keep the charts that were asked for, where something was drawn; of few runs none. Raises StoreError."""
        if self.charts.changed and self.overview.now.counts["started"] >= SIZES.least:
            with self.open_rows() as rows:
                rows.keep(self._charts_key, "", self.charts.content())

    @property
    def _charts_key(self) -> str:
        request = self.request
        return "|".join(("charts", self.network, request.period, request.by, request.vendor, request.user, request.tag))

    @cached_property
    def headlines(self) -> list[Headline]:
        """The figures on top, beside those of the previous period."""
        return headlines.headlines(self.overview.now, self.overview.before)

    @property
    def whole(self) -> int:
        """What was spent in the period, in atomic units: the first of the headlines."""
        return int(self.headlines[0].now or 0)

    @cached_property
    def groups(self) -> Frame:
        """What was spent by what the request says, as groups.by_group() has it."""
        return groups.by_group(groups.spent_by(self.request.by, self.overview.now.tables), self.whole)

    @cached_property
    def spent(self) -> Headline:
        """The first of the headlines, of which nothing but the sum is read."""
        unit, good = headlines.HEADLINES["Spent"]
        period = self.period
        with self.open_rows() as rows:
            now = rows.spent(self.scope, period.since, period.until, self.request.vendor)
            before = rows.spent(self.scope, period.before, period.since, self.request.vendor) if period.before else None
        return Headline("Spent", unit, now, before, good, period.before is not None)

    @cached_property
    def attention(self) -> Frame:
        """Payments that are held, late or recorded in two ways."""
        with self.stream() as stream:
            return attention.attention(*stream.undecided(), self.made_at)

    @cached_property
    def marks(self) -> Marks:
        """The look of vendors in every chart."""
        return marks(list(self.overview.vendors.vendorId))

    @cached_property
    def unpaid(self) -> Frame:
        """Purchases of the period that fell through before they were paid."""
        return spend.unpaid_in(self.frames.purchases, *self._window)

    @cached_property
    def nothing(self) -> str:
        """That nothing of what was asked for is in the period as of when it is first asked, in words; else ""."""
        filters = [f"{name} {value}" for name in ("user", "tag", "vendor") if (value := getattr(self.request, name))]
        window, vendor = (self.period.since, self.period.until), self.request.vendor
        with self.open_rows() as rows:
            if rows.happened(self.scope, *window, vendor) or (not filters and rows.answered(*window)):
                return ""
        scope = f" of {', '.join(filters)}" if filters else ""
        return f"Nothing{scope} was started or paid in {self.period.description}."

    @property
    def _window(self) -> Window:
        return pd.Timestamp(self.period.since), pd.Timestamp(self.period.until)


def make_report(
    request: ReportRequest,
    database: "Database",
    network: str,
    now: float,
    open_chain: Callable[[], AbstractContextManager["Node"]] | None = None,
    fresh: bool = False,
) -> Report:
    """A report of an open database. now: Unix seconds. open_chain: the chain to hold the ledger against, if any.

    network: CAIP-2; money of a test network is never added to another's. Raises BadInput, StoreError.
    """
    made_at = datetime.fromtimestamp(now, UTC)
    period = parse_period(request.period, made_at)
    display = parse_display(request.currency, request.rate)
    check_server(request.server)
    with database.reads.history() as rows:
        _check_filters(request, rows)
        original_runs = rows.original_runs()
    chain = attention.ChainCheck(skipped="it was not requested")
    if open_chain:
        chain = attention.check_chain(database.ledgers, open_chain)
    month_budgets = database.reads.budget_shares(network, now)
    return Report(
        request, period, display, network, made_at, chain, database.reads.history, original_runs, month_budgets, fresh
    )


def _check_filters(request: ReportRequest, rows: ReportRows) -> None:
    """Raises BadInput for a user, tag or vendor that no period knows: a report of zeros would hide the slip."""
    vendor_ids = [vendor["vendorId"] for vendor in rows.vendors()]
    if request.vendor and request.vendor not in vendor_ids:
        raise BadInput(f"no vendor {request.vendor[:80]!r}; known: {_examples(request.vendor, vendor_ids)}")
    for noun, value, field in (("of user", request.user, "userId"), ("with tag", request.tag, "tags")):
        if value and value not in (names := rows.names(field)):
            raise BadInput(f"no run {noun} {value[:80]!r}, in any period; there are: {_examples(value, names)}")


def _examples(value: str, names: Sequence[str]) -> str:
    """Those of the names that are like the value, or else the first."""
    examples = get_close_matches(value, names, EXAMPLES_MAX) or names[:EXAMPLES_MAX]
    return ", ".join(examples) + (" and others" if len(names) > len(examples) else "") if names else "none yet"


@contextmanager
def opened_report(
    request: ReportRequest, settings: "Settings | None" = None, chain: bool = True, fresh: bool = False
) -> Iterator[Report]:
    """A report of the user's MongoDB, or of an embedded one, which stays open until the block ends.

    chain: hold the ledger against the chain, if there is one. fresh: what was kept of earlier reports is not believed.

    Raises BadInput, ConfigError, StoreError.
    """
    from gpuagent import settings as environment
    from gpuagent import wiring
    from gpuagent.wiring.database import open_database

    configured = settings or environment.read()
    now = wiring.system_clock().now()
    # What cannot be is refused before a server starts.
    parse_period(request.period, datetime.fromtimestamp(now, UTC))
    parse_display(request.currency, request.rate)
    check_server(request.server)
    with open_database(configured) as database:
        open_chain = (lambda: wiring.open_chain(configured)) if chain else None
        yield make_report(request, database, configured.network, now, open_chain, fresh=fresh)


def open_report(request: ReportRequest, settings: "Settings | None" = None) -> Report:
    """A report of the same, held against the chain, which opens the database anew for whatever is asked of it.

    Raises BadInput, ConfigError, StoreError.
    """
    from gpuagent import settings as environment

    configured = settings or environment.read()
    with opened_report(request, configured) as report:
        return replace(report, open_rows=lambda: _rows_of(configured))


@contextmanager
def _rows_of(settings: "Settings") -> Iterator[SummaryRows]:
    from gpuagent.wiring.database import open_database

    with open_database(settings) as database, database.reads.history() as rows:
        yield rows
