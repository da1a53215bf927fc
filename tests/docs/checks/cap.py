"""The new cap is set, shown and held against a purchase; a policy from before it means no limit."""

import os

from typer.testing import CliRunner

from gpuagent.cli import app
from gpuagent.core.policy import LIMITS

ORDER = ("run", "start", "--goal", "Fine-tune tiny-llm", "--budget", "5")


def call(*arguments: str, exit_code: int = 0) -> str:
    result = CliRunner().invoke(app, arguments, env={**os.environ, "COLUMNS": "200"})
    assert result.exit_code == exit_code, result.output
    return " ".join(result.output.split())


assert "a GPU hour no limit" in call("policy", "show")
assert "would pay 1.40 USD" in call(*ORDER, "--dry-run")
call("policy", "set", "--per-hour", "1", "--by", "ada")
assert "a GPU hour 1.00 USD" in call("policy", "show")
assert "1.40 USD would exceed the cap of 1.00 USD (GPU hour)" in call(*ORDER, "--dry-run", exit_code=3)
call("policy", "set", "--per-hour", "1.40", "--by", "ada", "--why", "prices rose")
assert "would pay 2.80 USD" in call(*ORDER, "--hours", "2", "--dry-run")
assert "per_hour" in {limit.name for limit in LIMITS}
