"""Channels that carry alerts to users."""
