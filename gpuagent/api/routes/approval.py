"""The approval page that a message links to. Its token is all that it takes: it needs no other, and is in no log.

GET shows and changes nothing, for mail scanners open links. POST answers exactly the purchase of the token.
"""

from typing import Annotated
from urllib.parse import parse_qs, urlsplit

from fastapi import APIRouter, Depends, Query, Request, Response

from gpuagent.agent.approve import approve, reject
from gpuagent.alerts.delivery import LinkSettings
from gpuagent.alerts.links import PATH, read_token
from gpuagent.api import approval_page
from gpuagent.api.connections import Connected, Connections
from gpuagent.core.alerts import Purchase
from gpuagent.core.model import Run
from gpuagent.core.money import show_usd
from gpuagent.core.text import WHY_MAX, clean
from gpuagent.errors import BadInput, IllegalTransition, UnknownRun
from gpuagent.wiring import system_clock

routes = APIRouter()
NO_REASON = "no reason was given at the link"
NOT_SET_UP = "this server takes no answers by a link"


async def _form(request: Request) -> dict[str, str]:
    """The first value of each field of a form; nothing of a body that is none."""
    body = (await request.body()).decode("ascii", "replace")
    try:
        fields = parse_qs(body, max_num_fields=10)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}


@routes.get(PATH, include_in_schema=False)
def show(request: Request, connections: Connected, token: Annotated[str, Query(alias="t")] = "") -> Response:
    """Show the purchase that a link is about. Changes nothing."""
    links: LinkSettings | None = request.app.state.links
    try:
        purchase, approver = _meant(token, links)
        run = connections.database.store.load(purchase.run_id)
    except BadInput as error:
        return _refusal(error)
    job, problem = approval_page.waiting_purchase(purchase, run, connections.database.store.now())
    if job is None:
        return approval_page.words("Nothing waits here", problem)
    return approval_page.question(run, job, connections.database.store.policy(), approver, token)


@routes.post(PATH, include_in_schema=False)
def answer(request: Request, connections: Connected, form: Annotated[dict[str, str], Depends(_form)]) -> Response:
    """Approve or reject the purchase of the token, at its amount and quote."""
    links: LinkSettings | None = request.app.state.links
    try:
        purchase, approver = _meant(form.get("t", ""), links)
        _check_own_page(request, form, links)
        run = connections.database.store.load(purchase.run_id)
    except BadInput as error:
        return _refusal(error)
    job, problem = approval_page.waiting_purchase(purchase, run, connections.database.store.now())
    if job is None:
        return approval_page.words("Nothing was done", problem, 409)
    try:
        said = _decide(form, purchase, approver, connections)
    except (BadInput, IllegalTransition) as error:  # answered a moment ago, or expired
        return approval_page.words("Nothing was done", f"{error}.", 409)
    return approval_page.words(*said)


def _decide(form: dict[str, str], purchase: Purchase, approver: str, connections: Connections) -> tuple[str, str]:
    store, clock = connections.database.store, system_clock()
    price = show_usd(purchase.amount)
    if form["answer"] == "approve":
        run: Run = approve(purchase.run_id, approver, purchase.amount, store, clock, purchase.job_id)
        return f"Approved {price}", f"Recorded as {approver}. Run {run.run_id} signs it at its next tick."
    why = clean(form.get("why", "").strip(), WHY_MAX) or NO_REASON
    reject(purchase.run_id, approver, why, store, clock, purchase.job_id)
    return f"Rejected {price}", f"Recorded as {approver}: {why}. The run looks elsewhere."


def _meant(token: str, links: LinkSettings | None) -> tuple[Purchase, str]:
    """The purchase of a token, and the name that an answer is recorded under. Raises BadInput."""
    if links is None:
        raise BadInput(NOT_SET_UP)
    purchase, channel = read_token(token, links)
    approver = links.approvers.get(channel)
    if approver is None:
        raise BadInput("whoever got this link may not approve any more")
    return purchase, f"{approver} (by the link to {channel})"


def _check_own_page(request: Request, form: dict[str, str], links: LinkSettings | None) -> None:
    """Raises BadInput for a form of another page, as far as the browser says whose it is: the token says the rest."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "same-origin")
    parts = urlsplit(links.url if links else "")
    own = (f"{parts.scheme}://{parts.netloc}", f"{request.url.scheme}://{request.headers.get('host', '')}")
    if site != "same-origin" or (origin is not None and origin not in own):
        raise BadInput("this did not come from the page of the link: open the link, and answer there")
    if form.get("answer") not in ("approve", "reject"):
        raise BadInput("this says neither approve nor reject: open the link, and answer there")


def _refusal(error: BadInput) -> Response:
    text = "this link is not valid any more: its run is gone" if isinstance(error, UnknownRun) else str(error)
    return approval_page.words("Nothing was done", f"{text}.", 403)
