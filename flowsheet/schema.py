"""What a case file may hold: one table of keys per TOML table, and the limits of what is accepted.

The keys of ``[units.*]`` are not here: they are the parameters that the unit's own class declares.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import Enum, auto

from flowsheet.uniformity import STAGE_2
from solvers.declare import Interpolation
from units.stream import MEASURES

SCHEMA = 1
"""Version of the case format; a case says which one it is written in."""

LARGEST_FILE = 1 << 20
LONGEST_LINE = 20_000
LONGEST_TITLE, LONGEST_TEXT = 200, 5000
MOST_POINTS = 1_000_000
"""Most output points of a run."""
MOST_CELLS = 1000
"""Largest whole number that may shape a unit, such as a number of tanks."""
MOST_EQUATIONS = 1_000_000
"""Most scalar equations that units may ask for with their whole numbers, roughly counted."""
LARGEST_DATA = 4 << 20
"""Most bytes of a file of measured data."""
MOST_SAMPLES, MOST_MEASURED = 20_000, 200_000
"""Most rows of measured data, and most values in all."""
MOST_CLASSES = 200
"""Most size classes."""
MOST_COMPONENTS, MOST_UNITS, MOST_STREAMS, MOST_PROFILE_POINTS = 50, 200, 1000, 20_000

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII)
NAME_ALLOWED = "a letter, then letters, digits and _ (at most 64, ASCII)"
CASE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}", re.ASCII)
CASE_NAME_ALLOWED = "a letter, then letters, digits, _ and - (at most 64, ASCII)"
DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"com{k}" for k in range(10)), *(f"lpt{k}" for k in range(10))})
"""Names that some file systems keep for devices."""
RESERVED = frozenset({"time", "balance", "recipe"})
"""Names that the flowsheet's model needs itself."""

ENDPOINT = re.compile(r"([A-Za-z]\w*)\.([A-Za-z]\w*)", re.ASCII)
VARIABLE = re.compile(r"([A-Za-z]\w*)\.([A-Za-z]\w*(?:\.[A-Za-z]\w*)*)(\[[\w ,.+-]{1,100}\])?", re.ASCII)


class Kind(Enum):
    """What a key's value is."""

    WHOLE = auto()
    NUMBER = auto()
    QUANTITY = auto()
    NAME = auto()
    LINE = auto()
    TEXT = auto()
    ENDPOINT = auto()
    VARIABLE = auto()
    CHOICE = auto()
    FLAG = auto()
    RAW = auto()
    """Anything; read later, when what it belongs to is known."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a table.

    Parameters
    ----------
    name : the key.
    kind : what its value is.
    doc : one line.
    unit : SI unit of a quantity, as text.
    default : in SI; used when the key is absent and not required.
    lower, upper : bounds in SI, themselves excluded if ``open_lower``.
    plausible : bounds in SI outside which a warning is given.
    choices : what may stand for a ``CHOICE``.
    """

    name: str
    kind: Kind
    doc: str
    unit: str = ""
    required: bool = False
    default: object = None
    lower: float = -math.inf
    upper: float = math.inf
    open_lower: bool = False
    plausible: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()


TOP = (
    Key("schema", Kind.WHOLE, "version of the case format", required=True),
    Key("name", Kind.NAME, "name of the case; its results go to results/<name>", required=True),
    Key("title", Kind.LINE, "one line for the report", default=""),
    Key("description", Kind.TEXT, "what the case is about", default=""),
    Key("horizon", Kind.QUANTITY, "simulated time", "s", required=True, lower=0.0, open_lower=True, plausible=(1.0, 60 * 86400.0)),
    Key("output", Kind.RAW, "output points"),
    Key("solver", Kind.RAW, "tolerances"),
    Key("display", Kind.RAW, "units of the report"),
    Key("sizes", Kind.RAW, "classes in which particle sizes are followed"),
    Key("materials", Kind.RAW, "powders and their properties", required=True),
    Key("components", Kind.RAW, "what liquids hold; a case with them needs no materials"),
    Key("units", Kind.RAW, "unit operations", required=True),
    Key("streams", Kind.RAW, "what is joined to what"),
    Key("signals", Kind.RAW, "what is measured and what it drives"),
    Key("phases", Kind.RAW, "recipe: what follows what"),
    Key("profiles", Kind.RAW, "inputs that change with time"),
    Key("specifications", Kind.RAW, "limits of quality attributes"),
    Key("uniformity", Kind.RAW, "tests of content uniformity on virtual samples"),
    Key("data", Kind.RAW, "what was measured, to be compared with what is simulated"),
    Key("trace", Kind.RAW, "what `flowsheet trace` follows: lots, diversions, funnel plots"),
)

