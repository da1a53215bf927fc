"""How the orders of each protocol look from outside: what a listing is known by, and what an unpaid order is.

What a protocol's purchases are like is in its adapter; here is only what is needed before a vendor is on record.
"""

import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass

from gpuagent.core.model import OWN_PROTOCOL, Settles

_COMMAND = "nvidia-smi"
_HYPERCLI = {
    "docker_image": "nvidia/cuda:12.6.3-base-ubuntu22.04",
    "gpu_count": 1,
    "interruptible": True,
    "command": b64encode(_COMMAND.encode()).decode(),
}


@dataclass(frozen=True, slots=True)
class Dialect:
    """route: the end of an order's URL. fields: of which a declared order has all.

    bodies: examples of an order, of which a vendor takes one; GPU stands where the name of a type goes. settles: when
    such a vendor takes what it was authorized.
    """

    route: str
    fields: frozenset[str]
    bodies: tuple[Mapping[str, object], ...] = ()
    settles: Settles = Settles.BEFORE


GPU = "GPU"
_MEMORY = re.compile(r"(?:[^a-z0-9]+([0-9]+)\s*gb|_([0-9]+))$")
DIALECTS: Mapping[str, Dialect] = {
    OWN_PROTOCOL: Dialect("/submit-job", frozenset({"vendorJobTemplateId"})),
    "hypercli": Dialect(
        "/api/x402/job",
        frozenset(),
        ({"amount": 1, "job": {**_HYPERCLI, "gpu_type": GPU}}, {**_HYPERCLI, "gpu_type": GPU, "runtime": 3600}),
    ),
    "openvps": Dialect("/v1/jobs", frozenset({"command"}), ({"command": _COMMAND, "timeout": 3600},)),
    "prism": Dialect("/run", frozenset({"command"}), ({"command": _COMMAND},), Settles.AFTER),
}


def hypercli_gpu(gpu_type: str) -> str:
    """The name that HyperCLI has for a GPU: A100-80GB is a100_80 there, RTX 6000 Ada rtx6000ada."""
    text = gpu_type.lower()
    memory = _MEMORY.search(text)
    name = "".join(filter(str.isalnum, text[: memory.start()] if memory else text))
    return f"{name}_{memory[1] or memory[2]}" if memory else name


def protocol_of(resource: str, fields: frozenset[str]) -> str:
    """The protocol that a declared order fits, by the end of its URL and its fields; "" for none."""
    path = resource.partition("?")[0].rstrip("/")
    return next(
        (
            name
            for name, dialect in DIALECTS.items()
            if dialect.fields <= fields and (name == OWN_PROTOCOL or path.endswith(dialect.route))
        ),
        "",
    )


def orders(protocol: str, gpu_type: str) -> list[dict[str, object]]:
    """The examples of an order for one GPU of a type."""
    return [_with_gpu(body, hypercli_gpu(gpu_type)) for body in DIALECTS[protocol].bodies]


def _with_gpu(body: Mapping[str, object], gpu: str) -> dict[str, object]:
    return {
        name: _with_gpu(value, gpu) if isinstance(value, Mapping) else gpu if value == GPU else value
        for name, value in body.items()
    }
