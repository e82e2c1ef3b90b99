"""The pairs that an assignment of greatest worth may hold.

The best assignment is found by shortest augmenting paths with potentials (Jonker and Volgenant), on a square matrix in
which leaving a record alone is worth nothing. A pair is in some best assignment exactly if its reduced cost is zero and
it lies on a cycle of such pairs and the pairs taken: if both ends are in one strongly connected component.
"""

from collections.abc import Sequence
from typing import Final

_NEVER: Final = 1 << 60


def in_some_best(pairs: Sequence[tuple[int, int, int]]) -> list[bool]:
    """Of each pair (ours, theirs, worth above zero): whether an assignment of greatest worth holds it."""
    rows = {ours: n for n, ours in enumerate(sorted({p[0] for p in pairs}))}
    columns = {theirs: n for n, theirs in enumerate(sorted({p[1] for p in pairs}))}
    size = len(rows) + len(columns)
    # Each record has a stand-in on the other side that it may be left alone with; stand-ins go together for nothing.
    cost = [[_NEVER] * size for _ in range(size)]
    for n in range(len(rows)):
        cost[n][len(columns) + n] = 0
    for n in range(len(columns)):
        cost[len(rows) + n][n] = 0
    for n in range(len(rows), size):
        for m in range(len(columns), size):
            cost[n][m] = 0
    for ours, theirs, worth in pairs:
        cost[rows[ours]][columns[theirs]] = min(cost[rows[ours]][columns[theirs]], -worth)
    row_of, row_price, column_price = _cheapest(cost)
    tight = [[m for m in range(size) if cost[n][m] == row_price[n] + column_price[m]] for n in range(size)]
    part = _parts([[row_of[m] for m in reached] for reached in tight])
    return [
        (n := rows[ours]) >= 0
        and cost[n][m := columns[theirs]] == -worth == row_price[n] + column_price[m]
        and part[n] == part[row_of[m]]
        for ours, theirs, worth in pairs
    ]


def _cheapest(cost: list[list[int]]) -> tuple[list[int], list[int], list[int]]:
    """The row taken for each column, and the prices of rows and columns that prove it cheapest."""
    size = len(cost)
    row_price, column_price = [0] * (size + 1), [0] * (size + 1)
    row_of = [size] * (size + 1)  # the last column holds the row that is looking for its place
    for row in range(size):
        row_of[size] = row
        at = size
        slack, came_from, done = [_NEVER * 4] * size, [size] * size, [False] * (size + 1)
        while row_of[at] != size:
            done[at] = True
            looking = row_of[at]
            step, nearest = _NEVER * 8, size
            for column in range(size):
                if done[column]:
                    continue
                reduced = cost[looking][column] - row_price[looking] - column_price[column]
                if reduced < slack[column]:
                    slack[column], came_from[column] = reduced, at
                if slack[column] < step:
                    step, nearest = slack[column], column
            for column in range(size + 1):
                if done[column]:
                    row_price[row_of[column]] += step
                    column_price[column] -= step
                elif column < size:
                    slack[column] -= step
            at = nearest
        while at != size:
            before = came_from[at]
            row_of[at] = row_of[before]
            at = before
    return row_of[:size], row_price[:size], column_price[:size]


def _parts(reaches: list[list[int]]) -> list[int]:
    """The strongly connected component of each node (Tarjan's, without recursion)."""
    count = len(reaches)
    order, low, part = [-1] * count, [0] * count, [-1] * count
    on_way: list[int] = []
    visited = 0
    for start in range(count):
        if order[start] >= 0:
            continue
        work = [(start, 0)]
        while work:
            node, at = work.pop()
            if at == 0:
                order[node] = low[node] = visited
                visited += 1
                on_way.append(node)
            else:
                low[node] = min(low[node], low[reaches[node][at - 1]])
            for n in range(at, len(reaches[node])):
                after = reaches[node][n]
                if order[after] < 0:
                    work += [(node, n + 1), (after, 0)]
                    break
                if part[after] < 0:
                    low[node] = min(low[node], order[after])
            else:
                if low[node] == order[node]:
                    while True:
                        member = on_way.pop()
                        part[member] = node
                        if member == node:
                            break
    return part
