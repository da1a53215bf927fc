"""GPUs of containers: how an engine is asked for them, and whether it has given them."""

from collections.abc import Sequence
from typing import Any

KIND = "nvidia.com/gpu"
LOOK = ["/bin/sh", "-c", "ls -d /dev/nvidia[0-9]* /dev/dxg 2>/dev/null"]
"""A program that prints a line for each GPU that it has: under WSL they are one device."""


def request(kind: str, ids: Sequence[str]) -> dict[str, Any]:
    """The fields of a host configuration that ask for GPUs. ids: which; () for all."""
    if kind == "none":
        return {}
    from docker.types import DeviceRequest

    if kind == "cdi":
        names = [f"{KIND}={name}" for name in ids or ("all",)]
        return {"device_requests": [DeviceRequest(driver="cdi", device_ids=names)]}
    which = {"device_ids": list(ids)} if ids else {"count": -1}
    return {"device_requests": [DeviceRequest(capabilities=[["gpu"]], **which)]}


def problem(code: int, output: str, ids: Sequence[str]) -> str:
    """Why a job would not have the GPUs it was sold, by what LOOK has ended with and printed."""
    devices = output.split()
    if devices and (len(devices) >= len(ids) or "/dev/dxg" in devices):
        return ""
    return (
        f"the engine gave it {len(devices)} of {len(ids) or 'all'} GPUs (its look ended with {code}): "
        "set runner.gpus to what the engine takes: nvidia for Docker, cdi for Docker 25, Podman 5 and newer"
    )
