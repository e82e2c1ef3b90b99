"""Idempotency keys as real PSPs keep them: the first answer of an execution is stored for a day and given again, a key
with another body is refused, and so is a key whose first call is still being worked on. Pure state; the caller brings
the time.
"""

import hashlib
from typing import Final

import msgspec

KEY_LIFE_S: Final = 24 * 3600
KEY_LENGTH_MAX: Final = 255


class StoredAnswer(msgspec.Struct, frozen=True):
    """What a key was answered with."""

    key: str
    fingerprint: str
    status: int
    body: str
    at: float


class KeyConflict(Exception):
    """The key cannot be used for this request. `in_flight`: not now; else: not with this body."""

    def __init__(self, *, in_flight: bool) -> None:
        super().__init__("in flight" if in_flight else "other body")
        self.in_flight = in_flight


class Keys:
    """All keys: answered, being worked on, and struck by a fault."""

    def __init__(self) -> None:
        self._answers: dict[str, StoredAnswer] = {}
        self._in_flight: dict[str, str] = {}
        self._struck: set[str] = set()

    def find(self, key: str, fingerprint: str, now: float) -> StoredAnswer | None:
        """The stored answer, None for a key that is free; raises `KeyConflict`."""
        working = self._in_flight.get(key)
        if working is not None:
            raise KeyConflict(in_flight=working == fingerprint)
        answer = self._answers.get(key)
        if answer is None or answer.at + KEY_LIFE_S < now:
            return None
        if answer.fingerprint != fingerprint:
            raise KeyConflict(in_flight=False)
        return answer

    def begin(self, key: str, fingerprint: str) -> None:
        """Marks the key as being worked on."""
        self._in_flight[key] = fingerprint

    def finish(self, answer: StoredAnswer) -> None:
        """Stores the answer, and forgets those that are too old (the oldest stand first)."""
        self._in_flight.pop(answer.key, None)
        self._answers.pop(answer.key, None)
        self._answers[answer.key] = answer
        oldest = next(iter(self._answers.values()))
        if oldest.at + KEY_LIFE_S < answer.at:
            del self._answers[oldest.key]

    def strike(self, key: str) -> bool:
        """Whether a fault may strike this key: only once."""
        if key in self._struck:
            return False
        self._struck.add(key)
        return True

    def answers(self) -> list[StoredAnswer]:
        """All stored answers, oldest first."""
        return list(self._answers.values())

    def struck(self) -> list[str]:
        """All keys that a fault has struck."""
        return sorted(self._struck)

    def clear(self) -> None:
        """Forgets everything."""
        self._answers.clear()
        self._in_flight.clear()
        self._struck.clear()


def fingerprint(path: str, body: msgspec.Struct) -> str:
    """What makes two requests the same: where they go and what they say, however it was written."""
    said = msgspec.json.encode(body, order="deterministic")
    return hashlib.blake2b(path.encode() + b"\n" + said, digest_size=16).hexdigest()
