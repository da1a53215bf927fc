"""One report: a period, whose runs, and everything that is shown of them. open_report() makes one."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

import pandas as pd

from gpuagent.adapters.mongo.report_rows import Scope
from gpuagent.agent.market import PAST_JOBS_MAX
from gpuagent.reports import frames
from gpuagent.reports.charts import style as drawing
from gpuagent.reports.display import Display, display
from gpuagent.reports.figures import attention, headlines, runs, spend
from gpuagent.reports.figures.headlines import Headline, Window
from gpuagent.reports.frames import Frame, Frames
from gpuagent.reports.period import Period, parse

if TYPE_CHECKING:
    from gpuagent.core.ports import Node
    from gpuagent.settings import Settings
    from gpuagent.wiring import Database

UNASKED = attention.ChainCheck(why_not="nobody asked for it")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person asked for. Empty user, tag or vendor: all. currency, rate: shown beside USD, such as EUR, 0.92."""

    period: str = "30d"
    user: str = ""
    tag: str = ""
    vendor: str = ""
    currency: str = ""
    rate: str = ""

    def __post_init__(self) -> None:
        """papermill makes a number of a parameter such as 2026."""
        for field in fields(self):
            object.__setattr__(self, field.name, str(getattr(self, field.name)).strip())


@dataclass(frozen=True)
class Report:
    """Amounts in atomic units, times UTC. made_at: when the database was read. original_runs: left out everywhere."""

    asked: Asked
    period: Period
    shown: Display
    network: str
    made_at: datetime
    frames: Frames
    chain: attention.ChainCheck
    original_runs: int = 0

    @cached_property
    def paid(self) -> Frame:
        """Purchases that settled in the period."""
        return spend.paid_in(self.frames.purchases, *self._now)

    @cached_property
    def decisions(self) -> Frame:
        """Paid answers of planners in the period."""
        return spend.asked_in(self.frames.decisions, *self._now)

    @cached_property
    def started(self) -> Frame:
        """Runs that were started in the period."""
        return runs.started_in(self.frames.runs, *self._now)

    @cached_property
    def headlines(self) -> list[Headline]:
        before = self.period.before
        earlier = (pd.Timestamp(before), self._now[0]) if before else None
        return headlines.headlines(self.frames, self._now, earlier)

    @cached_property
    def attention(self) -> Frame:
        return attention.attention(self.frames, self.made_at)

    @cached_property
    def marks(self) -> drawing.Marks:
        """How vendors are drawn, in every chart."""
        return drawing.marks(list(self.frames.vendors.vendorId))

    @cached_property
    def unpaid(self) -> Frame:
        """Purchases of the period that fell through before they were paid."""
        return spend.fell_through(self.frames.purchases, *self._now)

    @property
    def _now(self) -> Window:
        return pd.Timestamp(self.period.since), pd.Timestamp(self.period.until)


def make(
    asked: Asked,
    db: "Database",
    network: str,
    now: float,
    open_chain: "Callable[[], AbstractContextManager[Node]] | None" = None,
) -> Report:
    """network: CAIP-2; money of a test network is never added to another's. now: Unix seconds.

    open_chain: to hold the ledger against it; None to leave that out. Raises BadInput, StoreError.
    """
    made_at = datetime.fromtimestamp(now, UTC)
    period, shown = parse(asked.period, made_at), display(asked.currency, asked.rate)
    scope = Scope(network, period.before or period.since, period.until, asked.user, asked.tag)
    with db.reads.history() as history:
        found, original_runs = frames.read(history, scope, asked.vendor, PAST_JOBS_MAX), history.original_runs()
    chain = attention.check_chain(db, open_chain) if open_chain else UNASKED
    return Report(asked, period, shown, network, made_at, found, chain, original_runs)


def open_report(asked: Asked, settings: "Settings | None" = None, chain: bool = True) -> Report:
    """Of the user's MongoDB, or of an embedded one. chain: also hold the ledger against the chain, if there is one.

    Raises BadInput, ConfigError, StoreError.
    """
    from gpuagent import settings as environment
    from gpuagent import wiring
    from gpuagent.session import open_records

    known = settings or environment.read()
    now = wiring.system_clock().now()
    parse(asked.period, datetime.fromtimestamp(now, UTC)), display(asked.currency, asked.rate)  # before a server starts
    with wiring.open_database(known) if settings else open_records(os.environ) as db:
        opened = (lambda: wiring.open_chain(known)) if chain else None
        return make(asked, db, known.network, now, opened)
