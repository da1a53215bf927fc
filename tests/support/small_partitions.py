"""Reports whose partitions are small, so that a small history has many of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from gpuagent.reports import overview as overviews
from gpuagent.reports import report as reports
from gpuagent.reports.partitions import Sizes


@contextmanager
def sized(sizes: Sizes) -> Iterator[None]:
    """Inside, partitions are of these sizes."""

    def small(*arguments: Any) -> overviews.Overview:
        return overviews.overview(*arguments, sizes=sizes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reports, "overview", small)
        yield
