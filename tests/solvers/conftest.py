"""What tests of the solvers share."""

from __future__ import annotations

import sys

import pytest

from solvers.integrator import IntegrationMethod


@pytest.fixture(params=[IntegrationMethod.BDF, IntegrationMethod.RADAU], ids=["bdf", "radau"])
def either_method(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> IntegrationMethod:
    """Run a test with either method in place of the one that suits."""
    for limit in ("MOST_BY_RADAU", "MOST_BY_RADAU_WITH_EVENTS"):
        monkeypatch.setattr(sys.modules["solvers.simulate"], limit, 10**9 if request.param is IntegrationMethod.RADAU else 0)
    method: IntegrationMethod = request.param
    return method
