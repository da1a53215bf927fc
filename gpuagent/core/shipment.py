"""A shipment: what an order sends to a vendor, and which vendors may get it, for users to read before they buy."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gpuagent.core.job_parts import Input
from gpuagent.core.model import Vendor
from gpuagent.core.rules import ANY_VENDOR, TRUSTED_VENDORS
from gpuagent.core.text import canonical, clean, counted
from gpuagent.core.workload import Workload, from_canonical

SHOWN_MAX = 400
"""Characters of a command or of setup."""


@dataclass(frozen=True, slots=True)
class Shipment:
    """An order's parts. resume: of its checkpoint, or None. vendors: who may be bought from, each by its id.

    trusted: those of them that may get secrets. inputs_to: the policy's word on who may get inputs, any or trusted.
    """

    workload: Workload
    resume: dict[str, Any] | None
    vendors: tuple[str, ...]
    trusted: tuple[str, ...]
    inputs_to: str = ANY_VENDOR

    def facts(self) -> list[tuple[str, str]]:
        """What is sent to whom, as names and values. Of secrets only the names are known here."""
        job = self.workload
        command = job.command if isinstance(job.command, str) else json.dumps(job.command, ensure_ascii=False)
        return [
            ("job", f"{job.name}, SHA-256 {job.sha256}"),
            ("image", job.image or "none: the vendor's own environment"),
            *([("setup", clean(job.setup, SHOWN_MAX))] if job.setup else []),
            ("command", clean(command, SHOWN_MAX)),
            *([("env", ", ".join(f"{name}={clean(value, 80)}" for name, value in job.env.items()))] if job.env else []),
            *[(f"input {entry.path}", _content(entry)) for entry in job.inputs],
            ("resume", self._resumed()),
            ("secrets", ", ".join(job.secrets) or "none"),
            ("goes to", ", ".join(self._receivers()) or "no vendor"),
            *([("secrets go to", self._only_trusted("secrets"))] if job.secrets else []),
        ]

    def as_json(self) -> dict[str, Any]:
        job = self.workload
        return {
            "name": job.name,
            "workloadHash": job.sha256,
            "image": job.image,
            "command": job.command,
            "inputs": [entry.model_dump(mode="json", exclude_none=True) for entry in job.inputs],
            "resume": self.resume,
            "secrets": list(job.secrets),
            "goesTo": self._receivers(),
            "secretsGoTo": list(self.trusted) if job.secrets else [],
        }

    def _receivers(self) -> list[str]:
        """Secrets, and where the policy says so inputs, keep an order from vendors that are not trusted."""
        kept_from_others = self.workload.secrets or (self.workload.inputs and self.inputs_to == TRUSTED_VENDORS)
        return list(self.trusted if kept_from_others else self.vendors)

    def _resumed(self) -> str:
        if self.resume is None:
            return "nothing: it begins anew"
        files = self.resume["files"]
        total = sum(file["bytes"] for file in files)
        return f"from the checkpoint {self.resume['sha256']}: {counted(len(files), 'file')}, {counted(total, 'byte')}"

    def _only_trusted(self, what: str) -> str:
        trusted = ", ".join(self.trusted)
        return f"{trusted}, once paid" if trusted else f"no vendor: none is trusted, and only such get {what}"


def shipment(order: str, vendors: Iterable[Vendor], inputs_to: str = ANY_VENDOR) -> Shipment | None:
    """What an order's canonical text sends; None for an order without a workload."""
    if not order:
        return None
    content, vendors = json.loads(order), tuple(vendors)
    return Shipment(
        from_canonical(canonical(content["workload"])),
        content.get("resume"),
        tuple(vendor.vendor_id for vendor in vendors),
        tuple(vendor.vendor_id for vendor in vendors if vendor.trusted),
        inputs_to,
    )


def _content(entry: Input) -> str:
    size = "fetched when the run starts" if entry.bytes is None else f"{entry.bytes:,} bytes"
    return ", ".join(filter(None, (size, f"SHA-256 {entry.sha256}", entry.url)))
