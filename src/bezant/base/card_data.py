"""Finds card numbers (PANs) and card verification values (CVVs), so that none enters a row, a log or an error.

A PAN is a run of digits, in groups parted by spaces, dashes or dots, that passes the Luhn check (ISO/IEC 7812-1, annex
B) and has a scheme's prefix and length. Prefixes and lengths: the table "Issuer identification number" of
https://en.wikipedia.org/wiki/Payment_card_number, which cites the schemes. What is left alone:

- digits that touch an ASCII letter, a digit or `_`: `pay_0190...`, hexadecimal digests and long ids do not match;
- UUIDs, the decimals of a number (`0.4111111111111111`) and phone numbers (`+` and at most 15 digits);
- part of a longer row of groups, unless it is grouped as usual (`4-4-4-4`, `4-6-5`, one block);
- 12 to 15 digits from 50 or 56-69, which shops number orders with: Maestro counts in its own ranges with 16, 18 or 19.

A tenth of all numeric ids that look like a PAN pass Luhn too. Such an id is refused: better than to keep a PAN.
"""

import re
from collections.abc import Iterator
from typing import Final, cast

import msgspec

from bezant.base.errors import Unprocessable

REDACTED: Final = "[card data removed]"

_ADVICE: Final = "Card numbers and verification values are not accepted. Send a payment method token instead."

_SCHEMES: Final = re.compile(
    r"""
      4(?:\d{12}|\d{15}|\d{18})                                   # Visa: 13, 16, 19
    | (?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}  # Mastercard: 16
    | 3[47]\d{13}                                                 # American Express: 15
    | (?:6011|64[4-9]\d|65\d\d)\d{12,15}                          # Discover: 16-19
    | (?:3[68]\d|30[0-5])\d{11}                                   # Diners Club: 14
    | 35(?:2[89]|[3-8]\d)\d{12,15}                                # JCB: 16-19
    | 62\d{14,17}                                                 # UnionPay: 16-19
    | 220[0-4]\d{12}                                              # Mir: 16
    | (?:50\d\d|5[6-8]\d\d|6304|6390|67\d\d)(?:\d{12}|\d{14,15})  # Maestro: 16, 18, 19
    """,
    re.VERBOSE | re.ASCII,
)

