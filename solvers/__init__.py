"""Numerics on any Pyomo DAE model; knows no unit operation."""

from solvers.compiled import Compilation
from solvers.diagnose import Diagnosis, diagnose
from solvers.lower import lower
from solvers.sensitivities import Method, Sensitivities, sensitivities
from solvers.simulate import SimulationError, simulate
from solvers.system import DaeSystem
from solvers.trajectory import EventRecord, Stats, Status, Trajectory

__all__ = [
    "Compilation",
    "DaeSystem",
    "Diagnosis",
    "EventRecord",
    "Method",
    "Sensitivities",
    "SimulationError",
    "Stats",
    "Status",
    "Trajectory",
    "diagnose",
    "lower",
    "sensitivities",
    "simulate",
]