OUTPUT = (Key("interval", Kind.QUANTITY, "time between output points", "s", lower=0.0, open_lower=True),)

SOLVER = (
    Key("rtol", Kind.NUMBER, "relative tolerance", default=1e-8, lower=1e-13, upper=1e-1),
    Key("atol", Kind.NUMBER, "absolute tolerance, times each state's typical size", default=1e-10, lower=1e-18, upper=1e-1),
)

MATERIAL = (
    Key("true_density", Kind.QUANTITY, "density of the solid", "kg/m^3", True, lower=0.0, open_lower=True, plausible=(100.0, 25000.0)),
    Key(
        "bulk_density", Kind.QUANTITY, "density of the poured powder", "kg/m^3", True, lower=0.0, open_lower=True, plausible=(10.0, 10000.0)
    ),
    Key("substance", Kind.NAME, "what it is a lot of, if there are several lots", default=""),
    Key(
        *("median_size", Kind.QUANTITY, "diameter with half of its mass below it, as it is fed", "m"),
        default=0.0,
        lower=0.0,
        open_lower=True,
        plausible=(1e-7, 1e-2),
    ),
    Key("size_spread", Kind.NUMBER, "geometric standard deviation of its diameters", default=0.0, lower=1.0, upper=20.0, open_lower=True),
    Key("moisture", Kind.FLAG, "true for a liquid that the powder holds, such as water", default=False),
)

SIZES = (
    Key("smallest", Kind.QUANTITY, "lower edge of the first size class", "m", True, lower=0.0, open_lower=True, plausible=(1e-8, 1e-3)),
    Key("largest", Kind.QUANTITY, "upper edge of the last size class", "m", True, lower=0.0, open_lower=True, plausible=(1e-6, 0.1)),
    Key("classes", Kind.WHOLE, "size classes, geometric in diameter", default=20, lower=2, upper=MOST_CLASSES),
)

COMPONENT = (
    Key(
        "amount",
        Kind.CHOICE,
        "how it is counted",
        required=True,
        choices=tuple(measure.amount for measure in MEASURES),
    ),
)

STREAM = (
    Key("name", Kind.NAME, "name of the stream"),
    Key("from", Kind.ENDPOINT, "outlet, such as feeder_api.outlet", required=True),
    Key("to", Kind.ENDPOINT, "inlet, such as blender.inlet_1", required=True),
)

SIGNAL = (
    Key("name", Kind.NAME, "name of the signal"),
    Key("from", Kind.VARIABLE, "a variable over time, such as press.tablet_mass", required=True),
    Key("to", Kind.ENDPOINT, "an input, such as weight_control.measured", required=True),
)

PHASE = (
    Key("name", Kind.NAME, "name of the phase", required=True),
    Key("set", Kind.RAW, "values that inputs take when it begins"),
    Key("ramp", Kind.RAW, "values that inputs reach by straight lines when it has lasted for 'after'"),
    Key("bolus", Kind.RAW, 'volumes of their own feeds that units get at once when it begins, such as { flask = "10 mL" }'),
    Key("after", Kind.QUANTITY, "how long it lasts", "s", lower=0.0, open_lower=True),
    Key("until", Kind.RAW, 'what ends it too, such as { variable = "press.level", above = "0.4 kg" }'),
)

