"""What tests of the solvers share."""

from __future__ import annotations

import sys

import pytest

from solvers.integrator import Method


@pytest.fixture(params=[Method.BDF, Method.RADAU], ids=["bdf", "radau"])
def either_method(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Method:
    """Run a test with either method in place of the one that suits."""
    monkeypatch.setattr(sys.modules["solvers.simulate"], "MOST_BY_RADAU", 10**9 if request.param is Method.RADAU else 0)
    method: Method = request.param
    return method
