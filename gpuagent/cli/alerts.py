"""`gpuagent alerts`: send what users are to be told, show what became of it, try the channels."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from gpuagent.cli.common import EXIT_OTHER, AsJson, console, errors_explained, interval, open_database, print_json
from gpuagent.cli.groups import command_group
from gpuagent.errors import BadInput, ConfigError, StoreError

if TYPE_CHECKING:
    from gpuagent.alerts.delivery import DeliverySettings

alerts = command_group("Tell users what they must know: mail, chat, hooks.")


@alerts.command("send")
def alerts_send(
    every: Annotated[
        float,
        typer.Option(parser=interval, metavar="TIME", help="Send again so often, until stopped: 5m, or seconds."),
    ] = 0.0,
    as_json: AsJson = False,
) -> None:
    """Send what is due to each channel. Safe to run in several places at once, and to kill."""
    from gpuagent.alerts.sender import send_due
    from gpuagent.wiring.alerts import messenger

    with errors_explained(), open_database() as db:
        delivery = _configured()
        channels = messenger(delivery.channels)
        while True:
            try:
                report = send_due(db.outbox, channels, delivery)
            except StoreError as error:
                if not every:
                    raise
                typer.echo(f"gpuagent: {error}", err=True)
            else:
                if as_json:
                    print_json({"sent": dict(report.sent), "problems": report.problems})
                elif report.sent or not every:
                    typer.echo(f"sent {report.sent.total()}")
                for channel, problem in report.problems.items():
                    typer.echo(f"gpuagent: {channel}: {problem}", err=True)
                if report.problems and not every:
                    raise typer.Exit(EXIT_OTHER)
            if not every:
                return
            time.sleep(every)


@alerts.command("list")
def alerts_list(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 20, as_json: AsJson = False
) -> None:
    """Show the newest alerts, and what became of each in each channel."""
    from gpuagent.render.inbox import alert_lines
    from gpuagent.render.json_value import json_value

    with errors_explained(), open_database() as db:
        documents = db.outbox.newest(limit)
        if as_json:
            print_json({"alerts": json_value(documents)})
        else:
            console().print(alert_lines(documents))


@alerts.command("test")
def alerts_test(
    channel: Annotated[str, typer.Argument(help="One channel's name; default: all.")] = "", as_json: AsJson = False
) -> None:
    """Send a message to each channel that says that it works. Needs no database."""
    from gpuagent import wiring
    from gpuagent.alerts.sender import send_test
    from gpuagent.wiring.alerts import messenger

    with errors_explained():
        delivery = _configured()
        if channel and channel not in delivery.channels:
            raise BadInput(f"there is no channel {channel[:40]!r}: there are {', '.join(delivery.channels)}")
        names = [channel] if channel else list(delivery.channels)
        problems = send_test(names, messenger(delivery.channels), wiring.system_clock().now())
        if as_json:
            print_json({"channels": problems})
        else:
            for name, problem in problems.items():
                typer.echo(f"{name}: {problem or 'sent'}")
        if any(problems.values()):
            raise typer.Exit(EXIT_OTHER)


def _configured() -> "DeliverySettings":
    """Raises ConfigError where there is no channel."""
    from gpuagent import settings
    from gpuagent.alerts.delivery import CHANNELS, read_delivery

    delivery = read_delivery(settings.read().environ)
    if not delivery.channels:
        raise ConfigError(f"set {CHANNELS}: NAME=URL, such as ops=mailto://user:password@host?to=ops@example.com")
    return delivery