UNTIL = (
    Key("variable", Kind.VARIABLE, "a variable over time, such as press.level", required=True),
    Key("above", Kind.RAW, "value that it rises above"),
    Key("below", Kind.RAW, "value that it falls below"),
)

PROFILE = (
    Key("variable", Kind.VARIABLE, "an input, such as feeder_api.disturbance", required=True),
    Key("times", Kind.RAW, "times, the first 0 s", required=True),
    Key("values", Kind.RAW, "one value per time", required=True),
    Key(
        "interpolation",
        Kind.CHOICE,
        "between the points",
        default=Interpolation.HOLD.value,
        choices=tuple(kind.value for kind in Interpolation),
    ),
    Key("label", Kind.LINE, "for plots", default=""),
)

SPECIFICATION = (
    Key("variable", Kind.VARIABLE, "a quality attribute, such as press.assay[api]", required=True),
    Key("lower", Kind.RAW, "lower limit"),
    Key("target", Kind.RAW, "target"),
    Key("upper", Kind.RAW, "upper limit"),
    Key("after", Kind.QUANTITY, "time from which the limits hold", "s", default=0.0, lower=0.0),
    Key("label", Kind.LINE, "for plots and tables", default=""),
)

UNIFORMITY = (
    Key("assay", Kind.VARIABLE, "mass fraction of the drug, such as press.assay[api]", required=True),
    Key("mass", Kind.VARIABLE, "tablet mass, such as press.tablet_mass", required=True),
    Key("label_claim", Kind.QUANTITY, "drug that a tablet is said to hold", "kg", required=True, lower=0.0, open_lower=True),
    Key(
        "within_blend_rsd",
        Kind.NUMBER,
        "relative standard deviation of single tablets from one blend, which no flowsheet can know",
        required=True,
        lower=0.0,
        upper=0.5,
        open_lower=True,
    ),
    Key("other_rsd", Kind.NUMBER, "relative standard deviation by die filling and assay", default=0.0, lower=0.0, upper=0.5),
    Key("target", Kind.NUMBER, "mean content aimed at, over the label claim", default=1.0, lower=0.5, upper=1.5),
    Key("tablets", Kind.WHOLE, "tablets sampled", default=STAGE_2, lower=STAGE_2, upper=2000),
    Key("seed", Kind.WHOLE, "of the random numbers", default=1, lower=0, upper=2**31 - 1),
    Key("start", Kind.QUANTITY, "when sampling begins", "s", default=0.0, lower=0.0),
    Key("end", Kind.QUANTITY, "when it ends; the end of the run by default", "s", lower=0.0, open_lower=True),
    Key("label", Kind.LINE, "for plots and tables", default=""),
)

DATA = (
    Key("file", Kind.LINE, "CSV file in the folder of the case; without it, values stand in the case"),
    Key("label", Kind.LINE, "for tables; the name of the file if not given", default=""),
    Key("time", Kind.RAW, 'when samples were taken, such as { column = "time", unit = "h" }', required=True),
    Key("variables", Kind.RAW, "what was measured, by variable", required=True),
)

DATA_TIME = (
    Key("column", Kind.LINE, "column of the file"),
    Key("values", Kind.RAW, "numbers, where there is no file"),
    Key("unit", Kind.LINE, "unit of the numbers"),
)

DATA_VARIABLE = (*DATA_TIME, Key("deviation", Kind.RAW, "column of standard deviations in the same unit, or numbers"))

TRACE = (
    Key(
        *("threshold", Kind.NUMBER, "share above which a lot is said to be there, and relative deviation above which a disturbance is"),
        default=0.01,
        lower=0.0,
        upper=0.99,
        open_lower=True,
    ),
    Key("share_of", Kind.CHOICE, "what a lot's share is one of", default="substance", choices=("substance", "powder")),
    Key("lots", Kind.RAW, "materials to follow; by default lots of one substance, and what inputs let in for a part of the time"),
    Key("diversions", Kind.RAW, "sensors that let a gate turn powder away"),
    Key("funnels", Kind.RAW, "inputs whose largest tolerable disturbances are asked for"),
)

