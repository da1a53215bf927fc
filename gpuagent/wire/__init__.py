"""Formats and transports that adapters share: bounded HTTP, and x402's `exact` scheme."""
