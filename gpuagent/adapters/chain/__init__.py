"""Chain adapters: an EVM node over JSON-RPC, and several nodes that must agree."""
