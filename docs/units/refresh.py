"""Refreshes the pages beside it: ``.venv/bin/python docs/units/refresh.py`` draws their pictures and writes their parameter tables."""

import math
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pyomo.environ as pyo
from pyomo.dae import ContinuousSet, DerivativeVar
from pyomo.network import Arc
from scipy.integrate import cumulative_trapezoid
from scipy.special import gammainc

from flowsheet import Flowsheet, run_case
from solvers import simulate
from solvers.declare import Interpolation, Profile
from units import dissolving, laws
from units.bioreactor import OPTIONS, BioreactorData
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
from units.kinetics.cho_batch import ChoBatchReactor
from units.kinetics.cho_fed import ChoFedBatchReactor
from units.kinetics.monod import MonodReactor
from units.kinetics.overflow import OverflowReactor
from units.kinetics.penicillin import PenicillinReactor
from units.liquid import LiquidComponent
from units.liquid_sink import LiquidSink
from units.liquid_source import LiquidSource
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

HERE = Path(__file__).parent
HOUR = 3600.0
COLORS = ("#0072b2", "#d55e00", "#009e73")
MATERIALS = {
    "excipient": Material("excipient", true_density=1550.0, bulk_density=330.0),
    "api": Material("api", true_density=1300.0, bulk_density=350.0),
    "lubricant": Material("lubricant", true_density=1090.0, bulk_density=150.0),
}
BLEND = {"excipient": 0.89, "api": 0.10, "lubricant": 0.01}
PAGES = {
    **{"source": Source, "sink": Sink, "feeder": LossInWeightFeeder, "blender": ContinuousBlender, "press": TabletPress},
    **{"hopper": Hopper, "chute": Chute, "delumper": Delumper, "feed_frame": FeedFrame, "dispersion_blender": DispersionBlender},
    **{"conical_mill": ConicalMill, "fluid_bed_dryer": FluidBedDryer},
    **{"pid": PID, "sensor": Sensor, "ratio": Ratio, "mixer": Mixer, "splitter": Splitter, "diverter": Diverter},
    **{"dissolution": DissolutionTester, "weibull_dissolution": WeibullDissolution, "tablet_quality": TabletTester},
    **{"twin_screw_granulator": TwinScrewGranulator},
    **{"liquid_source": LiquidSource, "liquid_sink": LiquidSink, "bioreactor": MonodReactor, "aeration": MonodReactor},
    **{"overflow": OverflowReactor},
    **{"penicillin": PenicillinReactor, "cho_batch": ChoBatchReactor, "cho_fed_batch": ChoFedBatchReactor},
}
START, END = "<!-- parameters: written by refresh.py -->", "<!-- end of parameters -->"


def table(parameters: tuple[Parameter, ...]) -> str:
    """Return the Markdown table of a unit's parameters."""
    if not parameters:
        return "None."
    rows = ["| parameter | SI unit | default | allowed | meaning | standing |", "|---|---|---|---|---|---|"]
    for parameter in parameters:
        unit = str(parameter.unit).replace("turn", "rev").replace("dimensionless", "-").replace("**", "^")
        kind = [word for flag, word in ((parameter.input, "input"), (parameter.per_component, "by component")) if flag]
        kind += [f"with {parameter.condition}"] if parameter.when else []
        meaning = parameter.doc + (f" ({', '.join(kind)})" if kind else "")
        given = f'"{parameter.default}"' if parameter.names_unit else parameter.default
        default = "has to be given" if given is None else given if isinstance(given, str) else f"{given:.6g}"
        allowed = parameter.allowed().split("]")[0].split(")")[0] + (")" if parameter.open_upper or math.isinf(parameter.upper) else "]")
        allowed = "kind of signal" if parameter.names_unit else allowed
        rows.append(f"| `{parameter.name}` | {unit} | {default} | {allowed} | {meaning} | {parameter.source} |")
    return "\n".join(rows)


def parameters_of(name: str) -> tuple[Parameter, ...]:
    """Return the parameters that a page lists: those of the kinetics where others stand on the pages of bioreactor and gas."""
    contract = PAGES[name]._ComponentDataClass
    if not issubclass(contract, BioreactorData):
        return contract.parameters
    optional = [p for p in contract.parameters if p.when and p.when[1]]
    if name == "aeration":
        return tuple(optional)
    if name == "bioreactor":
        return tuple(p for p in contract.parameters if not any(p is other for other in optional))
    return tuple(p for p in contract.parameters if not any(p is own for own in OPTIONS))


def page_with_table(text: str, parameters: tuple[Parameter, ...]) -> str:
    """Return a page's text with its parameter table renewed."""
    before, rest = text.split(START)
    return f"{before}{START}\n\n{table(parameters)}\n\n{END}{rest.split(END)[1]}"


def single(
    unit: type, horizon: float, feed: dict[str, float], materials: dict[str, Material] = MATERIALS, **parameters: object
) -> pyo.ConcreteModel:
    """Return a model of one unit with a source at its first inlet and a sink at its outlet, where it has them."""
    model = pyo.ConcreteModel()
    model.time = ContinuousSet(bounds=(0, horizon))
    model.unit = unit(time=model.time, materials=materials, **parameters)
    if unit._ComponentDataClass.inlets(parameters):
        model.source = Source(time=model.time, materials=materials, flow=feed)
        model.feed = Arc(source=model.source.outlet, destination=model.unit.component(unit._ComponentDataClass.inlets(parameters)[0]))
    if unit._ComponentDataClass.outlets(parameters):
        model.sink = Sink(time=model.time, materials=materials)
        model.product = Arc(source=model.unit.outlet, destination=model.sink.inlet)
    return model


def flows(total: float) -> dict[str, float]:
    """Return the blend's component flows."""
    return {name: total * share for name, share in BLEND.items()}


def save(figure: plt.Figure, name: str) -> None:
    """Write a picture beside this file, without a frame around its plots."""
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(HERE / name, dpi=120, metadata={"Software": None})
    plt.close(figure)


def draw_feeder() -> None:
    """Draw one hour of a drug feeder: refills, and one minute in which 20 % too much comes out."""
    model = single(
        LossInWeightFeeder,
        HOUR,
        {},
        composition={"api": 1.0},
        setpoint=2.0 / HOUR,
        feed_factor_full=2.0e-3,
        feed_factor_empty=1.6e-3,
        initial_mass=1.0,
        refill_below=0.6,
        refill_above=1.5,
        refill_rate=0.06,
    )
    time = np.linspace(0.0, HOUR, 3601)
    trajectory = simulate(model, time, inputs={"unit.disturbance": Profile((0.0, 1800.0, 1860.0), (0.0, 0.2, 0.0))})
    figure, (top, middle, bottom) = plt.subplots(3, 1, figsize=(10, 6.4), sharex=True, layout="constrained", height_ratios=(2, 1, 1))
    top.plot(time / 60, trajectory["unit.outlet_total"] * HOUR, color=COLORS[0], label="delivered")
    top.plot(time / 60, trajectory["unit.measured_flow"] * HOUR, color=COLORS[1], lw=1, label="measured (filtered loss of weight)")
    top.plot(time / 60, trajectory["unit.setpoint"] * HOUR, color="0.4", lw=1, ls=":", label="set point")
    middle.plot(time / 60, trajectory["unit.mass"], color=COLORS[0])
    bottom.plot(time / 60, trajectory["unit.screw_speed"] * 60, color=COLORS[0])
    starts, ends = ([e.time / 60 for e in trajectory.events if e.event == name] for name in ("refill_start", "refill_settled"))
    for axes in (top, middle, bottom):
        for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
            axes.axvspan(start, end, color="0.9", label="volumetric mode" if number == 0 else None)
        axes.axvspan(30, 31, color="#f0c8b0", label="20 % too much per revolution")
    top.set(ylabel="mass flow (kg/h)", title="Drug feeder, 2 kg/h: refills, and a disturbance that weight control corrects")
    top.legend(frameon=False, loc="upper right")
    middle.set(ylabel="hopper (kg)", ylim=(0, None))
    bottom.set(ylabel="screw (rpm)", xlabel="time (min)", xlim=(0, 60))
    save(figure, "feeder.png")


