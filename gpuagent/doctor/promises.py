"""What the protocols of other sellers promise by their pages in docs/vendors, as far as it costs nothing to try.

Each check says what is expected; its detail, what came.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from gpuagent.core.dialects import DIALECTS, hypercli_gpu, orders
from gpuagent.core.model import Terms
from gpuagent.core.money import show_usd
from gpuagent.core.terms import priced
from gpuagent.doctor.probe import ConformanceResult, Probe
from gpuagent.errors import VendorError
from gpuagent.wire import strict_json
from gpuagent.wire.bounded_http import HttpFailed, Reply
from gpuagent.wire.offers import read_challenge

NO_PAYMENT = "bm90IGEgcGF5bWVudA=="
"""Base64 of what is no payment."""
NO_KEY = {"Authorization": "Bearer no-such-key"}
UNKNOWN, REFUSED = (401, 403, 404), (400, 404, 422)
BODY_MAX, LEASE_SPARE_S = 16 * 1024, 120
LARGEST = {"vcpus": 4, "ram_mb": 4096, "timeout": 3600}
BEYOND = {"vcpus": 64, "ram_mb": 65_536, "timeout": 360_000}
"""Of OpenVPS' machines the largest, and one that there is not."""
USD = 1_000_000


def hypercli(probe: Probe, gpu_type: str) -> list[ConformanceResult]:
    route = DIALECTS["hypercli"].route
    nested, flat = orders("hypercli", gpu_type)
    job: dict[str, Any] = dict(nested["job"])  # type: ignore[call-overload]
    try:
        is_flat = _reply(probe, route, nested).status == 422
    except VendorError as error:
        return [ConformanceResult("answers an order", False, str(error))]

    def order(**changes: object) -> dict[str, Any]:
        return {**flat, **changes} if is_flat else {"amount": 1, "job": {**job, **changes}}

    def refuses(what: str, body: Mapping[str, object]) -> ConformanceResult:
        return probe.expect(f"refuses {what}", REFUSED, "POST", route, body)

    def opens_nothing(what: str, method: str, path: str) -> ConformanceResult:
        return probe.expect(f"{what} of a job it never sold", UNKNOWN, method, path, extra=NO_KEY)

    if is_flat:
        results = _compared(
            "asks twice as much for twice the runtime",
            probe,
            (route, {**flat, "runtime": 7200}),
            (route, flat),
            lambda double, price: double in range(2 * price - 2, 2 * price + 1),
        )
    else:
        results = _priced(
            "asks for the amount that its buyer names",
            probe,
            route,
            nested,
            lambda amount: amount == USD,
        )
    return [
        _lists_prices(probe, gpu_type),
        results,
        refuses("a GPU that it does not have", order(gpu_type="no-such-gpu")),
        refuses("a command that is not base64", order(command="nvidia-smi!")),
        refuses("a body of neither form", {"command": "nvidia-smi"}),
        _refuses_no_payment(probe, route, order()),
        opens_nothing("shows no state", "GET", "/api/jobs/no-such-job"),
        opens_nothing("shows no log", "GET", "/api/jobs/no-such-job/logs"),
        opens_nothing("ends nothing", "DELETE", "/api/jobs/no-such-job"),
    ]


def prism(probe: Probe, gpu_type: str) -> list[ConformanceResult]:  # noqa: ARG001 - it names none
    route = DIALECTS["prism"].route
    (order,) = orders("prism", "")
    large = json.dumps({"command": "x" * BODY_MAX}).encode()
    return [
        _lives_for_its_lease(probe, route, order),
        _compared(
            "asks one price for every command",
            probe,
            (route, order),
            (route, {"command": "true"}),
            lambda first, second: first == second,
        ),
        probe.expect("refuses a body that is no JSON", (400,), "POST", route, content=b"{"),
        probe.expect("refuses a body of more than 16 KiB", (413,), "POST", route, content=large),
        probe.expect("wants a command beside a payment", (400,), "POST", route, {}, {"PAYMENT-SIGNATURE": NO_PAYMENT}),
        _refuses_no_payment(probe, route, order),
        _answers_version_1(probe, route, order),
        probe.expect("knows no job it never sold", UNKNOWN, "GET", "/jobs/no-such-job", extra=NO_KEY),
    ]


