"""Which payouts an entry of a bank statement names: in its references, or in what was written.

Banks write names in capitals, drop punctuation, and break a text where its line ends. So names are compared folded,
first with the words of a text, then with the text as one word.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from bezant.reconciliation.matching.model import Deposit, Payout
from bezant.reconciliation.matching.names import folded

WORD_CHARS_MIN: Final = 4
INSIDE_CHARS_MIN: Final = 8
"""From what length on a name is looked for as a word, or inside of a text whose words are not to be trusted."""


class PayoutNames:
    """The names of payouts, to be found in what a bank says."""

    def __init__(self, payouts: Sequence[Payout]) -> None:
        self._by_name: defaultdict[str, set[int]] = defaultdict(set)
        for n, payout in enumerate(payouts):
            for name in payout.names:
                if short := folded(name):
                    self._by_name[short].add(n)
        self._lengths = sorted({len(name) for name in self._by_name if len(name) >= INSIDE_CHARS_MIN})

    def all(self) -> Iterable[str]:
        """Every name, folded."""
        return self._by_name.keys()

    def named_by(self, deposit: Deposit) -> set[int]:
        """The positions of the payouts that `deposit` names."""
        words = {folded(name) for name in deposit.names}
        words |= {word for word in words_of(deposit.text) if len(word) >= WORD_CHARS_MIN}
        found = {word for word in words if word in self._by_name}
        if not found:
            for text in (*deposit.names, deposit.text):
                found |= self._inside(folded(text))
        return {n for name in found for n in self._by_name[name]}

    def _inside(self, text: str) -> set[str]:
        found: set[str] = set()
        for length in self._lengths:
            for start in range(len(text) - length + 1):
                part = text[start : start + length]
                if part in self._by_name and not _goes_on(text, start, start + length):
                    found.add(part)
        return {name for name in found if not any(name != other and name in other for other in found)}


def words_of(text: str) -> set[str]:
    """The words of a text, folded: between blanks, and between any other signs but those that names hold."""
    loose = "".join(char if char.isalnum() or char in "-_./:" else " " for char in text)
    return {word for part in (text, loose) for piece in part.split() if (word := folded(piece))}


def _goes_on(text: str, start: int, end: int) -> bool:
    """Whether the number that a part of `text` begins or ends with is longer than the part."""
    before = start > 0 and text[start].isdigit() and text[start - 1].isdigit()
    after = end < len(text) and text[end - 1].isdigit() and text[end].isdigit()
    return before or after


def raw_words(deposit: Deposit) -> list[str]:
    """What could be a name, as it was written: the references and the longer words of the text."""
    words = [word.strip(".,;:/+()[]") for word in deposit.text.replace("/", " ").replace("+", " ").split()]
    return list(dict.fromkeys([*deposit.names, *(word for word in words if len(word) >= WORD_CHARS_MIN)]))
