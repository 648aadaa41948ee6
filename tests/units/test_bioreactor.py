"""The stirred vessel: what every unit promises, closed forms, limits, boluses, perfusion and refusals."""

import inspect

import casadi as ca
import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from liquids import AIR, GASES, HEATED, HOUR, LITER, vessel, worst_residual
from pyomo.contrib.incidence_analysis import IncidenceGraphInterface
from pyomo.core.base.block import declare_custom_block
from pyomo.environ import units as u
from pyomo.util.check_units import assert_units_consistent, assert_units_equivalent

from flowsheet import Flowsheet
from solvers import lower, sensitivities, simulate
from solvers.declare import Profile
from solvers.errors import CaseError, NumericsError, UsageError
from units import aeration, heat
from units.bioreactor import Bioreactor, BioreactorData
from units.kinetics.cho_batch import ChoBatchReactor
from units.kinetics.cho_fed import ChoFedBatchReactor
from units.kinetics.kinetics import Kinetics
from units.kinetics.monod import MonodReactor
from units.kinetics.overflow import OverflowReactor
from units.kinetics.penicillin import PenicillinReactor
from units.liquid import LiquidComponent
from units.parameter import Parameter
from units.stream import CELLS, MASS, MOLES

VOLUME = {"initial_volume": LITER, "maximum_volume": 2 * LITER}
SALT = {"salt": MOLES}
RATE, HALF, YIELD = 0.4 / HOUR, 0.1, 0.5
CULTURE = {"maximum_growth": RATE, "half_saturation": HALF, "biomass_yield": YIELD}

CASES = [
    pytest.param(Bioreactor, {"extra": SALT}, id="mixer"),
    pytest.param(MonodReactor, {"maintenance": 1e-6}, id="monod"),
    pytest.param(MonodReactor, {"extra": SALT | {"host": CELLS}, "feeds": ({"flow": 1e-8},) * 2, "perfusion": 1}, id="perfusion"),
    pytest.param(PenicillinReactor, {}, id="penicillin"),
    pytest.param(Bioreactor, AIR | {"extra": {"oxygen": MOLES}}, id="aerated mixer"),
    pytest.param(MonodReactor, AIR | {"extra": GASES | SALT}, id="aerated monod"),
    pytest.param(MonodReactor, HEATED | {"feeds": ({"flow": 1e-8},), "perfusion": 1, "growth_heat": 1e7}, id="heated monod"),
    pytest.param(ChoFedBatchReactor, AIR | HEATED | {"extra": GASES, "feeds": ({"flow": 1e-8},)}, id="aerated and heated cho"),
    pytest.param(PenicillinReactor, HEATED, id="heated penicillin"),
    pytest.param(OverflowReactor, {}, id="overflow"),
    pytest.param(OverflowReactor, AIR | HEATED | {"extra": SALT}, id="aerated and heated overflow"),
    pytest.param(ChoBatchReactor, {}, id="cho batch"),
    pytest.param(ChoFedBatchReactor, {"feeds": ({"flow": 1e-8},)}, id="cho fed-batch"),
]
MODES = ("feeding", "boluses", "dosed_volume", "dosed", "dosed_moles", "dosed_cells")


def build(unit, given, horizon=HOUR):
    return vessel(unit, horizon, **(VOLUME | given))


@pytest.mark.parametrize(("unit", "given"), CASES)
def test_units_of_measure_are_consistent_before_time_is_discretized(unit, given):
    assert_units_consistent(build(unit, given))


@pytest.mark.parametrize(("unit", "given"), CASES)
def test_structure_is_well_posed_and_explicit(unit, given):
    model = build(unit, given)
    assert lower(model).z.numel() == 0
    assert lower(model.clone()).x.numel() == lower(model).x.numel()


@pytest.mark.parametrize(("unit", "given"), CASES)
def test_everything_is_documented_and_has_a_unit(unit, given):
    block = build(unit, given).reactor
    for component in block.component_objects((pyo.Var, pyo.Param, pyo.Expression, pyo.Constraint)):
        assert component.doc, component.name
    for data in block.component_data_objects((pyo.Var, pyo.Param)):
        assert u.get_units(data) is not None, data.name
    assert len(inspect.getdoc(unit._ComponentDataClass)) > 300
    optional = set(aeration.SHOWN + heat.SHOWN)
    assert all(block.component(name) is not None for name in unit._ComponentDataClass.shown if name not in optional)
    for option, names in (("aerated", aeration.SHOWN), ("heat_balance", heat.SHOWN)):
        assert not given.get(option) or all(block.component(name) is not None for name in names)


