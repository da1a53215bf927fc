"""Metrics for Prometheus, at an address of their own: what is sold and earned is not for buyers."""

from collections.abc import Callable, Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from seller.errors import BadSetting
from seller.report.overview import Overview, read_overview
from seller.shop import Shop


def serve_metrics(place: str, shop: Shop, folder: Path) -> Callable[[], None]:
    """Serves /metrics; what is returned ends that. Raises BadSetting."""
    host, _, port = place.rpartition(":")
    registry = CollectorRegistry()
    registry.register(SellerCollector(lambda: read_overview(shop.database, shop.vendors, folder)))
    try:
        server, thread = start_http_server(int(port), host.strip("[]"), registry)
    except OSError as error:
        raise BadSetting(f"metrics={place}: cannot listen there ({error.strerror}); null serves none") from None

    def close() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return close


class SellerCollector(Collector):
    """The figures of the database, read at each scrape."""

    def __init__(self, read: Callable[[], Overview]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        overview = self._read()
        jobs = GaugeMetricFamily("seller_jobs", "Jobs by state.", labels=["state"])
        for state, count in overview.jobs.items():
            jobs.add_metric([state], count)
        slots = GaugeMetricFamily("seller_gpus", "GPUs that are offered, and that are taken.", labels=["gpu", "kind"])
        for gpu in overview.gpus:
            slots.add_metric([gpu.gpu, "offered"], gpu.count or 0)
            slots.add_metric([gpu.gpu, "taken"], gpu.running)
        yield jobs
        yield slots
        yield GaugeMetricFamily("seller_sales_usd", "Money that was settled, in all.", float(overview.sold_usd))
        yield GaugeMetricFamily("seller_sales", "Payments that were settled, in all.", overview.sales)
        yield GaugeMetricFamily("seller_settling", "Payments that may or may not be on chain.", overview.settling)
        yield GaugeMetricFamily("seller_folder_bytes", "Bytes in the seller's folder.", overview.folder_bytes)
        yield GaugeMetricFamily("seller_disk_free_bytes", "Bytes that are free on its disk.", overview.disk_free_bytes)
