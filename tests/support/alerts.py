"""An outbox with a clock of its own, channels that keep what they get, and settings for both."""

from dataclasses import dataclass, field

from gpuagent.adapters.mongo.alerts import write
from gpuagent.adapters.mongo.outbox import MongoOutbox
from gpuagent.alerts.delivery import DeliverySettings, read_delivery
from gpuagent.core.alerts import Alert, AlertKind, Message
from tests.support.world import World

SECRET = "s" * 40
LINKS = {
    "ALERTS_LINK_URL": "https://agent.example",
    "ALERTS_LINK_SECRET": SECRET,
    "ALERTS_APPROVERS": "ops=Ada Lovelace",
}


def delivery(*channels: str, **environ: str) -> DeliverySettings:
    return read_delivery({"ALERTS_CHANNELS": " ".join(f"{name}=json://h/" for name in channels), **environ})


def failed_alert(number: int) -> Alert:
    return Alert(f"failed:{number}", AlertKind.FAILED, f"Run {number} failed", "It failed.", str(number))


@dataclass
class KeptMessages:
    """The Messenger port: keeps what it gets, by channel. problem: what it says instead, by channel."""

    received: list[tuple[str, Message]] = field(default_factory=list)
    problem: dict[str, str] = field(default_factory=dict)

    def send(self, channel: str, message: Message) -> str:
        if problem := self.problem.get(channel, ""):
            return problem
        self.received.append((channel, message))
        return ""


class TimedOutbox(MongoOutbox):
    """The outbox of a world, at a time that tests turn. ahead_s: seconds after the database's clock."""

    def __init__(self, world: World) -> None:
        self.ahead_s = 0.0
        store = world.store
        super().__init__(store.connection, lambda: store.now() + self.ahead_s)

    def put(self, *alerts: Alert) -> None:
        write(self.connection.database, alerts, self.now())


def alert_keys(world: World) -> list[str]:
    """The keys of all alerts that were written, in order."""
    return [document["_id"] for document in world.database.outbox.newest(1000)][::-1]
