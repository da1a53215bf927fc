"""Wallet adapters: a local key, a keystore or CDP, and the checks before any signature."""
