"""The same system again and again with other values: what a run prepares is prepared once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from solvers.compiled import Compilation
from solvers.integrator import IntegrationMethod
from solvers.schedule import make_schedule
from solvers.simulate import Kept, Run, check_tolerances, checked_times, current_system, given_values
from solvers.start import read_values, with_starts
from solvers.trajectory import Trajectory


class Repeater:
    """Runs one system with other inputs, parameters and start values, call by call.

    The Pyomo model is read when the repeater is made and not looked at again: what is changed in it later does not matter. Numbers are
    the same to the last bit as those of :func:`solvers.simulate`. Not for several threads at once.

    Parameters
    ----------
    model, t_eval, rtol, atol, compilation, method : as for :func:`solvers.simulate`.
    inputs : what holds in every call that does not say otherwise.

    Examples
    --------
    >>> from pyomo.dae import ContinuousSet, DerivativeVar
    >>> from pyomo.environ import ConcreteModel, Constraint, Param, Var
    >>> model = ConcreteModel()
    >>> model.t = ContinuousSet(bounds=(0, 1))
    >>> model.x, model.k = Var(model.t, initialize=1.0), Param(initialize=1.0, mutable=True)
    >>> model.dx = DerivativeVar(model.x, wrt=model.t)
    >>> model.law = Constraint(model.t, rule=lambda m, t: m.dx[t] == -m.k * m.x[t])
    >>> model.x[0].fix(1.0)
    >>> repeat = Repeater(model, [0.0, 1.0])
    >>> [round(float(repeat({"k": k})["x"][-1]), 6) for k in (1.0, 2.0)]
    [0.367879, 0.135335]
    """

    def __init__(
        self,
        model: Any,
        t_eval: Any,
        *,
        inputs: Mapping[Any, Any] | None = None,
        rtol: float = 1e-8,
        atol: float = 1e-10,
        compilation: Compilation = Compilation.AUTO,
        method: IntegrationMethod = IntegrationMethod.AUTO,
    ) -> None:
        self.system = current_system(model)
        self._times = checked_times(self.system, t_eval)
        check_tolerances(rtol, atol)
        self._tolerances = float(rtol), float(atol)
        self._choices = compilation, method
        self._inputs = dict(inputs or {})
        schedule = make_schedule(self.system, self._inputs)
        self._values = read_values(self.system, [*schedule.profiles, *schedule.inputs])
        self._kept = Kept()

    def __call__(self, inputs: Mapping[Any, Any] | None = None, starts: Mapping[Any, float] | None = None) -> Trajectory:
        """Run with these inputs and parameters, and with states that start at other values; errors as for :func:`solvers.simulate`."""
        schedule = make_schedule(self.system, {**self._inputs, **inputs} if inputs else self._inputs)
        values = with_starts(self.system, given_values(self._values, schedule), starts)
        return Run(self.system, self._times, schedule, values, *self._tolerances, *self._choices, kept=self._kept).trajectory()