TRACE_DIVERSION = (
    Key("watch", Kind.VARIABLE, "what is specified, such as press.assay[api]", required=True),
    Key("sensor", Kind.VARIABLE, "what is measured, upstream of it; the watched variable itself by default"),
    Key("at", Kind.NAME, "unit through which the powder passes that is diverted; that of the watched variable by default"),
    Key("lower", Kind.RAW, "lower limit of the watched variable; those of its specification if none is given here"),
    Key("target", Kind.RAW, "its target"),
    Key("upper", Kind.RAW, "upper limit of it"),
    Key("after", Kind.QUANTITY, "time from which the limits hold", "s", lower=0.0),
    Key("sensor_lower", Kind.RAW, "lower limit of the reading; that of the watched variable by default"),
    Key("sensor_upper", Kind.RAW, "upper limit of the reading"),
    Key(
        "by", Kind.CHOICE, "what is diverted: all that was read, or what is predicted", default="reading", choices=("reading", "prediction")
    ),
    Key("delay", Kind.QUANTITY, "time from a measurement to its result", "s", default=0.0, lower=0.0),
    Key("transport", Kind.QUANTITY, "time of the powder from sensor to gate; predicted by the model if not given", "s", lower=0.0),
    Key("dwell", Kind.QUANTITY, "how much longer the gate stays than it has to", "s", default=0.0, lower=0.0),
    Key("noise", Kind.RAW, "standard deviation of one scan of the sensor"),
    Key("scan_time", Kind.QUANTITY, "time between scans; 0 for a sensor that reads all the time", "s", default=0.0, lower=0.0),
    Key("scans", Kind.WHOLE, "scans that are averaged for one decision", default=1, lower=1, upper=10_000),
    Key("label", Kind.LINE, "for plots and tables", default=""),
)

TRACE_FUNNEL = (
    Key("input", Kind.VARIABLE, "the input that is disturbed, such as feeder_api.setpoint", required=True),
    Key("watch", Kind.VARIABLE, "what is specified, such as press.assay[api]", required=True),
    Key("lower", Kind.RAW, "lower limit of the watched variable; those of its specification if none is given here"),
    Key("upper", Kind.RAW, "upper limit of it"),
    Key("time", Kind.QUANTITY, "when the step is made about which the model is linear", "s", lower=0.0),
    Key("window", Kind.QUANTITY, "how long its response is followed; to the end of the run by default", "s", lower=0.0, open_lower=True),
    Key("step", Kind.RAW, "height of the step, in the unit of the input"),
    Key("durations", Kind.RAW, "durations of the disturbance"),
    Key("label", Kind.LINE, "for plots and tables", default=""),
)

DISPLAY = {
    "time": "s",
    "mass": "kg",
    "flow": "kg/s",
    "length": "m",
    "volume": "m^3",
    "volume_flow": "m^3/s",
    "density": "kg/m^3",
    "pressure": "Pa",
    "force": "N",
    "temperature": "K",
    "velocity": "m/s",
    "rotation": "rev/s",
    "frequency": "1/s",
    "feed_factor": "kg/rev",
    "amount": "mol",
    "cells": "cell",
    "cell_density": "cell/m^3",
    "concentration": "mol/m^3",
    "transfer_rate": "mol/m^3/s",
    "fraction": "",
}
"""Kinds of quantity that a case may choose a display unit for, with their SI units."""

PLAUSIBLE = {"K": (200.0, 600.0, "physical range 200-600 K"), "kg/m^3": (0.01, 25000.0, "range of densities 0.01-25000 kg/m^3")}
"""Ranges by SI unit outside which a unit's parameter is warned of."""
