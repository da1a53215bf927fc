"""`python -m mock_vendor.stubs`: stubs of other sellers on a local chain. One JSON line on stdout says when ready.

The chain is the one that the variables of an agent name, as `gpuagent up` prints them; PORT and GPU_VENDOR_SECRET are
those of the practice vendors. It ends when its standard input does.
"""

import json
import logging
import os
import signal
import sys
import tempfile
import threading
from pathlib import Path

from mock_vendor.stubs.bucket import MISSING, serving_bucket
from mock_vendor.stubs.serve import HOST, StubMarket, own_facilitator_on, serving
from mock_vendor.stubs.till import market_on
from seller.runners import RunnerError
from seller.runners.process import ProcessRunner

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
PORT = "0"


def main() -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    for number in STOP_SIGNALS:
        signal.signal(number, _stop)
    threading.Thread(target=_stop_with_stdin, daemon=True).start()
    sys.setrecursionlimit(1000)  # web3 lifts it, and a deeply nested body would then end the interpreter
    rpc_url = os.environ.get("CHAIN_RPC_URL", "")
    if not rpc_url:
        sys.exit("mock_vendor.stubs: set CHAIN_RPC_URL and the variables beside it, as `gpuagent up` prints them")
    with tempfile.TemporaryDirectory(prefix="stubs-") as folder:
        runner, notices = _runner(Path(folder))
        stubs = StubMarket(
            market_on(os.environ, own_facilitator_on(rpc_url)), runner, os.environ.get("GPU_VENDOR_SECRET", "")
        )
        with serving_bucket(HOST) as bucket, serving(stubs, int(os.environ.get("PORT") or PORT)):
            notices += [] if bucket else [MISSING]
            ready = {
                **{"url": stubs.url, "secret": stubs.secret, "vendors": stubs.listing()},
                **{"bucket": dict(bucket), "notices": notices},
            }
            print(json.dumps(ready), flush=True)  # noqa: T201
            signal.pause()


def _runner(folder: Path) -> tuple[ProcessRunner, list[str]]:
    """With a network: commands fetch and send their files by URLs, as on the sellers' own machines."""
    try:
        return ProcessRunner(folder, outlive=False, network=True), []
    except RunnerError as error:
        notice = f"the stubs' jobs run with the rights of this user, without a sandbox: {error}"
        return ProcessRunner(folder, sandbox=False, outlive=False), [notice]


def _stop(*_: object) -> None:
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    sys.exit(0)


def _stop_with_stdin() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