def draw_blender() -> None:
    """Draw a drug pulse through blenders of one, three and six tanks, the hold-up after a change of speed, and a real number of tanks."""
    flow, minute = 20.0 / HOUR, 60.0
    panes = [["pulse", "hold-up"], ["pulse", "outflow"], ["step", "difference"]]
    figure, panels = plt.subplot_mosaic(panes, figsize=(10, 7), height_ratios=(1, 1, 1.6), layout="constrained")
    time = np.linspace(0.0, 9 * minute, 1081)
    for tanks, color in zip((1, 3, 6), COLORS, strict=True):
        given = {"tanks": tanks, "initial_composition": BLEND, "initial_mass": flow * 60.0}
        model = single(ContinuousBlender, time[-1], flows(flow), **given)
        pulse = Profile((0.0, 60.0, 120.0), (0.1 * flow, 0.12 * flow, 0.1 * flow))
        trajectory = simulate(model, time, inputs={"source.flow[api]": pulse})
        label = "1 tank" if tanks == 1 else f"{tanks} tanks"
        panels["pulse"].plot(time / minute, 100 * trajectory["unit.outlet_fraction[api]"], color=color, label=label)
    panels["pulse"].plot(time / minute, 100 * trajectory["unit.inlet_1_fraction[api]"], color="0.6", label="inlet")
    panels["pulse"].set(xlabel="time (min)", ylabel="drug content (%)", xlim=(0, 9), title="One minute of 20 % more drug")
    model = single(ContinuousBlender, time[-1], flows(flow), initial_composition=BLEND, initial_mass=flow * 60.0)
    trajectory = simulate(model, time, inputs={"unit.speed": Profile((0.0, 120.0), (5 / 3, 10 / 3))})
    panels["hold-up"].plot(time / minute, 1e3 * trajectory["unit.total_mass"], color=COLORS[0])
    panels["hold-up"].set(ylabel="hold-up (g)", xlim=(0, 9), ylim=(0, None), title="Impeller from 100 to 200 rpm at 2 min")
    panels["outflow"].plot(time / minute, trajectory["unit.outlet_total"] * HOUR, color=COLORS[0])
    panels["outflow"].set(xlabel="time (min)", ylabel="outflow (kg/h)", xlim=(0, 9), ylim=(0, None))
    reduced, tau = np.linspace(0.0, 4.0, 401), 60.0
    for tanks, color in zip((1.3, 2.5, 4.5), COLORS, strict=True):
        given = {"tanks": tanks, "delay_cells": 0, "mean_time": tau, "initial_composition": {"excipient": 1.0}, "initial_mass": flow * tau}
        trajectory = simulate(single(ContinuousBlender, 4 * tau, {"excipient": 0.0, "api": flow, "lubricant": 0.0}, **given), tau * reduced)
        response, gamma = trajectory["unit.outlet_fraction[api]"], gammainc(tanks, tanks * reduced)
        panels["step"].plot(reduced, response, color=color, label=f"n = {tanks:g}")
        panels["step"].plot(reduced[::20], gamma[::20], "o", ms=4, mfc="none", color=color)
        panels["difference"].plot(reduced, response - gamma, color=color, label=f"n = {tanks:g}")
    panels["step"].plot([], [], "o", ms=4, mfc="none", color="0.4", label="P(n, n t/τ)")
    panels["step"].set(xlabel="t/τ (-)", ylabel="share arrived (-)", xlim=(0, 4), ylim=(0, 1.02), title="A step of a tracer, n not whole")
    panels["difference"].set(xlabel="t/τ (-)", ylabel="difference (-)", xlim=(0, 4), title="How far that is from P(n, n t/τ)")
    for name in ("pulse", "step", "difference"):
        panels[name].legend(frameon=False)
    save(figure, "blender.png")


def tableting(horizon: float, **parameters: object) -> Flowsheet:
    """Return a press under a hopper whose level moves the turret."""
    sheet = Flowsheet(horizon, MATERIALS)
    sheet.add("feed", Source, flow=flows(20.0 / HOUR))
    sheet.add("hopper", Hopper, cells=12, initial_mass=0.3, initial_composition=BLEND)
    sheet.add("press", TabletPress, **parameters)
    level = {"measured_unit": "kg", "output_unit": "rev/s", "setpoint": 0.3, "gain": -2.0, "integral_time": 180.0}
    sheet.add("control", PID, **level, lower=0.0, upper=1.2, initial_output=0.761)
    for ends in (
        ("feed.outlet", "hopper.inlet"),
        ("hopper.outlet", "press.inlet"),
        ("press.draw", "hopper.draw"),
        ("hopper.level", "control.measured"),
        ("control.output", "press.turret_speed"),
    ):
        sheet.connect(*ends)
    return sheet


def draw_press() -> None:
    """Draw how hopper and press take a minute of 20 % more drug and then a loss of half the flow."""
    flow = 20.0 / HOUR
    time = np.linspace(0.0, 1500.0, 1501)
    inputs = {
        "feed.flow[api]": Profile((0.0, 300.0, 360.0, 900.0, 1200.0), tuple(flow * x for x in (0.1, 0.12, 0.1, 0.05, 0.1))),
        "feed.flow[excipient]": Profile((0.0, 900.0, 1200.0), tuple(flow * x for x in (0.89, 0.445, 0.89))),
        "feed.flow[lubricant]": Profile((0.0, 900.0, 1200.0), tuple(flow * x for x in (0.01, 0.005, 0.01))),
    }
    trajectory = simulate(tableting(time[-1]).model, time, inputs=inputs)
    figure, axes = plt.subplots(3, 2, figsize=(10, 7.4), sharex=True, layout="constrained")
    panels = (
        ("assay of drug (%)", (("press.assay[api]", 100.0, ""),)),
        ("hopper (kg)", (("hopper.level", 1.0, ""),)),
        ("tablet mass (mg)", (("press.tablet_mass", 1e6, ""),)),
        ("turret (rpm)", (("press.turret_speed", 60.0, ""),)),
        ("compression (kN)", (("press.force", 1e-3, "main"), ("press.pre_force", 1e-3, "pre"))),
        ("force (N)", (("press.break_force", 1.0, "breaking"), ("press.ejection_force", 1.0, "ejection"))),
    )
    for axis, (label, curves) in zip(axes.flat, panels, strict=True):
        for (name, scale, text), color in zip(curves, COLORS, strict=False):
            axis.plot(time / 60, scale * trajectory[name], color=color, label=text)
        axis.set(ylabel=label, xlim=(0, 25))
        axis.axvspan(5, 6, color="#f0c8b0")
        axis.axvspan(15, 20, color="0.9")
        if len(curves) > 1:
            axis.set(ylim=(0, None))
            axis.legend(frameon=False)
    for axis in axes[-1]:
        axis.set(xlabel="time (min)")
    figure.suptitle("One minute of 20 % more drug (orange), five minutes at half the flow (gray)", fontsize=11)
    save(figure, "press.png")


def draw_compaction() -> None:
    """Draw Kawakita's densities and the strengths that follow from them, with the worked vectors, and both compressions by thickness."""
    rows = np.genfromtxt(HERE.parents[1] / "tests" / "data" / "compaction_worked_vectors.csv", delimiter=",", names=True)
    pressure = np.linspace(0.0, 400e6, 401)
    density = laws.kawakita_density(pressure, 0.30, 0.72, 0.05e-6)
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    left.plot(pressure / 1e6, density, color=COLORS[0], label="Kawakita")
    left.plot(rows["P_MPa"], rows["rho_Kawakita"], "o", color=COLORS[0], mfc="none", label="worked vectors")
    left.set(xlabel="pressure (MPa)", ylabel="relative density (-)", xlim=(0, 400), ylim=(0.3, 1.0), title="Compaction")
    dense = np.linspace(0.45, 1.0, 200)
    middle.plot(dense, laws.kuentz_leuenberger_strength(dense, 12e6, 0.45) / 1e6, color=COLORS[1], label="Kuentz-Leuenberger")
    middle.plot(rows["rho_Kawakita"], rows["sigma_KuentzLeuenberger_MPa"], "o", color=COLORS[1], mfc="none")
    middle.set(xlabel="relative density (-)", ylabel="tensile strength (MPa)", xlim=(0.4, 1.0), ylim=(0, None), title="Strength")
    thickness = np.linspace(2.4, 5.0, 261)
    model = single(TabletPress, 1.0, flows(22.5 * 250e-6), pre_thickness=4e-3, fill_depth=0.012)
    swept = Profile((0.0, 1.0), (2.4e-3, 5.0e-3), Interpolation.LINEAR)
    trajectory = simulate(model, np.linspace(0.0, 1.0, 261), inputs={"unit.thickness": swept})
    right.plot(thickness, trajectory["unit.pressure"] / 1e6, color=COLORS[0], label="main compression")
    right.plot(thickness, trajectory["unit.pre_pressure"] / 1e6, color=COLORS[1], ls="--", label="pre-compression, at 4 mm")
    right.set(xlabel="thickness at main compression (mm)", ylabel="pressure (MPa)", xlim=(2.4, 5), ylim=(0, None))
    right.set_title("A tablet of 250 mg")
    for axes in (left, middle, right):
        axes.legend(frameon=False)
    save(figure, "compaction.png")


