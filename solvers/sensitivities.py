"""Derivatives of trajectories by parameters, inputs and start values, through events, profiles and restarts.

Forward (:mod:`solvers.forward`): the variational equations are integrated beside the states. Adjoint (:mod:`solvers.adjoint`): a
recorded run is gone back through. What happens at an instant passes by :mod:`solvers.saltation` in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from solvers.adjoint import Recording
from solvers.compiled import Compilation
from solvers.directions import OutputFunctions, find_outputs, find_parameters
from solvers.errors import NumericsError, UnsupportedModelError, UsageError
from solvers.forward import Forward
from solvers.schedule import names_of_component
from solvers.simulate import current_system, prepared_run
from solvers.suggest import did_you_mean
from solvers.trajectory import Stats, Trajectory


class Method(Enum):
    """How derivatives are computed."""

    FORWARD = "forward: beside the states; the cost grows with the number of parameters"
    ADJOINT = "adjoint: back through a recorded run; the cost grows with the number of outputs times that of output times"


@dataclass(frozen=True, eq=False)
class Sensitivities:
    """Derivatives of outputs by parameters over time.

    At an output time that coincides with an event, they are those of the value after it, at that fixed time.
    """

    trajectory: Trajectory
    """The run itself; its steps hold to the tolerances for states and derivatives."""
    outputs: tuple[str, ...]
    parameters: tuple[str, ...]
    array: np.ndarray
    """Shape (times, outputs, parameters), in the unit of the output over that of the parameter."""

    @property
    def t(self) -> np.ndarray:
        """Output times, shape (n,)."""
        return self.trajectory.t

    @property
    def stats(self) -> Stats:
        """What the run cost, derivatives included."""
        return self.trajectory.stats

    def __getitem__(self, key: tuple[Any, Any]) -> np.ndarray:
        """Return the derivative of an output by a parameter, each given by name or reference, shape (n,)."""
        if not isinstance(key, tuple) or len(key) != 2:
            raise UsageError("a derivative is asked for by output and parameter, e.g. s['tank.level', 'tank.area']")
        output, parameter = key
        return self.array[:, self._place(output, self.outputs), self._place(parameter, self.parameters)]

    def _place(self, key: Any, names: tuple[str, ...]) -> int:
        found = [key] if isinstance(key, str) else names_of_component(self.trajectory.system, key)
        if len(found) != 1 or found[0] not in names:
            raise UsageError(
                f"no derivative was computed for {', '.join(found[:3])}",
                names=found[:10],
                hint=did_you_mean(found[0], names, 3) if found else "",
            )
        return names.index(found[0])


def sensitivities(
    model: Any,
    parameters: Any,
    outputs: Any,
    t_eval: Any = None,
    *,
    inputs: Mapping[Any, Any] | None = None,
    starts: Mapping[Any, float] | None = None,
    rtol: float = 1e-8,
    atol: float = 1e-10,
    method: Method = Method.FORWARD,
    compilation: Compilation = Compilation.AUTO,
) -> Sensitivities:
    """Simulate a model and return derivatives of its outputs by parameters.

    Parameters
    ----------
    model : a Pyomo model or a :class:`DaeSystem`, as for :func:`solvers.simulate`.
    parameters : names or references: mutable Params, fixed Vars without time, constant inputs (fixed Vars of time), and states,
        which stand for their start values.
    outputs : names or references of any scalars of time, eliminated ones and Expressions included.
    t_eval : increasing output times, shape (n,); the points of the model's time set by default.
    inputs, starts : as for :func:`solvers.simulate`.
    rtol, atol : tolerances of states and derivatives alike. The absolute tolerance of the derivative by p is that of the state over
        the magnitude of p: its value, else its nominal value, else 1.
    method : FORWARD for few parameters, ADJOINT for few outputs at few times and many parameters.
    compilation : as for :func:`solvers.simulate`.

    Raises
    ------
    UsageError : nothing to compute, unknown names, an input that follows a profile, a start value that start equations determine.
    StructureError : see :func:`solvers.lower`.
    UnsupportedModelError : an implicit system with a singular matrix of derivatives that varies.
    SimulationError : the run failed, or a guard touches zero without crossing it, so that the derivative does not exist.
    NumericsError : an output has no finite derivative at a time, or the adjoint equations could not be integrated.
    """
    if not isinstance(method, Method):
        raise UsageError(f"method is one of solvers.Method, not {method!r}", hint="Method.FORWARD or Method.ADJOINT")
    system = current_system(model)
    if system.singular:
        raise UnsupportedModelError(
            "derivatives are not computed for implicit systems whose matrix of derivatives is singular and varies",
            names=system.equation_names[:5],
            hint="write the constraint that the equations hide as an equation of its own, with one state less",
        )
    if t_eval is None:
        t_eval = sorted(float(point) for point in system.time.set)
    run = prepared_run(system, t_eval, inputs, rtol, atol, compilation, starts=starts)
    chosen = find_parameters(system, run.schedule, parameters)
    names = find_outputs(system, outputs)
    carried = Recording if method is Method.ADJOINT else Forward
    companion = carried(run, chosen, OutputFunctions.of(system, names))
    run.companion = companion
    trajectory = run.trajectory()
    array = companion.derivatives(trajectory)
    if not np.isfinite(array).all():
        place = np.argwhere(~np.isfinite(array))[0]
        pair = names[place[1]], chosen[place[2]].name
        raise NumericsError(
            f"not a number: the derivative of {pair[0]} by {pair[1]} at t = {trajectory.t[place[0]]:g}",
            names=pair,
            hint="the output has no derivative at that point, such as a root at zero",
        )
    return Sensitivities(trajectory, names, tuple(parameter.name for parameter in chosen), array)
