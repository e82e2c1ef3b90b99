"""Compares what a matcher says with the truth.

An explanation is right only if it is exactly a truth: the same operations and the same lines, none more, none fewer.
What the matcher calls ambiguous is a miss like any other. A miss is listed if every record of it is shown to a person,
as a break or as ambiguous; one that is hidden by a wrong explanation is not.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from bezant.bench.quality.world import Labels, Trouble
from bezant.reconciliation.matching.model import BreakKind, Id

_ORDER: Final = {trouble: number for number, trouble in enumerate(Trouble)}


class Pair(msgspec.Struct, frozen=True):
    """One explanation: ids of operations (payouts) and of lines (deposits), and the rule that the matcher names."""

    ours: frozenset[Id]
    theirs: frozenset[Id]
    rule: str = ""


class Answer(msgspec.Struct, frozen=True):
    """What a matcher says. `listed`: of each record that is shown to a person, as what."""

    pairs: Sequence[Pair]
    listed: Mapping[Id, BreakKind]


class Row(msgspec.Struct):
    """One kind of trouble. `truths` and what became of them; `nothing`: records that nothing explains.

    `wrong`: explanations that are not true, counted where the worst of their records belongs.
    """

    trouble: Trouble
    truths: int = 0
    right: int = 0
    ambiguous: int = 0
    broken: int = 0
    unlisted: int = 0
    nothing: int = 0
    nothing_listed: int = 0
    wrong: int = 0


class Mistake(msgspec.Struct, frozen=True):
    """Something to look at: a truth that was missed or an explanation that is wrong, as ids."""

    trouble: Trouble
    what: str
    ours: frozenset[Id]
    theirs: frozenset[Id]
    listed: tuple[str, ...]
    rule: str = ""


class Score(msgspec.Struct, frozen=True):
    """One level of one world. `lost`: records that are neither explained nor listed; it must be none."""

    explained: int
    right: int
    truths: int
    unlisted: int
    lost: int
    rows: Sequence[Row]
    mistakes: Sequence[Mistake]

    @property
    def precision(self) -> float:
        """Of what was explained: how much was right."""
        return self.right / self.explained if self.explained else 1.0

    @property
    def recall(self) -> float:
        """Of what can be explained: how much was, and rightly."""
        return self.right / self.truths if self.truths else 1.0


def score(labels: Labels, records: Iterable[Id], answer: Answer) -> Score:
    """Judge `answer` about `records` by their labels."""
    rows = {trouble: Row(trouble) for trouble in Trouble}
    mistakes: list[Mistake] = []
    troubles = dict(labels.nothing)
    for truth in labels.truths:
        troubles |= dict.fromkeys((*truth.ours, *truth.theirs), truth.trouble)
    open_truths = {(truth.ours, truth.theirs): truth.trouble for truth in labels.truths}
    for trouble in open_truths.values():
        rows[trouble].truths += 1
    right = 0
    explained: set[Id] = set()
    for pair in answer.pairs:
        trouble = open_truths.pop((pair.ours, _originals(labels, pair.theirs)), None)
        explained |= pair.ours | pair.theirs
        if trouble is not None:
            rows[trouble].right += 1
            right += 1
        else:
            worst = max((troubles[each] for each in (*pair.ours, *pair.theirs)), key=_ORDER.__getitem__)
            rows[worst].wrong += 1
            mistakes.append(Mistake(worst, "explained wrongly", pair.ours, pair.theirs, (), pair.rule))
    for (ours, theirs), trouble in open_truths.items():
        _missed(rows[trouble], ours, theirs, answer, mistakes)
    lost = [each for each in records if each not in explained and each not in answer.listed]
    for each, trouble in labels.nothing.items():
        rows[trouble].nothing += 1
        rows[trouble].nothing_listed += each in answer.listed or labels.copies.get(each, each) in answer.listed
    used = [row for row in rows.values() if row.truths or row.nothing or row.wrong]
    unlisted = sum(row.unlisted for row in used)
    return Score(len(answer.pairs), right, len(labels.truths), unlisted, len(lost), used, mistakes)


def _originals(labels: Labels, theirs: frozenset[Id]) -> frozenset[Id]:
    return frozenset(labels.copies.get(each, each) for each in theirs) if labels.copies else theirs


def _missed(row: Row, ours: frozenset[Id], theirs: frozenset[Id], answer: Answer, mistakes: list[Mistake]) -> None:
    shown = [answer.listed.get(each) for each in (*ours, *theirs)]
    if None in shown:
        row.unlisted += 1
        what = "missed, and not listed"
    elif BreakKind.AMBIGUOUS in shown:
        row.ambiguous += 1
        what = "missed as ambiguous"
    else:
        row.broken += 1
        what = "missed as a break"
    listed = tuple(sorted({"nothing" if each is None else each.value for each in shown}))
    mistakes.append(Mistake(row.trouble, what, ours, theirs, listed))
