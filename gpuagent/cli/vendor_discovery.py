"""`gpuagent vendor search` and `gpuagent vendor add`: sellers that are not on record yet. Nothing is bought here."""

import sys
from typing import Annotated

import typer

from gpuagent.cli.common import AsJson, console, errors_explained, open_database, print_json
from gpuagent.errors import Refused


def add_discovery(vendors: typer.Typer) -> None:
    """Add the commands to `gpuagent vendor`."""
    vendors.command("search")(vendor_search)
    vendors.command("add")(vendor_add)


def vendor_search(
    query: Annotated[str, typer.Argument(help="What to search for, such as: h100 job")],
    max_price: Annotated[str, typer.Option(help="At most so many USD for an order.")] = "",
    lists: Annotated[
        list[str] | None, typer.Option("--list", help="A list to search instead of the public ones; repeatable.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Search public lists for sellers, and ask each what it really wants. Pays nothing, records nothing."""
    from gpuagent import settings, wiring
    from gpuagent.agent.discover import Search, search
    from gpuagent.core.belief import PAST_JOBS_MAX
    from gpuagent.core.money import parse_usd
    from gpuagent.render.discovery import matches_json, matches_table, matches_text

    with errors_explained():
        environment = settings.read()
        token = environment.token
        price_max = parse_usd(max_price) if max_price else None
        request = Search(query, token, tuple(lists or environment.discovery_lists), price_max)
        with open_database() as db, wiring.open_discovery(environment.environ) as discovery:
            matches = search(
                request,
                discovery,
                db.store.vendors(),
                lambda names: db.reads.past_jobs(token.network, names, PAST_JOBS_MAX),
            )
        if as_json:
            print_json(matches_json(matches))
            return
        console().print(matches_table(matches) if matches.matches else "no seller fits")
        for line in matches_text(matches):
            typer.echo(line)
        if any(match.fit and not match.vendor_id for match in matches.matches):
            typer.echo("`gpuagent vendor add URL` shows one again, and records it")
        if any(match.needs_secret and not match.vendor_id for match in matches.matches):
            typer.echo("`gpuagent vendor add URL --secret-env NAME` asks one that needs a secret, once you have it")


def vendor_add(
    url: Annotated[str, typer.Argument(help="The vendor's URL.")],
    vendor_id: Annotated[
        str, typer.Option(help="The x-vendor-id to send, where the URL has several or says none.")
    ] = "",
    gpu: Annotated[list[str] | None, typer.Option(help="A GPU type it offers, where it says none; repeatable.")] = None,
    secret_env: Annotated[str, typer.Option(help="The variable that holds its bearer token.")] = "",
    protocol: Annotated[str, typer.Option(help="Of a vendor that declares none: hypercli, openvps or prism.")] = "",
    pay_to: Annotated[str, typer.Option(help="The payee that is right: any other is refused.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Record it without asking, for scripts.")] = False,
    as_json: AsJson = False,
) -> None:
    """Record a vendor by its URL: shows whom it wants paid, and asks before that is pinned. Pays nothing."""
    from gpuagent import settings, wiring
    from gpuagent.agent.enlist import Wishes, propose
    from gpuagent.render.discovery import proposal_table
    from gpuagent.wiring.vendors import add_vendor, checked_vendor, vendor_entry

    wishes = Wishes(vendor_id, tuple(gpu or ()), secret_env, pay_to, protocol)
    with errors_explained():
        environment = settings.read()
        token = environment.token
        with (
            open_database() as db,
            wiring.open_discovery(environment.environ) as discovery,
            wiring.open_vendor_api(environment.environ) as (vendor_api, _),
        ):
            records, order = db.store.vendors(), db.store.new_id()
            proposal = propose(url, wishes, token, discovery, vendor_api, records, order)
            vendor, is_new = checked_vendor(proposal.vendor), proposal.is_new
            if is_new:
                console(stderr=as_json).print(proposal_table(proposal, token))
                check_agreed(yes=yes)
                is_new = add_vendor(db, vendor)
        if as_json:
            entry = vendor_entry(vendor)
            print_json({"url": url, "recorded": is_new, "vendor": entry})
        elif is_new:
            typer.echo(f"recorded {vendor.vendor_id}: it is paid at {vendor.pay_to} and nowhere else")
        else:
            typer.echo(f"{vendor.vendor_id} is on record as it is: nothing was changed")


def check_agreed(*, yes: bool) -> None:
    """Raises Refused unless the user agrees to the record that is shown: by --yes, or at a terminal."""
    if yes:
        return
    if not at_terminal():
        raise Refused("nothing was recorded: say --yes where there is no terminal to ask at")
    if not typer.confirm("Pin this payee and record the vendor?", default=False, err=True):
        raise Refused("nothing was recorded")


def at_terminal() -> bool:
    """Whether there is a user to ask."""
    return sys.stdin.isatty()
