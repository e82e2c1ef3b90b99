"""Which payouts an entry of a bank statement names: in its references, or in what was written.

Banks write names in capitals, drop punctuation, break a text where its line ends, and number the parts of a transfer
behind its name (`/2`). So names are compared folded, first with the words of a text, as long as they are and then cut
where signs are that names seldom hold, then with the text as one word.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Final

from bezant.reconciliation.matching.model import Deposit, Payout
from bezant.reconciliation.matching.names import CACHED, folded

WORD_CHARS_MIN: Final = 4
INSIDE_CHARS_MIN: Final = 8
"""From what length on a name is looked for as a word, or inside of a text whose words are not to be trusted."""

_CUTS: Final = (re.compile(r"[^\w\-./:]+"), re.compile(r"[^\w\-]+"))
"""What words are cut at, if they are no names as they are: first what names never hold, then what they seldom do."""

_END: Final = re.compile(r"[^\w\s\-.,]+")
"""Signs that no number goes on behind."""


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
        found = {name for text in deposit.names if (name := folded(text)) in self._by_name}
        for text in (*deposit.names, deposit.text):
            found.update(self._words(text))
        if not found:
            for text in (*deposit.names, deposit.text):
                found |= self._inside(text)
        return {n for name in found for n in self._by_name[name]}

    def _words(self, text: str) -> Iterator[str]:
        """The names among the words of a text: as they are, else cut."""
        for word in text.split():
            names = self._among([word])
            for cut in () if names or word.isalnum() else _CUTS:
                names = names or self._among(cut.split(word))
            yield from names

    def _among(self, words: Iterable[str]) -> list[str]:
        shorts = (folded(word) for word in words)
        return [short for short in shorts if len(short) >= WORD_CHARS_MIN and short in self._by_name]

    def _inside(self, text: str) -> set[str]:
        """The names within a text read as one word, none within a longer name or number."""
        parts = [folded(part) for part in _END.split(text)]
        ends = set(accumulate(len(part) for part in parts))
        whole = "".join(parts)
        found: set[str] = set()
        for length in self._lengths:
            for start in range(len(whole) - length + 1):
                name = whole[start : start + length]
                if name in self._by_name and not _goes_on(whole, start, start + length, ends):
                    found.add(name)
        return {name for name in found if not any(name != other and name in other for other in found)}


def _goes_on(text: str, start: int, end: int, ends: set[int]) -> bool:
    """Whether the number that a part of `text` begins or ends with is longer than the part."""
    before = start > 0 and start not in ends and text[start].isdigit() and text[start - 1].isdigit()
    after = end < len(text) and end not in ends and text[end - 1].isdigit() and text[end].isdigit()
    return before or after


@lru_cache(CACHED)
def wording(text: str) -> str:
    """The letters of a text: who sent it and what for, without numbers that each entry has its own of."""
    return "".join(filter(str.isalpha, folded(text)))


def raw_words(deposit: Deposit) -> list[str]:
    """What could be a name, as it was written: the references and the longer words of the text."""
    words = [word for word in _raw(deposit.text) if len(word) >= WORD_CHARS_MIN]
    return list(dict.fromkeys([*deposit.names, *words]))


def rejoined(deposit: Deposit) -> list[str]:
    """What a name may have been before the line of a text ended within it: each two neighbouring words as one."""
    return [one + other for one, other in pairwise(_raw(deposit.text))]


def _raw(text: str) -> list[str]:
    return [word.strip(".,;:/+()[]") for word in text.replace("/", " ").replace("+", " ").split()]
