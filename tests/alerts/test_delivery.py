"""What the environment says of alerts, and what of it cannot be meant."""

from datetime import UTC, datetime

import pytest

from gpuagent.alerts.delivery import read_delivery
from gpuagent.core.alerts import AlertKind
from gpuagent.errors import ConfigError
from tests.support.alerts import LINKS, SECRET


def test_channels_have_names_and_addresses_that_are_not_shown() -> None:
    settings = read_delivery({"ALERTS_CHANNELS": "ops=mailto://u:pw@h?to=a@b.example,c@d.example\n chat=json://h/=x"})
    assert settings.channels == {"ops": "mailto://u:pw@h?to=a@b.example,c@d.example", "chat": "json://h/=x"}
    assert "pw" not in repr(settings)
    assert settings.kinds == tuple(AlertKind)
    assert (settings.links, settings.quiet, settings.by_ticks) == (None, None, False)
    assert SECRET not in repr(read_delivery(LINKS))


def test_quiet_hours_go_across_midnight_in_their_own_zone() -> None:
    quiet = read_delivery({"ALERTS_QUIET": "22:00-07:00 Europe/Berlin"}).quiet
    assert quiet is not None

    def kinds(hour: int, minute: int = 0) -> tuple[AlertKind, ...]:
        return quiet.kinds_at(datetime(2026, 7, 1, hour, minute, tzinfo=UTC).timestamp(), tuple(AlertKind))

    assert kinds(19, 59) == kinds(5) == tuple(AlertKind)
    assert kinds(20) == kinds(4, 59) == (AlertKind.APPROVAL,)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"ALERTS_CHANNELS": f"ops=json://h/ {SECRET}"}, "entry 2 is not NAME=URL"),
        ({"ALERTS_CHANNELS": f"Ops=json://{SECRET}"}, "entry 1 is not"),
        ({"ALERTS_CHANNELS": f"ops=json://h/ ops=json://{SECRET}"}, "name ops of another"),
        ({"ALERTS_KINDS": "failed,anything"}, "write some of approval"),
        ({"ALERTS_SEND": "always"}, "write command or tick"),
        ({"ALERTS_QUIET": "22-7 UTC"}, "HH:MM-HH:MM ZONE"),
        ({"ALERTS_QUIET": "22:00-07:00 Europe/Nowhere"}, "HH:MM-HH:MM ZONE"),
        ({"ALERTS_QUIET": "29:00-07:00 UTC"}, "HH:MM-HH:MM ZONE"),
        ({"ALERTS_QUIET_APPROVALS": "no"}, "write pass or wait"),
        ({"ALERTS_LINK_URL": "https://h"}, "set ALERTS_LINK_SECRET too"),
        ({**LINKS, "ALERTS_LINK_SECRET": "s" * 31}, "32 characters or more"),
        ({**LINKS, "ALERTS_LINK_URL": ""}, "ALERTS_LINK_URL is no URL"),
        ({**LINKS, "ALERTS_LINK_URL": "https://h/?x"}, "ALERTS_LINK_URL is no URL"),
        ({**LINKS, "ALERTS_APPROVERS": "ops"}, "entry 1 is not CHANNEL=NAME"),
        ({**LINKS, "ALERTS_APPROVERS": f"ops={'x' * 51}"}, "entry 1 is not CHANNEL=NAME"),
    ],
)
def test_what_cannot_be_meant(variables: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        read_delivery(variables)
    assert SECRET not in str(refused.value)