def draw_hopper() -> None:
    """Draw a pulse of drug through a hopper whose draw and level change, against the exact plug and mixed tanks."""
    flow, time = 20.0 / HOUR, np.linspace(0.0, 420.0, 2101)
    volume = flow * sum(share / MATERIALS[c].bulk_density for c, share in BLEND.items())
    inputs = {
        "source.flow[api]": Profile((0.0, 60.0, 120.0), (0.1 * flow, 0.12 * flow, 0.1 * flow)),
        "unit.draw": Profile((0.0, 100.0, 180.0), (volume, 0.4 * volume, 1.5 * volume)),
    }
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    start = {"initial_mass": 0.5, "initial_composition": BLEND}
    for unit, given, color, label in (
        (FeedFrame, {"chambers": 20}, COLORS[1], "20 mixed tanks"),
        (Hopper, {"cells": 1}, COLORS[2], "one mixed tank"),
        (Hopper, {"cells": 20}, COLORS[0], "hopper, 20 shares"),
    ):
        trajectory = simulate(single(unit, time[-1], flows(flow), **start, **given), time, inputs=inputs)
        left.plot(time / 60, 100 * trajectory["unit.outlet_fraction[api]"], color=color, label=label)
    entered, passed = (cumulative_trapezoid(trajectory[f"unit.{end}_total"], time, initial=0.0) for end in ("inlet", "outlet"))
    since = np.interp(passed - 0.5, entered, time, left=0.0)
    left.plot(time / 60, 100 * np.interp(since, time, trajectory["unit.inlet_fraction[api]"]), color="0.3", ls=":", label="exact plug")
    left.plot(time / 60, 100 * trajectory["unit.inlet_fraction[api]"], color="0.75", lw=1, label="what enters")
    left.set(xlabel="time (min)", ylabel="drug (%)", xlim=(0, 7), ylim=(9.9, 12.3), title="One minute of 20 % more drug")
    left.legend(frameon=False, fontsize=8, ncols=2)
    right.plot(time / 60, trajectory["unit.level"], color=COLORS[0], label="level (kg)")
    right.plot(time / 60, trajectory["unit.outlet_total"] * HOUR / 20, color=COLORS[1], label="drawn, over 20 kg/h")
    right.set(xlabel="time (min)", xlim=(0, 7), ylim=(0, None), title="Meanwhile the draw changes, and the level")
    right.legend(frameon=False)
    save(figure, "hopper.png")


def draw_chute() -> None:
    """Draw powder that passes a belt in cells of several numbers, and a belt that stops with what lies on it."""
    flow, time = 20.0 / HOUR, np.linspace(0.0, 80.0, 1601)
    none = {"initial_composition": BLEND}
    pulse = {f"source.flow[{c}]": Profile((0.0, 5.0, 25.0), (0.0, flow * share, 0.0)) for c, share in BLEND.items()}
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    for cells, color in zip((5, 20, 80), COLORS, strict=True):
        trajectory = simulate(single(Chute, 80.0, flows(0.0), cells=cells, transit_time=20.0, **none), time, inputs=pulse)
        left.plot(time, trajectory["unit.outlet_total"] * HOUR, color=color, label=f"{cells} cells")
    left.plot([0, 25, 25, 45, 45, 80], [0, 0, 20, 20, 0, 0], color="0.3", ls=":", label="exact")
    left.plot(time, trajectory["unit.inlet_total"] * HOUR, color="0.75", lw=1, label="what enters")
    left.set(xlabel="time (s)", ylabel="mass flow (kg/h)", xlim=(0, 80), ylim=(-1, 28), title="20 s of powder on a belt that takes 20 s")
    left.legend(frameon=False, fontsize=8, ncols=3)
    stopped = pulse | {"unit.transit_time": Profile((0.0, 30.0, 50.0), (20.0, 1e9, 20.0))}
    trajectory = simulate(single(Chute, 80.0, flows(0.0), cells=20, transit_time=20.0, **none), time, inputs=stopped)
    right.axvspan(30, 50, color="0.9", label="the belt stands")
    right.plot(time, trajectory["unit.total_mass"] * 1e3, color=COLORS[0], label="on the belt (g)")
    right.plot(time, trajectory["unit.outlet_total"] * HOUR, color=COLORS[1], label="off the belt (kg/h)")
    right.set(xlabel="time (s)", xlim=(0, 80), ylim=(-1, 130), title="The same, and the belt stops for 20 s")
    right.legend(frameon=False, fontsize=8, ncols=3, loc="upper center")
    save(figure, "chute.png")


def draw_delumper() -> None:
    """Draw a step of a tracer against its closed form, and how the hold-up follows the flow."""
    flow, time = 20.0 / HOUR, np.linspace(0.0, 60.0, 1201)
    delay, tau = 4.0, 8.0
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    for cells, color in ((5, COLORS[0]), (20, COLORS[2])):
        given = {"delay": delay, "mean_time": tau, "delay_cells": cells, "initial_mass": flow * (delay + tau)}
        model = single(Delumper, 60.0, {"excipient": 0.0, "api": flow, "lubricant": 0.0}, **given, initial_composition={"excipient": 1.0})
        left.plot(time, simulate(model, time)["unit.outlet_fraction[api]"], color=color, label=f"delay of {cells} cells")
    left.plot(time, np.where(time > delay, 1 - np.exp(-(time - delay) / tau), 0.0), color="0.3", ls=":", label="1 - exp(-(t - delay)/τ)")
    left.set(
        xlabel="time (s)", ylabel="share arrived (-)", xlim=(0, 20), ylim=(-0.02, 1.02), title="A step: 4 s of delay and a tank of 8 s"
    )
    model = single(Delumper, 60.0, flows(flow), delay=delay, mean_time=tau, initial_mass=flow * (delay + tau), initial_composition=BLEND)
    pause = {f"source.flow[{c}]": Profile((0.0, 10.0, 30.0), (flow * share, 0.0, flow * share)) for c, share in BLEND.items()}
    trajectory = simulate(model, time, inputs=pause)
    right.plot(time, trajectory["unit.inlet_total"] * HOUR, color="0.75", lw=1, label="in (kg/h)")
    right.plot(time, trajectory["unit.outlet_total"] * HOUR, color=COLORS[1], label="out (kg/h)")
    right.plot(time, trajectory["unit.total_mass"] * 1e3, color=COLORS[0], label="hold-up (g)")
    right.set(xlabel="time (s)", xlim=(0, 60), ylim=(0, None), title="A pause of 20 s")
    for axes in (left, right):
        axes.legend(frameon=False)
    save(figure, "delumper.png")


def draw_feed_frame() -> None:
    """Draw an empty frame that fills up from a hopper, and the strain and strength of what it passes on."""
    flow, volume, time = 20.0 / HOUR, 5e-4, np.linspace(0.0, 360.0, 1441)
    drawn = flow * sum(share / MATERIALS[c].bulk_density for c, share in BLEND.items())
    sheet = Flowsheet(360.0, MATERIALS)
    sheet.add("feed", Source, flow=flows(flow))
    sheet.add("hopper", Hopper, initial_mass=0.5, initial_composition=BLEND)
    sheet.add("frame", FeedFrame, volume=volume, fill_time=8.0, draw=drawn, initial_composition=BLEND)
    sheet.add("dies", Sink)
    for ends in (("feed.outlet", "hopper.inlet"), ("hopper.outlet", "frame.inlet"), ("frame.outlet", "dies.inlet")):
        sheet.connect(*ends)
    sheet.connect("frame.intake", "hopper.draw")
    trajectory = simulate(sheet.model, time, inputs={"frame.paddle_speed": Profile((0.0, 180.0), (1.0, 2.0))})
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    early = time <= 60
    left.plot(time[early], trajectory["frame.filled_volume"][early] * 1e3, color=COLORS[0], label="filled (L)")
    points = time[early][::12]
    left.plot(points, volume * 1e3 * (1 - np.exp(-points / 8.0)), "o", ms=4, mfc="none", color=COLORS[0], label="0.5 L [1 - exp(-t/8 s)]")
    left.plot(time[early], trajectory["hopper.level"][early], color=COLORS[1], label="hopper (kg)")
    left.set(xlabel="time (s)", xlim=(0, 60), ylim=(0, 0.62), title="An empty frame fills up from the hopper")
    mean = 0.5e-3 / drawn
    steady = 1 - 0.3 * (1 - np.exp(-mean * np.array([1.0, 2.0]) / 100.0))
    right.plot(time / 60, trajectory["frame.strength_factor"], color=COLORS[0], label="strength factor (-)")
    right.plot(time / 60, trajectory["frame.strain"] / 100, color=COLORS[1], label="strain (1/100)")
    right.plot([1.5, 3], [steady[0]] * 2, color="0.3", ls=":", label="steady, from the mean time")
    right.plot([4.5, 6], [steady[1]] * 2, color="0.3", ls=":")
    right.axvline(3, color="0.6", lw=1, ls="--")
    right.text(3.05, 0.05, "paddles from 60 to 120 rpm", fontsize=8, color="0.3")
    right.set(xlabel="time (min)", xlim=(0, 6), ylim=(0, 1.25), title="Paddles strain what passes")
    for axes in (left, right):
        axes.legend(frameon=False, fontsize=8, loc="upper left" if axes is right else "lower right", ncols=3 if axes is right else 1)
    save(figure, "feed_frame.png")


