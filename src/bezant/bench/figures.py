"""What a benchmark says, as one JSON line and as a row that a person can read."""

import os

import msgspec


class Figures(msgspec.Struct, kw_only=True):
    """One benchmark. CPU is in microseconds per operation; None where it could not be seen."""

    name: str
    per_second: float
    p50_ms: float
    p99_ms: float
    pgbench_tps: float
    ratio_to_pgbench: float
    cpu_us_api: float | None
    cpu_us_database: float | None
    operations: int
    failures: int = 0
    memory_mb: float | None = None
    ratio_to_payments: float | None = None
    ratio_to_ledger: float | None = None
    cores: int = msgspec.field(default_factory=lambda: os.cpu_count() or 1)

    def line(self) -> str:
        """One line of JSON."""
        return msgspec.json.encode(self).decode()
