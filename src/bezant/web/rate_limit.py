"""A token bucket per key, in this process: a second's worth of requests at once, then the key's rate."""

import time
from collections.abc import Callable, Hashable
from math import ceil
from typing import Final

from bezant.base.errors import RateLimited

_KEYS_MAX: Final = 20_000


class RateLimit:
    """Counts the requests of each key. At most `keys_max` are remembered: the one seen first is forgotten first."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, keys_max: int = _KEYS_MAX) -> None:
        self._clock = clock
        self._keys_max = keys_max
        self._buckets: dict[Hashable, tuple[float, float]] = {}

    def allow(self, key_id: Hashable, rate_per_s: int) -> int | None:
        """None if the key may send this request now, else the whole seconds to wait."""
        now = self._clock()
        bucket = self._buckets.get(key_id)
        if bucket is None:
            if len(self._buckets) >= self._keys_max:
                del self._buckets[next(iter(self._buckets))]
            tokens = float(rate_per_s)
        else:
            tokens = min(float(rate_per_s), bucket[0] + (now - bucket[1]) * rate_per_s)
        if tokens < 1:
            self._buckets[key_id] = (tokens, now)
            return max(1, ceil((1 - tokens) / rate_per_s)) if rate_per_s > 0 else 60
        self._buckets[key_id] = (tokens - 1, now)
        return None

    def require(self, key_id: Hashable, rate_per_s: int) -> None:
        """Raise `rate_limited` if the key may not send this request now."""
        retry_after_s = self.allow(key_id, rate_per_s)
        if retry_after_s is not None:
            raise RateLimited(
                "rate_limited", f"This key may send {rate_per_s} requests a second.", retry_after_s=retry_after_s
            )
