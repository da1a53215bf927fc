"""Planner adapters: by rules, by language models, and the registry that opens them by name."""