def draw_dispersion_blender() -> None:
    """Draw steps at three Peclet numbers against the exact series, and one beside tanks of the same variance."""
    flow, tau = 20.0 / HOUR, 60.0
    rows = np.genfromtxt(HERE.parents[1] / "tests" / "data" / "rtd_reference_E_F.csv", delimiter=",", names=True, deletechars="")
    reduced = np.linspace(0.0, 3.0, 601)
    traced = {"excipient": 0.0, "api": flow, "lubricant": 0.0}
    given = {"mean_time": tau, "initial_mass": flow * tau, "initial_composition": {"excipient": 1.0}}
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")

    def arrived(unit: type, **more: object) -> np.ndarray:
        return simulate(single(unit, 3 * tau, traced, **given, **more), tau * reduced)["unit.outlet_fraction[api]"]

    for peclet, color in zip((5, 10, 20), COLORS, strict=True):
        left.plot(reduced, arrived(DispersionBlender, peclet=peclet, cells=40), color=color, label=f"Pe = {peclet}")
        left.plot(rows["theta"], rows[f"F_ADclosed_Pe={peclet}"], "o", ms=4, mfc="none", color=color)
    left.plot([], [], "o", ms=4, mfc="none", color="0.4", label="exact series")
    left.set(xlabel="t/τ (-)", ylabel="share arrived (-)", xlim=(0, 3), ylim=(0, 1.02), title="A step of a tracer, 40 cells")
    variance = 2 / 10 - 2 / 100 * (1 - math.exp(-10))
    dispersed = arrived(DispersionBlender, peclet=10, cells=40)
    tanks = arrived(ContinuousBlender, tanks=1 / variance, delay_cells=0)
    for course, color, label in ((dispersed, COLORS[1], "dispersed, Pe = 10"), (tanks, COLORS[0], f"{1 / variance:.2f} tanks")):
        right.plot(reduced, np.gradient(course, reduced), color=color, label=label)
    right.set(xlabel="t/τ (-)", ylabel="distribution (-)", xlim=(0, 3), ylim=(0, None), title="The same mean and variance")
    for axes in (left, right):
        axes.legend(frameon=False)
    save(figure, "dispersion_blender.png")


def draw_source_and_sink() -> None:
    """Draw a source that follows a profile, and what the sink has taken by then."""
    model = single(Sink, 600.0, flows(20.0 / HOUR))
    time = np.linspace(0.0, 600.0, 1201)
    trajectory = simulate(model, time, inputs={"source.flow[api]": Profile((0.0, 120.0, 300.0), (2.0 / HOUR, 0.0, 3.0 / HOUR))})
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
    for name, color in zip(MATERIALS, COLORS, strict=True):
        left.plot(time / 60, trajectory[f"source.flow[{name}]"] * HOUR, color=color, label=name)
        right.plot(time / 60, 100 * trajectory[f"unit.inlet_fraction[{name}]"], color=color, label=name)
    left.set(xlabel="time (min)", ylabel="supplied (kg/h)", xlim=(0, 10), title="A source follows a profile")
    right.set(xlabel="time (min)", ylabel="mass fraction at the sink (%)", xlim=(0, 10), title="What the sink sees")
    for axes in (left, right):
        axes.legend(frameon=False)
    save(figure, "source_and_sink.png")


def draw_pid() -> None:
    """Draw a loop around a first-order plant: a set point step, a load, manual mode, and an output at its limit."""
    horizon, lag = 300.0, 10.0
    model = pyo.ConcreteModel()
    model.time = ContinuousSet(bounds=(0, horizon))
    model.y, model.disturbance = pyo.Var(model.time, initialize=0.0), pyo.Var(model.time, initialize=0.0)
    model.disturbance.fix(0.0)
    model.y_rate = DerivativeVar(model.y, wrt=model.time)
    model.y[0].fix(0.0)
    limits = {"lower": 0.0, "upper": 2.5, "initial_output": 0.0, "manual_output": 0.0}
    model.unit = PID(time=model.time, materials={}, setpoint=0.0, gain=2.0, integral_time=8.0, derivative_time=1.0, **limits)
    model.wire = pyo.Constraint(model.time, rule=lambda m, t: m.unit.measured[t] == m.y[t])
    model.plant = pyo.Constraint(model.time, rule=lambda m, t: lag * m.y_rate[t] == m.unit.output[t] - m.disturbance[t] - m.y[t])
    time = np.linspace(0.0, horizon, 1501)
    inputs = {
        "unit.setpoint": Profile((0.0, 10.0, 150.0, 200.0), (0.0, 1.0, 3.0, 1.5)),
        "disturbance": Profile((0.0, 60.0), (0.0, 0.3)),
        "unit.automatic": Profile((0.0, 100.0, 130.0), (1.0, 0.0, 1.0)),
    }
    trajectory = simulate(model, time, inputs=inputs)
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(10, 4.6), sharex=True, layout="constrained")
    top.plot(time, trajectory["y"], color=COLORS[0], label="measured")
    top.plot(time, trajectory["unit.setpoint"], color="0.4", lw=1, ls=":", label="set point")
    bottom.plot(time, trajectory["unit.output"], color=COLORS[1], label="output")
    bottom.axhline(2.5, color="0.6", lw=1, ls="--", label="upper limit")
    for axes in (top, bottom):
        axes.axvspan(100, 130, color="0.9", label="manual")
        axes.legend(frameon=False, loc="upper left", ncols=3)
    top.set(ylabel="measured (-)", ylim=(-0.2, 3.8), title="Set point at 10 s, load at 60 s, out of reach from 150 to 200 s: no windup")
    bottom.set(ylabel="output (-)", ylim=(-0.2, 3.6), xlabel="time (s)", xlim=(0, horizon))
    save(figure, "pid.png")


def measuring(unit: type, horizon: float, **parameters: object) -> pyo.ConcreteModel:
    """Return a model of one unit that measures the input ``model.value``."""
    model = pyo.ConcreteModel()
    model.time = ContinuousSet(bounds=(0, horizon))
    model.value = pyo.Var(model.time, initialize=0.0)
    model.value.fix(0.0)
    model.unit = unit(time=model.time, materials={}, **parameters)
    model.wire = pyo.Constraint(model.time, rule=lambda m, t: m.unit.measured[t] == m.value[t])
    return model


def draw_sensor() -> None:
    """Draw a ramp and a step as a continuous and as a sampled sensor see them."""
    horizon = 60.0
    time = np.linspace(0.0, horizon, 1201)
    truth = Profile((0.0, 10.0, 20.0, 20.001, 40.0, 40.001), (0.0, 0.0, 3.0, 3.0, 3.0, 1.0), Interpolation.LINEAR)
    continuous = measuring(Sensor, horizon, response_time=1.0, dead_time=4.0, dead_time_cells=20, noise=0.05, bandwidth=0.5)
    sampled = measuring(Sensor, horizon, response_time=1.0, sampling_period=2.0, quantum=0.2)
    figure, axes = plt.subplots(figsize=(10, 3.6), layout="constrained")
    for model, label, color in ((continuous, "dead time 4 s and noise", COLORS[1]), (sampled, "every 2 s in steps of 0.2", COLORS[2])):
        inputs = {"value": truth} | ({"unit.dropout": Profile((0.0, 50.0, 55.0), (0.0, 1.0, 0.0))} if model is continuous else {})
        axes.plot(time, simulate(model, time, inputs=inputs)["unit.reading"], color=color, lw=1.2, label=label)
    axes.plot(truth.times, truth.values, color="0.4", lw=1, ls=":", label="true value")
    axes.axvspan(50, 55, color="0.9", label="dropout of the first")
    axes.set(xlabel="time (s)", ylabel="reading (-)", xlim=(0, horizon), title="A ramp and a step as a sensor sees them")
    axes.legend(frameon=False, loc="upper right")
    save(figure, "sensor.png")


