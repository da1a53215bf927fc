"""The tools that look, and change nothing: runs, their jobs, decisions, files and logs, spending, and what waits."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Field

from gpuagent.api.routes.reports import spend_period
from gpuagent.core.model import ObservationType, Reserved
from gpuagent.core.run_files import matching
from gpuagent.core.run_list import RunFilter
from gpuagent.errors import BadInput
from gpuagent.mcp import arguments
from gpuagent.mcp.host import Host
from gpuagent.mcp.shown import (
    LIST_MAX,
    budget_shown,
    decision_explained,
    decision_shown,
    file_shown,
    halt_shown,
    job_shown,
    line_shown,
    money,
    run_shown,
    time_of,
    untrusted,
    vendor_id_of,
    vendor_shown,
)
from gpuagent.settings import read

APPROVERS = "a user approves or rejects: `gpuagent run approve`, the console, or REST with a token that may"
Status = Annotated[Literal["running", "completed", "failed"] | None, Field(description="only runs of this status")]
Phase = Annotated[
    Literal["PLANNING", "APPROVAL", "EXECUTING", "WAITING", "SUCCESS", "FAILED"] | None,
    Field(description="only runs in this phase; APPROVAL: a purchase waits for a user"),
]
Text = Annotated[str, Field(max_length=200)]
Offset = Annotated[int, Field(strict=True, ge=0, le=1_000_000, description="`next` of the page before")]
Day = Annotated[date | None, Field(description="a day, UTC, such as 2026-01-31")]


class Looks:
    """Tools of a host that only read."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def list_runs(
        self,
        status: Status = None,
        phase: Phase = None,
        user: Text = "",
        tag: Text = "",
        limit: arguments.Limit = arguments.PAGE,
        before: arguments.Before = "",
    ) -> dict[str, Any]:
        """List runs, newest first."""
        filters = {"status": status, "phase": phase, "userId": user, "tags": tag}
        page, following = self._run_page({name: value for name, value in filters.items() if value}, limit, before)
        return {"runs": [run_shown(run) for run in page], "next": following}

    def show_run(self, run_id: arguments.RunId) -> dict[str, Any]:
        """Show a run, its jobs and its newest decisions. Log lines: read_log; files: list_files."""
        snapshot = self._host.connections.database.reads.glance(run_id, [ObservationType.REASONING], limit=5)
        return {
            "run": run_shown(snapshot.run),
            "jobs": [job_shown(job) for job in snapshot.jobs[-LIST_MAX:]],
            "jobs_in_all": len(snapshot.jobs),
            "decisions": [decision_shown(observation) for observation in snapshot.observations],
        }

    def list_decisions(self, run_id: arguments.RunId, limit: arguments.Limit = arguments.PAGE) -> dict[str, Any]:
        """List a run's newest decisions, the newest first."""
        snapshot = self._host.connections.database.reads.glance(run_id, [ObservationType.REASONING], limit=limit)
        return {"decisions": [decision_shown(observation) for observation in snapshot.observations]}

    def explain_decision(
        self,
        run_id: arguments.RunId,
        decision_id: Annotated[str, Field(max_length=64, description="of list_decisions; empty: the newest")] = "",
    ) -> dict[str, Any]:
        """Explain a decision: its candidates, their quotes and scores, what refused them, and the guard's verdicts."""
        reads = self._host.connections.database.reads
        decision = reads.glance(run_id, [ObservationType.REASONING], limit=1, decision=decision_id).decision
        if decision is None or decision_id not in ("", str(decision["_id"])):
            raise BadInput(f"run {run_id} has no such decision: list_decisions shows those it has")
        return decision_explained(decision)

    def list_files(
        self,
        run_id: arguments.RunId,
        vendor_id: Text = "",
        kind: Literal["", "output", "checkpoint"] = "",
        limit: arguments.Limit = arguments.PAGE,
        offset: Offset = 0,
    ) -> dict[str, Any]:
        """List the files that came back of a run. Their contents a user downloads."""
        files = matching(self._host.connections.database.reads.files(run_id), vendor_id, "", kind)
        page, following = _page(files, limit, offset)
        return {"files": [file_shown(file) for file in page], "files_in_all": len(files), "next": following}

    def read_log(
        self,
        run_id: arguments.RunId,
        after: Annotated[str, Field(pattern=r"^([0-9a-f]{24})?$", description="a line_id; empty: the last lines")] = "",
        limit: arguments.Limit = arguments.PAGE,
    ) -> dict[str, Any]:
        """Read what a run's vendors logged: the last lines, or those after one."""
        lines = self._host.connections.database.reads.job_log(run_id, after)
        later = [line for line in lines if line.id > after]
        page = later[:limit] if after else later[-limit:]
        return {"lines": [line_shown(line) for line in page], "more": bool(after) and len(later) > limit}

    def list_vendors(self, limit: arguments.Limit = arguments.PAGE, offset: Offset = 0) -> dict[str, Any]:
        """List the vendors on record, and which of them are halted."""
        database = self._host.connections.database
        halts, vendors = database.reads.vendor_halts(), database.store.vendors()
        page, following = _page(vendors, limit, offset)
        entries = [vendor_shown(vendor, halts.get(vendor.vendor_id)) for vendor in page]
        return {"vendors": entries, "vendors_in_all": len(vendors), "next": following}

    def report_spend(
        self,
        by: Literal["vendor", "day", "user", "planner", "tag"] = "vendor",
        since: Day = None,
        until: Day = None,
        limit: arguments.Limit = arguments.PAGE,
        offset: Offset = 0,
    ) -> dict[str, Any]:
        """Report what was settled on chain in [since, until), and how much of it was for jobs that failed."""
        begin, end = spend_period(since, until)
        queries = self._host.connections.database.queries
        groups = queries.spend(by, begin.timestamp(), end.timestamp())
        # A job counts under each of its tags, so the tags' sums are not the whole.
        whole = groups if by != "tag" else queries.spend("vendor", begin.timestamp(), end.timestamp())
        page, following = _page(groups, limit, offset)
        return {
            "by": by,
            "since": begin.date().isoformat(),
            "until": end.date().isoformat(),
            **{name: money(sum(group[name] for group in whole)) for name in ("settled", "wasted")},
            "groups": [_group_shown(group) for group in page],
            "groups_in_all": len(groups),
            "next": following,
        }

    def list_budgets(self, limit: arguments.Limit = arguments.PAGE, offset: Offset = 0) -> dict[str, Any]:
        """List the budgets of tags and users over calendar months: what is used, how fast, and the forecast."""
        database = self._host.connections.database
        network = read(self._host.connections.environ).network
        shares = database.reads.budget_shares(network, database.store.now())
        page, following = _page(shares, limit, offset)
        return {"budgets": [budget_shown(share) for share in page], "budgets_in_all": len(shares), "next": following}

    def list_waiting(self, limit: arguments.Limit = arguments.PAGE, before: arguments.Before = "") -> dict[str, Any]:
        """List what waits for a user, over all runs: purchases to approve, and what is halted. No tool answers them."""
        database = self._host.connections.database
        page, following = self._run_page({"status": "running", "phase": "APPROVAL"}, limit, before)
        return {
            "approvals": [purchase for run in page for purchase in self._purchases(str(run["_id"]))],
            "next": following,
            "halts": [halt_shown(halt) for halt in database.store.policy().halts[:LIST_MAX]],
            "who_answers": APPROVERS,
        }

    def _run_page(self, match: dict[str, str], limit: int, before: str) -> tuple[Sequence[Any], str | None]:
        """Runs, newest first, and `before` of the next page; None on the last one."""
        names = {"status": "status", "phase": "phase", "user": "userId", "tag": "tags"}
        chosen = RunFilter(**{name: match.get(field, "") for name, field in names.items()})
        page = self._host.connections.database.reads.run_page(chosen, limit=limit, before=before)
        return page.runs, page.next or None

    def _purchases(self, run_id: str) -> list[dict[str, Any]]:
        run = self._host.connections.database.store.load(run_id)
        return [
            {
                "run_id": run_id,
                "job_id": job.job_id,
                "goal": untrusted(run.goal),
                "user_id": untrusted(run.user_id),
                "vendor_id": vendor_id_of(job.quote.vendor_id),
                "price": money(job.quote.amount),
                "expires_at": time_of(job.approval.expires_at) if job.approval else None,
            }
            for job in run.jobs
            if isinstance(job, Reserved) and job.unapproved
        ]


def _group_shown(group: dict[str, Any]) -> dict[str, Any]:
    amounts = {name: money(group[name]) for name in ("settled", "wasted")}
    return {
        "key": untrusted(group["key"]),
        **amounts,
        "payments": group["payments"],
        "jobs_completed": group["jobsCompleted"],
    }


def _page(entries: Sequence[Any], limit: int, offset: int) -> tuple[Sequence[Any], int | None]:
    """The page, and the offset of the next one; None on the last one."""
    end = offset + limit
    return entries[offset:end], end if end < len(entries) else None