@pytest.mark.parametrize(("unit", "given"), CASES)
def test_inventories_are_in_the_unit_of_their_measure(unit, given):
    for block in build(unit, given).component_data_objects(pyo.Block):
        for suffix, unit_of_measure in (("", u.kg), ("_moles", u.mol), ("_cells", u.cell)):
            for name, per in (("holdup", 1), ("dosed", 1), ("supply", u.s), ("withdrawal", u.s), ("reaction", u.s)):
                if block.component(f"{name}{suffix}") is not None:
                    assert_units_equivalent(next(iter(block.component(f"{name}{suffix}").values())), unit_of_measure / per)


@pytest.mark.parametrize(("unit", "given"), CASES)
def test_pyomo_itself_can_discretize_the_unit(unit, given):
    model = build(unit, given)
    held = [variable for variable in model.component_objects(pyo.Var) if all(data.fixed for data in variable.values())]
    pyo.TransformationFactory("network.expand_arcs").apply_to(model)
    pyo.TransformationFactory("dae.collocation").apply_to(model, wrt=model.time, nfe=2, ncp=3, scheme="LAGRANGE-RADAU")
    for variable in held:
        starts = {index[1:] if isinstance(index, tuple) else (): data.value for index, data in variable.items() if data.fixed}
        for index, data in variable.items():
            data.fix(starts[index[1:] if isinstance(index, tuple) else ()])
    variables, constraints = IncidenceGraphInterface(model, include_inequality=False).dulmage_mendelsohn()
    assert not constraints.unmatched, [data.name for data in constraints.unmatched]
    assert not variables.unmatched, [data.name for data in variables.unmatched]


@pytest.mark.parametrize(("unit", "given"), CASES)
def test_the_start_is_made_of_equations_with_the_parameters_in_them(unit, given):
    copy = build(unit, given).clone()
    system = lower(copy)
    assert [slot.name for slot in system.states if slot.start.fixed and slot.name.startswith("reactor.")] == []
    equations = ca.symvar(system.start_residual)
    for param in copy.reactor.component_data_objects(pyo.Param):
        if param.local_name.startswith("initial_"):
            place = next(number for number, data in enumerate(system.parameters) if data is param)
            assert any(ca.is_equal(symbol, system.p[place]) for symbol in equations), param.name


# --- closed forms ------------------------------------------------------------------------------------------------------


def test_batch_grows_exponentially_while_there_is_plenty():
    plenty = {"half_saturation": 1e-9, "maximum_growth": RATE, "biomass_yield": YIELD}
    model = vessel(MonodReactor, 5 * HOUR, initial_mass_concentration={"biomass": 0.1, "substrate": 10.0}, **VOLUME, **plenty)
    time = np.linspace(0.0, 5 * HOUR, 11)
    trajectory = simulate(model, time)
    grown = 0.1 * np.exp(RATE * time)
    assert trajectory["reactor.mass_concentration[biomass]"] == pytest.approx(grown, rel=1e-8)
    assert trajectory["reactor.mass_concentration[substrate]"] == pytest.approx(10.0 - (grown - 0.1) / YIELD, rel=1e-8)


def test_batch_ends_at_the_implicit_solution_of_monod():
    """t mu = (K/(S0 + X0/Y) + 1) ln(X/X0) - K/(S0 + X0/Y) ln(S/S0), the integrated form of a batch."""
    start, food = 0.2, 3.0
    model = vessel(MonodReactor, 8 * HOUR, initial_mass_concentration={"biomass": start, "substrate": food}, **VOLUME, **CULTURE)
    time = np.linspace(0.0, 8 * HOUR, 9)
    trajectory = simulate(model, time, rtol=1e-10)
    biomass, substrate = (trajectory[f"reactor.mass_concentration[{name}]"] for name in ("biomass", "substrate"))
    share = HALF / (food + start / YIELD)
    early = substrate > 1e-3
    assert early.sum() > 5
    reached = (share + 1) * np.log(biomass[early] / start) - share * np.log(substrate[early] / food)
    assert reached == pytest.approx(RATE * time[early], rel=1e-7, abs=1e-9)
    assert biomass + YIELD * substrate == pytest.approx(start + YIELD * food, rel=1e-10)


