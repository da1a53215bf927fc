"""The kernels of visitors: as many as there may be, also where they come at once."""

import asyncio
from typing import Any

import pytest
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from tornado.web import HTTPError

from gpuagent.console.kernels import VISITOR, Kernels


class TwoKernels(Kernels):
    environment = staticmethod(lambda visitor: {"CONSOLE_LOGIN": visitor})
    visitors_max = 2
    folder = "/"


def test_visitors_who_come_at_once_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[dict[str, Any]] = []

    async def start(_: Any, **options: Any) -> str:
        started.append(options)
        await asyncio.sleep(0)  # the others come meanwhile
        return f"kernel-{len(started)}"

    monkeypatch.setattr(AsyncMappingKernelManager, "start_kernel", start)

    async def visits() -> list[Any]:
        kernels = TwoKernels()
        VISITOR.set("rita")
        return await asyncio.gather(
            *(kernels.start_kernel(env={"EVM": "key"}) for _ in range(5)), return_exceptions=True
        )

    outcomes = asyncio.run(visits())
    assert [type(outcome) for outcome in outcomes] == [str, str, HTTPError, HTTPError, HTTPError]
    assert [options["env"] for options in started] == [{"CONSOLE_LOGIN": "rita"}] * 2