_PARTING: Final = "[ \t\r\n.\u00a0\u2000-\u200d\u2010-\u2015\u202f\u2060\u2212\u3000\ufeff-]"
_RUN: Final = re.compile(rf"\d(?:{_PARTING}{{0,3}}\d){{12,}}")
_GROUP: Final = re.compile(r"\d+")
_UUID: Final = re.compile(r"(?<![0-9A-Za-z_])[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![0-9A-Za-z_])")
_WORD: Final = frozenset("_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_LUHN_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)

_CVV_TEXT: Final = re.compile(
    r"""(?<![a-z])(?:cvv2?|cvc2?|csc|security[\s_-]?code|verification[\s_-]?(?:code|value))["']?"""
    r"""(?:\s+is)?\s{0,3}[:=#]?\s{0,3}["']?\d{3,4}(?!\d)""",
    re.IGNORECASE,
)
_CVV_KEYS: Final = frozenset(
    {
        "cvv",
        "cvv2",
        "cvc",
        "cvc2",
        "csc",
        "securitycode",
        "cardsecuritycode",
        "cardcvv",
        "cardcvc",
        "cardcode",
        "verificationvalue",
        "verificationcode",
        "cardverificationvalue",
        "cardverificationcode",
    }
)
_NUMBER_KEYS: Final = frozenset(
    {
        "pan",
        "cardnumber",
        "cardno",
        "cardnum",
        "ccnumber",
        "creditcardnumber",
        "primaryaccountnumber",
    }
)
_TRACK_KEYS: Final = frozenset({"track1", "track2", "track1data", "track2data", "trackdata"})
_EXPIRY_KEYS: Final = frozenset(
    {
        "expmonth",
        "expirymonth",
        "expirationmonth",
        "expyear",
        "expiryyear",
        "expirationyear",
        "expiry",
        "expirationdate",
    }
)
_CVV_VALUE: Final = re.compile(r"\s*\d{3,4}\s*")
_NUMBER_VALUE: Final = re.compile(rf"\s*\d(?:{_PARTING}{{0,3}}\d){{11,18}}\s*")
_TRACK_VALUE: Final = re.compile(r".*\d{8}.*", re.DOTALL)

_DIGIT_AS_ZERO: Final = bytes(0x30 if 0x30 <= byte <= 0x39 else 0x78 for byte in range(256))
_RAW_PARTING: Final = b" .-"
_RAW_RUN: Final = b"0" * 13
_RAW_HARMLESS: Final = b"pm_card_"


def find_card_number(text: str) -> tuple[int, int] | None:
    """Where the first card number in `text` starts and ends, or None."""
    return next(_card_numbers(text), None)


def contains_card_data(text: str) -> bool:
    """Whether `text` holds a card number, or a verification value that is named as one (`cvv: 123`)."""
    return find_card_number(text) is not None or _CVV_TEXT.search(text) is not None


def redact_card_data(text: str) -> str:
    """`text` with each card number and named verification value replaced; the same object if there is none."""
    if not _is_suspicious(text.encode("utf-8", "surrogatepass")):
        return text
    for start, end in reversed(list(_card_numbers(text))):
        text = text[:start] + REDACTED + text[end:]
    return _CVV_TEXT.sub(REDACTED, text)


def is_card_data_key(name: str) -> bool:
    """Whether a field of this name is meant for card data (`cvv`, `card_number`, `pan`), whatever it holds."""
    plain = _plain(name)
    return plain in _CVV_KEYS or plain in _NUMBER_KEYS or plain in _TRACK_KEYS


def refuse_card_data_in_body(raw: bytes) -> None:
    """Raise `card_data_refused` if the JSON text `raw` holds card data in a key or a value.

    One scan of the bytes passes nearly every body; only a suspicious one is parsed and walked. What is not JSON passes:
    its reader refuses it.
    """
    if not _is_suspicious(raw):
        return
    try:
        document: object = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    refuse_card_data(document)


def refuse_card_data(document: object) -> None:
    """Raise `card_data_refused` with the JSON pointer of the first key or value of `document` that holds card data.

    The number itself is never part of the error: where a key is at fault, the pointer names the object around it.
    """
    pending: list[tuple[object, str, re.Pattern[str] | None]] = [(document, "", None)]
    while pending:  # a loop, so that no depth of nesting can exhaust the stack
        node, pointer, form = pending.pop()
        if isinstance(node, dict):
            fields = cast(dict[str, object], node)
            plain_names = {name: _plain(name) for name in fields}
            is_card = not _EXPIRY_KEYS.isdisjoint(plain_names.values())
            for name in reversed(fields):
                if contains_card_data(name):
                    raise _refusal(pointer)
                token = name.replace("~", "~0").replace("/", "~1")
                pending.append((fields[name], f"{pointer}/{token}", _form_of(plain_names[name], is_card) or form))
        elif isinstance(node, list):
            items = cast(list[object], node)
            pending.extend((items[at], f"{pointer}/{at}", form) for at in range(len(items) - 1, -1, -1))
        else:
            text = _text_of(node)
            if text is not None and (contains_card_data(text) or (form is not None and form.fullmatch(text))):
                raise _refusal(pointer)


def refuse_card_data_in_text(text: str, where: str, *, param: str | None = None) -> None:
    """Raise `card_data_refused` if `text`, the part of the request that `where` names, holds card data."""
    if contains_card_data(text):
        raise Unprocessable("card_data_refused", f"{where} holds card data. {_ADVICE}", param=param)


def _refusal(pointer: str) -> Unprocessable:
    return Unprocessable("card_data_refused", _ADVICE, param=pointer)


def _is_suspicious(raw: bytes) -> bool:
    """Whether `raw` may hold card data: cheap, and never wrong when it says no."""
    if not raw.isascii() or b"\\" in raw:  # escapes and other scripts can hide digits
        return True
    if _RAW_RUN in raw.translate(_DIGIT_AS_ZERO, _RAW_PARTING):
        return True
    lowered = raw.lower().replace(_RAW_HARMLESS, b"")
    return (  # spelled out: half the cost of any() over the words; one of them is in every key and text that counts
        b"cv" in lowered
        or b"csc" in lowered
        or b"card" in lowered
        or b"number" in lowered
        or b"security" in lowered
        or b"verif" in lowered
        or b"track" in lowered
        or b"pan" in lowered
    )


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower()))


