"""A row of a public list as a Listing. The raw JSON: the SDK's model of it drops quality, description and more."""

from typing import Any
from urllib.parse import urlsplit

from gpuagent.adapters.discovery.addresses import may_be_asked
from gpuagent.adapters.discovery.offers import declared_fields, declared_input, offers_in
from gpuagent.core.listings import Listing
from gpuagent.core.text import clean

NAME_MAX, TEXT_MAX, TAG_MAX, TAGS_MAX = 80, 300, 40, 20
BODY_FIELDS_MAX = 64
METHODS = ("GET", "POST")
"""The methods of unpaid requests: a list cannot have anything else sent to a URL."""


def listing_from(row: object, source: str, *, local: bool) -> Listing | None:
    """The paid HTTP resource in a row; None where it is none, or none that is asked.

    local: whether the list is on this machine, whose rows may be too.
    """
    if not isinstance(row, dict) or row.get("type", "http") != "http":
        return None
    resource = next((row[name] for name in ("resource", "url") if isinstance(row.get(name), str)), "")
    if not may_be_asked(resource, local=local):
        return None
    declared = declared_input(row)
    method = str(declared.get("method") or "POST").upper()
    if method not in METHODS:
        return None
    metadata = row["metadata"] if isinstance(row.get("metadata"), dict) else {}
    quality = row["quality"] if isinstance(row.get("quality"), dict) else {}
    version, body = row.get("x402Version"), declared.get("body")
    return Listing(
        resource=resource,
        method=method,
        name=_text(row, metadata, "serviceName", NAME_MAX) or _text(row, metadata, "name", NAME_MAX) or _host(resource),
        description=_text(row, metadata, "description", TEXT_MAX) or _v1_description(row),
        tags=_tags(row.get("tags") or metadata.get("tags")),
        offers=offers_in(row.get("accepts")),
        version=version if type(version) is int else 1,
        payers=_count(quality.get("l30DaysUniquePayers")),
        calls=_count(quality.get("l30DaysTotalCalls")),
        body=body if isinstance(body, dict) and len(body) <= BODY_FIELDS_MAX else {},
        fields=declared_fields(row),
        source=source,
    )


def _text(row: dict[str, Any], metadata: dict[str, Any], name: str, limit: int) -> str:
    value = row.get(name) or metadata.get(name)
    return clean(value, limit).strip() if isinstance(value, str) else ""


def _v1_description(row: dict[str, Any]) -> str:
    """In version 1 each of the terms has a description."""
    accepts = row.get("accepts")
    first = accepts[0] if isinstance(accepts, list) and accepts else {}
    return _text(first if isinstance(first, dict) else {}, {}, "description", TEXT_MAX)


def _tags(value: object) -> tuple[str, ...]:
    listed = value[:TAGS_MAX] if isinstance(value, list) else []
    return tuple(clean(tag, TAG_MAX) for tag in listed if isinstance(tag, str))


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < 10**12 else None


def _host(resource: str) -> str:
    return clean(urlsplit(resource).hostname or "", NAME_MAX)
