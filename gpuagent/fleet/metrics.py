"""The fleet's metrics for Prometheus."""

from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from gpuagent.errors import ConfigError
from gpuagent.fleet.crews import Ticked


class Metrics:
    """gpuagent_fleet_*: ticks by outcome, seconds of a tick, runs that came to their end, runs under way."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._ticks = Counter("gpuagent_fleet_ticks", "Ticks, by outcome", ["outcome"], registry=self.registry)
        self._seconds = Histogram("gpuagent_fleet_tick_seconds", "What a tick takes", registry=self.registry)
        self._over = Counter("gpuagent_fleet_runs_over", "Runs that came to their end", registry=self.registry)
        self._under_way = Gauge("gpuagent_fleet_under_way", "Runs given out", registry=self.registry)

    def hear(self, turns: Sequence[Ticked], under_way: int) -> None:
        for turn in turns:
            self._ticks.labels("failed" if turn.problem else "ticked").inc()
            self._seconds.observe(turn.seconds)
            self._over.inc(turn.over)
        self._under_way.set(under_way)

    def serve(self, address: str) -> tuple[Callable[[], None], int]:
        """Serve them at HOST:PORT, port 0 for any. Returns what ends that, and the port. Raises ConfigError."""
        host, _, port = address.rpartition(":")
        try:
            server, thread = start_http_server(int(port), host or "127.0.0.1", registry=self.registry)
        except (OSError, ValueError, OverflowError) as error:
            raise ConfigError(f"--metrics {address}: no HOST:PORT to listen on ({error})") from error

        def end() -> None:
            server.shutdown()
            thread.join()
            server.server_close()

        return end, server.server_port
