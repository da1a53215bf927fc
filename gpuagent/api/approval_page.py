"""The page of an approval request behind its link. It shows what is approved, and runs no script."""

from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape

from fastapi.responses import HTMLResponse

from gpuagent.core import budget
from gpuagent.core.alerts import Purchase, fingerprint
from gpuagent.core.model import Cause, Reserved, Run, Voided
from gpuagent.core.money import show_usd
from gpuagent.core.policy import Policy, halt
from gpuagent.core.text import WHY_MAX, clean

STYLE = (
    ":root{color-scheme:light dark}"  # of the root: else the text stays black on a dark page
    "body{font:16px/1.5 system-ui,sans-serif;max-width:40em;margin:1.5em auto;padding:0 1em;"
    "overflow-wrap:anywhere}h1{font-size:1.35em;line-height:1.25}dl{display:grid;grid-template-columns:max-content 1fr;"
    "gap:.3em 1em;margin:1.2em 0}dt{opacity:.75}dd{margin:0}label{display:block;margin:1.2em 0 .3em}"
    "input[type=text]{font:inherit;width:100%;box-sizing:border-box;padding:.4em}button{font:inherit;font-weight:600;"
    "padding:.55em 1.2em;margin:.8em .6em 0 0;border:1px solid;border-radius:6px;cursor:pointer}"
    "button.yes{background:#1b6e3c;color:#fff;border-color:#1b6e3c}"
    ".warn{border-left:4px solid #c62828;padding:.2em .8em}"
    "@media(max-width:480px){dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.6em}button{width:100%;margin-right:0}}"
)
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",  # with none at all, a browser would not say where a form comes from
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex",
}


def waiting_purchase(purchase: Purchase, run: Run, now: float) -> tuple[Reserved | None, str]:
    """The purchase as it waits, with just this quote; or why nothing waits, in words. now: the database's clock."""
    job = next((job for job in run.jobs if job.job_id == purchase.job_id), None)
    if job is None or fingerprint(job.quote) != purchase.quote or job.quote.amount != purchase.amount:
        return None, "The purchase is not the one that the message was about: nothing was done."
    if isinstance(job, Voided):
        answer = job.reason if job.cause is Cause.PERSON else f"it came to nothing: {job.reason}"
        return None, f"This link is spent: the purchase was answered, {answer}."
    if not isinstance(job, Reserved) or job.approval is None or job.approval.by:
        by = f" by {job.approval.by}" if isinstance(job, Reserved) and job.approval else ""
        return None, f"This link is spent: the purchase was approved{by}."
    if now >= min(job.approval.expires_at, purchase.expires_at):
        return None, "The request has expired with its quote: the run will ask again, in another message."
    return job, ""


def question(run: Run, job: Reserved, policy: Policy, approver: str, token: str) -> HTMLResponse:
    """What is to be approved, and the form that answers."""
    price, quote = show_usd(job.quote.amount), job.quote
    until = job.approval.expires_at if job.approval else 0.0
    above = "every payment" if policy.approval_above is None else f"payments above {show_usd(policy.approval_above)}"
    rows = {
        "Amount": f"{price}, once",
        "Vendor": quote.vendor_id,
        "Paid to": f"{quote.pay_to} on {quote.network}",
        "For": f"{quote.max_hours:g} h of {quote.gpu_type}",
        "Run": f"{run.run_id}, of {run.user_id}",
        "Goal": run.goal,
        "Budget": f"{show_usd(run.budget)}, of which {show_usd(budget.available(run))} would be left",
        "Answer until": f"{datetime.fromtimestamp(until, UTC):%Y-%m-%d %H:%M:%S} UTC, when the quote ends",
        "Policy": f"version {policy.version}: {above} wait for an approval",
        "Recorded as": approver,
    }
    order = halt(policy, run.payer, quote.vendor_id)
    warning = f'<p class="warn">{escape(order.text)}. Nothing is signed until that is resumed.</p>' if order else ""
    details = "".join(f"<dt>{escape(name)}</dt><dd>{escape(clean(text, WHY_MAX))}</dd>" for name, text in rows.items())
    token_field = f'<input type="hidden" name="t" value="{escape(token)}">'
    forms = (  # two: Enter in the reason presses the first button of its form, which may not be the one that approves
        f'<form method="post" action="approval">{token_field}'
        f'<button class="yes" name="answer" value="approve">Approve {escape(price)}</button></form>'
        f'<form method="post" action="approval">{token_field}'
        '<label for="why">Reason, where you reject it</label><input type="text" id="why" name="why" maxlength="200">'
        '<button name="answer" value="reject">Reject</button></form>'
    )
    return _page(f"Approve {price} for {quote.vendor_id}?", f"{warning}<dl>{details}</dl>{forms}")


def words(title: str, text: str, status: int = 200) -> HTMLResponse:
    """A page that says something, and can do nothing."""
    return _page(title, f'<p role="status">{escape(text)}</p>', status)


def _page(title: str, content: str, status: int = 200, headers: Mapping[str, str] = HEADERS) -> HTMLResponse:
    heading = escape(clean(title))
    page = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width, initial-scale=1"><title>{heading}</title><style>{STYLE}</style></head>'
        f"<body><main><h1>{heading}</h1>{content}</main></body></html>\n"
    )
    return HTMLResponse(page, status, headers)
