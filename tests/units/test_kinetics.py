"""Kinetics against what is published of them, and against independent integrations of the restated equations."""

import numpy as np
import pytest
from liquids import CHO_NAMES, CHO_PARAMETERS, HOUR, LITER, cho_parameters, cho_run, modelled, r_squared, table, vessel, worst_residual

from solvers import simulate
from units.kinetics.cho_batch import ChoBatchReactor
from units.kinetics.cho_fed import ChoFedBatchReactor
from units.kinetics.penicillin import PenicillinReactor

PENICILLIN = {
    "initial_volume": 100 * LITER,
    "maximum_volume": 120 * LITER,
    "initial_mass_concentration": {"biomass": 0.1, "substrate": 15.0, "oxygen": 1.16},
    "feed_mass_concentration": {"substrate": 600.0},
    "feed_flow": 0.042 * LITER / HOUR,
}


def test_penicillin_at_all_times_of_an_independent_integration():
    rows = [{key: float(value) for key, value in row.items()} for row in table("birol_penicillin_noevap.csv")]
    model = vessel(PenicillinReactor, 400 * HOUR, **PENICILLIN)
    trajectory = simulate(model, np.array([0.0, *(row["t_h"] for row in rows[1:])]) * HOUR)
    (switch,) = trajectory.events
    assert (switch.event, switch.time / HOUR) == ("feed_start", pytest.approx(rows[0]["t_h"], abs=1e-6))
    columns = {"X_g_L": "biomass", "S_g_L": "substrate", "CL_mmol_L": "oxygen", "P_g_L": "product"}
    for column, name in columns.items():
        expected = [row[column] for row in rows[1:]]
        assert trajectory[f"reactor.mass_concentration[{name}]"][1:] == pytest.approx(expected, rel=1e-7), name
    assert trajectory["reactor.volume"][1:] == pytest.approx([row["V_L"] * LITER for row in rows[1:]], rel=1e-9)
    assert worst_residual(trajectory) < 1e-10


def test_penicillin_with_evaporation():
    loss = 2.5e-4 / HOUR * (np.exp(5 * (298.0 - 273.15) / 100) - 1)
    trajectory = simulate(vessel(PenicillinReactor, 360 * HOUR, evaporation=loss, **PENICILLIN), [0.0, 360 * HOUR])
    assert trajectory.events[0].time / HOUR == pytest.approx(44.0086, abs=1e-4)
    assert trajectory["reactor.mass_concentration[biomass]"][-1] == pytest.approx(14.083, rel=1e-4)
    assert trajectory["reactor.mass_concentration[product]"][-1] == pytest.approx(1.5929, rel=1e-4)
    assert trajectory["reactor.volume"][-1] / LITER == pytest.approx(92.169, rel=1e-5)


def test_cho_batch_at_96_h():
    start, end = ({key: float(value) for key, value in row.items()} for row in table("craven_batch_96h.csv"))
    names = {"G_mM": "glucose", "Q_mM": "glutamine", "L_mM": "lactate", "A_mM": "ammonia"}
    model = vessel(
        ChoBatchReactor,
        96 * HOUR,
        initial_volume=3 * LITER,
        maximum_volume=3.5 * LITER,
        initial_cell_density={"viable": start["XV_cell_L"] / LITER, "dead": start["XD_cell_L"] / LITER},
        initial_molarity={name: start[column] for column, name in names.items()},
    )
    trajectory = simulate(model, np.linspace(0.0, 96 * HOUR, 13))
    for column, name in names.items():
        assert trajectory[f"reactor.molarity[{name}]"][-1] == pytest.approx(end[column], rel=1e-7), name
    assert trajectory["reactor.cell_density[viable]"][-1] * LITER == pytest.approx(end["XV_cell_L"], rel=1e-7)
    assert trajectory["reactor.cell_density[dead]"][-1] * LITER == pytest.approx(end["XD_cell_L"], rel=1e-7)
    assert trajectory["reactor.total_density"][-1] * LITER == pytest.approx(end["XT_cell_L"], rel=1e-7)
    carbon = trajectory["reactor.molarity[lactate]"] + 1.6 * trajectory["reactor.molarity[glucose]"]
    assert carbon == pytest.approx(carbon[0], rel=1e-12)
    assert worst_residual(trajectory) < 1e-10


