"""What msgspec found wrong, as the problem document says it: a sentence and a JSON pointer (RFC 6901)."""

import re
from typing import Final

import msgspec

from bezant.base.errors import InvalidRequest

_PLACE: Final = re.compile(r" - at `(?:(?:key|value) in )?(\$[^`]*)`$|- at `key` in `(\$[^`]*)`$")
_STEP: Final = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
_FIELD: Final = re.compile(r"^Object (?:contains unknown|missing required) field `(.*)`$", re.DOTALL)
_LENGTH_MAX: Final = 200


def refusal(error: msgspec.ValidationError, subject: str) -> InvalidRequest:
    """The `invalid_request` for `error`; `subject` is what was read (`The body`)."""
    message, pointer = str(error), ""
    if place := _PLACE.search(message):
        message = message[: place.start()].rstrip(" -")
        pointer = _pointer(place[1] or place[2])
    if field := _FIELD.match(message):
        pointer += "/" + field[1].replace("~", "~0").replace("/", "~1")
    detail = f"{subject} is not as documented: {message[:_LENGTH_MAX]}."
    return InvalidRequest("invalid_request", detail, param=pointer[:_LENGTH_MAX])


def _pointer(place: str) -> str:
    """The pointer to a place such as `$.lines[0].amount`; it ends where a key is not known (`$.metadata[...]`)."""
    pointer = ""
    for name, index in _STEP.findall(place):
        if index == "...":
            break
        pointer += "/" + (name or index)
    return pointer
