"""Notebooks executed with papermill so that a SIGTERM stops the cell, not only the process around it.

papermill alone dies of a SIGTERM and leaves its kernel to notice; nothing is written then, and no `finally` runs.
"""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from gpuagent.errors import BadInput
from gpuagent.schedule.typed_text import Value

ENGINE, KERNEL = "gpuagent", "python3"
"""The kernel of this very environment: its spec is found beside sys.executable, activated or not."""
QUIET = ("--IPKernelApp.log_level=ERROR",)
"""The kernel is asked over this machine's loopback, which no other user can listen to: it need not warn each time."""
GRACE_S = 20
"""Seconds for an interrupted cell to end; then its kernel is killed."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class Execution:
    """How the execution of a notebook ended.

    signal: the one that asked it to stop, or 0. error: the exception's class in the cell that failed, or "".
    """

    signal: int = 0
    error: str = ""
    message: str = ""


class ExecutionStopped(RuntimeError):
    """A signal stopped the execution between two cells; the next one does not begin."""


def execute(notebook: Path, output: Path, values: Mapping[str, Value]) -> Execution:
    """Execute the notebook; to be called in the main thread. The output is written cell by cell. Raises BadInput."""
    import papermill as pm
    from jupyter_client.kernelspec import NoSuchKernel
    from papermill.exceptions import PapermillExecutionError

    stop = _StopRequest()
    _register()
    try:
        with stop.handlers():
            pm.execute_notebook(
                notebook,
                output,
                parameters=dict(values),
                engine_name=ENGINE,
                kernel_name=KERNEL,
                progress_bar=False,
                store_widget_state=False,
                gpuagent_stop=stop,
            )
    except PapermillExecutionError as error:
        return Execution(stop.signal, error.ename, error.evalue)
    except NoSuchKernel as error:
        raise BadInput(f"no kernel {KERNEL}: pip install 'gpuagent[notebooks]' ({error})") from error
    except RuntimeError as error:  # the kernel died, or was stopped before it was there
        return Execution(stop.signal, type(error).__name__, str(error))
    return Execution(stop.signal)


class _StopRequest:
    """A signal's request to stop: interrupt the cell and, after GRACE_S, kill the kernel."""

    def __init__(self) -> None:
        self.signal = 0
        self.client: Any = None

    @contextmanager
    def handlers(self) -> Iterator[None]:
        """Handle the signals until the block ends."""
        previous = {number: signal.signal(number, self._interrupt) for number in SIGNALS}
        previous[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._kill)
        try:
            yield
        finally:
            signal.alarm(0)
            for number, handler in previous.items():
                signal.signal(number, handler)

    def check(self, cell: Any, **_: Any) -> None:
        """Stop before the cell where a signal came between cells: an idle kernel ignores an interrupt."""
        if self.signal:
            cell.metadata.papermill["status"] = "failed"
            raise ExecutionStopped(f"stopped by {signal.Signals(self.signal).name} before this cell")

    def _interrupt(self, number: int, _: FrameType | None) -> None:
        if not self.signal:
            signal.alarm(GRACE_S)
        self.signal = number
        self._send(signal.SIGINT)

    def _kill(self, *_: object) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        """Signal the kernel alone: it stops what it started, such as a database, in its own order."""
        manager = self.client.km if self.client else None
        pid = manager.provisioner.pid if manager and manager.provisioner else None
        if pid:
            os.kill(pid, number)


def _register() -> None:
    """Register our engine with papermill: its client asks the stop request before every cell."""
    from papermill.clientwrap import PapermillNotebookClient
    from papermill.engines import NBClientEngine, papermill_engines

    class Engine(NBClientEngine):  # type: ignore[misc]
        @classmethod
        def execute_managed_notebook(
            cls, nb_man: Any, kernel_name: str, *, gpuagent_stop: _StopRequest, start_timeout: int = 60, **options: Any
        ) -> None:
            client_options = {name: value for name, value in options.items() if name == "store_widget_state"}
            client = PapermillNotebookClient(
                nb_man,
                kernel_name=kernel_name,
                startup_timeout=start_timeout,
                on_cell_execute=gpuagent_stop.check,
                extra_arguments=list(QUIET),
                **client_options,
            )
            gpuagent_stop.client = client
            client.execute()

    papermill_engines.register(ENGINE, Engine)
