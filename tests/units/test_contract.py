"""What every unit promises: units of measure, structure, documentation, and names that exist."""

import inspect

import casadi as ca
import pyomo.environ as pyo
import pytest
from pyomo.contrib.incidence_analysis import IncidenceGraphInterface
from pyomo.dae import ContinuousSet
from pyomo.environ import units as u
from pyomo.util.check_units import assert_units_consistent, assert_units_equivalent

from solvers import lower
from solvers.errors import CaseError, Complaint
from units.blender import ContinuousBlender
from units.chute import Chute
from units.conical_mill import ConicalMill
from units.delumper import Delumper
from units.dispersion_blender import DispersionBlender
from units.dissolution import DissolutionTester
from units.diverter import Diverter
from units.feed_frame import FeedFrame
from units.feeder import LossInWeightFeeder
from units.fluid_bed_dryer import FluidBedDryer
from units.hopper import Hopper
from units.mixer import Mixer
from units.parameter import Parameter
from units.pid import PID
from units.powders import Powders
from units.press import TabletPress
from units.ratio import Ratio
from units.sensor import Sensor
from units.sink import Sink
from units.sizes import SizeClasses
from units.source import Source
from units.splitter import Splitter
from units.stream import Material
from units.tablet_quality import TabletTester
from units.twin_screw_granulator import TwinScrewGranulator
from units.weibull_dissolution import WeibullDissolution

BLEND = {"excipient": 0.89, "api": 0.10, "lubricant": 0.01}
FEEDER = {"composition": {"api": 1.0}, "setpoint": 2.0 / 3600}
LOOP = {
    **{"measured_unit": "kg", "output_unit": "m", "setpoint": 2.5e-4, "gain": 20.0, "integral_time": 20.0},
    **{"lower": 0.005, "upper": 0.015, "initial_output": 0.01},
}
DRUG = {"solubility": 0.2, "median_size": 50e-6}

SIZED = Powders(
    {
        "granule": Material("granule", 1500.0, 500.0, median_size=700e-6, size_spread=1.8),
        "api": Material("api", 1300.0, 350.0, median_size=200e-6, size_spread=1.8),
        "water": Material("water", 1000.0, 1000.0, moisture=True),
    },
    SizeClasses(20e-6, 5e-3, 4),
)
WET = {"materials": SIZED, "initial_composition": {"granule": 0.7, "api": 0.2, "water": 0.1}}

CASES = [
    pytest.param(Source, {"flow": 1e-3}, id="source"),
    pytest.param(Sink, {}, id="sink"),
    pytest.param(LossInWeightFeeder, FEEDER, id="feeder"),
    pytest.param(LossInWeightFeeder, FEEDER | {"composition": {"api": 0.5, "lubricant": 0.5}}, id="feeder of two"),
    pytest.param(LossInWeightFeeder, FEEDER | {"initial_running": 0.0, "scheduling": 1.0}, id="feeder stopped, scheduled"),
    pytest.param(ContinuousBlender, {"initial_composition": BLEND}, id="blender"),
    pytest.param(ContinuousBlender, {"initial_composition": BLEND, "tanks": 1, "delay_cells": 0}, id="one tank"),
    pytest.param(ContinuousBlender, {"initial_composition": BLEND, "inlets": 3, "flow_exponent": 0.4}, id="three inlets"),
    pytest.param(ContinuousBlender, {"initial_composition": BLEND, "tanks": 2.5}, id="two and a half tanks"),
    pytest.param(DispersionBlender, {"initial_composition": BLEND, "inlets": 2}, id="dispersion blender"),
    pytest.param(Chute, {"initial_composition": BLEND}, id="chute"),
    pytest.param(ConicalMill, WET | {"initial_mass": 0.1, "fragment_size": 5e-4}, id="mill"),
    pytest.param(FluidBedDryer, WET | {"initial_mass": 1.0, "cells": 3}, id="dryer"),
    pytest.param(Hopper, WET | {"initial_mass": 0.4}, id="hopper with sizes"),
    pytest.param(Delumper, {"initial_composition": BLEND}, id="delumper"),
    pytest.param(Hopper, {"initial_composition": BLEND, "initial_mass": 0.4}, id="hopper"),
    pytest.param(FeedFrame, {"initial_composition": BLEND, "initial_mass": 0.1}, id="feed frame"),
    pytest.param(TabletPress, {}, id="press"),
    pytest.param(Mixer, {"inlets": 3}, id="mixer"),
    pytest.param(Splitter, {"share": 0.25}, id="splitter"),
    pytest.param(Diverter, {"watched_unit": "kg", "lower": 1e-4, "upper": 3e-4, "hold": 5.0}, id="diverter"),
    pytest.param(PID, LOOP, id="pid"),
    pytest.param(PID, LOOP | {"automatic": 0.0, "derivative_time": 2.0}, id="pid in manual mode"),
    pytest.param(Sensor, {"measured_unit": "kg"}, id="sensor"),
    pytest.param(Sensor, {"dead_time": 5.0, "dead_time_cells": 4, "sampling_period": 2.0, "quantum": 0.1}, id="sampled sensor"),
    pytest.param(Ratio, {"measured_unit": "kg/s", "output_unit": "kg/s", "ratio": 0.1}, id="ratio"),
    pytest.param(DissolutionTester, DRUG | {"dose": 25e-6, "classes": 3, "layers": 2}, id="dissolution"),
    pytest.param(DissolutionTester, DRUG | {"dose": 0.0, "classes": 1, "layers": 0, "film_follows": 0}, id="dissolution of nothing"),
    pytest.param(WeibullDissolution, {"dose": 25e-6, "scale": 600.0}, id="weibull dissolution"),
    pytest.param(TabletTester, DRUG | {"label_claim": 25e-6, "classes": 3}, id="tablet tester"),
    pytest.param(TabletTester, DRUG | {"label_claim": 25e-6, "film_follows": 0}, id="tablet tester, constant film"),
]

