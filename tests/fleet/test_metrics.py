"""The fleet's metrics, as Prometheus reads them."""

import re

import httpx

from gpuagent.fleet.crews import Ticked
from gpuagent.fleet.metrics import Metrics


def test_ticks_are_counted_by_outcome_and_served() -> None:
    metrics = Metrics()
    metrics.hear([Ticked("a", "SUCCESS", True, 0.2), Ticked("b", "MONITORING", False, 0.1, "VendorError: away")], 3)
    end, port = metrics.serve("127.0.0.1:0")
    try:
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=60).text
    finally:
        end()
    values = dict(re.findall(r"^(gpuagent_fleet_\S+) ([0-9.]+)$", text, re.MULTILINE))
    assert values['gpuagent_fleet_ticks_total{outcome="ticked"}'] == "1.0"
    assert values['gpuagent_fleet_ticks_total{outcome="failed"}'] == "1.0"
    assert values["gpuagent_fleet_runs_over_total"] == "1.0"
    assert values["gpuagent_fleet_under_way"] == "3.0"
    assert values["gpuagent_fleet_tick_seconds_count"] == "2.0"
