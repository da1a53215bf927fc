"""`gpuagent policy`: the owner's limits on payments, and the kill switch."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpuagent.cli.common import AsJson, By, console, errors_explained, interval, open_database, print_json, user_name
from gpuagent.cli.groups import command_group
from gpuagent.cli.policy_budget import budgets
from gpuagent.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpuagent.core.policy import Halt, Policy
    from gpuagent.wiring.database import Database

policies = command_group("The owner's limits on what may be paid, and the kill switch.")
policies.add_typer(budgets, name="budget")

Why = Annotated[str, typer.Option(help="The reason; needed to allow more than before.")]
Kind = Annotated[str, typer.Argument(help="vendor or wallet.")]
Name = Annotated[str, typer.Argument(help="The vendor's id; the wallet's address, or all.")]


def _usd(what: str) -> Any:
    return typer.Option(metavar="USD|none", help=what)


@policies.command("show")
def policy_show(as_json: AsJson = False) -> None:
    """Show the rules in force."""
    with errors_explained(), open_database() as db:
        _show(db, 1, as_json)


@policies.command("history")
def policy_history(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 20, as_json: AsJson = False
) -> None:
    """Show every version of the rules: who changed what the agent may pay, and why."""
    with errors_explained(), open_database() as db:
        _show(db, limit, as_json)


@policies.command("set")
def policy_set(  # the limits are read from options.params
    options: typer.Context,
    per_payment: Annotated[str | None, _usd("The largest payment.")] = None,  # noqa: ARG001
    vendor_per_run: Annotated[str | None, _usd("What a vendor may get in a run.")] = None,  # noqa: ARG001
    vendor_per_day: Annotated[str | None, _usd("What a vendor may get in 24 hours.")] = None,  # noqa: ARG001
    wallet_per_day: Annotated[str | None, _usd("What a wallet may pay in 24 hours.")] = None,  # noqa: ARG001
    approval_above: Annotated[str | None, _usd("A larger payment waits for an approval.")] = None,  # noqa: ARG001
    new_vendor: Annotated[str | None, _usd("What a vendor that is not proven may get in all.")] = None,  # noqa: ARG001
    approval_wait: Annotated[
        float | None,
        typer.Option(
            "--approval-wait",
            "--approval-seconds",
            parser=interval,
            metavar="TIME",
            help="How long it waits at most: 30m, or seconds.",
        ),
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(metavar="NAME=USD|none", help="A tag's total; repeatable.")] = None,
    inputs_to: Annotated[  # noqa: ARG001
        str | None, typer.Option(metavar="any|trusted", help="Which vendors get a job's input files.")
    ] = None,
    file_max: Annotated[str | None, typer.Option(metavar="SIZE", help="The largest file, such as 64MB.")] = None,  # noqa: ARG001
    run_files_max: Annotated[  # noqa: ARG001
        str | None, typer.Option(metavar="SIZE", help="All files that come back in a run.")
    ] = None,
    keep_files_s: Annotated[  # noqa: ARG001
        str | None,
        typer.Option("--keep-files", metavar="TIME|none", help="How long files of finished runs are kept: 30d."),
    ] = None,
    keep_files_max: Annotated[  # noqa: ARG001
        str | None, typer.Option(metavar="SIZE|none", help="All files that are kept; the oldest runs' go first.")
    ] = None,
    keep_observations_s: Annotated[  # noqa: ARG001
        str | None,
        typer.Option(
            "--keep-observations", metavar="TIME|none", help="How long those of finished runs stay in MongoDB: 90d."
        ),
    ] = None,
    authorization_max_s: Annotated[  # noqa: ARG001
        str | None,
        typer.Option("--authorization-max", metavar="TIME", help="How long a signature may live at most: 1h."),
    ] = None,
    by: By = "",
    why: Why = "",
    as_json: AsJson = False,
) -> None:
    """Change limits. Lower ones hold at once; a day is any 24 hours; what is not named stays as it is."""
    from gpuagent.core.policy import LIMITS
    from gpuagent.core.rules import RULES

    with errors_explained():
        limits = {limit.name: options.params[limit.name] for limit in LIMITS}
        changes: dict[str, Any] = {name: _limit(text) for name, text in limits.items() if text is not None}
        for rule in RULES:
            if (text := options.params[rule.name]) is not None:
                changes[rule.name] = rule.parse(text)
        if approval_wait is not None:
            changes["approval_s"] = approval_wait
        tags = dict(map(_tag, tag or ()))
        if not changes and not tags:
            raise BadInput("name at least one limit to change: `gpuagent policy set --help` lists them")

        def revise(policy: "Policy") -> "Policy":
            totals = {**policy.tag_totals, **tags}
            limits_by_tag = {name: total for name, total in totals.items() if total is not None}
            return replace(policy, **changes, tag_totals=limits_by_tag)

        with open_database() as db:
            _change(db, revise, by, why)
            _show(db, 1, as_json)


@policies.command("halt")
def policy_halt(kind: Kind, name: Name, why: Why, by: By = "", as_json: AsJson = False) -> None:
    """Throw the kill switch: no new signature for this vendor or wallet, from every process's next step on."""
    from gpuagent import settings, wiring
    from gpuagent.core.policy import Halt
    from gpuagent.wiring.database import open_used_databases

    with errors_explained(), open_used_databases(settings.read()) as databases:
        vendor_ids = {place: _vendor_ids(db) for place, db in databases.items()}
        key = _halt_key(kind, name, sorted({vendor_id for ids in vendor_ids.values() for vendor_id in ids}))
        halt = Halt(*key, user_name(by), why, wiring.system_clock().now())

        def revise(policy: "Policy") -> "Policy":
            return replace(policy, halts=(*_halts_without(key, policy), halt))

        for place, db in databases.items():
            if kind != "vendor" or name in vendor_ids[place]:
                _change(db, revise, by, why)
                if place:
                    typer.echo(f"halted there too: {place}", err=True)
        _show(databases[""], 1, as_json)


