"""The relay's figures for Prometheus: what this process told, and how far each sink is behind."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class RelayMetrics:
    """Counters of this process; gauges of the database, the same in every process that relays."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        registry = registry or CollectorRegistry()
        self._told = Counter("bezant_relay_events", "Events acknowledged by a sink.", ["sink"], registry=registry)
        self._failures = Counter(
            "bezant_relay_failures", "Batches that a sink did not acknowledge.", ["sink"], registry=registry
        )
        self._lag = Gauge(
            "bezant_relay_lag_seconds", "Age of the oldest event not told yet.", ["sink"], registry=registry
        )
        self._waiting = Gauge(
            "bezant_relay_waiting", "Events not told yet, counted up to a bound.", ["sink"], registry=registry
        )

    def told(self, sink: str, count: int, failures: int) -> None:
        """Add what a round has done."""
        self._told.labels(sink).inc(count)
        self._failures.labels(sink).inc(failures)

    def behind(self, sink: str, waiting: int, lag_s: float) -> None:
        """How far a sink is behind now."""
        self._waiting.labels(sink).set(waiting)
        self._lag.labels(sink).set(lag_s)
