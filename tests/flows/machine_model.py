"""A payment in plain integers: what must become of it, derived from the contract and not from Bezant's code."""

import copy
from dataclasses import dataclass, field
from typing import Any, Literal

TRIES_MAX = 5
FEE_BASIS_POINTS, FEE_FIXED = 290, 30

LEGAL = {
    "pending": {"authorized", "captured", "failed", "canceled"},
    "authorized": {"captured", "canceled"},
    "captured": {"refunding"},
    "refunding": {"captured", "refunded"},
    "refunded": {"captured"},
}
"""Every step of a payment's status that calls and honest answers of a PSP can lead to: also from `refunded`, where
more is captured after all that was captured had been given back. The ways back from `failed` and `canceled`, which take
evidence against what was believed, are walked in tests/payments.
"""

APPROVES = ("visa", "mastercard", "approve")
DECLINES = ("declined", "insufficient_funds", "expired", "stolen", "fails")
CUSTOMER = ("3ds",)
LATER_YES = ("async", "500_after", "500_before", "reset_after", "reset_before", "rate_limited", "timeout_after",
             "timeout_before")  # fmt: skip
LATER_NO = ("async_fails",)


@dataclass
class Step:
    """An operation at the PSP. `approved`: what it comes to; None while the customer has not decided."""

    operation: Literal["authorize", "capture", "cancel", "refund"]
    amount: int
    approved: bool | None
    final: bool = True
    browser: bool = False
    page: str | None = None
    refund_id: str | None = None


@dataclass
class Sale:
    """One payment, and what is still open of it."""

    owner: int
    order_id: str
    amount: int
    currency: str
    automatic: bool
    words: dict[str, str]
    method: str | None
    payment_id: str = ""
    secret: str = ""
    authorized: int = 0
    captured: int = 0
    refunded: int = 0
    released: int = 0
    tries: int = 0
    failed: bool = False
    canceled: bool = False
    was_asked: bool = False
    open: list[Step] = field(default_factory=list[Step])
    refunds: dict[str, tuple[int, str]] = field(default_factory=dict[str, tuple[int, str]])

    @property
    def status(self) -> str:
        if any(step.operation == "refund" for step in self.open):
            return "refunding"
        if self.captured:
            return "refunded" if self.refunded == self.captured else "captured"
        if self.canceled:
            return "canceled"
        if self.authorized:
            return "authorized"
        return "failed" if self.failed else "pending"

    @property
    def capturable(self) -> int:
        return self.authorized - self.captured - self.released

    @property
    def refundable(self) -> int:
        return self.captured - self.refunded - sum(s.amount for s in self.open if s.operation == "refund")

    @property
    def fee(self) -> int:
        """Half-up, never above what was captured."""
        proportional = (2 * self.captured * FEE_BASIS_POINTS + 10_000) // 20_000
        return min(self.captured, proportional + FEE_FIXED) if self.captured else 0

    def awaits(self) -> Step | None:
        """The authorization that waits for the customer."""
        return next((step for step in self.open if step.page is not None), None)

    def blocking(self) -> Step | None:
        """What keeps captures and cancels out until it is resolved by itself."""
        steps = [s for s in self.open if s.operation != "refund" and s.approved is not None]
        return steps[-1] if steps else None

    def apply(self, step: Step, *, approved: bool) -> None:
        """The step is decided."""
        if step in self.open:
            self.open.remove(step)
        match step.operation:
            case "authorize" if approved:
                self.authorized = step.amount
                if self.automatic and self.words.get("capture") != "fails":
                    self.captured = step.amount
            case "authorize":
                self.failed = not (step.browser and self.tries < TRIES_MAX)
            case "capture" if approved:
                self.captured += step.amount
                self.released = self.authorized - self.captured if step.final else self.released
            case "cancel" if approved:
                self.open = [s for s in self.open if s.operation != "authorize"]
                self.released = self.authorized - self.captured
                self.canceled = self.captured == 0
            case "refund":
                if approved:
                    self.refunded += step.amount
                if step.refund_id:
                    self.refunds[step.refund_id] = (step.amount, "succeeded" if approved else "failed")
            case _:
                pass

    def resolve(self) -> None:
        """All that resolves by itself has done so."""
        while decided := [step for step in reversed(self.open) if step.approved is not None]:
            self.apply(decided[0], approved=bool(decided[0].approved))

    def possible(self) -> set[str]:
        """The statuses that it may have at this moment."""
        after = copy.deepcopy(self)
        after.resolve()
        return {self.status, after.status}

    def step(self, operation: Literal["authorize", "capture", "cancel", "refund"], amount: int, **more: Any) -> Step:
        """The step that the simulator's word for it leads to."""
        word = (self.method or "") if operation == "authorize" else self.words.get(operation, "visa")
        if operation == "authorize":
            amount = max(1, amount // 2) if word == "partial" else amount
            capture = self.words.get("capture")
            if self.automatic and word in APPROVES and capture in ("async", "async_fails"):
                word = capture
        return Step(operation, amount, None if word in CUSTOMER else word not in (*DECLINES, *LATER_NO), **more)

    def answers_at_once(self, operation: str) -> bool:
        """Whether the PSP says at once what comes of it."""
        word = (self.method or "") if operation == "authorize" else self.words.get(operation, "visa")
        if operation == "authorize" and self.automatic and word in APPROVES:
            word = {"async": "async", "async_fails": "async"}.get(self.words.get("capture", ""), word)
        return word in (*APPROVES, *DECLINES, "partial")
