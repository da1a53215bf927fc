"""`gpuagent console`: whom it would let in is checked before anything is started."""

import pytest
from typer.testing import CliRunner

from gpuagent.cli import app


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--host", "0.0.0.0"), "lets other machines in: set GPUAGENT_API_TOKENS first"),
        (("--theme", "pink"), "--theme is light or dark"),
    ],
)
def test_it_does_not_start(arguments: tuple[str, ...], message: str) -> None:
    result = CliRunner().invoke(app, ("console", *arguments), env={"GPUAGENT_API_TOKENS": None})
    assert (result.exit_code, message in result.output) == (2, True), result.output
