"""Passages and intervals of drawn courses against what a fine search finds."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowsheet.trace.courses import amount_within, common, merged, passage

courses = st.lists(st.integers(-3, 3), min_size=2, max_size=12)
intervals = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)).map(lambda ends: (float(min(ends)), float(max(ends)))), max_size=6)


@given(values=courses, limit=st.sampled_from([-1.5, 0.5, 1.5]))
def test_passage_of_any_course(values: list[int], limit: float) -> None:
    t, y = np.arange(len(values), dtype=float), np.array(values, dtype=float)
    found = passage(t, y, limit)
    fine = np.linspace(0.0, t[-1], 200 * (len(t) - 1) + 1)
    above = fine[np.interp(fine, t, y) > limit]
    assert found.peak == y.max()
    assert found.comes == bool(len(above))
    if not found.comes:
        assert math.isnan(found.arrives)
        return
    assert found.arrives == pytest.approx(above[0], abs=0.01)
    assert found.arrives <= found.peak_time
    if above[-1] == t[-1]:
        assert math.isnan(found.gone)
    else:
        assert found.gone == pytest.approx(above[-1], abs=0.01)
        assert found.peak_time <= found.passes <= found.gone
    assert sum(b - a for a, b in found.intervals) == pytest.approx(len(above) * 0.005, abs=0.02 * len(t))


@given(some=intervals, others=intervals)
def test_unions_and_overlaps(some: list[tuple[float, float]], others: list[tuple[float, float]]) -> None:
    union, overlap = merged(some + others), common(merged(some), merged(others))

    def length(spans: object) -> float:
        return amount_within(np.array([0.0, 20.0]), np.array([0.0, 20.0]), spans)  # type: ignore[arg-type]

    assert all(b < c for (_, b), (c, _) in pairwise(union))
    assert length(union) + length(overlap) == pytest.approx(length(merged(some)) + length(merged(others)))


def test_nothing_is_where_there_is_no_number() -> None:
    t = np.array([0.0, 1.0, 2.0])
    assert not passage(t, np.full(3, np.nan), 0.1).comes
    found = passage(t, np.array([np.nan, 1.0, 1.0]), 0.1)
    assert found.arrives == 1.0
