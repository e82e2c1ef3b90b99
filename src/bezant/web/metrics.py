"""Counts requests by route and status with their times, for Prometheus.

A few additions a request instead of prometheus_client's locks and label look-ups; the figures become metric families
only when they are scraped. They are this process's own.
"""

from bisect import bisect_left
from collections.abc import Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

_BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class RequestMetrics(Collector):
    """Requests and their durations per route template, method and status; and how many are in flight."""

    def __init__(self) -> None:
        self.in_flight = 0
        self._counts: dict[tuple[str, str, int], list[int]] = {}
        self._sums_s: dict[tuple[str, str, int], float] = {}

    def observe(self, route: str, method: str, status: int, duration_s: float) -> None:
        """Count one finished request."""
        series = (route, method, status)
        counts = self._counts.get(series)
        if counts is None:
            counts = self._counts[series] = [0] * (len(_BOUNDS_S) + 1)
            self._sums_s[series] = 0.0
        counts[bisect_left(_BOUNDS_S, duration_s)] += 1
        self._sums_s[series] += duration_s

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily]:
        """The metric families of this moment."""
        labels = ("route", "method", "status")
        requests = CounterMetricFamily("bezant_http_requests", "Requests answered.", labels=labels)
        durations = HistogramMetricFamily(
            "bezant_http_request_duration_seconds",
            "From the first byte read to the last one given away.",
            labels=labels,
        )
        for (route, method, status), counts in self._counts.items():
            values = (route, method, str(status))
            buckets: list[tuple[str, float]] = []
            so_far = 0
            for bound, count in zip((*map(str, _BOUNDS_S), "+Inf"), counts, strict=True):
                so_far += count
                buckets.append((bound, so_far))
            requests.add_metric(values, so_far)
            durations.add_metric(values, buckets, self._sums_s[route, method, status])
        yield requests
        yield durations
        yield GaugeMetricFamily("bezant_http_requests_in_flight", "Requests being answered.", value=self.in_flight)