def test_starving_cho_cells_take_nothing_that_is_not_there():
    start = {"initial_cell_density": {"viable": 5e12}, "initial_molarity": {"glucose": 3.0, "glutamine": 1.0}}
    model = vessel(ChoBatchReactor, 500 * HOUR, initial_volume=LITER, maximum_volume=2 * LITER, glucose_maintenance=1e-13 / HOUR, **start)
    trajectory = simulate(model, np.linspace(0.0, 500 * HOUR, 501))
    assert min(trajectory[f"reactor.molarity[{name}]"].min() for name in ("glucose", "glutamine")) > -1e-9


def test_the_defaults_of_the_fed_batch_are_the_nominal_set():
    defaults = {parameter.name: parameter.default for parameter in ChoFedBatchReactor._ComponentDataClass.parameters}
    for name, value in cho_parameters("T127_nominal").items():
        assert defaults[name] == pytest.approx(value, rel=1e-5), name
    assert len(CHO_PARAMETERS) == 24


PUBLISHED = {
    "t127_flask_pmj": ("T127_nominal", 0.1, (0.974, 0.997, 0.931, 0.954, 0.964, 0.901, 0.963, 0.998)),
    "gs46_f_c_inv": ("GS46_reparametrised", 0.05, (0.922, 0.965, 0.981, 0.679, 0.863, 0.195, 0.123, 0.977)),
    "t127_sns_36p5": ("T127_nominal", 0.9, (-0.047, -0.406, -47.8, -2.24, 0.571, 0.611, -17.8, -0.057)),
}
"""Parameter set, volume at the start (L), and R2 of the source's equations without factors that guard what runs out."""


@pytest.mark.parametrize("experiment", ["t127_flask_pmj", "gs46_f_c_inv"])
def test_cho_fed_batch_fits_its_flasks_as_well_as_the_source(experiment):
    chosen, volume, published = PUBLISHED[experiment]
    _, trajectory, data = cho_run(ChoFedBatchReactor, experiment, cho_parameters(chosen), volume)
    reached = {column: r_squared(modelled(trajectory, column), data[column]) for column in CHO_NAMES}
    for column, expected in zip(CHO_NAMES, published, strict=True):
        # in GS46 glucose ends three hours before the last sample: the source's goes below zero, and drags lactate along
        slack = 0.03 if (experiment, column) == ("gs46_f_c_inv", "Lac") else 6e-4
        assert reached[column] == pytest.approx(expected, abs=slack), column
    assert worst_residual(trajectory) < 1e-10
    assert min(modelled(trajectory, column).min() for column in CHO_NAMES) > -1e-9
    assert [event.event for event in trajectory.events] == (["starved"] if experiment == "gs46_f_c_inv" else [])


def test_cho_fed_batch_agrees_with_an_independent_integration():
    _, trajectory, _ = cho_run(ChoFedBatchReactor, "t127_flask_pmj", cho_parameters("T127_nominal"), 0.1)
    rows = table("cho/cho_t127_flask_pmj_model_run.csv")
    for column, (_, _, factor) in CHO_NAMES.items():
        course = np.array([float(row[column]) for row in rows]) * factor
        assert modelled(trajectory, column) == pytest.approx(course, abs=1e-6 * course.max()), column
    assert trajectory["reactor.volume"][-1] == pytest.approx(0.1068 * LITER, rel=1e-9)
    assert trajectory["balance.unit_volume_supplied[feed_1]"][-1] == pytest.approx(0.05 * LITER, rel=1e-9)


@pytest.mark.parametrize("tiny", [True, False], ids=["shots without volume", "shots with their volume"])
def test_the_reactor_at_0_9_liters_is_the_mismatch_that_it_is(tiny):
    """The nominal set was never fitted to it. The source leaves the volume of glucose shots out: so do strong ones, nearly."""
    chosen, volume, published = PUBLISHED["t127_sns_36p5"]
    strength = 1e4 if tiny else 1.0
    _, trajectory, data = cho_run(ChoFedBatchReactor, "t127_sns_36p5", cho_parameters(chosen), volume, shot_strength=strength)
    for column, expected in zip(CHO_NAMES, published, strict=True):
        reached = r_squared(modelled(trajectory, column), data[column])
        assert reached == pytest.approx(expected, rel=0.003 if tiny else 0.07, abs=0.002 if tiny else 0.03), column
    assert worst_residual(trajectory) < 1e-10
