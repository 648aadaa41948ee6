"""Numerics on any Pyomo DAE model; knows no unit operation."""

from solvers.campaign import (
    CampaignError,
    CampaignSensitivities,
    HandOver,
    Stage,
    campaign_sensitivities,
    simulate_campaign,
)
from solvers.compiled import Compilation
from solvers.diagnose import Diagnosis, diagnose
from solvers.integrator import IntegrationMethod
from solvers.lower import lower
from solvers.optimize import Bound, Control, Final, FinalTime, Integrated, OptimizationError, Optimum, OptimumStatus, optimize
from solvers.repeat import Repeater
from solvers.sensitivities import Method, Sensitivities, sensitivities
from solvers.simulate import SimulationError, simulate
from solvers.steady import Approach, SteadyState, steady_state
from solvers.system import DaeSystem
from solvers.trajectory import EventRecord, Stats, Status, Trajectory

__all__ = [
    "Approach",
    "Bound",
    "CampaignError",
    "CampaignSensitivities",
    "Compilation",
    "Control",
    "DaeSystem",
    "Diagnosis",
    "EventRecord",
    "Final",
    "FinalTime",
    "HandOver",
    "Integrated",
    "IntegrationMethod",
    "Method",
    "OptimizationError",
    "Optimum",
    "OptimumStatus",
    "Repeater",
    "Sensitivities",
    "SimulationError",
    "Stage",
    "Stats",
    "Status",
    "SteadyState",
    "Trajectory",
    "campaign_sensitivities",
    "diagnose",
    "lower",
    "optimize",
    "sensitivities",
    "simulate",
    "simulate_campaign",
    "steady_state",
]
