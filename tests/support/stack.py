"""A running stack that several pytest processes use one after the other: `make mutants` starts one per worker."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gpuagent.core.model import Settles, Vendor
from gpuagent.practice.stack import Stack

STACK_SETTINGS = {"PORT": "0", "MOCK_SPEED": "1", "MOCK_SLOW_S": "60", "MOCK_SANDBOX": "required"}
"""What the tests expect of the vendors they share."""
STACK_FILE, DATABASE_NAME = "GPUAGENT_TEST_STACK", "GPUAGENT_TEST_DATABASE"


def share_stack(stack: Stack, file: Path) -> None:
    """Write down how to reach the stack."""
    address = {"environment": dict(stack.environment), "vendors": [asdict(vendor) for vendor in stack.vendors]}
    file.write_text(json.dumps(address))


def shared_stack(environ: Mapping[str, str] = os.environ) -> Stack | None:
    """The stack that the environment names, if it names one."""
    if not (file := environ.get(STACK_FILE)):
        return None
    address: dict[str, Any] = json.loads(Path(file).read_text())
    return Stack(address["environment"], tuple(map(_vendor, address["vendors"])))


def _vendor(fields: Mapping[str, Any]) -> Vendor:
    return Vendor(**{**fields, "gpu_types": tuple(fields["gpu_types"]), "settles": Settles(fields["settles"])})


def database_name(environ: Mapping[str, str] = os.environ) -> str:
    """The database of this pytest process."""
    return environ.get(DATABASE_NAME, "test")
