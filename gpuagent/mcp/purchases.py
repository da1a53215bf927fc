"""The tools that act: what a run would buy, its start, its ticks. Whether anything is paid, the owner's policy says."""

import json
from collections.abc import Mapping
from typing import Any

from mcp.server.mcpserver import Context
from pydantic import ValidationError

from gpuagent.agent.dry_run import simulate
from gpuagent.agent.start import prepare
from gpuagent.api.as_json import action_json, tick_message
from gpuagent.api.idempotency import perform_once
from gpuagent.api.problems import ProblemError
from gpuagent.api.requests import HedgeAfter, StartRequest
from gpuagent.api.routes.runs import order_of, start_once
from gpuagent.core.money import usd
from gpuagent.errors import BadInput
from gpuagent.mcp import arguments
from gpuagent.mcp.host import Host
from gpuagent.mcp.shown import rehearsal_shown, run_shown, untrusted
from gpuagent.tick import tick

START = "mcp start_run"


class Purchases:
    """Tools of a host. Their user, and the tags of their runs, are the host's: budgets hold by these."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def dry_run(
        self,
        ctx: Context,
        run_id: arguments.RunId | None = None,
        budget_usd: arguments.Atomic | None = None,
        goal: arguments.Goal = "",
        gpu_type: arguments.Gpu = None,
        max_hours: arguments.MaxHours = None,
        vendor_ids: arguments.VendorIds = [],  # noqa: B006 - pydantic copies it
        tags: arguments.Tags = [],  # noqa: B006
        planner: arguments.Planner = "",
        job: arguments.Job = None,
        inputs: arguments.Inputs = {},  # noqa: B006
    ) -> dict[str, Any]:
        """Show what would be bought next, by a run that there is, or by a new one with these arguments.

        Asks vendors for prices; signs, reserves and saves nothing. An llm planner costs what `planner_cost` says.
        """
        host = self._host
        order = [budget_usd, goal, gpu_type, max_hours, vendor_ids, tags, planner, job, inputs]
        if bool(run_id) == (budget_usd is not None) or (run_id and any(order)):
            raise BadInput("name a run by run_id, or say by budget_usd and the rest what a new one would be: not both")
        ports = host.connections.agent.ports
        if run_id:
            return rehearsal_shown(simulate(ports.store.load(run_id), ports))
        assert budget_usd is not None
        request = self._request(
            ctx,
            budget_usd,
            tags,
            goal=goal or "a dry run",
            gpu_type=gpu_type,
            max_hours=max_hours,
            vendor_ids=vendor_ids,
            planner=planner,
            job=job,
            inputs=inputs,
        )
        return rehearsal_shown(simulate(prepare(order_of(request, host.connections), ports), ports))

    def start_run(
        self,
        ctx: Context,
        idempotency_key: arguments.Key,
        budget_usd: arguments.Atomic,
        goal: arguments.Goal = "",
        gpu_type: arguments.Gpu = None,
        max_hours: arguments.MaxHours = None,
        vendor_ids: arguments.VendorIds = [],  # noqa: B006
        tags: arguments.Tags = [],  # noqa: B006
        planner: arguments.Planner = "",
        jobs_open_max: arguments.JobsOpen = 1,
        hedge_after: HedgeAfter = None,
        job: arguments.Job = None,
        inputs: arguments.Inputs = {},  # noqa: B006
    ) -> dict[str, Any]:
        """Write a run down. It buys nothing until it is ticked, and then within its budget and the owner's policy."""
        host = self._host
        request = self._request(
            ctx,
            budget_usd,
            tags,
            goal=goal,
            gpu_type=gpu_type,
            max_hours=max_hours,
            vendor_ids=vendor_ids,
            planner=planner,
            jobs_open_max=jobs_open_max,
            hedge_after=hedge_after,
            job=job,
            inputs=inputs,
        )
        content = json.dumps(request.model_dump(mode="json"), sort_keys=True).encode()
        owner = f"{host.caller(ctx)} {START}"

        def work(run_id: str, again: bool) -> Mapping[str, Any]:
            return {"run_id": start_once(request, host.connections, run_id, again)}

        answers = host.connections.database.queries.answers
        status, body, _ = perform_once(answers, owner, idempotency_key, content, work, _explained)
        if status >= 300:
            raise ProblemError(status, body["code"], body["detail"])
        return {"run": run_shown(host.connections.database.queries.run(body["run_id"]))}

    def tick_run(self, ctx: Context, run_id: arguments.RunId) -> dict[str, Any]:
        """Make a run's steps until it must wait or is over. This is what spends, within the policy and the budget.

        Where a purchase waits for approval, a user approves it elsewhere: no tool does, and more ticks change nothing.
        """
        connections = self._host.connections
        before = connections.database.store.load(run_id)
        self._host.check_run(ctx, before.user_id)
        after = tick(run_id, connections.agent.ports)
        action = action_json(connections.database.queries.decision_since(run_id, before.version))
        return {
            "message": tick_message(before, after),
            "action": {**action, "reason": untrusted(action["reason"])} if action else None,
            "run": run_shown(connections.database.queries.run(run_id)),
        }

    def _request(self, ctx: Context, budget: int, tags: list[str], **fields: Any) -> StartRequest:
        """The request as REST has it, with the host's user, and its tags before the client's."""
        host = self._host
        try:
            return StartRequest(
                user_id=host.user(ctx),
                budget_total=usd(budget),
                tags=list(dict.fromkeys([*host.tags, *tags])),
                **fields,
            )
        except ValidationError as error:  # only what the host adds can be too much: the arguments have been checked
            raise BadInput(
                f"tags: at most 20, with {len(host.tags)} of this server's: {error.error_count()} fault"
            ) from None


def _explained(problem: ProblemError) -> Mapping[str, Any]:
    return {"code": problem.code, "detail": problem.detail}
