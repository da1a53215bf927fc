"""Runs that no person watches: a notebook drives one to its end, and a command that timers call drives the notebook."""