@pytest.mark.parametrize("dilution", [0.1, 0.3, 0.39, 0.5])
def test_a_chemostat_comes_to_monods_steady_state_or_washes_out(dilution):
    fed, flow = 10.0, dilution / HOUR * LITER
    feed = {"flow": flow, "mass_concentration": {"substrate": fed}}
    start = {"biomass": 1.0, "substrate": 1.0}
    model = vessel(MonodReactor, 4000 * HOUR, feeds=(feed,), outflow=flow, initial_mass_concentration=start, **VOLUME, **CULTURE)
    trajectory = simulate(model, [0.0, 4000 * HOUR])
    left = HALF * dilution / (0.4 - dilution) if dilution < 0.4 * fed / (HALF + fed) else fed
    assert trajectory["reactor.mass_concentration[substrate]"][-1] == pytest.approx(left, rel=1e-5)
    assert trajectory["reactor.mass_concentration[biomass]"][-1] == pytest.approx(YIELD * (fed - left), rel=1e-5, abs=1e-8)
    assert trajectory["reactor.volume"][-1] == pytest.approx(LITER, rel=1e-9)
    assert worst_residual(trajectory) < 1e-10


def test_washout_without_growth_is_exponential():
    flow = 0.5 / HOUR * LITER
    model = vessel(Bioreactor, 10 * HOUR, extra=SALT, feed_flow=flow, outflow=flow, initial_molarity={"salt": 7.0}, **VOLUME)
    time = np.linspace(0.0, 10 * HOUR, 11)
    trajectory = simulate(model, time)
    assert trajectory["reactor.molarity[salt]"] == pytest.approx(7.0 * np.exp(-0.5 * time / HOUR), rel=1e-7)
    assert trajectory["outlet_sink.inlet_molarity[salt]"] == pytest.approx(trajectory["reactor.molarity[salt]"], rel=1e-12)


def test_product_follows_luedeking_and_piret():
    given = CULTURE | {"growth_product": 0.2, "standing_product": 0.0}
    model = vessel(MonodReactor, 20 * HOUR, initial_mass_concentration={"biomass": 0.1, "substrate": 5.0}, **VOLUME, **given)
    trajectory = simulate(model, np.linspace(0.0, 20 * HOUR, 5))
    grown = trajectory["reactor.mass_concentration[biomass]"] - 0.1
    assert trajectory["reactor.mass_concentration[product]"] == pytest.approx(0.2 * grown, rel=1e-8, abs=1e-12)


def test_cells_stay_in_perfusion_and_solutes_pass():
    flow, bleed, time = 1.0 / HOUR * LITER, 0.1 / HOUR * LITER, np.linspace(0.0, 5 * HOUR, 6)
    model = vessel(
        Bioreactor,
        5 * HOUR,
        extra={"host": CELLS, "salt": MOLES, "protein": MASS},
        feed_flow=flow,
        outflow=bleed,
        permeate_flow=flow - bleed,
        perfusion=1,
        retention={"host": 1.0, "protein": 0.25},
        initial_cell_density={"host": 1e13},
        initial_molarity={"salt": 3.0},
        initial_mass_concentration={"protein": 2.0},
        **VOLUME,
    )
    trajectory = simulate(model, time)
    hours = time / HOUR
    assert trajectory["reactor.cell_density[host]"] == pytest.approx(1e13 * np.exp(-0.1 * hours), rel=1e-7)
    assert trajectory["reactor.molarity[salt]"] == pytest.approx(3.0 * np.exp(-1.0 * hours), rel=1e-7)
    assert trajectory["reactor.mass_concentration[protein]"] == pytest.approx(2.0 * np.exp(-(0.1 + 0.75 * 0.9) * hours), rel=1e-7)
    assert trajectory["permeate_sink.inlet_cell_density[host]"] == pytest.approx(0.0, abs=1e-3)
    assert worst_residual(trajectory) < 1e-10


