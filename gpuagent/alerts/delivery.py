"""What the environment says of alerts: channels, who answers by a link, quiet hours. Shows no address and no secret."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, tzinfo

from gpuagent.core.alerts import AlertKind
from gpuagent.core.text import NAME_MAX, is_web_url, shown
from gpuagent.core.zones import zone_of
from gpuagent.errors import BadInput, ConfigError

CHANNELS, APPROVERS, KINDS, SEND = "ALERTS_CHANNELS", "ALERTS_APPROVERS", "ALERTS_KINDS", "ALERTS_SEND"
QUIET, QUIET_APPROVALS = "ALERTS_QUIET", "ALERTS_QUIET_APPROVALS"
LINK_URL, LINK_SECRET = "ALERTS_LINK_URL", "ALERTS_LINK_SECRET"
SECRET_LEAST = 32
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}", re.ASCII)
_QUIET = re.compile(r"([0-2][0-9]:[0-5][0-9])-([0-2][0-9]:[0-5][0-9]) (\S{1,64})", re.ASCII)


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Hours of the day in which nothing is sent, in a time zone; across midnight where they end before they begin.

    approvals_pass: requests for approval are sent all the same.
    """

    begin: time
    end: time
    zone: tzinfo
    approvals_pass: bool = True

    def kinds_at(self, at: float, kinds: tuple[AlertKind, ...]) -> tuple[AlertKind, ...]:
        """The kinds that may be sent at a time, Unix seconds."""
        if not self._is_quiet(at):
            return kinds
        return tuple(kind for kind in kinds if kind is AlertKind.APPROVAL and self.approvals_pass)

    def _is_quiet(self, at: float) -> bool:
        clock = datetime.fromtimestamp(at, self.zone).time()
        if self.begin <= self.end:
            return self.begin <= clock < self.end
        return clock >= self.begin or clock < self.end


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """Where links lead, and the secret that signs them. approvers: by channel, the name that is recorded."""

    url: str
    secret: str = field(repr=False)
    approvers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """channels: apprise's address of each, by name. links: None where answers by a link are not set up."""

    channels: Mapping[str, str] = field(repr=False)
    kinds: tuple[AlertKind, ...]
    quiet: QuietHours | None
    links: LinkSettings | None
    by_ticks: bool

    def kinds_at(self, at: float) -> tuple[AlertKind, ...]:
        """The kinds that may be sent at a time, Unix seconds."""
        return self.quiet.kinds_at(at, self.kinds) if self.quiet else self.kinds


def read_delivery(environ: Mapping[str, str]) -> DeliverySettings:
    """The settings in the environment. Raises ConfigError, which names an entry by its number or name alone."""
    channels = _channels(environ.get(CHANNELS, ""))
    return DeliverySettings(channels, _kinds(environ), _quiet(environ), read_links(environ), _by_ticks(environ))


def read_links(environ: Mapping[str, str]) -> LinkSettings | None:
    """Answers by a link, None where no secret is set. Raises ConfigError."""
    secret, url, approvers = (environ.get(name, "") for name in (LINK_SECRET, LINK_URL, APPROVERS))
    if not secret:
        if url or approvers:
            raise ConfigError(f"set {LINK_SECRET} too, {SECRET_LEAST} characters or more: it signs the links")
        return None
    if len(secret) < SECRET_LEAST:
        raise ConfigError(f"{LINK_SECRET} is too short: write {SECRET_LEAST} characters or more")
    if not is_web_url(url) or "?" in url or "#" in url:
        raise ConfigError(f"{LINK_URL} is no URL of the REST server as its users reach it: write one like https://host")
    return LinkSettings(url.rstrip("/"), secret, _approvers(approvers))


def _channels(text: str) -> dict[str, str]:
    channels: dict[str, str] = {}
    for number, entry in enumerate(text.split(), 1):
        name, equals, url = entry.partition("=")
        if not equals or not _NAME.fullmatch(name) or "://" not in url:
            raise ConfigError(
                f"{CHANNELS}: entry {number} is not NAME=URL: a name in small letters, and an address of apprise; "
                "write blanks between entries, and %20 for a blank in one"
            )
        if name in channels:
            raise ConfigError(f"{CHANNELS}: entry {number} has the name {name} of another one")
        channels[name] = url
    return channels


def _approvers(text: str) -> dict[str, str]:
    approvers: dict[str, str] = {}
    for number, entry in enumerate(filter(None, map(str.strip, text.split(","))), 1):
        channel, equals, name = (part.strip() for part in entry.partition("="))
        if not equals or not _NAME.fullmatch(channel) or not 0 < len(name) <= NAME_MAX // 2 or not name.isprintable():
            raise ConfigError(f"{APPROVERS}: entry {number} is not CHANNEL=NAME, such as ops-mail=Ada Lovelace")
        approvers[channel] = name
    return approvers


def _kinds(environ: Mapping[str, str]) -> tuple[AlertKind, ...]:
    names = [name.strip() for name in environ.get(KINDS, "").split(",") if name.strip()]
    known = [kind.value for kind in AlertKind]
    for name in names:
        if name not in known:
            raise ConfigError(f"{KINDS} has {shown(name)}: write some of {', '.join(known)}, commas between")
    return tuple(kind for kind in AlertKind if not names or kind.value in names)


def _quiet(environ: Mapping[str, str]) -> QuietHours | None:
    text, approvals = environ.get(QUIET, ""), environ.get(QUIET_APPROVALS) or "pass"
    if approvals not in ("pass", "wait"):
        raise ConfigError(f"{QUIET_APPROVALS}={shown(approvals)}: write pass or wait")
    if not text:
        return None
    match = _QUIET.fullmatch(text)
    problem = ConfigError(f"{QUIET} is not HH:MM-HH:MM ZONE: write it like 22:00-07:00 Europe/Berlin")
    if match is None:
        raise problem
    try:
        begin, end = time.fromisoformat(match[1]), time.fromisoformat(match[2])
        zone = zone_of(match[3])
    except (ValueError, BadInput):
        raise problem from None
    return QuietHours(begin, end, zone, approvals == "pass")


def _by_ticks(environ: Mapping[str, str]) -> bool:
    text = environ.get(SEND) or "command"
    if text not in ("command", "tick"):
        raise ConfigError(f"{SEND}={shown(text)}: write command or tick")
    return text == "tick"
