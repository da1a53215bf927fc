"""The test USDC: its Vyper source, and the artifact compiled from it that is deployed."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("TestUSDC.vy")
ARTIFACT = Path(__file__).with_name("TestUSDC.json")

NAME = "USD Coin"
VERSION = "2"
DECIMALS = 6


@dataclass(frozen=True)
class Artifact:
    """A compiled contract, and which source and compiler it came from."""

    abi: list[dict[str, Any]]
    bytecode: str
    compiler: str
    source_hash: str

    def to_json(self) -> str:
        return json.dumps(
            {
                "compiler": self.compiler,
                "sourceHash": self.source_hash,
                "abi": self.abi,
                "bytecode": self.bytecode,
            },
            indent=1,
        )


def load() -> Artifact:
    """The committed artifact: deploying needs no compiler."""
    stored = json.loads(ARTIFACT.read_text())
    return Artifact(stored["abi"], stored["bytecode"], stored["compiler"], stored["sourceHash"])


def compile_source() -> Artifact:
    """Compile the source afresh. Needs vyper, which only development installs."""
    import vyper

    source = SOURCE.read_text()
    compiled = vyper.compile_code(source, output_formats=["abi", "bytecode"])
    return Artifact(
        abi=compiled["abi"],
        bytecode=compiled["bytecode"],
        compiler=f"vyper {vyper.__version__}",
        source_hash=hashlib.sha256(source.encode()).hexdigest(),
    )
