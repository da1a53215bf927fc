"""Formats and transports that adapters share: bounded HTTP, strict JSON, x402, EIP-3009."""
