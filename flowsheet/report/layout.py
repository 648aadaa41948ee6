"""Where units stand in the flowsheet drawing: columns from left to right along the streams (Sugiyama et al. 1981)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

Edge = tuple[str, str]
SWEEPS = 8


@dataclass(frozen=True, slots=True)
class Layout:
    """Columns of nodes, top to bottom, and for each edge the nodes it passes.

    Parameters
    ----------
    columns : names in each column; a dummy node (a stream passing by) is named ``(edge number, column)``.
    paths : for each edge the nodes from source to target; of a recycle only the two ends.
    backward : numbers of the edges that run against the direction (recycles).
    """

    columns: tuple[tuple[object, ...], ...]
    paths: tuple[tuple[object, ...], ...]
    backward: frozenset[int]


def arrange(nodes: Sequence[str], edges: Sequence[Edge]) -> Layout:
    """Arrange units in columns so that streams run from left to right and cross little.

    >>> arrange(["press", "api", "filler", "blender"], [("api", "blender"), ("filler", "blender"), ("blender", "press")]).columns
    (('api', 'filler'), ('blender',), ('press',))
    """
    backward = _recycles(nodes, edges)
    forward = {k: edge for k, edge in enumerate(edges) if k not in backward}
    rank = _ranks(nodes, list(forward.values()))
    columns: list[list[object]] = [[] for _ in range(max(rank.values(), default=-1) + 1)]
    for node in nodes:
        columns[rank[node]].append(node)
    paths: list[tuple[object, ...]] = []
    for k, (source, target) in enumerate(edges):
        passed = [(k, column) for column in range(rank[source] + 1, rank[target])] if k in forward else []
        for dummy in passed:
            columns[dummy[1]].append(dummy)
        paths.append((source, *passed, target))
    links = [link for k in forward for link in pairwise(paths[k])]
    _untangle(columns, links)
    return Layout(tuple(map(tuple, columns)), tuple(paths), frozenset(backward))


def _recycles(nodes: Sequence[str], edges: Sequence[Edge]) -> set[int]:
    """Return the edges that close a cycle when units are walked in their given order."""
    leaving: dict[str, list[int]] = {node: [] for node in nodes}
    for k, (source, _) in enumerate(edges):
        leaving[source].append(k)
    state: dict[str, bool] = {}  # True while on the way, False when done
    found: set[int] = set()
    fed = {target for _, target in edges}
    for root in sorted(nodes, key=lambda node: node in fed):
        if root in state:
            continue
        state[root] = True
        stack = [(root, iter(leaving[root]))]
        while stack:
            node, rest = stack[-1]
            k = next(rest, -1)
            if k < 0:
                state[node] = False
                stack.pop()
            elif state.get(edges[k][1]) is True:
                found.add(k)
            elif edges[k][1] not in state:
                state[edges[k][1]] = True
                stack.append((edges[k][1], iter(leaving[edges[k][1]])))
    return found


def _ranks(nodes: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    """Return the column of each unit: the longest way from a beginning, feeds then pulled next to what they feed."""
    rank = dict.fromkeys(nodes, 0)
    for _ in nodes:
        for source, target in edges:
            rank[target] = max(rank[target], rank[source] + 1)
    fed = {target for _, target in edges}
    for node in nodes:
        followers = [rank[target] for source, target in edges if source == node]
        if node not in fed and followers:
            rank[node] = min(followers) - 1
    return rank


def _untangle(columns: list[list[object]], links: Iterable[tuple[object, object]]) -> None:
    """Order each column by the mean position of its neighbors, back and forth (barycenter heuristic)."""
    pairs = list(links)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        order = range(1, len(columns)) if down else range(len(columns) - 2, -1, -1)
        for k in order:
            fixed = columns[k - 1 if down else k + 1]
            place = {node: (i + 0.5) / len(fixed) for i, node in enumerate(fixed)}
            own = {node: (i + 0.5) / len(columns[k]) for i, node in enumerate(columns[k])}

            def weight(node: object, place: dict = place, own: dict = own, down: bool = down) -> float:
                near = [place[a if down else b] for a, b in pairs if (b if down else a) == node and (a if down else b) in place]
                return sum(near) / len(near) if near else own[node]

            columns[k].sort(key=weight)