GRANULATED = {
    "materials": Powders(
        {
            "filler": Material("filler", 1550.0, 500.0, median_size=90e-6, size_spread=1.6),
            "water": Material("water", 1000.0, 1000.0, moisture=True),
        },
        SizeClasses(20e-6, 4e-3, 6),
    ),
    "initial_composition": {"filler": 1.0},
}
KERNELS = [
    pytest.param(TwinScrewGranulator, GRANULATED, id="twin-screw granulator"),
    pytest.param(TwinScrewGranulator, GRANULATED | {"kneading_zones": 0, "wetting_cells": 2}, id="wetting only"),
]
"""Units with compiled equations, which Pyomo's own solvers do not see."""


_MODES = ("refilling", "gravimetric", "frozen_speed", "frozen_factor", "settle_end", "engaged", "live", "diverting", "began", "exposed")


@pytest.mark.parametrize(("unit", "given"), CASES + KERNELS)
def test_units_of_measure_are_consistent_before_time_is_discretized(rig, unit, given):
    assert_units_consistent(rig(unit, **given).model)


@pytest.mark.parametrize(("unit", "given"), CASES + KERNELS)
def test_structure_is_well_posed_and_explicit(rig, unit, given):
    system = lower(rig(unit, **given).model)
    assert system.z.numel() == 0, f"an equation is not an assignment: {system.equation_names}"


@pytest.mark.parametrize(("unit", "given"), CASES + KERNELS)
def test_everything_is_documented_and_has_a_unit(rig, unit, given):
    block = rig(unit, **given).model.unit
    for component in block.component_objects((pyo.Var, pyo.Param, pyo.Expression, pyo.Constraint)):
        assert component.doc, component.name
    for data in block.component_data_objects((pyo.Var, pyo.Param)):
        assert u.get_units(data) is not None, data.name
    assert len(inspect.getdoc(unit._ComponentDataClass)) > 300


@pytest.mark.parametrize(("unit", "given"), CASES + KERNELS)
def test_indices_have_an_order(rig, unit, given):
    """A set without one changes its order from process to process, and with it the bytes of results."""
    block = rig(unit, **given).model.unit
    for component in block.component_objects():
        if component.is_indexed():
            assert component.index_set().isordered(), component.name


@pytest.mark.parametrize(("unit", "given"), CASES + KERNELS)
def test_promised_names_exist(rig, unit, given):
    contract = unit._ComponentDataClass
    block = rig(unit, **given).model.unit
    for name in contract.shown:
        assert block.component(name) is not None, name
    for name in contract.inputs:
        assert all(data.fixed for data in block.component(name).values()), name
    for name in contract.inlets(given) + contract.outlets(given):
        assert set(block.component(name).vars) == {"flow"}
    amounts = {"holdup": u.kg, "supply": u.kg / u.s, "withdrawal": u.kg / u.s}
    for name, unit_of_measure in amounts.items():
        if block.component(name) is not None:
            assert_units_equivalent(next(iter(block.component(name).values())), unit_of_measure)


@pytest.mark.parametrize(("unit", "given"), CASES + KERNELS)
def test_a_clone_is_independent_and_whole(rig, unit, given):
    model = rig(unit, **given).model
    copy = model.clone()
    assert lower(copy).x.numel() == lower(model).x.numel()


@pytest.mark.parametrize(("unit", "given"), CASES)
def test_pyomo_itself_can_discretize_the_unit(rig, unit, given):
    """Arcs expanded and time discretized by Pyomo: as many equations as unknowns, and each finds its own."""
    model = rig(unit, **given).model
    unit_block = model.unit
    modes = [name for name in _MODES if unit_block.component(name)]
    contract = unit._ComponentDataClass
    held = [unit_block.component(name) for name in (*contract.inputs, *contract.required_signals, *modes)]
    held += [source.flow for source in model.block_data_objects() if source.component("flow") is not None]
    pyo.TransformationFactory("network.expand_arcs").apply_to(model)
    pyo.TransformationFactory("dae.collocation").apply_to(model, wrt=model.time, nfe=2, ncp=3, scheme="LAGRANGE-RADAU")
    for variable in held:  # Pyomo adds the new points of a fixed Var as free ones
        starts = {index[1:] if isinstance(index, tuple) else (): data.value for index, data in variable.items() if data.fixed}
        for index, data in variable.items():
            data.fix(starts[index[1:] if isinstance(index, tuple) else ()])
    graph = IncidenceGraphInterface(model, include_inequality=False)
    variables, constraints = graph.dulmage_mendelsohn()
    assert not constraints.unmatched, [data.name for data in constraints.unmatched]
    assert not variables.unmatched, [data.name for data in variables.unmatched]


