"""Forks of one process that has imported what a ticker needs: over a second of a processor saved for each."""

import multiprocessing
from multiprocessing.context import ForkServerContext

IMPORTED = (
    "tests.support.crash.long_ticker",
    "tests.support.crash.ticker",
    "gpuagent.adapters.chain.evm",
    "gpuagent.adapters.mongo.store",
    "gpuagent.adapters.wallets.local",
    "gpuagent.adapters.vendors.registry",
)


def forks() -> ForkServerContext:
    """Starts processes that have nothing of this one, its environment included, but what they are given."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(IMPORTED))
    return context
