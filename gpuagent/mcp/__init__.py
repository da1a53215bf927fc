"""Tools for assistants over the Model Context Protocol: dry-run, start, tick, look. None approves or allows more."""
