"""What can be set from outside while the simulator runs."""

from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

import msgspec

from bezant_simulator.settlement.currencies import Conversion

HOLD_S: Final = 60.0


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What can be set from outside. `outage`: what every call of the API gets instead of an answer, unexecuted.

    `visibility_lag_s`: how long after an operation a look-up by reference does not show it yet. `async_delay_s`: when
    what is pending is decided. `hold_s`: how long a call that is never answered keeps its connection. `webhook_url`:
    where events are sent; while it is None they wait. `retry_s`: after what time a delivery is first tried again.
    `fee_basis_points` and `fee_fixed`: what each charge costs. `dispute_fee`: what is taken with each dispute.
    `settle_in`: the currencies that are settled in another one.
    """

    visibility_lag_s: float = 0.0
    async_delay_s: float = 3.0
    hold_s: float = HOLD_S
    outage: Literal["timeout", "reset", "500", "rate_limit"] | None = None
    webhook_url: str | None = None
    retry_s: float = 0.5
    fee_basis_points: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 290
    fee_fixed: Annotated[int, msgspec.Meta(ge=0)] = 30
    dispute_fee: Annotated[int, msgspec.Meta(ge=0)] = 1500
    settle_in: dict[str, Conversion] = {}

    def __post_init__(self) -> None:
        if self.webhook_url is not None:
            parts = urlsplit(self.webhook_url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError("webhook_url must look like http://host:port/path")
