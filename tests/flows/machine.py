"""The state machine: random lives of payments over HTTP beside the model. Each rule may also be called by a script."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, Final
from uuid import uuid4

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.flows.machine_model import LEGAL, Sale, Step
from tests.support.platform import Answer, Merchant, Platform, amount
from tests.support.verification import assert_verified
from tests.support.waiting import wait_until

Json = dict[str, Any]

RESOLVED_WITHIN_S: Final = 30.0

KEY_CODES: Final = {"idempotency_key_in_use", "idempotency_key_reused", "attempt_in_progress"}

METHODS = st.sampled_from(
    [*["visa"] * 6, "mastercard", "declined", "insufficient_funds", "3ds", "3ds", "async", "async_fails", "partial",
     "500_after", "reset_before"]
)  # fmt: skip
WORDS = st.dictionaries(
    st.sampled_from(["capture", "cancel", "refund"]),
    st.sampled_from(["approve", "fails", "fails", "async", "async_fails", "500_after", "reset_before"]),
    max_size=2,
)
PARTS = st.sampled_from(["all", "half", "one", "rest", "too much", "other currency"])
PICK = st.integers(0, 10_000)


def awaits_the_customer_again(payment: Any) -> bool:
    return payment["pending_operation"] is not None and payment["pending_operation"]["reason"] == "processing"


class Visited:
    """What was met over the whole run."""

    def __init__(self) -> None:
        self.steps: set[tuple[str, str]] = set()
        self.refusals: set[tuple[int, str]] = set()


class Request:
    """A request that may be repeated under its key."""

    def __init__(self, shop: Merchant, sale: Sale | None, path: str, body: Json, key: str, bearer: str | None) -> None:
        self.shop, self.sale, self.path, self.body, self.key, self.bearer = shop, sale, path, body, key, bearer
        self.answer: Answer = self.send()

    def send(self, **changes: object) -> Answer:
        return self.shop.call("POST", self.path, {**self.body, **changes}, self.key, bearer=self.bearer)

    @property
    def is_stored(self) -> bool:
        code = self.answer.code
        return self.answer.status in (200, 409, 422) and code not in KEY_CODES


class Shopping(RuleBasedStateMachine):
    """Two merchants of one platform sell, and each tries the other's doors."""

    platform: Platform
    visited: Visited

    def __init__(self) -> None:
        super().__init__()
        self.shops = [self.platform.merchant(), self.platform.merchant()]
        self.sales: list[Sale] = []
        self.requests: list[Request] = []

    # What merchants and customers do

    @rule(
        owner=st.integers(0, 1),
        value=st.sampled_from([1, 29, 30, 31, 50, 1000, 4999, 999_999_999_999]),
        currency=st.sampled_from(["USD", "USD", "JPY", "KWD"]),
        automatic=st.booleans(),
        method=METHODS,
        confirm=st.sampled_from([True, True, True, False]),
        words=WORDS,
    )
    def create(
        self,
        owner: int = 0,
        value: int = 1000,
        currency: str = "USD",
        automatic: bool = True,
        method: str | None = "visa",
        confirm: bool = True,
        words: Mapping[str, str] | None = None,
    ) -> None:
        sale = Sale(owner, f"ord_{uuid4().hex[:12]}", value, currency, automatic, dict(words or {}), method)
        body = {
            "order_id": sale.order_id,
            "amount": amount(value, currency),
            "capture_strategy": "automatic" if automatic else "manual",
            "confirm": confirm,
            "metadata": {"simulate": " ".join(f"{k}:{v}" for k, v in sale.words.items())},
        }
        if method is not None:
            body["payment_method"] = f"pm_card_{method}"
        answer = self.send(sale, "/payments", body)
        sale.payment_id, sale.secret = answer["payment_id"], answer["client_secret"]
        self.sales.append(sale)
        if confirm:
            self.authorized(sale, answer, browser=False)
        else:
            self.is_ok(sale, answer)

    @precondition(lambda self: self.sales)
    @rule(pick=PICK, browser=st.booleans(), method=st.sampled_from([None, "visa", "visa", "declined", "3ds"]))
    def confirm(self, pick: int = -1, browser: bool = False, method: str | None = None) -> None:
        sale = self.sales[pick % len(self.sales)]
        if sale.status == "pending" and any(step.operation == "cancel" for step in sale.open):
            self.settle(sale)
        asked = any(step.operation == "authorize" for step in sale.open)
        body: Json = {} if method is None else {"payment_method": f"pm_card_{method}"}
        bearer = None
        if browser:
            bearer = self.shops[sale.owner].publishable_key
            body["client_secret"] = sale.secret
        answer = self.send(sale, f"/payments/{sale.payment_id}/confirm", body, bearer)
        if asked:  # nothing is sent: it is found out what became of it
            if answer.code == "invalid_state":
                sale.resolve()
                assert sale.status != "pending" or sale.tries == 5, sale
                return
            assert answer.status in (200, 202), answer
            assert answer["status"] in sale.possible(), (answer, sale)
            if answer.status == 200:
                sale.resolve()
                assert answer["status"] == sale.status
        elif sale.was_asked and method is None and sale.status in ("authorized", "captured", "failed"):
            assert (answer.status, answer["status"]) == (200, sale.status), (answer, sale)
        elif sale.status != "pending" or sale.tries == 5:
            self.is_refused(answer, 409, "invalid_state")
        elif method is None and sale.method is None:
            self.is_refused(answer, 400, "invalid_request")
        else:
            sale.method = method or sale.method
            self.authorized(sale, answer, browser=browser)

    @precondition(lambda self: any(sale.awaits() for sale in self.sales))
    @rule(pick=PICK, approve=st.booleans())
    def decide_at_the_page(self, pick: int = -1, approve: bool = True) -> None:
        waiting = [sale for sale in self.sales if sale.awaits()]
        sale = waiting[pick % len(waiting)]
        if sale.blocking():  # its cancel is under way
            self.settle(sale)
        step = sale.awaits()
        if step is not None:
            payment = {"next_action": {"url": step.page}}
            self.platform.customer_decides(payment, "approve" if approve else "refuse")
            step.approved, step.page = approve, None

    @precondition(lambda self: self.sales)
    @rule(pick=PICK, part=PARTS, final=st.booleans(), impatient=st.booleans())
    def capture(self, pick: int = -1, part: str = "all", final: bool = True, impatient: bool = False) -> None:
        sale = self.sales[pick % len(self.sales)]
        body: Json = {"final": final, **self.part(sale, part, sale.capturable)}
        answer = self.command(sale, "capture", body, impatient)
        if answer.code == "attempt_in_progress":
            return
        if sale.awaits():
            self.is_refused(answer, 409, "attempt_in_progress")
        elif sale.capturable == 0:
            self.is_refused(answer, 409, "invalid_state")
        elif (asked := self.asked(sale, body, answer, sale.capturable)) is not None:
            self.performed(sale, answer, sale.step("capture", asked, final=final))

    @precondition(lambda self: self.sales)
    @rule(pick=PICK, impatient=st.booleans())
    def cancel(self, pick: int = -1, impatient: bool = False) -> None:
        sale = self.sales[pick % len(self.sales)]
        answer = self.command(sale, "cancel", {}, impatient)
        if answer.code == "attempt_in_progress":
            return
        if sale.status == "pending" and sale.awaits() is None:
            sale.canceled = True  # no PSP has heard of it
            self.is_ok(sale, answer)
        elif sale.awaits() is None and sale.capturable == 0:
            self.is_refused(answer, 409, "invalid_state")
        else:
            self.performed(sale, answer, sale.step("cancel", sale.capturable))
            if sale.awaits() and not sale.blocking():
                self.wait_for(sale, awaits_the_customer_again)

    @precondition(lambda self: self.sales)
    @rule(pick=PICK, part=PARTS)
    def refund(self, pick: int = -1, part: str = "all") -> None:
        sale = self.sales[pick % len(self.sales)]
        if sale.blocking() or any(step.approved is False for step in sale.open):
            self.settle(sale)
        body = {"reason": "returned", **self.part(sale, part, sale.refundable)}
        answer = self.send(sale, f"/payments/{sale.payment_id}/refunds", body)
        if sale.captured == 0 or (sale.refundable == 0 and "amount" not in body):
            self.is_refused(answer, 409, "invalid_state")
        elif sale.refundable == 0:
            self.is_refused(answer, 422, "amount_too_large")
        elif (asked := self.asked(sale, body, answer, sale.refundable)) is not None:
            step = sale.step("refund", asked, refund_id=answer["refund_id"])
            sale.refunds[answer["refund_id"]] = (asked, "pending")
            at_once = sale.answers_at_once("refund")
            assert answer.status == (200 if at_once else 202), (answer, sale)
            sale.open.append(step)
            if at_once:
                sale.apply(step, approved=bool(step.approved))
            assert answer["status"] == sale.refunds[answer["refund_id"]][1], (answer, sale)

    # What must not matter

    @precondition(lambda self: self.requests)
    @rule(pick=PICK)
    def repeat(self, pick: int = -1) -> None:
        request = self.requests[pick % len(self.requests)]
        before, again = request.answer, request.send()
        if request.is_stored:
            assert (again.status, again.body, again.replayed) == (before.status, before.body, True), (before, again)
        elif before.status == 202 and request.sale is not None:
            assert again.status in (200, 202), (before, again)
            if "refund_id" in before.json:
                assert again["refund_id"] == before["refund_id"]
            else:
                assert again["status"] in request.sale.possible(), (again, request.sale)

    @precondition(lambda self: self.requests)
    @rule(pick=PICK)
    def use_a_key_for_something_else(self, pick: int = -1) -> None:
        request = self.requests[pick % len(self.requests)]
        if request.is_stored or request.answer.status == 202:
            other = {"description": "another"} if request.path == "/payments" else {"surprise": 1}
            if request.path == "/payments":
                self.is_refused(request.send(**other), 422, "idempotency_key_reused")
            elif "capture" in request.path:
                self.is_refused(request.send(final=not request.body["final"]), 422, "idempotency_key_reused")
            elif "refunds" in request.path:
                self.is_refused(request.send(reason="another"), 422, "idempotency_key_reused")

    @precondition(lambda self: self.sales)
    @rule(pick=PICK)
    def other_merchant_finds_nothing(self, pick: int = -1) -> None:
        sale = self.sales[pick % len(self.sales)]
        other, path = self.shops[1 - sale.owner], f"/payments/{sale.payment_id}"
        for verb in ("confirm", "capture", "cancel", "refunds"):
            self.is_refused(other.call("POST", f"{path}/{verb}", {}), 404, "not_found")
        for what in ("", "/refunds", "/timeline"):
            self.is_refused(other.get(path + what), 404, "not_found")
        for refund_id in sale.refunds:
            self.is_refused(other.get(f"/refunds/{refund_id}"), 404, "not_found")
        assert other.get("/payments", order_id=sale.order_id)["data"] == []
        assert other.get("/ledger/journals", payment_id=sale.payment_id)["data"] == []
        assert other.events(sale.payment_id) == []

    @precondition(lambda self: self.sales)
    @rule(pick=PICK)
    def read(self, pick: int = -1) -> None:
        sale = self.sales[pick % len(self.sales)]
        shop = self.shops[sale.owner]
        payment = shop.payment(sale.payment_id)
        assert payment["status"] in sale.possible(), (payment, sale)
        if not sale.open:
            self.agrees(sale, payment)
        (listed,) = shop.get("/payments", order_id=sale.order_id)["data"]
        assert listed["payment_id"] == sale.payment_id
        assert {r["refund_id"] for r in shop.get(f"/payments/{sale.payment_id}/refunds")["data"]} == set(sale.refunds)
        assert shop.get(f"/payments/{sale.payment_id}/timeline").status == 200

    @rule(owner=st.integers(0, 1), limit=st.integers(1, 5))
    def list_all(self, owner: int = 0, limit: int = 2) -> None:
        found: list[str] = []
        cursor: Json = {}
        while True:
            page = self.shops[owner].get("/payments", limit=limit, **cursor).json
            found += [payment["payment_id"] for payment in page["data"]]
            assert page["has_more"] == (page["next_cursor"] is not None)
            if not page["has_more"]:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert found == sorted((s.payment_id for s in self.sales if s.owner == owner), reverse=True)

    @invariant()
    def amounts_are_in_bounds(self) -> None:
        for sale in self.sales:
            assert 0 <= sale.refunded <= sale.captured <= sale.authorized - sale.released + sale.captured

    def teardown(self) -> None:
        for sale in self.sales:
            self.settle(sale)
        for sale in self.sales:
            self.agrees(sale, self.shops[sale.owner].payment(sale.payment_id))
            self.refunds_agree(sale)
            self.psp_agrees(sale)
            self.events_are_legal(sale)
        for owner, shop in enumerate(self.shops):
            self.ledger_agrees(shop, [sale for sale in self.sales if sale.owner == owner])
        assert_verified(self.platform.database_url)

    # Sending and judging

    def send(self, sale: Sale | None, path: str, body: Json, bearer: str | None = None) -> Answer:
        shop = self.shops[sale.owner if sale is not None else 0]
        request = Request(shop, sale, path, body, f"key-{uuid4().hex}", bearer)
        self.requests.append(request)
        return request.answer

    def command(self, sale: Sale, verb: str, body: Json, impatient: bool) -> Answer:
        """Send it; an impatient one does not wait for what is open, and may be told to come back."""
        if sale.blocking() and not impatient:
            self.settle(sale)
            if "amount" in body and sale.capturable:
                body["amount"] = amount(min(body["amount"]["value"], sale.capturable), body["amount"]["currency"])
        answer = self.send(sale, f"/payments/{sale.payment_id}/{verb}", body)
        if answer.code == "attempt_in_progress":
            assert sale.open, (answer, sale)
            self.is_refused(answer, 409, "attempt_in_progress")
        elif sale.blocking():
            sale.resolve()
        return answer

    def part(self, sale: Sale, part: str, limit: int) -> Json:
        other = "EUR" if sale.currency != "EUR" else "USD"
        value = {"half": limit // 2, "one": 1, "rest": limit, "too much": limit + 1, "other currency": 1}.get(part, 0)
        if part == "all":
            return {}
        return {"amount": amount(max(1, value), other if part == "other currency" else sale.currency)}

    def asked(self, sale: Sale, body: Json, answer: Answer, limit: int) -> int | None:
        """What is moved; None where the amount is refused."""
        if "amount" not in body:
            return limit
        if body["amount"]["currency"] != sale.currency:
            self.is_refused(answer, 422, "currency_mismatch")
        elif body["amount"]["value"] > limit:
            self.is_refused(answer, 422, "amount_too_large")
        else:
            return body["amount"]["value"]
        return None

    def authorized(self, sale: Sale, answer: Answer, *, browser: bool) -> None:
        sale.tries += 1
        step = sale.step("authorize", sale.amount, browser=browser)
        if step.approved is None:
            assert answer.status == 202, answer
            step.page = answer["next_action"]["url"]
            sale.was_asked = True
        self.performed(sale, answer, step)

    def performed(self, sale: Sale, answer: Answer, step: Step) -> None:
        """The PSP was called: the answer says what came of it, or that it is not known yet."""
        sale.open.append(step)
        at_once = sale.answers_at_once(step.operation)
        assert answer.status == (200 if at_once else 202), (answer, sale)
        if at_once:
            sale.apply(step, approved=bool(step.approved))
            assert (answer["failure"] is None) == bool(step.approved), answer
        elif "pending_operation" in answer.json:
            assert answer["pending_operation"]["operation"] == step.operation, answer
        assert answer["status"] == sale.status, (answer, sale)

    def is_ok(self, sale: Sale, answer: Answer) -> None:
        assert (answer.status, answer["status"]) == (200, sale.status), (answer, sale)

    def is_refused(self, answer: Answer, status: int, code: str) -> None:
        assert (answer.status, answer.code) == (status, code), answer
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["request-id"]
        self.visited.refusals.add((status, code))

    def settle(self, sale: Sale) -> None:
        """Wait until nothing of it is open but a customer's decision."""
        if not any(step.approved is not None for step in sale.open):
            return
        sale.resolve()
        waits = sale.awaits() is not None
        self.wait_for(sale, lambda p: p["status"] == sale.status and (waits or p["pending_operation"] is None))

    def wait_for(self, sale: Sale, predicate: Callable[[Any], bool]) -> None:
        shop = self.shops[sale.owner]
        try:
            wait_until(lambda: predicate(shop.payment(sale.payment_id)), RESOLVED_WITHIN_S, "it to be resolved")
        except AssertionError as error:
            raise AssertionError(f"{error}: {sale}\n{shop.payment(sale.payment_id)}") from None

    def agrees(self, sale: Sale, payment: Any) -> None:
        shown = payment["amounts"]
        captured = (shown["captured"], shown["refunded"], shown["capturable"], shown["refundable"])
        assert payment["status"] == sale.status, (payment, sale)
        assert captured == (sale.captured, sale.refunded, sale.capturable, sale.refundable), (payment, sale)
        assert shown["authorized"] == sale.authorized, (payment, sale)

    def refunds_agree(self, sale: Sale) -> None:
        rows = self.shops[sale.owner].get(f"/payments/{sale.payment_id}/refunds")["data"]
        assert {r["refund_id"]: (r["amount"]["value"], r["status"]) for r in rows} == sale.refunds, sale
        for row in rows:
            assert self.shops[sale.owner].get(f"/refunds/{row['refund_id']}").json == row

    def psp_agrees(self, sale: Sale) -> None:
        charges = self.platform.charges(payment_reference=sale.order_id)
        assert len(charges) == sale.tries, (charges, sale)
        held = sum(c["amount_authorized"] - c["amount_captured"] - c["amount_released"] for c in charges)
        captured, refunded = (sum(c[f"amount_{what}"] for c in charges) for what in ("captured", "refunded"))
        assert (held, captured, refunded) == (sale.capturable, sale.captured, sale.refunded), (charges, sale)

    def events_are_legal(self, sale: Sale) -> None:
        """Each event's status follows from the one before, and the last is what the payment shows."""
        events = self.shops[sale.owner].events(sale.payment_id)
        statuses = [event["data"]["status"] for event in events]
        assert (events[0]["type"], statuses[0], statuses[-1]) == ("payment.created", "pending", sale.status)
        for old, new in pairwise(statuses):
            if old != new:
                assert new in LEGAL.get(old, ()), (statuses, sale)
                self.visited.steps.add((old, new))
        sums = [(e["data"]["amounts"]["captured"], e["data"]["amounts"]["refunded"]) for e in events]
        assert sums == sorted(sums)

    def ledger_agrees(self, shop: Merchant, sales: list[Sale]) -> None:
        for currency in {sale.currency for sale in sales}:
            of_currency = [sale for sale in sales if sale.currency == currency]
            captured, refunded, fees = (
                sum(getattr(s, what) for s in of_currency) for what in ("captured", "refunded", "fee")
            )
            expected = {
                "customer_funds_in_transit": captured - refunded,
                "merchant_payable": captured - fees - refunded,
                "platform_fee_revenue": fees,
            }
            found = shop.accounts(currency)
            assert {k: v for k, v in found.items() if v} == {k: v for k, v in expected.items() if v}