def openvps(probe: Probe, gpu_type: str) -> list[ConformanceResult]:  # noqa: ARG001 - it has none
    route = DIALECTS["openvps"].route
    (order,) = orders("openvps", "")
    return [
        _compared(
            "asks for what is beyond its largest machine the price of that",
            probe,
            (route, {**order, **BEYOND}),
            (route, {**order, **LARGEST}),
            lambda beyond, largest: beyond == largest,
        ),
        _compared(
            "asks more for an hour than for a minute",
            probe,
            (route, {**order, "timeout": 3600}),
            (route, {**order, "timeout": 60}),
            lambda hour, minute: hour > minute,
        ),
        probe.expect("refuses an order without a command", REFUSED, "POST", route, {"timeout": 60}),
        _refuses_no_payment(probe, route, order),
        probe.expect("knows no job it never sold", (404,), "GET", f"{route}/no-such-job"),
    ]


PROMISES: Mapping[str, Callable[[Probe, str], list[ConformanceResult]]] = {
    "hypercli": hypercli,
    "openvps": openvps,
    "prism": prism,
}
"""What is tried of each protocol, of a vendor's probe and one of its GPU types."""


def _refuses_no_payment(probe: Probe, route: str, order: Mapping[str, object]) -> ConformanceResult:
    payment = {"PAYMENT-SIGNATURE": NO_PAYMENT}
    return probe.expect("refuses a payment that is none", (400, 402), "POST", route, order, payment)


def _lists_prices(probe: Probe, gpu_type: str) -> ConformanceResult:
    name, key = "lists its prices to everybody", f"{hypercli_gpu(gpu_type)}_x1"
    try:
        reply = probe.ask("GET", "/instances/pricing")
        prices = strict_json.parse(reply.body) if reply.status == 200 else None
    except (HttpFailed, ValueError) as error:
        return ConformanceResult(name, False, str(error))
    if not isinstance(prices, dict):
        return ConformanceResult(name, False, f"answered {reply.status}, wanted 200 with an object of prices")
    regions = prices.get(key)
    detail = f"{key} in {len(regions)} regions" if isinstance(regions, dict) and regions else f"none for {key}"
    return ConformanceResult(name, isinstance(regions, dict) and bool(regions), detail)


def _lives_for_its_lease(probe: Probe, route: str, order: Mapping[str, object]) -> ConformanceResult:
    name = f"wants an authorization to live for its lease and {LEASE_SPARE_S} s"
    try:
        life_s = _terms(probe, route, order).max_timeout_s
    except VendorError as error:
        return ConformanceResult(name, False, str(error))
    lease_s = life_s - LEASE_SPARE_S
    return ConformanceResult(name, lease_s > 0, f"{life_s} s, which leaves a lease of {max(lease_s, 0)} s")


def _answers_version_1(probe: Probe, route: str, order: Mapping[str, object]) -> ConformanceResult:
    """Who pays with X-PAYMENT speaks version 1."""
    name = "answers in version 1 to who pays in version 1"
    try:
        reply = probe.ask("POST", route, order, {"X-PAYMENT": NO_PAYMENT})
        document = strict_json.parse(reply.body)
    except (HttpFailed, ValueError) as error:
        return ConformanceResult(name, False, str(error))
    version = document.get("x402Version") if isinstance(document, dict) else None
    number = version if type(version) is int else "none"
    return ConformanceResult(name, (reply.status, number) == (402, 1), f"answered {reply.status}, version {number}")


def _priced(
    name: str, probe: Probe, route: str, order: Mapping[str, object], holds: Callable[[int], bool]
) -> ConformanceResult:
    try:
        amount = int(_terms(probe, route, order).amount)
    except VendorError as error:
        return ConformanceResult(name, False, str(error))
    return ConformanceResult(name, holds(amount), f"asked for {show_usd(amount)}")


def _compared(
    name: str,
    probe: Probe,
    first: tuple[str, Mapping[str, object]],
    second: tuple[str, Mapping[str, object]],
    holds: Callable[[int, int], bool],
) -> ConformanceResult:
    """first, second: routes and orders whose prices are compared."""
    try:
        price, twice = (int(_terms(probe, *order).amount) for order in (first, second))
    except VendorError as error:
        return ConformanceResult(name, False, str(error))
    return ConformanceResult(name, holds(price, twice), f"asked for {show_usd(price)}, and for {show_usd(twice)}")


def _terms(probe: Probe, route: str, order: Mapping[str, object]) -> Terms:
    """The offer in our token to an unpaid order. Raises VendorError."""
    reply = _reply(probe, route, order)
    if reply.status != 402:
        raise VendorError(f"answered {reply.status}, wanted 402")
    return priced(read_challenge(reply.headers, reply.body, probe.vendor.x402_version), probe.vendor)


def _reply(probe: Probe, route: str, order: Mapping[str, object]) -> Reply:
    try:
        return probe.ask("POST", route, order)
    except HttpFailed as error:
        raise VendorError(str(error)) from error
