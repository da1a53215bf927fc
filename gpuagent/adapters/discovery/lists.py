"""Reading of one public list: its search where it has one, else its pages. Bounded whatever it answers.

Servers ignore filters, limits and cursors, repeat rows, lose others between two pages, and go on for ever: pages
overlap, rows count once, and what is missing is said.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from gpuagent.adapters.discovery.addresses import is_local, list_base
from gpuagent.adapters.discovery.offers import DEPTH_MAX
from gpuagent.adapters.discovery.rows import listing_from
from gpuagent.core.listings import Listing, ListReading
from gpuagent.errors import ListUnavailable
from gpuagent.wire import strict_json
from gpuagent.wire.bounded_http import BoundedHttp, HttpFailed, Reply
from gpuagent.wire.retry_after import retry_after_s

PAGE_ROWS = 100
SEARCH_ROWS, QUERY_MAX = 20, 400
"""Rows that are asked of a search at once, and characters of a query: CDP answers 400 to more."""
OVERLAP = 5
"""Rows that two pages share: as many may vanish between them before one is missed."""
PAGES_MAX, ROWS_MAX = 20, 2_000
NO_SEARCH = (400, 404, 405, 501)
"""The answers of a list that has pages alone."""
TOO_MANY = 429


class _Rows:
    """The rows of one list, each once."""

    def __init__(self, url: str) -> None:
        self._url, self._local = url, is_local(url)
        self._keys: set[str] = set()
        self.listings: list[Listing] = []
        self.seen = self.unusable = 0

    def take(self, rows: list[Any]) -> int:
        """The number of rows that are new."""
        new = 0
        for row in rows[: ROWS_MAX - self.seen]:
            name = row.get("resource", row.get("url")) if isinstance(row, dict) else None
            key = f"{name} {row.get('accepts')}"[:4_000] if isinstance(row, dict) else repr(row)[:4_000]
            if key in self._keys:
                continue
            self._keys.add(key)
            new, self.seen = new + 1, self.seen + 1
            listing = listing_from(row, self._url, local=self._local)
            if listing is None:
                self.unusable += 1
            else:
                self.listings.append(listing)
        return new


def read_list(url: str, query: str, http: BoundedHttp) -> ListReading:
    """The rows of a list that may fit the query. Raises BadInput, ListUnavailable where not even a page came."""
    base, notes = list_base(url), list[str]()
    rows, searched = _Rows(base), True
    try:
        _read(_searched_pages(base, query, http, notes), rows, notes)
    except _NoSearchError:
        searched = False
        _read(_pages(base, http), rows, notes)
    if rows.unusable:
        notes.append(f"{rows.unusable} rows are no paid HTTP resource that is asked")
    return ListReading(tuple(rows.listings), searched, tuple(notes))


class _NoSearchError(Exception):
    """The list has no search."""


def _read(pages: Iterator[tuple[list[Any], int | None]], rows: _Rows, notes: list[str]) -> None:
    """Takes pages, each with the number of all rows that it names, until one brings nothing new."""
    total: int | None = None
    try:
        for number, (page, all_rows) in enumerate(pages, 1):
            total = all_rows if all_rows is not None else total
            new = rows.take(page)
            if rows.seen >= ROWS_MAX or number >= PAGES_MAX:
                notes.append(f"reading ended after {rows.seen} rows: it may have more")
                return
            if not new:
                break
    except ListUnavailable as error:
        if not rows.seen:
            raise
        notes.append(str(error))
        return
    if total is not None and rows.seen < total:
        notes.append(f"{rows.seen} of {total} rows were read: the others are not on its pages")


def _pages(base: str, http: BoundedHttp) -> Iterator[tuple[list[Any], int | None]]:
    offset = 0
    while True:
        document = _ask(f"{base}/resources", {"type": "http", "limit": str(PAGE_ROWS), "offset": str(offset)}, http)
        items = document.get("items")
        if not isinstance(items, list):
            raise ListUnavailable("it answers no list of items")
        total = _object(document.get("pagination")).get("total")
        yield items, total if type(total) is int and total >= 0 else None
        if not items or (type(total) is int and offset + len(items) >= total):
            return
        offset += max(1, len(items) - OVERLAP)


def _searched_pages(
    base: str, query: str, http: BoundedHttp, notes: list[str]
) -> Iterator[tuple[list[Any], int | None]]:
    """Pages of what fits the query. A list that says that it has more, and not how to come by it, is noted."""
    cursor = ""
    while True:
        more = {"cursor": cursor} if cursor else {}
        params = {"query": query[:QUERY_MAX], "type": "http", "limit": str(SEARCH_ROWS), **more}
        document = _ask(f"{base}/search", params, http, is_optional=not cursor)
        resources = document.get("resources", document.get("items"))
        if not isinstance(resources, list):
            raise ListUnavailable("it answers no list of resources")
        yield resources, None
        following = _object(document.get("pagination")).get("cursor")
        if not isinstance(following, str) or not following or following == cursor or len(following) > 1_000:
            if document.get("partialResults") is True:
                notes.append("it knows more that fits than it shows: search for more words")
            return
        cursor = following


def _ask(url: str, params: Mapping[str, str], http: BoundedHttp, *, is_optional: bool = False) -> dict[str, Any]:
    """One page. Raises ListUnavailable, and _NoSearchError where an optional one is not there."""
    try:
        reply = http.request("GET", url, params=params)
    except HttpFailed as error:
        raise ListUnavailable(f"it does not answer: {error}") from error
    if is_optional and reply.status in NO_SEARCH:
        raise _NoSearchError
    if reply.status != 200:
        raise ListUnavailable(_refusal(reply))
    try:
        document = strict_json.parse(reply.body, depth_max=DEPTH_MAX)
    except ValueError as error:
        raise ListUnavailable("it answers something that is not JSON") from error
    if not isinstance(document, dict):
        raise ListUnavailable("it answers JSON that is not an object")
    return document


def _refusal(reply: Reply) -> str:
    if reply.status == TOO_MANY:
        wait = retry_after_s(reply.headers)
        return f"it has been asked too often: ask again {f'in {wait:.0f} s' if wait else 'later'}"
    return f"it answered {reply.status}"


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
