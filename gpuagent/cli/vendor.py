"""`gpuagent vendor`: the vendors that the agent may buy from."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpuagent.cli.common import EXIT_OTHER, AsJson, console, errors_explained, open_database, print_json
from gpuagent.cli.groups import command_group

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpuagent.core.listings import Declaration
    from gpuagent.doctor.probe import ConformanceResult

vendors = command_group("The vendors that the agent may buy from.")


@vendors.command("seed")
def vendor_seed(
    file: Annotated[Path, typer.Argument(help="Vendors in JSON, as `vendor list --json` prints them.")],
    as_json: AsJson = False,
) -> None:
    """Record the vendors in a file: their endpoints and, pinned, whom to pay."""
    from gpuagent.wiring.vendors import read_vendors, record_vendors

    with errors_explained():
        records = read_vendors(file)
        with open_database() as db:
            record_vendors(db, records)
        names = [vendor.vendor_id for vendor in records]
        if as_json:
            print_json({"recorded": names})
        else:
            typer.echo(f"recorded {', '.join(names)}")


@vendors.command("list")
def vendor_list(as_json: AsJson = False) -> None:
    """Show the recorded vendors. As JSON, prices are in USD: it is what `vendor seed` reads."""
    from gpuagent.render.refunds import credit_lines
    from gpuagent.render.vendors import halt_lines, vendors_table
    from gpuagent.wiring.vendors import vendor_entry

    with errors_explained(), open_database() as db:
        records = db.store.vendors()
        if as_json:
            print_json({"vendors": [vendor_entry(vendor) for vendor in records]})
        else:
            halts = db.reads.vendor_halts()
            table = vendors_table(records, halts) if records else "no vendors yet: `gpuagent vendor seed FILE`"
            console().print(table, *halt_lines(halts.values()))
            for line in credit_lines(db.reads.credits()):
                console().print(line)


@vendors.command("check")
def vendor_check(
    url: Annotated[str, typer.Argument(help="The vendor's endpoint.")],
    vendor_id: Annotated[
        str | None, typer.Option(help="The x-vendor-id to send; default: what it says itself, or gpu_vendor_1.")
    ] = None,
    gpu: Annotated[str | None, typer.Option(help="A GPU type it offers; default: its first, or A100.")] = None,
    secret_env: Annotated[
        str | None,
        typer.Option(
            help="The variable that holds its bearer token; default: GPU_VENDOR_SECRET, where it asks for one."
        ),
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="How it is spoken to: hypercli, openvps, prism; default: what it says itself, or ours.")
    ] = "",
    pay_to: Annotated[str, typer.Option(help="Of another protocol: the payee that is right.")] = "",
    as_json: AsJson = False,
) -> None:
    """Try what a vendor's protocol promises, as far as that costs nothing. Pays nothing."""
    from gpuagent.core.model import OWN_PROTOCOL
    from gpuagent.render.vendors import findings_table

    with errors_explained():
        if protocol in ("", OWN_PROTOCOL):
            findings = conformance(url, vendor_id, gpu, secret_env)
        else:
            findings = stranger_conformance(url, protocol, vendor_id or protocol, gpu, pay_to)
        if as_json:
            print_json({"url": url, "checks": [finding.as_json() for finding in findings]})
        else:
            console().print(findings_table(findings))
        if not all(finding.passed for finding in findings):
            raise typer.Exit(EXIT_OTHER)


def conformance(url: str, vendor_id: str | None, gpu: str | None, secret_env: str | None) -> "list[ConformanceResult]":
    """The results of every check of a vendor's endpoint. None: what the vendor says of itself counts, or the usual."""
    from gpuagent import wiring
    from gpuagent.doctor.conformance import check, unrecorded_vendor
    from gpuagent.settings import Environment

    environ = Environment(os.environ)
    declaration = _declaration(url, vendor_id, environ)
    asks = declaration is None or declaration.bearer
    secret_env = ("GPU_VENDOR_SECRET" if asks else "") if secret_env is None else secret_env
    vendor_id = vendor_id or (declaration.vendor_id if declaration else "gpu_vendor_1")
    gpu = gpu or next(iter(declaration.gpu_prices if declaration else ()), "A100")
    with wiring.open_vendor_api(environ) as (vendor_api, http):
        vendor = unrecorded_vendor(url, vendor_id, secret_env)
        return check(vendor, gpu, vendor_api, http, environ.get(secret_env, "") if secret_env else "")


def stranger_conformance(
    url: str, protocol: str, vendor_id: str, gpu: str | None, pay_to: str
) -> "list[ConformanceResult]":
    """The results of every check of a vendor of another protocol. pay_to: the right payee, "" for any."""
    from secrets import token_hex

    from gpuagent import settings, wiring
    from gpuagent.agent.enlist import Wishes
    from gpuagent.doctor.stranger_conformance import check_stranger

    environment = settings.read()
    wishes = Wishes(vendor_id, (gpu or ("CPU" if protocol == "openvps" else "A100"),), "", pay_to, protocol)
    with (
        wiring.open_discovery(environment.environ) as discovery,
        wiring.open_vendor_api(environment.environ) as (vendor_api, http),
    ):
        return check_stranger(url, wishes, environment.token, discovery, vendor_api, http, token_hex(12))


def _declaration(url: str, vendor_id: str | None, environ: "Mapping[str, str]") -> "Declaration | None":
    """What the vendor says of itself, the first of several; None where it says nothing that can be read."""
    from gpuagent import wiring
    from gpuagent.errors import BadInput, VendorError

    with wiring.open_discovery(environ) as discovery:
        try:
            declarations = discovery.declarations(url)
        except (BadInput, VendorError):
            return None
    return next((part for part in declarations if vendor_id in (None, part.vendor_id)), None)
