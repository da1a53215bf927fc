"""The runner of the practice vendors, as their settings ask for it."""

import logging
from pathlib import Path

from mock_vendor.settings import Sandbox, Settings
from seller.errors import BadSetting
from seller.runners import RunnerError
from seller.runners.process import ProcessRunner

logger = logging.getLogger(__name__)


def open_runner(settings: Settings, folder: Path) -> tuple[ProcessRunner, tuple[str, ...]]:
    """The runner, and what is to be said about it. Raises BadSetting where the sandbox is required and not there."""
    sandboxed, notices = settings.sandbox is not Sandbox.NONE, ()
    if sandboxed:
        try:
            return ProcessRunner(folder, outlive=settings.keep_jobs), notices
        except RunnerError as error:
            if settings.sandbox is Sandbox.REQUIRED:
                raise BadSetting(f"MOCK_SANDBOX=required: {error}") from None
            notice = f"jobs run with the rights of this user, without a sandbox: {error}"
    else:
        notice = "jobs run with the rights of this user, without a sandbox: MOCK_SANDBOX=none"
    logger.warning(notice)
    return ProcessRunner(folder, sandbox=False, outlive=settings.keep_jobs), (notice,)