def test_evaporation_concentrates():
    model = vessel(Bioreactor, 10 * HOUR, extra=SALT, initial_molarity={"salt": 1.0}, evaporation=0.05 / HOUR, **VOLUME)
    trajectory = simulate(model, [0.0, 10 * HOUR])
    assert trajectory["reactor.molarity[salt]"][-1] == pytest.approx(np.exp(0.5), rel=1e-7)


# --- boluses -----------------------------------------------------------------------------------------------------------


def test_boluses_jump_and_are_accounted_for():
    model = vessel(
        Bioreactor,
        100 * HOUR,
        extra={"salt": MOLES, "protein": MASS},
        initial_molarity={"salt": 1.0},
        feed_molarity={"salt": 50.0},
        feed_mass_concentration={"protein": 5.0},
        bolus_volume=0.1 * LITER,
        bolus_count=3,
        bolus_start=10 * HOUR,
        bolus_interval=20 * HOUR,
        **VOLUME,
    )
    larger = Profile((0.0, 40 * HOUR), (0.1 * LITER, 0.2 * LITER))
    trajectory = simulate(model, np.array([0.0, 9.0, 11.0, 31.0, 51.0, 100.0]) * HOUR, inputs={"reactor.bolus_volume": larger})
    given = np.array([0.0, 0.0, 0.1, 0.2, 0.4, 0.4]) * LITER
    assert [(event.event, round(event.time / HOUR, 9)) for event in trajectory.events] == [
        ("bolus", 10.0),
        ("bolus", 30.0),
        ("bolus", 50.0),
    ]
    assert trajectory["reactor.volume"] == pytest.approx(LITER + given, rel=1e-12)
    assert trajectory["reactor.moles[salt]"] == pytest.approx(LITER + 50.0 * given, rel=1e-12)
    assert trajectory["balance.dosed_moles[salt]"] == pytest.approx(50.0 * given, rel=1e-12)
    assert trajectory["balance.dosed[protein]"] == pytest.approx(5.0 * given, rel=1e-12)
    assert worst_residual(trajectory) < 1e-12


def test_derivatives_pass_through_a_bolus():
    given = {"bolus_volume": 0.1 * LITER, "bolus_count": 1, "bolus_start": 2 * HOUR, "feed_mass_concentration": {"substrate": 20.0}}
    start = {"biomass": 0.5, "substrate": 2.0}
    model = vessel(MonodReactor, 4 * HOUR, initial_mass_concentration=start, **VOLUME, **CULTURE, **given)
    name, parameter, step = "reactor.mass[biomass]", "reactor.bolus_volume", 1e-7
    slope = sensitivities(model, [parameter], name, [0.0, 4 * HOUR])[name, parameter][-1]
    ends = [simulate(model, [0.0, 4 * HOUR], inputs={parameter: 1e-4 + way * step}, rtol=1e-11)[name][-1] for way in (-1, 1)]
    assert slope == pytest.approx((ends[1] - ends[0]) / (2 * step), rel=1e-4)


# --- limits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", [MonodReactor, OverflowReactor, PenicillinReactor, ChoBatchReactor, ChoFedBatchReactor])
def test_a_vessel_of_water_stays_one(unit):
    trajectory = simulate(
        vessel(unit, 100 * HOUR, oxygen_saturation=0.0, **VOLUME) if unit is PenicillinReactor else build(unit, {}, 100 * HOUR),
        [0.0, 100 * HOUR],
    )
    for name in trajectory.names:
        assert np.all(np.isfinite(trajectory[name])), name
        if name.startswith(("reactor.mass[", "reactor.moles[", "reactor.cells[")) and unit is not ChoFedBatchReactor:
            assert trajectory[name] == pytest.approx(0.0, abs=1e-12), name


def test_no_biomass_leaves_the_medium_as_it_is():
    trajectory = simulate(vessel(MonodReactor, 100 * HOUR, initial_mass_concentration={"substrate": 5.0}, **VOLUME), [0.0, 100 * HOUR])
    assert trajectory["reactor.mass_concentration[substrate]"] == pytest.approx(5.0, rel=1e-12)


def test_starved_cells_drive_nothing_below_zero():
    given = CULTURE | {"maintenance": 0.2 / HOUR}
    model = vessel(MonodReactor, 200 * HOUR, initial_mass_concentration={"biomass": 1.0, "substrate": 1.0}, **VOLUME, **given)
    trajectory = simulate(model, np.linspace(0.0, 200 * HOUR, 401))
    substrate = trajectory["reactor.mass_concentration[substrate]"]
    assert substrate.min() > -1e-10
    assert substrate[-1] < 1e-9
    assert worst_residual(trajectory) < 1e-10


