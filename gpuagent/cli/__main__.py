"""`python -m gpuagent.cli`."""

from gpuagent.cli import main

main()
