"""Alerts on their way to users: the configured channels, the links that answer, and the sender."""