@pytest.mark.parametrize("half", [1e-3, 1e-6, 1e-9])
def test_no_step_leaps_over_the_end_of_the_substrate(half):
    given = CULTURE | {"half_saturation": half}
    model = vessel(MonodReactor, 20 * HOUR, initial_mass_concentration={"biomass": 5.0, "substrate": 5.0}, **VOLUME, **given)
    trajectory = simulate(model, [0.0, 10 * HOUR, 20 * HOUR])
    assert trajectory["reactor.mass_concentration[substrate]"][1:] == pytest.approx(0.0, abs=1e-8)
    assert trajectory["reactor.mass_concentration[biomass]"][1:] == pytest.approx(7.5, rel=1e-8)


def test_a_vessel_runs_dry_to_its_heel_and_not_below():
    flow = LITER / HOUR
    model = vessel(Bioreactor, 3 * HOUR, extra=SALT, initial_molarity={"salt": 3.0}, outflow=flow, heel=0.02 * LITER, **VOLUME)
    trajectory = simulate(model, np.linspace(0.0, 3 * HOUR, 61))
    assert np.all(np.diff(trajectory["reactor.volume"]) <= 1e-12)
    assert trajectory["reactor.volume"].min() > 0.02 * LITER * (1 - 1e-8)
    assert trajectory["reactor.volume"][-1] == pytest.approx(0.02 * LITER, rel=1e-8)
    assert trajectory["reactor.molarity[salt]"] == pytest.approx(3.0, rel=1e-6)
    assert worst_residual(trajectory) < 1e-10


@settings(max_examples=10, deadline=None)
@given(
    biomass=st.integers(0, 50).map(lambda tenths: tenths / 10),
    substrate=st.integers(0, 20),
    flow=st.integers(0, 50).map(lambda percent: percent / 100),
    out=st.integers(0, 50).map(lambda percent: percent / 100),
    bolus=st.integers(0, 5).map(lambda percent: percent / 100),
    perfusion=st.integers(0, 1),
)
def test_everything_is_accounted_for(biomass, substrate, flow, out, bolus, perfusion):
    model = vessel(
        MonodReactor,
        10 * HOUR,
        extra=SALT,
        feeds=({"flow": flow * LITER / HOUR, "mass_concentration": {"substrate": 8.0}, "molarity": {"salt": 1.0}},),
        initial_volume=LITER,
        maximum_volume=10 * LITER,
        initial_mass_concentration={"biomass": biomass, "substrate": substrate},
        feed_mass_concentration={"substrate": 30.0},
        bolus_volume=bolus * LITER,
        bolus_count=2,
        bolus_start=HOUR,
        bolus_interval=3 * HOUR,
        outflow=out * LITER / HOUR,
        perfusion=perfusion,
        permeate_flow=0.1 * LITER / HOUR,
        retention={"biomass": 1.0},
        maintenance=0.01 / HOUR,
        death=0.01 / HOUR,
    )
    trajectory = simulate(model, np.linspace(0.0, 10 * HOUR, 11))
    assert worst_residual(trajectory) < 1e-9
    for name in ("biomass", "substrate", "product"):
        # a tolerance of 1e-8 and concentrations up to some 20 kg/m3
        assert trajectory[f"reactor.mass_concentration[{name}]"].min() > -1e-7


# --- refusals ----------------------------------------------------------------------------------------------------------


def test_an_overfull_vessel_ends_the_run_and_says_so():
    model = vessel(Bioreactor, 10 * HOUR, extra=SALT, feed_flow=0.2 * LITER / HOUR, **VOLUME)
    with pytest.raises(NumericsError, match=r"reactor\.overfilled at t = 18000: the liquid exceeds maximum_volume") as caught:
        simulate(model, np.linspace(0.0, 10 * HOUR, 11))
    assert "larger vessel" in caught.value.hint
    assert caught.value.trajectory.t[-1] == pytest.approx(5 * HOUR)


