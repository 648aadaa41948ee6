"""Flowsheets of one bioreactor, and what the tests of bioreactors share."""

import csv
from pathlib import Path

import numpy as np

from flowsheet import Flowsheet
from flowsheet.collect import balance_rows
from solvers import simulate
from solvers.declare import Profile
from units.liquid import LiquidComponent
from units.liquid_sink import LiquidSink
from units.liquid_source import LiquidSource
from units.stream import MOLES

DATA = Path(__file__).parents[1] / "data"
HOUR = 3600.0
LITER = 1e-3


AIR = {"aerated": 1, "stirrer_speed": 8.0, "gas_flow": LITER / 60, "vessel_diameter": 0.1, "impeller_diameter": 0.045}
"""A vessel of one liter with one volume of air per minute."""
GASES = {"oxygen": MOLES, "carbon_dioxide": MOLES}
HEATED = {"heat_balance": 1, "initial_temperature": 310.15, "jacket_temperature": 308.15, "jacket_conductance": 5.0}
MOVED = {"cho/cho_t127_flask_pmj_measurements.csv": Path(__file__).parents[2] / "cases" / "cho_fed_batch" / "measurements.csv"}
"""Data that a case shows, and that stand beside it."""


def table(name):
    with MOVED.get(name, DATA / name).open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def vessel(unit, horizon, *, feeds=(), extra=None, **parameters):
    """Return the model of a reactor ``unit`` whose inlets are fed by ``feed_1`` ... and whose outlets end in sinks."""
    measures = dict(unit._ComponentDataClass.kinetics.components) | (extra or {})
    flowsheet = Flowsheet(horizon, {name: LiquidComponent(name, measure) for name, measure in measures.items()})
    flowsheet.add("reactor", unit, inlets=len(feeds), **parameters)
    for number, feed in enumerate(feeds, start=1):
        flowsheet.add(f"feed_{number}", LiquidSource, **feed)
        flowsheet.connect(f"feed_{number}.outlet", f"reactor.inlet_{number}")
    for name in unit._ComponentDataClass.outlets(parameters):
        flowsheet.add(f"{name}_sink", LiquidSink)
        flowsheet.connect(f"reactor.{name}", f"{name}_sink.inlet")
    return flowsheet.model


def worst_residual(trajectory):
    """Return the largest relative residual of the balances of all components."""
    rows = balance_rows(trajectory)
    assert rows
    return max(abs(row.relative) for row in rows)


CHO_NAMES = {
    "Xv": ("cell_density", "viable", 1e3),
    "mAb": ("mass_concentration", "antibody", 1e-3),
    **{
        column: ("molarity", name, 1.0)
        for column, name in {
            "Glc": "glucose",
            "Amm": "ammonia",
            "Gln": "glutamine",
            "Lac": "lactate",
            "Glu": "glutamate",
            "Asn": "asparagine",
        }.items()
    },
}
"""Columns of the CHO data: concentration, component and factor to SI."""

_PER_MMOL, _RATE = 1e3, 1e-3 / HOUR
CHO_PARAMETERS = {
    "mu_max": ("maximum_growth", 1 / HOUR),
    "mu_d_max": ("maximum_death", 1 / HOUR),
    "Kglc": ("glucose_half", 1.0),
    "Kasn": ("asparagine_half", 1.0),
    "KIlac": ("lactate_inhibition", 1.0),
    "KIamm": ("ammonia_inhibition", 1.0),
    "Kd_amm": ("ammonia_death", 1.0),
    "m_lac": ("lactate_maintenance", _RATE),
    "m_glc": ("glucose_maintenance", _RATE),
    "Lac_max_1": ("lactate_ceiling", 1.0),
    "Lac_max_2": ("lactate_turn", 1.0),
    "Yx_glc": ("glucose_cells", _PER_MMOL),
    "Yx_gln": ("glutamine_cells", _PER_MMOL),
    "Yx_glu": ("glutamate_cells", _PER_MMOL),
    "Yx_lac": ("lactate_cells", _PER_MMOL),
    "Yx_amm": ("ammonia_cells", _PER_MMOL),
    "Yx_asn": ("asparagine_cells", _PER_MMOL),
    "Yx_asp": ("aspartate_cells", _PER_MMOL),
    "Ygln_amm": ("glutamine_ammonia", 1.0),
    "Ylac_glc": ("lactate_glucose", 1.0),
    "Yasp_asn": ("aspartate_asparagine", 1.0),
    "Yasn_asp": ("asparagine_aspartate", 1.0),
    "m_mAb": ("antibody_maintenance", 1e-6 / HOUR),
    "YmAb_mu": ("antibody_growth", 1e-6),
}
"""Parameters of the CHO data by name in the source: name in the reactor and factor to SI."""


def cho_parameters(column):
    """Return a parameter set of the CHO data as the reactor takes it."""
    rows = {row["parameter"]: float(row[column]) for row in table("cho/cho_kotidis_parameters.csv")}
    return {name: rows[key] * factor for key, (name, factor) in CHO_PARAMETERS.items()}


def cho_run(unit, experiment, parameters, volume, shot_strength=1.0):
    """Simulate an experiment of the CHO data; return model, trajectory at the sample times, and the samples by column (SI).

    Shots of glucose are ``shot_strength`` times as strong as they were, and so much smaller.
    """
    measured = table(f"cho/cho_{experiment}_measurements.csv")
    schedule = table(f"cho/cho_{experiment}_schedule.csv")
    medium = {row["Metabolite"]: float(row["Concentration (mM)"]) for row in table(f"cho/cho_{experiment}_feed_composition.csv")}
    data = {column: np.array([float(row[column] or "nan") for row in measured]) * factor for column, (_, _, factor) in CHO_NAMES.items()}
    times = np.array([float(row["Time (hours)"]) for row in measured]) * HOUR
    start: dict = {}
    for column, (concentration, name, _) in CHO_NAMES.items():
        start.setdefault(f"initial_{concentration}", {})[name] = data[column][0]
    feed = {
        name: medium[column] for column, (concentration, name, _) in CHO_NAMES.items() if concentration == "molarity" and column in medium
    }
    feeds = ({"flow": 0.0, "molarity": feed}, {"flow": 0.0, "molarity": {"glucose": medium["glc_conc_in_glc"] * shot_strength}})
    model = vessel(unit, times[-1], feeds=feeds, initial_volume=volume * LITER, maximum_volume=2 * volume * LITER, **start, **parameters)
    starts = [float(row["t_start_h"]) * HOUR for row in schedule]
    inputs = {
        variable: Profile(starts, [float(row[column]) * scale * LITER / HOUR for row in schedule])
        for variable, column, scale in (
            ("feed_1.flow", "Fin_L_per_h", 1.0),
            ("reactor.outflow", "Fout_L_per_h", 1.0),
            ("feed_2.flow", "Fin_glc_L_per_h", 1.0 / shot_strength),
        )
    }
    return model, simulate(model, times, inputs=inputs), data


def modelled(trajectory, column):
    """Return the course of a column of the CHO data (SI)."""
    concentration, name, _ = CHO_NAMES[column]
    return trajectory[f"reactor.{concentration}[{name}]"]


def r_squared(course, data):
    known = np.isfinite(data)
    return 1 - np.sum((course - data)[known] ** 2) / np.sum((data[known] - data[known].mean()) ** 2)
