"""Results of a vendor search, and a vendor before it is recorded, as tables and JSON. Their texts are untrusted."""

from typing import Any

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from gpuagent.agent.discover import Match, Matches
from gpuagent.agent.enlist import Proposal
from gpuagent.core.model import Token
from gpuagent.core.money import show_usd
from gpuagent.core.text import clean
from gpuagent.render.fitting import Fitting

NAME_MAX, WHY_MAX = 40, 240
NUMBERS = "an order", "payers"
COLOURS = {"fit": "green", "needs a secret": "yellow", "no": "red"}


def matches_table(matches: Matches) -> RenderableType:
    table = Table(box=None, pad_edge=False)
    for column in ("", "seller", "an order", "payers", "protocol", "paid to", "our jobs", "URL", "why not"):
        table.add_column(column, justify="right" if column in NUMBERS else "left", overflow="fold")
    for match in matches.matches:
        listing = match.listing
        table.add_row(
            Text(verdict(match), style=COLOURS[verdict(match)]),
            escape(clean(listing.name, NAME_MAX)),
            "" if match.amount is None else show_usd(match.amount),
            "" if listing.payers is None else str(listing.payers),
            match.protocol or "none",
            escape(match.payee),
            _track(match),
            escape(listing.resource),
            escape(clean("; ".join(match.problems), WHY_MAX)),
        )
    return Fitting(table)


def verdict(match: Match) -> str:
    """Whether it could be added, in a word or two."""
    return "fit" if match.fit else "needs a secret" if match.needs_secret else "no"


def matches_text(matches: Matches) -> list[str]:
    """Lines below the table: what was left out, and what lists did not give."""
    left_out = [f"{count} {reason}" for reason, count in sorted(matches.left_out.items())]
    return [*([f"left out: {', '.join(left_out)}"] if left_out else []), *(clean(note) for note in matches.notes)]


def matches_json(matches: Matches) -> dict[str, Any]:
    return {
        "vendors": [_match_json(match) for match in matches.matches],
        "leftOut": dict(matches.left_out),
        "notes": [clean(note) for note in matches.notes],
    }


def _match_json(match: Match) -> dict[str, Any]:
    listing, track = match.listing, match.track
    return {
        "url": listing.resource,
        "name": listing.name,
        "description": listing.description,
        "tags": list(listing.tags),
        "list": listing.source,
        "x402Version": listing.version,
        "payers": listing.payers,
        "calls": listing.calls,
        "fit": match.fit,
        "needsSecret": match.needs_secret,
        "problems": list(match.problems),
        "amount": match.amount,
        "payTo": match.payee,
        "protocol": match.protocol or None,
        "vendorId": match.vendor_id or None,
        "ownJobs": {"succeeded": track.successes, "failed": track.failures} if track else None,
    }


def _track(match: Match) -> str:
    track = match.track
    return f"{track.successes} of {track.successes + track.failures} succeeded" if track else ""


def proposal_table(proposal: Proposal, token: Token) -> Table:
    """What is to be pinned, for the user to agree to."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in proposal_rows(proposal, token):
        table.add_row(name, Text(value))
    return table


def proposal_rows(proposal: Proposal, token: Token) -> list[tuple[str, str]]:
    """The fields that recording the vendor would pin. The values are untrusted text, made inert."""
    vendor, quote = proposal.vendor, proposal.quote
    own = vendor.asset.lower() == token.address.lower()
    rows = {
        "vendor": f"{vendor.vendor_id}, {vendor.name}",
        "endpoint": vendor.endpoint,
        "paid to": vendor.pay_to,
        "token": f"{vendor.asset} ({token.name})" if own else vendor.asset,
        "network": vendor.network,
        "price": f"{show_usd(quote.amount)} for {quote.max_hours.normalize():f} h of {quote.gpu_type}",
        "authorization": f"lives {vendor.max_authorization_s} s" if vendor.max_authorization_s else "lives two minutes",
        "GPUs": ", ".join(vendor.gpu_types),
        "protocol": f"{vendor.protocol}, x402 version {vendor.x402_version}, settled {vendor.settles} the work",
        "can": ", ".join(proposal.accepts) or "jobs without files",
        "bearer token": f"in {vendor.secret_env}" if vendor.secret_env else "none",
    }
    return [(name, clean(value)) for name, value in rows.items()]
