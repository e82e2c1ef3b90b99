"""What is counted of deliveries in this process."""

from collections.abc import Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

_RESULTS: Final = {True: "delivered", False: "failed"}


class DeliveryMetrics(Collector):
    """Tries by result, the time they took, and how many are being made."""

    def __init__(self) -> None:
        self.in_flight = 0
        self._counts = {True: 0, False: 0}
        self._seconds = {True: 0.0, False: 0.0}

    def tried(self, succeeded: bool, latency_ms: int) -> None:
        """Count one try."""
        self._counts[succeeded] += 1
        self._seconds[succeeded] += latency_ms / 1000

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """The metric families of this moment."""
        tries = CounterMetricFamily("bezant_webhook_tries", "Requests to merchants' servers.", labels=("result",))
        seconds = CounterMetricFamily(
            "bezant_webhook_tries_seconds", "Time that those requests took in sum.", labels=("result",)
        )
        for succeeded, result in _RESULTS.items():
            tries.add_metric((result,), self._counts[succeeded])
            seconds.add_metric((result,), self._seconds[succeeded])
        yield tries
        yield seconds
        yield GaugeMetricFamily("bezant_webhook_tries_in_flight", "Requests being made.", value=self.in_flight)
