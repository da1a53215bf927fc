"""Unattended runs: a notebook drives one to its end, and a command for timers executes the notebook."""