def draw_ratio() -> None:
    """Draw a drug feeder that follows the flow of a filler in a ratio."""
    sheet = Flowsheet(600.0, MATERIALS)
    sheet.add("filler", Source, flow={"excipient": 18.0 / HOUR, "api": 0.0, "lubricant": 0.0})
    sheet.add("drug", LossInWeightFeeder, composition={"api": 1.0}, setpoint=2.0 / HOUR, initial_mass=3.0, refill_rate=0.0)
    sheet.add("scale", Sensor, measured_unit="kg/s", response_time=5.0)
    sheet.add("ratio", Ratio, measured_unit="kg/s", output_unit="kg/s", ratio=1 / 9)
    sheet.add("bin_1", Sink)
    sheet.add("bin_2", Sink)
    for ends in (
        ("filler.outlet", "bin_1.inlet"),
        ("drug.outlet", "bin_2.inlet"),
        ("filler.outlet_total", "scale.measured"),
        ("scale.reading", "ratio.measured"),
        ("ratio.output", "drug.setpoint"),
    ):
        sheet.connect(*ends)
    time = np.linspace(0.0, 600.0, 1201)
    course = Profile((0.0, 120.0, 360.0), (18.0 / HOUR, 24.0 / HOUR, 18.0 / HOUR))
    trajectory = simulate(sheet.model, time, inputs={"filler.flow[excipient]": course})
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
    left.plot(time / 60, trajectory["filler.outlet_total"] * HOUR, color=COLORS[0], label="filler")
    left.plot(time / 60, 9 * trajectory["drug.outlet_total"] * HOUR, color=COLORS[1], label="drug, times 9")
    left.set(xlabel="time (min)", ylabel="mass flow (kg/h)", xlim=(0, 10), title="A drug feeder in ratio to a filler")
    share = trajectory["drug.outlet_total"] / (trajectory["drug.outlet_total"] + trajectory["filler.outlet_total"])
    right.plot(time / 60, 100 * share, color=COLORS[2])
    right.set(xlabel="time (min)", ylabel="drug in both (%)", xlim=(0, 10), title="What the lag of scale and screw leave")
    left.legend(frameon=False)
    save(figure, "ratio.png")


def draw_junctions() -> None:
    """Draw two feeds that flow together and are divided again."""
    sheet = Flowsheet(600.0, MATERIALS)
    sheet.add("filler", Source, flow={"excipient": 18.0 / HOUR, "api": 0.0, "lubricant": 0.0})
    sheet.add("drug", Source, flow={"excipient": 0.0, "api": 2.0 / HOUR, "lubricant": 0.0})
    sheet.add("mixer", Mixer)
    sheet.add("splitter", Splitter, share=0.5)
    sheet.add("line_1", Sink)
    sheet.add("line_2", Sink)
    for ends in (("filler.outlet", "mixer.inlet_1"), ("drug.outlet", "mixer.inlet_2"), ("mixer.outlet", "splitter.inlet")):
        sheet.connect(*ends)
    for k in (1, 2):
        sheet.connect(f"splitter.outlet_{k}", f"line_{k}.inlet")
    time = np.linspace(0.0, 600.0, 1201)
    inputs = {
        "drug.flow[api]": Profile((0.0, 120.0, 240.0), (2.0 / HOUR, 6.0 / HOUR, 2.0 / HOUR)),
        "splitter.share": Profile((0.0, 300.0, 480.0), (0.5, 0.5, 0.9), Interpolation.LINEAR),
    }
    trajectory = simulate(sheet.model, time, inputs=inputs)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
    left.plot(time / 60, trajectory["mixer.outlet_total"] * HOUR, color=COLORS[0], label="mixed")
    for k in (1, 2):
        left.plot(time / 60, trajectory[f"line_{k}.inlet_total"] * HOUR, color=COLORS[k], label=f"outlet {k}")
        right.plot(
            time / 60, 100 * trajectory[f"line_{k}.inlet_fraction[api]"], color=COLORS[k], ls="-" if k == 1 else "--", label=f"outlet {k}"
        )
    left.set(xlabel="time (min)", ylabel="mass flow (kg/h)", xlim=(0, 10), ylim=(0, None), title="Two feeds into one, divided again")
    right.set(xlabel="time (min)", ylabel="drug (%)", xlim=(0, 10), title="Both parts have one composition")
    for axes in (left, right):
        axes.legend(frameon=False)
    save(figure, "junctions.png")


def draw_diverter() -> None:
    """Draw a gate that follows a signal through its limits."""
    sheet = Flowsheet(300.0, MATERIALS)
    sheet.add("feed", Source, flow=flows(20.0 / HOUR))
    sheet.add("sensor", Sensor, response_time=5.0)
    sheet.add("gate", Diverter, lower=0.09, upper=0.11, hold=20.0, travel_time=2.0)
    sheet.add("product", Sink)
    sheet.add("waste", Sink)
    for ends in (
        ("feed.outlet", "gate.inlet"),
        ("gate.outlet", "product.inlet"),
        ("gate.reject", "waste.inlet"),
        ("feed.outlet_fraction[api]", "sensor.measured"),
        ("sensor.reading", "gate.watched"),
    ):
        sheet.connect(*ends)
    time = np.linspace(0.0, 300.0, 1501)
    trajectory = simulate(
        sheet.model, time, inputs={"feed.flow[api]": Profile((0.0, 60.0, 120.0), tuple(20 / HOUR * x for x in (0.1, 0.13, 0.1)))}
    )
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(10, 4.6), sharex=True, layout="constrained")
    top.plot(time, 100 * trajectory["feed.outlet_fraction[api]"], color="0.5", lw=1, label="true")
    top.plot(time, 100 * trajectory["gate.watched"], color=COLORS[1], label="watched")
    for limit in (9.0, 11.0):
        top.axhline(limit, color="0.4", lw=1, ls=":")
    top.set(ylabel="drug (%)", title="A signal leaves its limits and comes back")
    bottom.plot(time, trajectory["gate.outlet_total"] * HOUR, color=COLORS[0], label="product")
    bottom.plot(time, trajectory["gate.reject_total"] * HOUR, color=COLORS[1], label="reject")
    bottom.set(ylabel="mass flow (kg/h)", xlabel="time (s)", xlim=(0, 300), ylim=(0, None))
    for axes in (top, bottom):
        axes.legend(frameon=False, loc="center right")
    save(figure, "diverter.png")


def culture(unit: type, horizon: float, feed: dict[str, object] | None = None, **parameters: object) -> pyo.ConcreteModel:
    """Return a model of one bioreactor with a feed, if there is one, and a sink."""
    components = unit._ComponentDataClass.kinetics.components
    flowsheet = Flowsheet(horizon, {name: LiquidComponent(name, measure) for name, measure in components.items()})
    flowsheet.add("unit", unit, inlets=int(feed is not None), **parameters)
    flowsheet.add("sink", LiquidSink)
    if feed is not None:
        flowsheet.add("feed", LiquidSource, **feed)
        flowsheet.connect("feed.outlet", "unit.inlet_1")
    flowsheet.connect("unit.outlet", "sink.inlet")
    return flowsheet.model


def draw_bioreactor() -> None:
    """Draw steady states of a chemostat against Monod's, and a fed-batch with boluses."""
    rate, half, share, food = 0.4, 0.1, 0.5, 10.0
    volume = {"initial_volume": 1e-3, "maximum_volume": 2e-3}
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    dilution = np.linspace(0.0, 0.5, 501)[1:]
    critical = rate * food / (half + food)
    steady = np.where(dilution < critical, half * dilution / np.maximum(rate - dilution, 1e-9), food)
    for name, course, color in (("biomass", share * (food - steady), COLORS[0]), ("substrate", steady, COLORS[1])):
        left.plot(dilution, course, color=color, label=f"{name}, Monod's steady state")
    points = (0.05, 0.15, 0.25, 0.35, 0.45)
    for number, point in enumerate(points):
        flow = point / HOUR * 1e-3
        feed = {"flow": flow, "mass_concentration": {"substrate": food}}
        model = culture(MonodReactor, 1000 * HOUR, feed, outflow=flow, initial_mass_concentration={"biomass": 1.0}, **volume)
        trajectory = simulate(model, [0.0, 1000 * HOUR])
        for name, color in (("biomass", COLORS[0]), ("substrate", COLORS[1])):
            label = "after 1000 h" if number == 0 and name == "biomass" else None
            left.plot(point, trajectory[f"unit.mass_concentration[{name}]"][-1], "o", color=color, mfc="none", label=label)
    left.set(xlabel="dilution rate (1/h)", ylabel="g/L", xlim=(0, 0.5), ylim=(0, None), title="Chemostat, and washout above 0.396 1/h")
    time = np.linspace(0.0, 24.0, 961)
    given = {"bolus_volume": 2e-5, "bolus_count": 3, "bolus_start": 10 * HOUR, "bolus_interval": 4 * HOUR}
    start = {"biomass": 0.1, "substrate": 5.0}
    model = culture(
        MonodReactor, 24 * HOUR, initial_mass_concentration=start, feed_mass_concentration={"substrate": 200.0}, **volume, **given
    )
    trajectory = simulate(model, time * HOUR)
    for name, color in (("biomass", COLORS[0]), ("substrate", COLORS[1])):
        right.plot(time, trajectory[f"unit.mass_concentration[{name}]"], color=color, label=name)
    right.set(xlabel="time (h)", ylabel="g/L", xlim=(0, 24), ylim=(0, None), title="Fed-batch with three boluses of 20 mL into 1 L")
    for axes in (left, right):
        axes.legend(frameon=False)
    save(figure, "bioreactor.png")


