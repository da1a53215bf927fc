"""A wallet that counts what it is asked for."""

from typing import Any

from gpuagent.adapters.wallets.local import LocalWallet


class CountingWallet(LocalWallet):
    """signed, cancelled: how often it was asked to, whatever came of it."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.signed = self.cancelled = 0

    def sign(self, *arguments: Any) -> str:
        self.signed += 1
        return super().sign(*arguments)

    def cancel(self, *arguments: Any) -> str:
        self.cancelled += 1
        return super().cancel(*arguments)
