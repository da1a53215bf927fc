"""`python -m gpuagent.cli`."""

from gpuagent.cli import app

app()