@policies.command("resume")
def policy_resume(kind: Kind, name: Name, why: Why, by: By = "", as_json: AsJson = False) -> None:
    """Allow new signatures for this vendor or wallet again."""
    with errors_explained(), open_database() as db:
        key = _halt_key(kind, name, _vendor_ids(db))

        def revise(policy: "Policy") -> "Policy":
            halts = _halts_without(key, policy)
            if len(halts) == len(policy.halts):
                raise BadInput(f"{kind} {name} is not halted: `gpuagent policy show` lists what is")
            return replace(policy, halts=halts)

        _change(db, revise, by, why)
        _show(db, 1, as_json)


def _halts_without(key: tuple[str, str], policy: "Policy") -> "tuple[Halt, ...]":
    return tuple(halt for halt in policy.halts if (halt.kind, halt.name) != key)


def _change(db: "Database", revise: "Callable[[Policy], Policy]", by: str, why: str) -> None:
    from gpuagent.wiring import system_clock

    db.store.change_policy(revise, user_name(by), why, system_clock().now())


def _show(db: "Database", limit: int, as_json: bool) -> None:
    from gpuagent.render.json_value import json_value
    from gpuagent.render.policy import policy_view

    versions = db.reads.policies(limit)
    if as_json:
        print_json({"policies": json_value(versions)})
    else:
        console().print(*map(policy_view, versions) if versions else ("no policy: `gpuagent policy set` makes one",))


def _vendor_ids(db: "Database") -> list[str]:
    return [vendor.vendor_id for vendor in db.store.vendors()]


def _limit(text: str) -> int | None:
    from gpuagent.core.money import parse_usd

    return None if text == "none" else parse_usd(text)


def _tag(text: str) -> tuple[str, int | None]:
    name, equals, total = text.rpartition("=")
    if not equals or not name:
        raise BadInput(f"{text!r} is not NAME=USD")
    return name, _limit(total)


def _halt_key(kind: str, name: str, vendor_ids: "Sequence[str]") -> tuple[str, str]:
    """The kind and the name of a halt, as policies hold them. vendor_ids: those on record. Raises BadInput."""
    from gpuagent.core.policy import EVERY_WALLET

    if kind == "vendor":
        if name not in vendor_ids:
            raise BadInput(f"no vendor {name!r}; known: {', '.join(vendor_ids) or 'none'}")
        return kind, name
    if kind != "wallet":
        raise BadInput(f"{kind!r} cannot be halted: write vendor or wallet; one run is ended by `gpuagent run cancel`")
    return kind, EVERY_WALLET if name in ("all", EVERY_WALLET) else _address(name)


def _address(name: str) -> str:
    from gpuagent.core.networks import is_address

    if not is_address(name):
        raise BadInput(f"{name!r} is no address, or one with a slip in it: write 0x and 40 hex digits, or all")
    return name.lower()