def draw_penicillin() -> None:
    """Draw the case of penicillin with the independent integration that tests hold it to."""
    results = run_case(HERE.parents[1] / "cases" / "penicillin", overrides=["fermenter.outflow=0 L/h", "output.interval=30 min"])
    rows = np.genfromtxt(HERE.parents[1] / "tests" / "data" / "birol_penicillin_noevap.csv", delimiter=",", names=True)
    figure, panels = plt.subplots(1, 3, figsize=(11, 3.5), layout="constrained")
    columns = (("biomass", "X_g_L"), ("substrate", "S_g_L"), ("product", "P_g_L"))
    before = results.t < 398.9 * HOUR
    for axes, (name, column), color in zip(panels, columns, COLORS, strict=True):
        axes.plot(results.t[before] / HOUR, results[f"fermenter.mass_concentration[{name}]"][before], color=color)
        axes.plot(rows["t_h"], rows[column], "o", ms=4, color=color, mfc="none", label="independent integration")
        axes.axvline(results.events[0].time / HOUR, color="0.6", ls=":", label="feed begins")
        axes.set(xlabel="time (h)", ylabel=f"{name} (g/L)", xlim=(0, 400), ylim=(0, None))
    panels[0].legend(frameon=False)
    save(figure, "penicillin.png")


def draw_cho_batch() -> None:
    """Draw a batch until glutamine is gone."""
    time = np.linspace(0.0, 240.0, 481)
    model = culture(
        ChoBatchReactor,
        240 * HOUR,
        initial_volume=3e-3,
        maximum_volume=4e-3,
        initial_cell_density={"viable": 2e11},
        initial_molarity={"glucose": 30.0, "glutamine": 4.0},
    )
    trajectory = simulate(model, time * HOUR)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    for name, color in (("viable", COLORS[0]), ("dead", COLORS[1])):
        left.plot(time, trajectory[f"unit.cell_density[{name}]"] / 1e12, color=color, label=name)
    for name, color in zip(("glucose", "glutamine", "lactate", "ammonia"), (*COLORS, "0.4"), strict=True):
        right.plot(time, trajectory[f"unit.molarity[{name}]"], color=color, label=name)
    left.set(xlabel="time (h)", ylabel="1e6 cells/mL", xlim=(0, 240), ylim=(0, None))
    right.set(xlabel="time (h)", ylabel="mmol/L", xlim=(0, 240), ylim=(0, None))
    for axes in (left, right):
        axes.legend(frameon=False)
    save(figure, "cho_batch.png")


def draw_cho_fed_batch() -> None:
    """Draw the case of CHO cells with the flask's samples and their standard deviations."""
    results = run_case(HERE.parents[1] / "cases" / "cho_fed_batch")
    panels = (
        ("flask.cell_density[viable]", 1e-12, "viable (1e6 cells/mL)"),
        ("flask.mass_concentration[antibody]", 1e3, "antibody (mg/L)"),
        *(
            (f"flask.molarity[{name}]", 1.0, f"{name} (mmol/L)")
            for name in ("glucose", "lactate", "ammonia", "glutamine", "glutamate", "asparagine")
        ),
    )
    figure, axes = plt.subplots(2, 4, figsize=(12, 5.2), sharex=True, layout="constrained")
    for axis, (name, factor, label) in zip(axes.flat, panels, strict=True):
        axis.plot(results.t / HOUR, factor * results[name], color=COLORS[0])
        data = results.data[name]
        axis.errorbar(data.t / HOUR, factor * data.values, factor * data.deviations, fmt="o", ms=4, color=COLORS[1], mfc="none", capsize=2)
        axis.set(ylabel=label, xlim=(0, 295), ylim=(0, None))
    for axis in axes[1]:
        axis.set(xlabel="time (h)")
    save(figure, "cho_fed_batch.png")


def draw_aeration() -> None:
    """Draw the case aerated_fed_batch: oxygen by stirrer and enrichment, and the temperature by the jacket."""
    results = run_case(HERE.parents[1] / "cases" / "aerated_fed_batch")
    time = results.t / HOUR
    figure, panels = plt.subplots(2, 2, figsize=(10, 5.2), sharex=True, layout="constrained")
    (oxygen, transfer), (means, heat) = panels
    oxygen.plot(time, 100 * results["fermenter.dissolved_oxygen"], color=COLORS[0])
    oxygen.axhline(30.0, color="0.4", lw=1, ls=":")
    oxygen.set(ylabel="dissolved oxygen (%)", ylim=(0, 80), title="Dissolved oxygen, held at 30 %")
    means.plot(time, results["fermenter.stirrer_speed"] * 60, color=COLORS[0], label="stirrer (rpm)")
    means.plot(time, 1000 * results["fermenter.oxygen_share"], color=COLORS[1], label="oxygen in the gas (1/1000)")
    means.set(ylabel="what holds it", ylim=(0, 800), xlabel="time (h)")
    transfer.plot(time, results["fermenter.oxygen_uptake_rate"] * HOUR, color=COLORS[0], label="oxygen uptake (mmol/L/h)")
    transfer.plot(time, results["fermenter.mass_concentration[biomass]"], color=COLORS[2], label="biomass (g/L)")
    transfer.plot(time, 10 * results["fermenter.mass_concentration[overflow]"], color=COLORS[1], label="ethanol (0.1 g/L)")
    transfer.set(ylim=(0, None), title="What the yeast does")
    heat.plot(time, results["fermenter.temperature"] - 273.15, color=COLORS[0], label="liquid")
    heat.plot(time, results["fermenter.jacket_temperature"] - 273.15, color=COLORS[1], label="jacket")
    heat.set(ylabel="temperature (degC)", xlabel="time (h)", xlim=(0, 24))
    for axes in (transfer, means, heat):
        axes.legend(frameon=False)
    save(figure, "aeration.png")


def draw_overflow() -> None:
    """Draw steady states of a chemostat across the critical dilution rate, and a batch that overflows."""
    volume = {"initial_volume": 1e-3, "maximum_volume": 2e-3, "initial_molarity": {"oxygen": 0.25}, "oxygen_half": 1e-9}
    air = {"aerated": 1, "stirrer_speed": 8.0, "gas_flow": 1e-3 / 60, "vessel_diameter": 0.1, "impeller_diameter": 0.045, "kla_factor": 2.0}
    food, largest, half, growth, fermented = 10.0, 3.5, 0.1, 0.49, 0.05
    block = culture(OverflowReactor, 1.0, **volume, **air).unit
    capacity = 8.0 / pyo.value(block.oxygen_per_substrate)
    dilution = np.linspace(0.0, 0.44, 441)[1:]
    spilled = np.maximum(dilution - growth * capacity, 0.0) / fermented
    taken = np.minimum(dilution / growth, capacity) + spilled
    left_over = half * taken / (largest - taken)
    biomass = dilution * (food - left_over) / taken
    courses = {
        "biomass": biomass,
        "overflow": pyo.value(block.overflow_per_substrate) * spilled * biomass / dilution,
        "substrate": left_over,
    }
    labels = {"overflow": "ethanol"}
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    for (name, course), color in zip(courses.items(), COLORS, strict=True):
        left.plot(dilution, course, color=color, label=labels.get(name, name))
    for number, point in enumerate((0.1, 0.2, 0.29, 0.33, 0.4)):
        flow = point * 1e-3 / HOUR
        start = {"initial_mass_concentration": {"biomass": 4.0, "substrate": 0.1}}
        feed = {"flow": flow, "mass_concentration": {"substrate": food}}
        trajectory = simulate(culture(OverflowReactor, 300 * HOUR, feed, outflow=flow, **start, **volume, **air), [0.0, 300 * HOUR])
        for name, color in zip(courses, COLORS, strict=True):
            label = "simulated" if number == 0 and name == "biomass" else None
            left.plot(point, trajectory[f"unit.mass_concentration[{name}]"][-1], "o", color=color, mfc="none", label=label)
    left.axvline(growth * capacity, color="0.6", lw=1, ls="--")
    left.set(xlabel="dilution rate (1/h)", ylabel="concentration (g/L)", xlim=(0, 0.44), ylim=(0, 5.5), title="Chemostat fed with 10 g/L")
    time = np.linspace(0.0, 14 * HOUR, 281)
    start = {"initial_mass_concentration": {"biomass": 0.5, "substrate": food}}
    trajectory = simulate(culture(OverflowReactor, time[-1], **start, **volume, **air), time)
    for name, color in zip(courses, COLORS, strict=True):
        right.plot(time / HOUR, trajectory[f"unit.mass_concentration[{name}]"], color=color, label=labels.get(name, name))
    right.set(
        xlabel="time (h)", ylabel="concentration (g/L)", xlim=(0, 14), ylim=(0, None), title="Batch: ethanol is made, and taken up again"
    )
    for axes in (left, right):
        axes.legend(frameon=False)
    save(figure, "overflow.png")