def test_a_start_above_the_rim_is_refused():
    with pytest.raises(CaseError, match=r"reactor\.initial_volume: exceeds maximum_volume"):
        vessel(Bioreactor, HOUR, extra=SALT, initial_volume=1.0, maximum_volume=0.5)
    with pytest.raises(CaseError, match=r"reactor\.initial_volume: has to lie above the heel"):
        vessel(Bioreactor, HOUR, extra=SALT, initial_volume=1e-6, maximum_volume=0.5)


def test_components_of_the_kinetics_have_to_be_there_and_counted_alike():
    flowsheet = Flowsheet(HOUR, {"biomass": LiquidComponent("biomass", MASS)})
    with pytest.raises(CaseError, match="needs the component 'substrate'"):
        flowsheet.add("reactor", MonodReactor, **VOLUME)
    counted = {name: LiquidComponent(name, MOLES) for name in ("biomass", "substrate", "product")}
    with pytest.raises(CaseError, match="counts biomass by mass, the flowsheet by moles"):
        Flowsheet(HOUR, counted).add("reactor", MonodReactor, **VOLUME)


def test_a_concentration_of_another_measure_is_refused():
    with pytest.raises(CaseError, match=r"initial_molarity\.biomass: unknown component"):
        vessel(MonodReactor, HOUR, initial_molarity={"biomass": 1.0}, **VOLUME)


def test_liquid_units_need_liquid_components(materials):
    with pytest.raises(UsageError, match="needs at least one component"):
        Flowsheet(HOUR, materials).add("reactor", Bioreactor, **VOLUME)


# --- kinetics of one's own ---------------------------------------------------------------------------------------------


class Decay(Kinetics):
    components = {"drug": MOLES}  # noqa: RUF012
    parameters = (
        Parameter.positive("decay", 1 / u.s, "rate constant of decay at 37 degC", 0.1 / HOUR),
        Parameter.positive("temperature", u.K, "temperature of the liquid", 300.0, input=True),
    )

    def rates(self, b, t, c):
        return {"drug": -b.decay * b.temperature[t] / (310.15 * u.K) * c["drug"]}


@declare_custom_block("DecayReactor", rule="build")
class DecayReactorData(BioreactorData):
    """A stirred tank in which a drug decays."""

    kinetics = Decay()


@declare_custom_block("WrongReactor", rule="build")
class WrongReactorData(BioreactorData):
    """A reactor whose kinetics misspells its component."""

    class Kinetics_(Decay):
        def rates(self, b, t, c):
            return {"drugg": -b.decay * c["drug"]}

    kinetics = Kinetics_()


def test_kinetics_of_ones_own_take_a_few_lines():
    model = vessel(DecayReactor, 10 * HOUR, initial_molarity={"drug": 2.0}, **VOLUME)  # noqa: F821
    warm = Profile((0.0, 5 * HOUR), (310.15, 2 * 310.15))
    trajectory = simulate(model, [0.0, 10 * HOUR], inputs={"reactor.temperature": warm})
    assert trajectory["reactor.molarity[drug]"][-1] == pytest.approx(2.0 * np.exp(-1.5), rel=1e-7)
    assert trajectory["balance.reacted_moles[drug]"][-1] == pytest.approx(2.0 * LITER * (np.exp(-1.5) - 1), rel=1e-7)
    assert_units_consistent(model)


def test_rates_of_nothing_known_are_refused():
    with pytest.raises(CaseError, match="rates of components that the flowsheet does not have: drugg"):
        vessel(WrongReactor, HOUR, **VOLUME)  # noqa: F821


def test_an_outlet_lets_nothing_in_where_evaporation_goes_below_the_heel():
    given = {
        "initial_volume": LITER,
        "maximum_volume": 2 * LITER,
        "heel": 0.5 * LITER,
        "evaporation": 1 / HOUR,
        "outflow": 0.2 * LITER / HOUR,
    }
    model = vessel(Bioreactor, 5 * HOUR, extra={"salt": MASS}, initial_mass_concentration={"salt": 20.0}, **given)
    trajectory = simulate(model, np.linspace(0.0, 5 * HOUR, 51))
    assert trajectory["reactor.volume"][-1] < 0.1 * LITER
    assert trajectory["reactor.outlet_volume_flow"].min() >= 0.0
    assert np.diff(trajectory["reactor.mass[salt]"]).max() < 1e-9
