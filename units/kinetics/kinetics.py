"""What every kinetics promises to a bioreactor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pyomo.environ import tanh
from pyomo.environ import units as u

from units.laws import KINK_WIDTH, smooth_absolute
from units.parameter import Parameter
from units.stream import CELLS, Measure

Rates = dict[str, Any]
"""Expressions by component, amount per volume and time; components that are not named have none."""

GASES = ("oxygen", "carbon_dioxide")
"""Components, in moles, that an aerated vessel exchanges with its gas."""


class Kinetics:
    """Base of all kinetics; it does nothing itself.

    A kinetics has no memory and holds no numbers: its parameters stand on the reactor's block, so that they can be
    changed, fitted and given in a case. In a file of one's own::

        class Decay(Kinetics):
            components = {"drug": MOLES}
            parameters = (Parameter.positive("decay", 1 / u.s, "rate constant of decay", 1e-5),)

            def rates(self, b, t, c):
                return {"drug": -b.decay * c["drug"]}


        @declare_custom_block("DecayReactor", rule="build")
        class DecayReactorData(BioreactorData):
            "A stirred tank in which a drug decays."

            kinetics = Decay()
    """

    components: ClassVar[Mapping[str, Measure]] = {}
    """The components that the equations name, and how each has to be counted."""
    parameters: ClassVar[tuple[Parameter, ...]] = ()
    """Parameters of the reactor; one of the name of a vessel's parameter takes its place, with another default or range."""
    shown: ClassVar[tuple[str, ...]] = ()
    """Names of what ``prepare`` adds that is worth a plot."""
    organism: ClassVar[str] = ""
    """The component that grows, breathes and gives off heat, if there is one; its ``specific_growth[t]`` (1/s) is added by ``prepare``."""

    def prepare(self, block: Any, time: Any) -> None:
        """Add Expressions or Events of one's own to the reactor, before rates are asked for: ``b.concentrations(t)`` is there."""

    def rates(self, b: Any, t: float, c: Mapping[str, Any]) -> Rates:
        """Return what reactions make (negative: consume) per volume of liquid and time.

        Parameters
        ----------
        b : the reactor's block, with the parameters, ``temperature[t]`` (K) and ``ph[t]``.
        t : time.
        c : concentrations by component (kg/m3, mol/m3 or cell/m3).
        """
        return {}

    def transfer(self, b: Any, t: float, c: Mapping[str, Any]) -> Rates:
        """Return what comes from the gas per volume of liquid and time; the balance books it as taken from outside."""
        return {}

    def respiration(self, b: Any, t: float, c: Mapping[str, Any]) -> Rates:
        """Return what the organism breathes in an aerated vessel, where the equations themselves name no oxygen.

        With the organism's concentration X and growth rate mu::

            r_oxygen = -(growth_oxygen mu + oxygen_uptake O/(oxygen_half + O)) X,   r_carbon_dioxide = -respiratory_quotient r_oxygen
        """
        if b.component("growth_oxygen") is None:
            return {}
        oxygen = (b.growth_oxygen * b.specific_growth[t] + b.oxygen_uptake * breath(b, t)) * c[self.organism]
        return {gas: sign * oxygen for gas, sign in (("oxygen", -1), ("carbon_dioxide", b.respiratory_quotient)) if gas in b.gases}

    def heat(self, b: Any, t: float, c: Mapping[str, Any]) -> Any:
        """Return the heat made per volume of liquid (W/m3) besides that of oxygen: here ``growth_heat mu X``."""
        if b.component("growth_heat") is None:
            return 0 * u.W / u.m**3
        return b.growth_heat * b.specific_growth[t] * c[self.organism]


def organism_parameters(kinetics: Kinetics) -> tuple[Parameter, ...]:
    """Return a reactor's parameters for the organism of its kinetics: of respiration, unless the equations name oxygen, and of heat."""
    if not kinetics.organism:
        return ()
    measure, source = kinetics.components[kinetics.organism], "recalled"
    per = measure.unit
    grown, standing = (0.0, 3e-13 / 3600) if measure is CELLS else (30.0, 0.0)
    aerated: dict[str, Any] = {"when": ("aerated", 1), "source": source}
    breathing = (
        Parameter.positive("oxygen_half", u.mol / u.m**3, "oxygen that halves growth and respiration", 5e-3, **aerated),
        Parameter("growth_oxygen", u.mol / per, "oxygen per growth of the organism", grown, 0.0, **aerated),
        Parameter("oxygen_uptake", u.mol / per / u.s, "oxygen of the organism besides growth", standing, 0.0, **aerated),
        Parameter("respiratory_quotient", u.dimensionless, "carbon dioxide made per oxygen", 1.0, 0.0, **aerated),
    )
    heat = Parameter("growth_heat", u.J / per, "heat per growth of the organism", 0.0, 0.0, when=("heat_balance", 1))
    return (*(() if "oxygen" in kinetics.components else breathing), heat)


def breath(b: Any, t: float) -> Any:
    """Return the factor by which growth fades with oxygen, O/(oxygen_half + O) in an aerated vessel; one in any other."""
    if b.component("growth_oxygen") is None:
        return 1
    return saturation(b.molarity[t, "oxygen"], b.oxygen_half)


def saturation(concentration: Any, half: Any) -> Any:
    """Return c/(half + c), Monod's factor of a concentration c, in a form that holds below zero as well: c/(half + |c|).

    Where consumption is fast and ``half`` small, a step of the integrator may try concentrations beyond -half. There c/(half + c) is
    above one again, as if there were plenty, and nothing would tell; this form has the sign of c, so that the step is rejected. Above
    zero both are the same but for the kink's rounding over 1e-8 of ``half``.
    """
    return concentration / (half + smooth_absolute(concentration, KINK_WIDTH * half))


def available(concentration: Any, floor: Any) -> Any:
    """Return a factor that is one far above a concentration ``floor`` and falls to zero with the concentration.

    It stands where a published rate does not depend on what it consumes, such as maintenance: the consumption ends with
    what is consumed, smoothly, and no concentration passes below zero by more than the integrator's tolerance. At 20 times the
    floor it is one to the last bit.
    """
    return tanh(concentration / floor)
