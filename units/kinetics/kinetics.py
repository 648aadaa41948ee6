"""What every kinetics promises to a bioreactor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pyomo.environ import tanh

from units.parameter import Parameter
from units.stream import Measure

Rates = dict[str, Any]
"""Expressions by component, amount per volume and time; components that are not named have none."""


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


def available(concentration: Any, floor: Any) -> Any:
    """Return a factor that is one far above a concentration ``floor`` and falls to zero with the concentration.

    It stands where a published rate does not depend on what it consumes, such as maintenance: the consumption ends with
    what is consumed, smoothly, and no concentration passes below zero by more than the integrator's tolerance. At 20 times the
    floor it is one to the last bit.
    """
    return tanh(concentration / floor)
