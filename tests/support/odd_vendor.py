"""The market's vendors, with some of their answers replaced on the way: what no fault switch of theirs does."""

from collections.abc import Callable
from typing import Any

from gpuagent.core.ports.vendors import VendorApi


class OddVendor:
    """A VendorApi whose methods are the inner one's, but for those given by name."""

    def __init__(self, inner: VendorApi, **methods: Callable[..., Any]) -> None:
        self._inner, self._methods = inner, methods

    def __getattr__(self, name: str) -> Any:
        return self._methods.get(name) or getattr(self._inner, name)
