"""One browser for the module; each test has a JupyterLab on an empty stack of its own.

GPUAGENT_SCREENSHOTS names a folder for screenshots; without it none is taken.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.support.browser_notebook import Notebook, Pictures, chromium
from tests.support.lab import Lab, running_lab

VIEW = {"width": 1280, "height": 1900}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with running_lab(tmp_path / "lab") as lab:
        yield lab


@pytest.fixture
def opened(lab: Lab, browser: Browser) -> Iterator[Callable[[str], Notebook]]:
    context = browser.new_context(viewport=VIEW)  # type: ignore[arg-type]
    yield lambda name: Notebook(context.new_page(), lab, name)
    context.close()


@pytest.fixture
def pictures() -> Pictures:
    folder = os.environ.get("GPUAGENT_SCREENSHOTS")
    return Pictures(Path(folder) if folder else None)