def _form_of(plain_name: str, is_card: bool) -> re.Pattern[str] | None:
    """What a value under this name looks like if it is card data; None for a harmless name."""
    if plain_name in _CVV_KEYS:
        return _CVV_VALUE
    if plain_name in _NUMBER_KEYS or (is_card and plain_name == "number"):
        return _NUMBER_VALUE
    return _TRACK_VALUE if plain_name in _TRACK_KEYS else None


def _text_of(value: object) -> str | None:
    """The digits that a reader of this JSON value sees; None where there can be no card data."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) >= 10**20:
        return None
    return str(int(value)) if value == int(value) else None


def _card_numbers(text: str) -> Iterator[tuple[int, int]]:
    if not _RUN.search(text):
        return
    masked = _UUID.sub(lambda match: "x" * len(match[0]), text)
    for run in _RUN.finditer(masked):
        yield from _in_run(masked, run)


def _in_run(text: str, run: re.Match[str]) -> Iterator[tuple[int, int]]:
    groups = [match.span() for match in _GROUP.finditer(text, *run.span())]
    if (
        run.end() - run.start() <= 19 * 4
        and _stands_alone(text, *run.span())
        and "." not in run[0]
        and _is_card_number("".join(_GROUP.findall(run[0])))
    ):
        yield run.span()
        return
    free_from = 0
    for first, (start, _) in enumerate(groups):
        if start < free_from:
            continue
        for last in _usual_ends(text, groups, first):
            end = groups[last][1]
            if _stands_alone(text, start, end) and _is_card_number(
                "".join(text[a:b] for a, b in groups[first : last + 1])
            ):
                free_from = end
                yield start, end
                break


def _usual_ends(text: str, groups: list[tuple[int, int]], first: int) -> Iterator[int]:
    """The groups with which a card number that is written as usual can end if it begins with the group `first`."""
    sizes = tuple(end - start for start, end in groups[first : first + 5])
    if 13 <= sizes[0] <= 19 and not _is_decimal(text, *groups[first]):
        yield first
    if sizes[0] != 4:
        return
    if sizes[1:4] == (4, 4, 4):
        if len(sizes) == 5 and sizes[4] <= 3:
            yield first + 4
        yield first + 3
    if sizes[1:3] in ((6, 5), (6, 4)):
        yield first + 2


def _is_decimal(text: str, start: int, end: int) -> bool:
    """Whether the digits between `start` and `end` are the whole or the fraction of a decimal number."""
    return (text[start - 1 : start] == "." and text[start - 2 : start - 1].isdigit()) or (
        text[end : end + 1] == "." and text[end + 1 : end + 2].isdigit()
    )


def _stands_alone(text: str, start: int, end: int) -> bool:
    before, after = text[start - 1 : start] if start else "", text[end : end + 1]
    is_phone = before == "+" and sum(map(str.isdigit, text[start:end])) <= 15
    return before not in _WORD and after not in _WORD and not is_phone


def _is_card_number(digits: str) -> bool:
    if not 13 <= len(digits) <= 19:
        return False
    if not digits.isascii():
        digits = "".join(str(int(digit)) for digit in digits)
    if not _SCHEMES.fullmatch(digits):
        return False
    values = [ord(digit) - 48 for digit in reversed(digits)]
    return (sum(values[::2]) + sum(_LUHN_DOUBLED[value] for value in values[1::2])) % 10 == 0
