"""Fluid-bed dryer: residence-time cells in a row, each with drying kinetics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pyomo.environ as pyo
from pyomo.core.base.block import declare_custom_block
from pyomo.dae import DerivativeVar
from pyomo.environ import units as u

from solvers.declare import Direction, Event, nominal
from solvers.errors import CaseError, Complaint
from units.humid_air import COLDEST, EVAPORATION_HEAT, HOTTEST, STEPS, cooler, humid_heat, saturation_humidity
from units.laws import KINK_WIDTH, smooth_absolute, smooth_minimum
from units.parameter import Parameter
from units.powders import carried, of_own_sizes
from units.stream import Material, add_inlets, add_powder_port
from units.transport import INITIAL
from units.unit import UnitBlock

HEEL = 1e-9
"""Solids (kg) below which the moisture content is told as if there were that much."""

LEAST_AIR = 1e-9
"""Air (kg/s) below which it takes up nothing more, so that none is a regular point."""


def moisture_of(unit: Any, materials: Mapping[str, Material]) -> str:
    """Return the name of the one material that is moisture.

    Raises
    ------
    CaseError : there is none, or there are several.
    """
    wet = [name for name, material in materials.items() if material.moisture]
    if len(wet) == 1:
        return wet[0]
    text = f"needs one material that is moisture, and there are {', '.join(wet)}" if wet else "needs a material that is moisture"
    complaint = Complaint(text, hint="moisture = true for the water that the powder holds")
    raise CaseError(str(complaint.within(unit.name)), names=[unit.name, *wet], hint=complaint.hint, complaints=[complaint])


@declare_custom_block("FluidBedDryer", rule="build")
class FluidBedDryerData(UnitBlock):
    """Continuous fluid-bed dryer: n mixed cells in a row, an equal share of the air through each, and a characteristic drying curve.

    Equations, for cell k of n, component or size class c and the moisture w::

        d mass[k, c]/dt    = flow[k-1, c] - flow[k, c] - (evaporation[k] if c = w),  flow[k, c] = n/mean_time mass[k, c]
        evaporation[k]     = capacity[k] relative_rate[k]
        capacity[k]        = air_flow/n (Y_s - air_humidity) [1 - exp(-transfer_rate solids[k]/(air_flow/n))]
        relative_rate[k]   = min(1, (moisture[k] - equilibrium_moisture)/(critical_moisture - equilibrium_moisture))
        moisture[k]        = mass[k, w]/solids[k]
        humid_heat (air_temperature - wet_bulb) = evaporation_heat (Y_s - air_humidity),  Y_s = saturation at wet_bulb
        temperature[k]     = wet_bulb + (air_temperature - wet_bulb) (1 - relative_rate[k])

    Wet powder dries at a constant rate, which the air's capacity limits where there is much powder and mass transfer where there is little;
    below the critical moisture the rate falls in proportion to what is above equilibrium. The minimum is rounded over 1e-8. Each cell is
    mixed completely, which is the maximum mixedness of that residence-time distribution.

    | symbol | meaning | unit |
    |---|---|---|
    | mass[k, c], total_mass | hold-up of a cell by component and size class (state); of the dryer | kg |
    | solids[k], moisture[k] | dry solids; moisture by mass of them | kg, - |
    | mean_time | mean residence time in all cells (input) | s |
    | air_flow, air_temperature, air_humidity | dry air through the bed; what it brings (inputs) | kg/s, K, - |
    | transfer_rate | mass transfer by mass of dry solids | 1/s |
    | capacity[k], evaporation[k] | evaporation from wet powder; in fact | kg/s |
    | wet_bulb, temperature[k] | of the air; of the powder, between wet bulb and air | K |
    | exhaust_humidity, exhaust_temperature | of all air behind the bed | -, K |
    | outlet_moisture | moisture of what leaves, by mass of dry solids | - |

    Assumptions: plug flow of air through mixed cells; heat and mass transfer alike (Lewis number one), so that wet bulb and adiabatic
    saturation agree; sensible heat of powder and walls left out: the air pays for evaporation alone; moisture even over the sizes, which
    drying does not change; no powder leaves with the air. Powder drier than equilibrium takes moisture up by the same law, so that
    moisture never turns negative. Air beyond saturation ends the run.

    Valid for any inflow that is not negative, an empty dryer and no air included, air of 0-95 degC at normal pressure. Source:
    residence-time distribution as tanks with batch drying kinetics, Chen and Glasser 2019 (AIChE J, aic.16902); characteristic drying curve
    after van Meel 1958, recalled; numbers illustrative: fit them to a batch curve.

    Raises
    ------
    CaseError : a parameter is unknown, missing or out of its range, or not exactly one material is moisture.
    """

    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("cells", u.dimensionless, "number of mixed cells, one behind the other", 5, 1, integer=True, source="assumed"),
        Parameter.positive("mean_time", u.s, "mean residence time in all cells", 600.0, "recalled: 5-30 min", input=True),
        Parameter("air_flow", u.kg / u.s, "dry air through the whole bed", 0.1, 0.0, input=True, source="assumed: 360 kg/h"),
        Parameter("air_temperature", u.K, "temperature of the air", 333.15, COLDEST, HOTTEST, input=True, source="recalled: 40-80 degC"),
        Parameter("air_humidity", u.dimensionless, "water vapor over dry air, by mass", 0.006, 0.0, 0.5, input=True, source="assumed"),
        Parameter("transfer_rate", 1 / u.s, "mass transfer by mass of dry solids", 0.5, 0.0, source="illustrative"),
        Parameter.positive("critical_moisture", u.dimensionless, "moisture below which the rate falls, by dry mass", 0.10, "illustrative"),
        Parameter(
            "equilibrium_moisture", u.dimensionless, "moisture at which nothing dries, by dry mass", 0.01, 0.0, source="illustrative"
        ),
        *INITIAL,
    )
    inlet_names: ClassVar[tuple[str, ...]] = ("inlet",)
    outlet_names: ClassVar[tuple[str, ...]] = ("outlet",)
    shown: ClassVar[tuple[str, ...]] = (
        *("outlet_moisture", "moisture", "temperature", "evaporated", "outlet_total", "total_mass"),
        *("exhaust_humidity", "exhaust_temperature"),
    )

    def build(self, *_: Any, time: Any, materials: Mapping[str, Material], **given: Any) -> None:
        """Add parameters, ports, states, equations and the event of fog."""
        water = moisture_of(self, materials)
        self.cell = pyo.RangeSet(self.add_parameters(time, list(materials), given)["cells"])
        if not pyo.value(self.equilibrium_moisture) < pyo.value(self.critical_moisture):
            raise self.refusal("critical_moisture", "has to lie above equilibrium_moisture")
        add_inlets(self, time, materials, self.inlets(given), "wet powder")
        add_powder_port(self, "outlet", time, materials, doc="dried powder")
        self._add_holdup(time, materials, water)
        self._add_air(time)
        self._add_drying(time, water)
        self._add_balances(time, materials, water)

    def _add_holdup(self, time: Any, materials: Mapping[str, Material], water: str) -> None:
        members, cells = carried(materials), len(self.cell)
        solid = [name for name, material in materials.items() if not material.moisture]
        self.mass = pyo.Var(time, self.cell, members, initialize=0.0, bounds=(0, None), units=u.kg, doc="hold-up of a cell")
        self.mass_rate = DerivativeVar(self.mass, wrt=time, units=u.kg / u.s, doc="rate of the hold-up of a cell")
        nominal(self.mass, 1.0 / cells)

        @self.Expression(time, self.cell, doc="dry solids in a cell")
        def solids(b: Any, t: float, k: int) -> Any:
            return sum(b.mass[t, k, c] for c in solid)

        @self.Expression(time, self.cell, doc="moisture in a cell by mass of dry solids")
        def moisture(b: Any, t: float, k: int) -> Any:
            return b.mass[t, k, water] / smooth_absolute(b.solids[t, k], HEEL * u.kg)

        @self.Expression(time, doc="moisture of what leaves by mass of dry solids")
        def outlet_moisture(b: Any, t: float) -> Any:
            return b.moisture[t, cells]

        @self.Expression(time, members, doc="hold-up by component and size class")
        def holdup(b: Any, t: float, c: str) -> Any:
            return sum(b.mass[t, k, c] for k in b.cell)

        @self.Expression(time, doc="hold-up")
        def total_mass(b: Any, t: float) -> Any:
            return sum(b.holdup[t, c] for c in materials)

        @self.Constraint(self.cell, members, doc="hold-up of a cell at the start")
        def start(b: Any, k: int, c: str) -> Any:
            return b.mass[time.first(), k, c] == of_own_sizes(
                materials, c, lambda name: b.initial_mass * b.initial_composition[name] / cells
            )

    def _add_air(self, time: Any) -> None:
        """Add the wet bulb, by Newton steps: assignments, so that nothing has to be solved for."""
        self.step = pyo.RangeSet(STEPS)
        self.wet_bulb_step = pyo.Var(time, self.step, initialize=300.0, units=u.K, doc="temperature on the way to the wet bulb")

        @self.Constraint(time, self.step, doc="Newton step from the temperature of the air to its wet bulb")
        def cooling(b: Any, t: float, i: int) -> Any:
            before = b.wet_bulb_step[t, i - 1] if i > 1 else b.air_temperature[t]
            return b.wet_bulb_step[t, i] == cooler(before, b.air_temperature[t], b.air_humidity[t])

        @self.Expression(time, doc="wet-bulb temperature of the air")
        def wet_bulb(b: Any, t: float) -> Any:
            return b.wet_bulb_step[t, STEPS]

        @self.Expression(time, doc="vapor that the air takes up until it is saturated, by mass of dry air")
        def deficit(b: Any, t: float) -> Any:
            return saturation_humidity(b.wet_bulb[t]) - b.air_humidity[t]

        self.fog = Event(
            guard=lambda b, t: b.air_humidity[t] - saturation_humidity(b.air_temperature[t]),
            direction=Direction.RISING,
            doc="the air is wetter than saturated",
            refusal="give the dryer warmer or drier air",
        )

    def _add_drying(self, time: Any, water: str) -> None:
        cells = len(self.cell)

        @self.Expression(time, self.cell, doc="evaporation that the air allows from wet powder")
        def capacity(b: Any, t: float, k: int) -> Any:
            air = b.air_flow[t] / cells
            units_of_transfer = b.transfer_rate * b.solids[t, k] / smooth_absolute(air, LEAST_AIR * u.kg / u.s)
            return air * b.deficit[t] * (1 - pyo.exp(-units_of_transfer))

        @self.Expression(time, self.cell, doc="rate of drying over that of wet powder")
        def relative_rate(b: Any, t: float, k: int) -> Any:
            above = (b.moisture[t, k] - b.equilibrium_moisture) / (b.critical_moisture - b.equilibrium_moisture)
            return smooth_minimum(above, 1, KINK_WIDTH)

        @self.Expression(time, self.cell, doc="evaporation in a cell")
        def evaporation(b: Any, t: float, k: int) -> Any:
            return b.capacity[t, k] * b.relative_rate[t, k]

        @self.Expression(time, doc="evaporation in all cells")
        def evaporated(b: Any, t: float) -> Any:
            return sum(b.evaporation[t, k] for k in b.cell)

        @self.Expression(time, [water], doc="moisture that leaves with the air")
        def withdrawal(b: Any, t: float, c: str) -> Any:
            return b.evaporated[t]

        @self.Expression(time, self.cell, doc="temperature of the powder, from wet bulb to that of the air")
        def temperature(b: Any, t: float, k: int) -> Any:
            return b.wet_bulb[t] + (b.air_temperature[t] - b.wet_bulb[t]) * (1 - b.relative_rate[t, k])

        @self.Expression(time, doc="humidity of the air behind the bed")
        def exhaust_humidity(b: Any, t: float) -> Any:
            return b.air_humidity[t] + b.evaporated[t] / smooth_absolute(b.air_flow[t], LEAST_AIR * u.kg / u.s)

        @self.Expression(time, doc="temperature of the air behind the bed, which pays for evaporation")
        def exhaust_temperature(b: Any, t: float) -> Any:
            taken_up = b.exhaust_humidity[t] - b.air_humidity[t]
            return b.air_temperature[t] - EVAPORATION_HEAT * taken_up / humid_heat(b.air_humidity[t])

    def _add_balances(self, time: Any, materials: Mapping[str, Material], water: str) -> None:
        members, cells = carried(materials), len(self.cell)

        @self.Expression(time, self.cell, members, doc="mass flow out of a cell")
        def passing(b: Any, t: float, k: int, c: str) -> Any:
            return b.mass[t, k, c] * (cells / b.mean_time[t])

        @self.Constraint(time, self.cell, members, doc="mass balance of a cell")
        def mass_balance(b: Any, t: float, k: int, c: str) -> Any:
            through = (b.feed[t, c] if k == 1 else b.passing[t, k - 1, c]) - b.passing[t, k, c]
            return b.mass_rate[t, k, c] == (through - b.evaporation[t, k] if c == water else through)

        @self.Constraint(time, members, doc="the last cell discharges through the outlet")
        def discharge(b: Any, t: float, c: str) -> Any:
            return b.outlet_flow[t, c] == b.passing[t, cells, c]
