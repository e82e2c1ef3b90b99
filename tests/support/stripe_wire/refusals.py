"""Refusals in Stripe's words. Those of validation are not kept under an idempotency key, those of execution are."""

from typing import Any

Json = dict[str, Any]


class Refusal(Exception):
    """An answer that is not a success. `is_kept`: whether its key will replay it."""

    def __init__(self, status: int, error: Json, *, is_kept: bool = True) -> None:
        super().__init__(error.get("message"))
        self.status = status
        self.body: Json = {"error": error}
        self.is_kept = is_kept


def invalid(message: str, code: str | None = None, param: str | None = None) -> Refusal:
    """Parameters that fail validation: nothing begins to execute."""
    error: Json = {"type": "invalid_request_error", "message": message}
    named = {name: value for name, value in (("code", code), ("param", param)) if value is not None}
    return Refusal(400, {**error, **named}, is_kept=False)


def missing(kind: str, name: str, *, param: str) -> Refusal:
    """An object that does not exist: 404 where the path names it, 400 where a parameter does."""
    error: Json = {"type": "invalid_request_error", "code": "resource_missing", "param": param}
    return Refusal(404 if param == "id" else 400, {**error, "message": f"No such {kind}: '{name}'"})


def conflict(message: str, code: str | None = None, **more: Any) -> Refusal:
    """The request is in order, but the object's state is against it."""
    return Refusal(400, {"type": "invalid_request_error", "code": code, "message": message, **more})


def declined(message: str, code: str, decline_code: str | None, intent: Json) -> Refusal:
    """The bank said no."""
    error: Json = {"type": "card_error", "code": code, "message": message, "payment_intent": intent}
    return Refusal(402, error if decline_code is None else {**error, "decline_code": decline_code})


def unauthorized(message: str) -> Refusal:
    """No key, or not one that is known here."""
    return Refusal(401, {"type": "invalid_request_error", "message": message}, is_kept=False)


def forbidden(account: str) -> Refusal:
    """The key has no business with this account."""
    message = f"The provided key does not have access to account '{account}' (or that account does not exist)."
    error: Json = {"type": "invalid_request_error", "code": "account_invalid", "message": message}
    return Refusal(403, error, is_kept=False)
