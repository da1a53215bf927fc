"""Protocols, known by what a listing declares."""

import pytest

from gpuagent.adapters.vendors.registry import PROTOCOLS
from gpuagent.core.dialects import DIALECTS, orders, protocol_of


def test_they_are_the_protocols_of_the_registry() -> None:
    assert set(DIALECTS) == set(PROTOCOLS)


@pytest.mark.parametrize(
    ("resource", "fields", "protocol"),
    [
        ("https://acme.example", ("vendorJobTemplateId", "jobParams"), "gpuagent/1"),
        ("https://acme.example/api/x402/job", (), "hypercli"),
        ("https://acme.example/v1/jobs/?x=1", ("command", "vcpus"), "openvps"),
        ("https://acme.example/x402/run", ("command",), "prism"),
        ("https://acme.example/run", (), ""),
        ("https://acme.example/weather", ("command",), ""),
    ],
)
def test_a_protocol_is_known_by_route_and_fields(resource: str, fields: tuple[str, ...], protocol: str) -> None:
    assert protocol_of(resource, frozenset(fields)) == protocol


def test_examples_of_orders_name_the_gpu() -> None:
    nested, flat = orders("hypercli", "A100")
    assert isinstance(nested["job"], dict)
    assert nested["job"]["gpu_type"] == flat["gpu_type"] == "a100"
    assert orders("prism", "A100") == [{"command": "nvidia-smi"}]
