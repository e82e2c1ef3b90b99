"""Counts what came, what became of it and what waits, for Prometheus. The counters are this process's own."""

from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector


class InboxMetrics(Collector):
    """Events by PSP: received by result, applied by status, waiting, and for how long the first has been due."""

    def __init__(self) -> None:
        self._received: Counter[tuple[str, str]] = Counter()
        self._settled: Counter[tuple[str, str]] = Counter()
        self._backlog: dict[tuple[str, str], tuple[int, float]] = {}

    def received(self, psp: str, result: str, how_many: int = 1) -> None:
        """Count what came: `accepted`, `duplicate`, or the code with which it was refused."""
        if how_many:
            self._received[psp, result] += how_many

    def settled(self, psp: str, status: str) -> None:
        """Count a try by the status in which it left the event."""
        self._settled[psp, status] += 1

    def measured(self, backlog: Iterable[tuple[str, str, int, float]]) -> None:
        """Note what waits in the database at this moment."""
        self._backlog = {(psp, status): (count, lag_s) for psp, status, count, lag_s in backlog}

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """The metric families of this moment."""
        received = CounterMetricFamily(
            "bezant_inbox_events", "Webhook events received, by result.", labels=("psp", "result")
        )
        for labels, count in self._received.items():
            received.add_metric(labels, count)
        settled = CounterMetricFamily(
            "bezant_inbox_applied", "Tries to apply an event, by its status afterwards.", labels=("psp", "status")
        )
        for labels, count in self._settled.items():
            settled.add_metric(labels, count)
        waiting = GaugeMetricFamily(
            "bezant_inbox_waiting_events", "Events that are not settled, or stand aside.", labels=("psp", "status")
        )
        lag = GaugeMetricFamily(
            "bezant_inbox_lag_seconds", "For how long the first event has been due.", labels=("psp",)
        )
        lags_s: dict[str, float] = {}
        for (psp, status), (count, lag_s) in self._backlog.items():
            waiting.add_metric((psp, status), count)
            lags_s[psp] = max(lags_s.get(psp, 0.0), lag_s)
        for psp, lag_s in lags_s.items():
            lag.add_metric((psp,), lag_s)
        yield received
        yield settled
        yield waiting
        yield lag
