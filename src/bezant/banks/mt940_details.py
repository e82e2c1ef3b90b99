"""Field 86 of an MT940: what the bank says about an entry, in the forms that are in use. Pure.

Structured as German and Polish banks do (`166?00GUTSCHRIFT?20EREF+...?32NAME`), as Dutch ones (`/EREF/.../NAME/...`),
or plain text.
"""

import re
from typing import Final

import msgspec

from bezant.banks.contract import EntryKind
from bezant.banks.values import one_line

LINE_CHARACTERS: Final = 64
SUBFIELD_CHARACTERS: Final = 27

_STRUCTURED: Final = re.compile(r"([0-9]{3})\?[0-9]{2}")
_SUBFIELD: Final = re.compile(r"\?([0-9]{2})")
_SEPA: Final = re.compile(
    r"(EREF|KREF|MREF|CRED|DEBT|SVWZ|ABWA|ABWE|IBAN|BIC|COAM|OAMT|PURP|SQTP|MTLG)(?:\+|: |(?<=MTLG):)"
)
_SEPA_NAMES: Final = ("EREF", "KREF", "MREF")
_SLASHED: Final = re.compile(
    r"/(EREF|PREF|MARF|NAME|IBAN|REMI|BENM|ORDP|TRTP|BIC|CSID|ISDT|RTRN|SVCL|CNTP|UDTR|UCRD|PURP|ID|TRCD|CNTR|OCMT)/"
)
_SLASHED_NAMES: Final = ("EREF", "PREF", "MARF")

_FEE_TYPES: Final = frozenset({"CHG", "COM"})
_INTEREST_TYPES: Final = frozenset({"INT"})
_RETURN_TYPES: Final = frozenset({"RTI"})
_FEE_CODES: Final = frozenset({"808"})
_INTEREST_CODES: Final = frozenset({"814"})
_RETURN_CODES: Final = frozenset({"108", "109", "159"})
"""Business transaction codes (GVC) of German banks: charges, interest, returned direct debits and transfers."""


class Details(msgspec.Struct, frozen=True):
    """What field 86 says. `code`: the three digits that a structured one begins with."""

    code: str = ""
    text: str = ""
    references: tuple[str, ...] = ()
    counterparty: str = ""
    counterparty_account: str = ""

    def text_with(self, supplement: str) -> str:
        """The text, and what the entry itself adds where it is not in the text."""
        added = one_line(supplement)
        return self.text if not added or added in self.text else one_line(f"{self.text} {added}")


def details_of(lines: list[str]) -> Details:
    """The details in the lines of field 86."""
    if not lines:
        return Details()
    whole = "".join(lines)
    if structured := _STRUCTURED.match(whole):
        return _structured(structured[1], whole[3:])
    if _SLASHED.search(whole):
        return _slashed(_wrapped(lines, LINE_CHARACTERS))
    text = _wrapped(lines, LINE_CHARACTERS)
    return Details(text=one_line(text), references=_references(text))


def kind_of(swift_type: str, code: str) -> EntryKind:
    """What an entry is, by its type in field 61 (`NCHG`) and the code of its details."""
    swift = swift_type[1:].strip()
    if swift in _RETURN_TYPES or code in _RETURN_CODES:
        return EntryKind.RETURN
    if swift in _FEE_TYPES or code in _FEE_CODES:
        return EntryKind.FEE
    return EntryKind.INTEREST if swift in _INTEREST_TYPES or code in _INTEREST_CODES else EntryKind.TRANSFER


def _structured(code: str, text: str) -> Details:
    parts = _SUBFIELD.split(text)
    subfields = list(zip(parts[1::2], parts[2::2], strict=True))
    purpose = _wrapped(
        [value for key, value in subfields if "20" <= key <= "29" or "60" <= key <= "69"], SUBFIELD_CHARACTERS
    )
    booking = " ".join(value for key, value in subfields if key == "00")
    return Details(
        code=code,
        text=one_line(f"{purpose} {booking}"),
        references=_references(purpose),
        counterparty="".join(value for key, value in subfields if key in ("32", "33")).strip(),
        counterparty_account="".join(value for key, value in subfields if key == "31"),
    )


def _slashed(text: str) -> Details:
    parts = _SLASHED.split(text)
    found: dict[str, str] = {}
    for key, value in zip(parts[1::2], parts[2::2], strict=True):
        found.setdefault(key, value.strip(" /"))
    return Details(
        text=one_line(" ".join([parts[0], found.get("REMI", ""), *(v for k, v in found.items() if k != "REMI")])),
        references=tuple(found[key] for key in _SLASHED_NAMES if found.get(key)),
        counterparty=found.get("NAME", ""),
        counterparty_account=found.get("IBAN", ""),
    )


def _references(text: str) -> tuple[str, ...]:
    """The names after `EREF+` and the like; what follows `SVWZ+` is text."""
    parts = _SEPA.split(text)
    return tuple(
        reference
        for key, value in zip(parts[1::2], parts[2::2], strict=True)
        if key in _SEPA_NAMES and (reference := value.strip())
    )


def _wrapped(lines: list[str], width: int) -> str:
    """Lines that were cut at `width`: one that is full goes on in the next without a blank."""
    text = ""
    is_full = True
    for line in lines:
        text = f"{text}{line}" if is_full else f"{text} {line}"
        is_full = len(line) >= width
    return text
