"""The worker processes of one seller: forks of a parent, which serves nothing, replaces those that end, and ends last.

A fork, so that what takes seconds to import is imported once, and memory that all of them share needs no name. The
parent has no thread, and sleeps until a signal comes. The listening socket is one for all: calls that wait at it are
not lost with a worker. With a parent that is killed the kernel kills its workers.
"""

import ctypes
import logging
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NoReturn

from seller.command import STOP_SIGNALS
from seller.errors import BadSetting, ChainError, Unreadable
from seller.events import event
from seller.locks import shared_numbers

STOP_S = 60.0
"""How long a worker may take to end: settlements under way are answered before."""
START_LOOK_S, LOOK_S = 0.05, 1.0
"""Between two looks at the workers, before all of them serve and after."""
HUNG_LOOKS, SHORT_LOOKS = 30, 5
"""A worker that gave no sign between so many is killed: for what it holds, as the turn to send, the others wait. One
that lives shorter is replaced a look later: what has ended it may end the next."""
ENDED, FAILED, MISCONFIGURED, DRAINED = 0, 1, 2, 10
"""Exit codes of a worker; the first three as the seller's own."""
PR_SET_PDEATHSIG = 1
"""Of prctl(2): the signal that a process gets when its parent ends."""
SIGNALS = {*STOP_SIGNALS, signal.SIGCHLD}
Alive = Callable[[], None]
Work = Callable[[int, Alive], bool]
"""What a worker does, by its place from 0 on: it calls back again and again while it serves, and returns whether the
seller has been drained. There is one worker at a place at a time."""
logger = logging.getLogger(__name__)


def run_workers(
    count: int, work: Work, ready: Callable[[], None], ending: Callable[[], None], look_s: float = LOOK_S
) -> None:
    """Runs so many workers until a signal to stop comes, or until one has drained the seller.

    ready: called once all of them serve. ending: called before they are ended. Raises SystemExit with the code of one
    that ends before all of them serve.
    """
    workers = Workers(count, work, look_s)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        workers.keep(ready)
    finally:
        ending()
        workers.stop()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


class Workers:
    """The living workers, by process and place, for a caller who has blocked SIGNALS."""

    def __init__(self, count: int, work: Work, look_s: float) -> None:
        self._count, self._work, self._look_s = count, work, look_s
        self._signs = shared_numbers(count)
        self._seen, self._silent, self._began = [0] * count, [0] * count, [-math.inf] * count
        self._places: dict[int, int] = {}

    def keep(self, ready: Callable[[], None]) -> None:
        serving = False
        while True:
            self._fill()
            arrived = signal.sigtimedwait(SIGNALS, self._look_s if serving else START_LOOK_S)
            if arrived and arrived.si_signo in STOP_SIGNALS:
                return
            for pid, code in self._ended():
                if code == DRAINED:
                    return
                if not serving:
                    sys.exit(code if code > 0 else FAILED)  # it has said why
                event(logger, "worker ended", worker=pid, exitCode=code)
            if serving and not arrived:
                self._kill_hung()
            if not serving and all(self._signs[place] for place in range(self._count)):
                serving = True
                ready()

    def stop(self) -> None:
        """Ends all workers, and returns when none is left."""
        for pid in self._places:
            os.kill(pid, signal.SIGTERM)
        ends_at = time.monotonic() + STOP_S
        while self._places:
            signal.sigtimedwait({signal.SIGCHLD}, START_LOOK_S)
            for _ in self._ended():
                pass
            if time.monotonic() > ends_at:
                for pid in self._places:
                    os.kill(pid, signal.SIGKILL)

    def _fill(self) -> None:
        """Starts a worker at each place without one; where none can be forked the next look tries again."""
        try:
            for place in sorted({*range(self._count)} - {*self._places.values()}):
                self._start(place)
        except OSError as error:
            logger.warning("no worker can be started: %s", error)

    def _start(self, place: int) -> None:
        began, parent = time.monotonic(), os.getpid()
        pause_s = self._look_s if began < self._began[place] + SHORT_LOOKS * self._look_s else 0.0
        self._signs[place] = self._seen[place] = self._silent[place] = 0
        pid = os.fork()
        if not pid:
            self._be_worker(place, parent, pause_s)
        self._places[pid], self._began[place] = place, began

    def _ended(self) -> Iterator[tuple[int, int]]:
        """Process and exit code of each worker that has ended."""
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = ended
                # Where the parent is a container's first process, the supervisors of jobs are its children too.
                if self._places.pop(pid, None) is not None:
                    yield pid, os.waitstatus_to_exitcode(status)

    def _kill_hung(self) -> None:
        """Kills the worker that has been silent for longest, if it has for too long: the others may wait for it."""
        for place in self._places.values():
            sign = self._signs[place]
            self._silent[place] = self._silent[place] + 1 if sign and sign == self._seen[place] else 0
            self._seen[place] = sign
        pid = max(self._places, key=lambda pid: self._silent[self._places[pid]], default=0)
        if pid and self._silent[self._places[pid]] >= HUNG_LOOKS:
            event(logger, "worker hangs", worker=pid)
            os.kill(pid, signal.SIGKILL)

    def _be_worker(self, place: int, parent: int, pause_s: float) -> NoReturn:
        """Does the work, and ends the process: nothing of the parent's stack is unwound here."""
        code = FAILED
        try:
            _end_with(parent)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            time.sleep(pause_s)
            code = DRAINED if self._work(place, lambda: self._give_sign(place)) else ENDED
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else ENDED
        except (BadSetting, ChainError, Unreadable) as error:
            code = FAILED if isinstance(error, Unreadable) else MISCONFIGURED
            sys.stderr.write(f"seller: {error}\n")
        except BaseException:
            logger.exception("a worker failed")
        finally:
            try:  # a signal to stop may come now, too
                signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(code)

    def _give_sign(self, place: int) -> None:
        self._signs[place] += 1


def _end_with(parent: int) -> None:
    """Has the kernel kill this process when its parent ends, whatever ends that."""
    if ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL):
        raise OSError("prctl(PR_SET_PDEATHSIG) is refused: no worker would end with its parent")
    if os.getppid() != parent:  # it ended before that
        os._exit(FAILED)