@pytest.mark.parametrize(("unit", "given"), CASES + KERNELS)
def test_the_start_is_made_of_equations_with_the_parameters_in_them(rig, unit, given):
    """No state is fixed to what a Param was when the unit was built: the start depends on every one of them in a copy, too."""
    copy = rig(unit, **given).model.clone()
    block = copy.unit
    system = lower(copy)
    fixed = [slot.name for slot in system.states if slot.start.fixed and slot.name.startswith("unit.")]
    assert fixed == []
    met = set(ca.jacobian_sparsity(system.start_residual, system.p).get_col())
    for param in block.component_data_objects(pyo.Param):
        if param.local_name.startswith("initial_"):
            place = next(number for number, data in enumerate(system.parameters) if data is param)
            assert place in met, param.name


@pytest.mark.parametrize("unit", [Source, LossInWeightFeeder, ContinuousBlender, TabletPress])
def test_all_complaints_come_at_once_and_by_name(materials, unit):
    required = [parameter.name for parameter in unit._ComponentDataClass.parameters if parameter.default is None]
    model = pyo.ConcreteModel()
    model.time = ContinuousSet(bounds=(0, 1))
    with pytest.raises(CaseError) as caught:
        model.unit = unit(time=model.time, materials=materials, spedd=1.0)
    assert "unit.spedd: unknown parameter" in str(caught.value)
    for name in required:
        assert f"unit.{name}: has to be given" in str(caught.value)
    assert {complaint.key for complaint in caught.value.complaints} == {("spedd",), *((name,) for name in required)}


def test_what_is_chosen_of_what_is_given():
    tanks = Parameter("tanks", u.dimensionless, "number of tanks", 3, 1, integer=True)
    assert (tanks.chosen({}), tanks.chosen({"tanks": 5}), tanks.chosen({"cells": 5})) == (3, 5, 3)
    assert ContinuousBlender._ComponentDataClass.inlets({}) == ("inlet_1",)


def test_parameter_complaints():
    real = Parameter.positive("time", u.s, "a time")
    assert real.complaint(1) is None
    assert real.complaint(0.0) == Complaint("below its bound", "0", "(0, inf) s")
    assert "expected a number" in str(real.complaint(True))
    assert "expected a number" in str(real.complaint("5"))
    assert "not finite" in str(real.complaint(float("nan")))
    assert "not finite" in str(real.complaint(float("inf")))
    assert real.complaints(None, ["a"]) == [Complaint("has to be given", allowed="(0, inf) s")]
    assert "expected one number" in str(real.complaints({"a": 1.0}, ["a"])[0])
    whole = Parameter("tanks", u.dimensionless, "tanks", lower=1, upper=9, integer=True)
    assert whole.complaint(3) is whole.complaint(3.0) is None
    assert str(whole.complaint(10)) == "above its bound (got 10); allowed: [1, 9]"


def test_fractions_have_to_sum_to_one():
    fractions = Parameter("composition", u.dimensionless, "mass fractions", lower=0.0, upper=1.0, per_component=True, fractions=True)
    assert fractions.complaints({"a": 1.0}, ["a", "b"]) == []
    assert fractions.by_component({"a": 1.0}, ["a", "b"]) == {"a": 1.0, "b": 0.0}
    assert fractions.complaints({"a": 0.5, "b": 0.49}, ["a", "b"]) == [Complaint("mass fractions sum to 0.990000000", allowed="1")]
    assert fractions.complaints({"c": 1.0}, ["a", "b"]) == [Complaint("unknown component", allowed="a, b", key=("c",))]
    below, above = fractions.complaints({"a": -0.1, "b": 1.1}, ["a", "b"])
    assert (str(below), above.key) == ("a: below its bound (got -0.1); allowed: [0, 1]", ("b",))


def test_a_component_without_value_is_named():
    each = Parameter("flow", u.kg / u.s, "flow", lower=0.0, per_component=True)
    assert each.complaints({"a": 1.0}, ["a", "b"]) == [Complaint("needs one value for each component; missing: b")]
    assert each.by_component(2.0, ["a", "b"]) == {"a": 2.0, "b": 2.0}


def test_a_mutable_param_keeps_to_its_range(rig):
    block = rig(ContinuousBlender, initial_composition=BLEND).model.unit
    with pytest.raises(ValueError, match="not in parameter domain"):
        block.flow_exponent = 1.5
