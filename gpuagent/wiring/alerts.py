"""The channels of alerts, and the sender that ticks use."""

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from gpuagent.errors import ConfigError, StoreError
from gpuagent.wiring.database import Database

if TYPE_CHECKING:
    from gpuagent.core.ports.alerts import Messenger
    from gpuagent.settings import Settings

log = logging.getLogger(__name__)


def messenger(channels: Mapping[str, str]) -> "Messenger":
    """The channels of alerts. Raises ConfigError naming the one that cannot be used."""
    try:
        from gpuagent.adapters.alerts.apprise_channels import AppriseMessenger
    except ImportError as error:
        raise ConfigError("alerts need an extra: pip install 'gpuagent[alerts]'") from error
    return AppriseMessenger(channels)


def send_alerts_after_ticks(settings: "Settings", database: Database) -> None:
    """Send the alerts that are due, where ALERTS_SEND leaves that to ticks. A failure is logged, and fails no tick."""
    try:
        send = alert_sender(settings, database)
    except ConfigError as error:
        log.warning("alerts were not sent: %s", error)
        return
    if send:
        send()


def alert_sender(settings: "Settings", database: Database) -> Callable[[], None] | None:
    """A function that sends the alerts that are due and logs failures; None where ticks are to send nothing.

    Raises ConfigError.
    """
    from gpuagent.alerts.delivery import read_delivery
    from gpuagent.alerts.sender import send_due

    delivery = read_delivery(settings.environ)
    if not delivery.by_ticks or not delivery.channels:
        return None
    channels = messenger(delivery.channels)

    def send() -> None:
        try:
            report = send_due(database.outbox, channels, delivery)
        except StoreError as error:
            log.warning("alerts were not sent: %s", error)
            return
        for problem in report.problems.values():
            log.warning("an alert was not sent: %s", problem)

    return send
