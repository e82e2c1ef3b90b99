"""The judge: what is exactly true is right, everything else is wrong or missed."""

from bezant.bench.quality.generate import Wishes, generate
from bezant.bench.quality.score import Answer, Pair, Score, score
from bezant.bench.quality.world import Labels, Trouble, Truth
from bezant.reconciliation.matching.model import BreakKind, Id

LABELS = Labels(
    truths=(
        Truth(Trouble.NONE, frozenset({"o1"}), frozenset({"l1"})),
        Truth(Trouble.SPLIT_LINES, frozenset({"o2"}), frozenset({"l2", "l3"})),
        Truth(Trouble.TYPO, frozenset({"o4"}), frozenset({"l4"})),
    ),
    nothing={"o5": Trouble.NOT_REPORTED, "l6": Trouble.NOT_OURS, "l1copy": Trouble.DUPLICATE},
    copies={"l1copy": "l1"},
)
RECORDS: tuple[Id, ...] = ("o1", "o2", "o4", "o5", "l1", "l2", "l3", "l4", "l6", "l1copy")
SHOWN = {"o5": BreakKind.MISSING_PSP_ROW, "l6": BreakKind.MISSING_INTERNAL_ROW, "l1copy": BreakKind.DUPLICATE_PSP_ROW}


def pair(ours: str, theirs: str) -> Pair:
    return Pair(frozenset(ours.split()), frozenset(theirs.split()))


def judged(*pairs: Pair, listed: dict[Id, BreakKind] | None = None) -> Score:
    return score(LABELS, RECORDS, Answer(pairs, SHOWN | (listed or {})))


PERFECT = (pair("o1", "l1"), pair("o2", "l2 l3"), pair("o4", "l4"))


def test_a_perfect_matcher_scores_one():
    result = judged(*PERFECT)
    assert (result.precision, result.recall, result.unlisted, result.lost, result.mistakes) == (1, 1, 0, 0, [])


def test_the_truth_of_a_whole_world_scores_one():
    world = generate(Wishes(seed=5, operations=2_000, payouts=300))
    pairs = [Pair(truth.ours, truth.theirs) for truth in world.labels.truths]
    listed = dict.fromkeys(world.labels.nothing, BreakKind.MISSING_PSP_ROW)
    records = [each.id for book in world.books for each in (*book.operations, *book.lines)]
    result = score(world.labels, records, Answer(pairs, listed))
    assert (result.precision, result.recall, result.unlisted, result.lost) == (1, 1, 0, 0)


def test_an_explanation_that_is_not_true_costs_precision_and_recall():
    result = judged(pair("o1", "l4"), pair("o2", "l2 l3"), pair("o4", "l1"))
    assert (result.precision, result.recall) == (1 / 3, 1 / 3)
    assert result.unlisted == 2, "both truths are hidden behind wrong explanations"


def test_half_of_a_group_is_wrong():
    result = judged(pair("o1", "l1"), pair("o2", "l2"), pair("o4", "l4"))
    assert (result.precision, result.recall) == (2 / 3, 2 / 3)
    assert result.unlisted == 1
    assert result.lost == 1, "nobody is told of l3"


def test_explaining_what_nothing_explains_is_wrong():
    result = judged(*PERFECT, pair("o5", "l6"))
    assert (result.precision, result.recall) == (3 / 4, 1)
    row = next(row for row in result.rows if row.trouble is Trouble.NOT_OURS)
    assert row.wrong == 1


def test_what_is_ambiguous_is_a_miss_that_is_listed():
    listed: dict[Id, BreakKind] = {"o4": BreakKind.AMBIGUOUS, "l4": BreakKind.AMBIGUOUS}
    result = judged(*PERFECT[:2], listed=listed)
    assert (result.precision, result.recall, result.unlisted) == (1, 2 / 3, 0)
    row = next(row for row in result.rows if row.trouble is Trouble.TYPO)
    assert (row.truths, row.right, row.ambiguous) == (1, 0, 1)


def test_a_miss_of_which_only_half_is_shown_is_not_listed():
    result = judged(*PERFECT[:2], listed={"o4": BreakKind.MISSING_PSP_ROW})
    assert (result.unlisted, result.lost) == (1, 1)


def test_a_miss_that_is_shown_as_two_breaks_is_listed():
    listed: dict[Id, BreakKind] = {"o4": BreakKind.MISSING_PSP_ROW, "l4": BreakKind.MISSING_INTERNAL_ROW}
    result = judged(*PERFECT[:2], listed=listed)
    assert (result.recall, result.unlisted, result.lost) == (2 / 3, 0, 0)
    row = next(row for row in result.rows if row.trouble is Trouble.TYPO)
    assert row.broken == 1


def test_either_of_two_equal_rows_may_explain_but_not_both():
    listed: dict[Id, BreakKind] = {"o5": BreakKind.MISSING_PSP_ROW, "l1": BreakKind.DUPLICATE_PSP_ROW}
    either = score(LABELS, RECORDS, Answer((pair("o1", "l1copy"), *PERFECT[1:]), listed))
    assert (either.precision, either.recall) == (1, 1)
    copy_row = next(row for row in either.rows if row.trouble is Trouble.DUPLICATE)
    assert copy_row.nothing_listed == 1
    both = judged(*PERFECT, pair("o5", "l1copy"))
    assert both.precision == 3 / 4


def test_saying_the_same_twice_is_right_once():
    assert judged(*PERFECT, PERFECT[0]).precision == 3 / 4


def test_saying_nothing_is_precise_and_useless():
    result = judged()
    assert (result.precision, result.recall, result.unlisted) == (1, 0, 3)
