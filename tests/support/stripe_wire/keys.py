"""Idempotency keys of one account (https://docs.stripe.com/api/idempotent_requests).

The first answer of an endpoint that began to execute is kept, a 500 included, and replayed byte for byte. Failed
validation and conflicts are not kept. The same key with other parameters is an error, and so is using it meanwhile.
"""

from dataclasses import dataclass

from tests.support.stripe_wire.refusals import Refusal


@dataclass
class _Kept:
    fingerprint: str
    answer: tuple[int, bytes] | None = None


class Keys:
    """What each key was first used for, and what came of it."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}

    def claim(self, key: str, fingerprint: str) -> tuple[int, bytes] | None:
        """The kept answer, or None where this is the first use."""
        if not 0 < len(key) <= 255:
            raise Refusal(400, {"type": "invalid_request_error", "message": "Invalid idempotency key"}, is_kept=False)
        kept = self._kept.get(key)
        if kept is None:
            self._kept[key] = _Kept(fingerprint)
            return None
        if kept.fingerprint != fingerprint:
            message = (
                "Keys for idempotent requests can only be used with the same parameters they were first used with."
            )
            raise Refusal(400, {"type": "idempotency_error", "message": message}, is_kept=False)
        if kept.answer is None:
            message = "There is currently another in-progress request using this key."
            error = {"type": "idempotency_error", "code": "idempotency_key_in_use", "message": message}
            raise Refusal(409, error, is_kept=False)
        return kept.answer

    def keep(self, key: str, answer: tuple[int, bytes]) -> None:
        """The endpoint has executed."""
        self._kept[key].answer = answer

    def forget(self, key: str) -> None:
        """Nothing began to execute, or the key is older than a day."""
        self._kept.pop(key, None)