def draw_liquid_source_and_sink() -> None:
    """Draw a source of liquid that pulses, and what the sink has taken by then."""
    flowsheet = Flowsheet(600.0, {"salt": LiquidComponent("salt", ChoBatchReactor._ComponentDataClass.kinetics.components["glucose"])})
    flowsheet.add("source", LiquidSource, flow=0.0, molarity={"salt": 2.0})
    flowsheet.add("sink", LiquidSink)
    flowsheet.connect("source.outlet", "sink.inlet", "hose")
    time = np.linspace(0.0, 600.0, 1201)
    pulses = Profile((0.0, 60.0, 120.0, 300.0, 480.0), tuple(x * 1e-6 / 60 for x in (0.0, 5.0, 0.0, 2.0, 0.0)))
    trajectory = simulate(flowsheet.model, time, inputs={"source.flow": pulses})
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
    left.plot(time / 60, trajectory["source.outlet_volume_flow"] * 6e7, color=COLORS[0])
    right.plot(time / 60, trajectory["sink.passed_volume"] * 1e6, color=COLORS[0], label="volume (mL)")
    right.plot(time / 60, trajectory["balance.withdrawn_moles[salt]"] * 1e6, color=COLORS[1], label="salt (µmol)")
    left.set(xlabel="time (min)", ylabel="supplied (mL/min)", xlim=(0, 10), ylim=(0, None), title="A source follows a profile")
    right.set(xlabel="time (min)", xlim=(0, 10), ylim=(0, None), title="What the sink has taken")
    right.legend(frameon=False)
    save(figure, "liquid_source_and_sink.png")


DRUG = {"dose": 25e-6, "solubility": 0.14, "median_size": 30e-6, "size_spread": 1.6}


def draw_dissolution() -> None:
    """Draw one size against its closed forms, many sizes, and what disintegration and a medium that fills up do to them."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    constant = 7e-10 * 0.14 / 1300.0
    time = np.linspace(0.0, HOUR, 361)
    one = DRUG | {"size_spread": 1.0, "classes": 1, "layers": 0, "volume": 1e3}
    for follows, color, label in ((0, COLORS[0], "film of 30 µm"), (1, COLORS[1], "film as thick as the radius")):
        trajectory = simulate(single(DissolutionTester, HOUR, {}, **one, film_follows=follows), time)
        left.plot(time / 60, 100 * trajectory["unit.dissolved_share"], color=color, label=f"30 µm, {label}")
        points = time[::12]
        closed = dissolving.sink_dissolved(points, 15e-6, constant, 30e-6, film_follows=bool(follows))
        left.plot(points / 60, 100 * closed, "o", ms=4, mfc="none", color=color)
    many = simulate(single(DissolutionTester, HOUR, {}, **DRUG, layers=0, volume=1e3), time)
    left.plot(time / 60, 100 * many["unit.dissolved_share"], color=COLORS[2], label="20 sizes around 30 µm")
    left.plot([], [], "o", ms=4, mfc="none", color="0.4", label="closed form")
    left.set(title="Much liquid, particles free at the start")
    for given, color, label in (
        ({"layers": 0, "volume": 1e3}, COLORS[2], "much liquid, no tablet"),
        ({"layers": 0}, COLORS[0], "900 mL, five times enough"),
        ({"layers": 0, "volume": 0.2e-3}, COLORS[1], "200 mL, just enough"),
        ({"layers": 10, "disintegration_time": 900.0}, "0.4", "900 mL, disintegration in 15 min"),
    ):
        trajectory = simulate(single(DissolutionTester, HOUR, {}, **DRUG, **given), time)
        right.plot(time / 60, 100 * trajectory["unit.dissolved_share"], color=color, label=label)
    right.set(title="20 sizes: medium and disintegration")
    for axes in (left, right):
        axes.set(xlabel="time (min)", ylabel="dissolved (%)", xlim=(0, 60), ylim=(0, 103))
        axes.legend(frameon=False, fontsize=8)
    save(figure, "dissolution.png")


def draw_weibull_dissolution() -> None:
    """Draw Weibull's curves of three exponents, and the curve of particles to which one of them comes close."""
    time = np.linspace(0.0, HOUR, 361)
    figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    for shape, color in zip((0.8, 1.0, 2.0), COLORS, strict=True):
        trajectory = simulate(single(WeibullDissolution, HOUR, {}, dose=25e-6, scale=600.0, shape=shape), time)
        axes.plot(time / 60, 100 * trajectory["unit.dissolved_share"], color=color, label=f"Weibull, 10 min, exponent {shape:g}")
    particles = simulate(single(DissolutionTester, HOUR, {}, **DRUG), time)
    axes.plot(time / 60, 100 * particles["unit.dissolved_share"], color="0.4", ls="--", label="20 sizes around 30 µm, 900 mL")
    axes.set(xlabel="time (min)", ylabel="dissolved (%)", xlim=(0, 60), ylim=(0, 103))
    axes.legend(frameon=False)
    save(figure, "weibull_dissolution.png")


def draw_tablet_quality() -> None:
    """Draw what more pressure does to one tablet of 250 mg: harder, slower to disintegrate, less dissolved."""
    pressure = np.linspace(20e6, 300e6, 57)
    density = laws.kawakita_density(pressure, 0.30, 0.72, 0.05e-6)
    strength = laws.kuentz_leuenberger_strength(density, 12e6, 0.45)
    thickness = 250e-6 / (1500.0 * math.pi * 0.010**2 / 4 * density)
    given = {"label_claim": 25e-6, "solubility": 0.8, "median_size": 50e-6, "size_spread": 1.6, "pore_factor": 3e-5, "test_time": 900.0}
    model = single(TabletTester, 1.0, {}, **given)
    signals = {"assay": 0.1, "tablet_mass": 250e-6}
    courses = {"tablet_density": density, "tensile_strength": strength, "tablet_thickness": thickness}
    for name in (*signals, *courses):
        model.unit.component(name).fix(signals.get(name, 0.5))
    found = {name: [] for name in ("porosity", "hardness", "disintegration_time", "dissolved_share")}
    for k in range(len(pressure)):
        trajectory = simulate(model, [0.0], inputs={f"unit.{name}": float(course[k]) for name, course in courses.items()})
        for name, values in found.items():
            values.append(trajectory[f"unit.{name}"][0])
    figure, axes = plt.subplots(2, 2, figsize=(10, 5.2), sharex=True, layout="constrained")
    panels = (
        ("porosity (%)", "porosity", 100.0),
        ("hardness (N)", "hardness", 1.0),
        ("disintegration (min)", "disintegration_time", 1 / 60),
        ("dissolved in 15 min (%)", "dissolved_share", 100.0),
    )
    for axis, (label, name, scale) in zip(axes.flat, panels, strict=True):
        axis.plot(pressure / 1e6, scale * np.array(found[name]), color=COLORS[0])
        axis.set(ylabel=label, xlim=(0, 300))
    for axis in axes[1]:
        axis.set(xlabel="compression pressure (MPa)")
    figure.suptitle("A tablet of 250 mg, 10 mm wide, compressed more and more", fontsize=11)
    save(figure, "tablet_quality.png")


GRANULES = {
    "granules": Material("granules", 1450.0, 500.0, median_size=900e-6, size_spread=1.9),
    "water": Material("water", 1000.0, 1000.0, moisture=True),
}


