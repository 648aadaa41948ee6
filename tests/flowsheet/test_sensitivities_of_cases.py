"""Derivatives of whole flowsheets, refills and switched controllers included, against central differences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flowsheet import load_case
from solvers import lower, sensitivities, simulate

CASE = Path(__file__).parents[2] / "cases" / "cdc_line"
TIGHT = {"rtol": 1e-11, "atol": 1e-13}