def draw_conical_mill() -> None:
    """Draw what leaves a mill at three speeds, and how it answers a faster impeller."""
    sizes = SizeClasses(20e-6, 10e-3, 30)
    powders, edges = Powders(GRANULES, sizes), 1e6 * np.array(sizes.edges)
    feed = {"granules": 20.0 / HOUR, "water": 0.4 / HOUR}
    given = {"initial_composition": {"granules": 1.0}, "selection_rate": 0.3}
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    for speed, color in zip((10.0, 20.0, 40.0), COLORS, strict=True):
        trajectory = simulate(single(ConicalMill, 900.0, feed, powders, speed=speed, **given), [900.0])
        for port, style in (("inlet", {"color": "0.6"}), ("outlet", {"color": color, "label": f"{60 * speed:g} rpm"})):
            finer = [trajectory[f"unit.{port}_finer[{size}]"][0] for size in sizes.names]
            left.plot(edges, [0.0, *(100 * share for share in finer)], **style)
    left.axvline(1000.0, color="0.3", ls=":", label="aperture")
    left.set(xscale="log", xlabel="diameter (µm)", ylabel="finer, by mass (%)", xlim=(20, 10000), ylim=(0, 100), title="In (gray) and out")
    time = np.linspace(0.0, 300.0, 601)
    model = single(ConicalMill, 300.0, feed, powders, initial_mass=0.1, speed=10.0, **given)
    trajectory = simulate(model, time, inputs={"unit.speed": Profile((0.0, 120.0), (10.0, 30.0))})
    right.plot(time, 1e3 * trajectory["unit.total_mass"], color=COLORS[0], label="hold-up (g)")
    right.plot(time, 1e6 * trajectory["unit.outlet_d50"], color=COLORS[1], label="median of what leaves (µm)")
    right.axvline(120.0, color="0.3", ls=":")
    right.set(xlabel="time (s)", xlim=(0, 300), ylim=(0, None), title="From 600 to 1800 rpm at 2 min")
    for axes in (left, right):
        axes.legend(frameon=False)
    save(figure, "conical_mill.png")


def draw_fluid_bed_dryer() -> None:
    """Draw a batch in both drying periods, and cells in a row when the air gets colder."""
    time = np.linspace(0.0, 1500.0, 601)
    batch = {
        "cells": 1,
        "mean_time": 1e15,
        "initial_mass": 1.3,
        "initial_composition": {"granules": 1 / 1.3, "water": 0.3 / 1.3},
        "air_flow": 0.05,
    }
    trajectory = simulate(single(FluidBedDryer, 1500.0, {"granules": 0.0, "water": 0.0}, GRANULES, **batch), time)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    left.plot(time / 60, 100 * trajectory["unit.moisture[1]"], color=COLORS[0], label="moisture (% of dry mass)")
    left.plot(time / 60, trajectory["unit.temperature[1]"] - 273.15, color=COLORS[1], label="powder (°C)")
    left.plot(time / 60, trajectory["unit.exhaust_temperature"] - 273.15, color="0.6", lw=1, label="air behind the bed (°C)")
    left.axhline(10.0, color="0.3", ls=":", label="critical moisture")
    left.set(xlabel="time (min)", xlim=(0, 25), ylim=(0, 65), title="A batch of 1 kg dry solids in air of 60 °C")
    time = np.linspace(0.0, 3600.0, 721)
    line = {"initial_mass": 3.5, "initial_composition": {"granules": 0.95, "water": 0.05}}
    model = single(FluidBedDryer, 3600.0, {"granules": 20.0 / HOUR, "water": 5.0 / HOUR}, GRANULES, **line)
    trajectory = simulate(model, time, inputs={"unit.air_temperature": Profile((0.0, 1800.0), (333.15, 323.15))})
    for cell, color in zip((1, 3, 5), COLORS, strict=True):
        right.plot(time / 60, 100 * trajectory[f"unit.moisture[{cell}]"], color=color, label=f"cell {cell}")
    right.axvline(30.0, color="0.3", ls=":")
    right.set(xlabel="time (min)", ylabel="moisture (% of dry mass)", xlim=(0, 60), ylim=(0, None), title="From 60 to 50 °C at 30 min")
    for axes in (left, right):
        axes.legend(frameon=False)
    save(figure, "fluid_bed_dryer.png")


def draw_twin_screw_granulator() -> None:
    """Draw sizes by liquid, distributions along the screw, and what a slower feed does with and without a ratio for the liquid."""
    sizes = SizeClasses(10e-6, 16e-3, 28)
    powder = {
        "powder": Material("powder", 1540.0, 500.0, median_size=80e-6, size_spread=2.0),
        "water": Material("water", 1000.0, 1000.0, moisture=True),
    }
    powders, edges, flow = Powders(powder, sizes), 1e3 * np.array(sizes.edges), 6.0 / HOUR
    dry = {"initial_composition": {"powder": 1.0}}
    feed = {"powder": flow, "water": 0.0}
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
    ratios = np.linspace(0.02, 0.35, 12)
    found: dict[str, list[float]] = {name: [] for name in ("d10", "d50", "d90", "d32")}
    model = single(TwinScrewGranulator, 600.0, feed, powders, **dry)
    for ratio in ratios:
        trajectory = simulate(model, [600.0], inputs={"unit.liquid_rate": float(ratio * flow)})
        for name, values in found.items():
            values.append(1e3 * trajectory[f"unit.outlet_{name}"][-1])
    for (name, values), color in zip(found.items(), (*COLORS, "0.4"), strict=True):
        left.plot(ratios, values, color=color, label=name)
    left.set(yscale="log", xlabel="liquid-to-solid ratio (-)", ylabel="diameter (mm)", xlim=(0, 0.35), title="More liquid, larger granules")
    trajectory = simulate(model, [600.0], inputs={"unit.liquid_rate": 0.2 * flow})
    names = {1: "wetting", 2: "first kneading", 3: "conveying", 4: "second kneading", 5: "outlet"}
    finer = [100 * trajectory[f"unit.inlet_finer[{k}]"][0] for k in sizes.names]
    middle.plot(edges, [0.0, *finer], color="0.6", label="powder")
    for j, color in zip(names, plt.cm.viridis(np.linspace(0.0, 0.85, 5)), strict=True):
        finer = [100 * trajectory[f"unit.population[{j}].held_finer[{k}]"][0] for k in sizes.names]
        middle.plot(edges, [0.0, *finer], color=color, label=names[j])
    middle.set(
        xscale="log", xlabel="diameter (mm)", ylabel="finer, by mass (%)", xlim=(0.01, 16), ylim=(0, 100), title="Along the screw, L/S 0.2"
    )
    time = np.linspace(0.0, 600.0, 601)
    slower = Profile((0.0, 300.0), (flow, 0.7 * flow))
    for liquid, color, label in (
        (Profile((0.0, 300.0), (0.2 * flow, 0.14 * flow)), COLORS[0], "liquid follows"),
        (0.2 * flow, COLORS[1], "liquid stays"),
    ):
        trajectory = simulate(model, time, inputs={"source.flow[powder]": slower, "unit.liquid_rate": liquid})
        right.plot(time, 1e3 * trajectory["unit.outlet_d50"], color=color, label=label)
    right.axvline(300.0, color="0.3", ls=":")
    right.set(xlabel="time (s)", ylabel="median size (mm)", xlim=(0, 600), ylim=(0, None), title="From 6 to 4.2 kg/h at 5 min")
    for axes in (left, middle, right):
        axes.legend(frameon=False, fontsize=8)
    save(figure, "twin_screw_granulator.png")


def main() -> None:
    """Draw all pictures and renew all tables."""
    powder = (draw_source_and_sink, draw_feeder, draw_blender, draw_press, draw_compaction, draw_junctions, draw_diverter)
    line = (draw_hopper, draw_chute, draw_delumper, draw_feed_frame, draw_dispersion_blender)
    granules = (draw_conical_mill, draw_fluid_bed_dryer, draw_twin_screw_granulator)
    liquid = (
        draw_liquid_source_and_sink,
        draw_bioreactor,
        draw_aeration,
        draw_overflow,
        draw_penicillin,
        draw_cho_batch,
        draw_cho_fed_batch,
    )
    signals = (draw_pid, draw_sensor, draw_ratio)
    tablets = (draw_dissolution, draw_weibull_dissolution, draw_tablet_quality)
    for draw in (*powder, *line, *granules, *tablets, *liquid, *signals):
        draw()
    for name in PAGES:
        page = HERE / f"{name}.md"
        page.write_text(page_with_table(page.read_text(), parameters_of(name)))


if __name__ == "__main__":
    main()
