"""Vector functions: a small population balance inside a model, against closed forms, in loops, compiled, and what is refused."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import casadi as ca
import numpy as np
import pytest
from pyomo.dae import ContinuousSet, DerivativeVar
from pyomo.environ import ConcreteModel, Constraint, Expression, Param, RangeSet, Var

from solvers import lower, simulate
from solvers.declare import VectorFunction
from solvers.errors import UnsupportedModelError, UsageError

CELLS = 30


def aggregation(cells: int) -> ca.Function:
    """Return the rates of Smoluchowski's equations for a constant kernel of one, particles of 1 to ``cells`` units."""
    number = ca.SX.sym("number", cells)
    rates = []
    for size in range(cells):
        births = sum((number[part] * number[size - 1 - part] for part in range(size)), start=ca.SX(0))
        rates.append(births / 2 - number[size] * ca.sum1(number))
    return ca.Function("aggregation", [number], [ca.vertcat(*rates)])


def smoluchowski(function: ca.Function, cells: int = CELLS) -> ConcreteModel:
    """Return coagulation of monomers (Smoluchowski 1917): n_k = tau^(k-1) / (1 + tau)^(k+1) at tau = rate t / 2.

    Sizes beyond the last cell are lost to the balance but collide on; so the closed form needs the moments of all sizes. Here
    the total in the rates is that of the cells, which for tau <= 0.5 misses less than 1e-13 of the particles.
    """
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 1))
    model.size = RangeSet(cells)
    model.number = Var(model.t, model.size, initialize=0.0)
    model.rate = DerivativeVar(model.number, wrt=model.t)
    model.collisions = Var(model.t, model.size, initialize=0.0)
    model.beta = Param(initialize=1.0, mutable=True)
    model.kernel = VectorFunction(function, inputs=[model.number], outputs=[model.collisions])
    model.balance = Constraint(model.t, model.size, rule=lambda m, t, k: m.rate[t, k] == m.beta * m.collisions[t, k])
    model.total = Expression(model.t, rule=lambda m, t: sum(m.number[t, k] for k in m.size))
    for size in model.size:
        model.number[0, size].fix(1.0 if size == 1 else 0.0)
    return model


def closed_form(t: np.ndarray, size: int) -> np.ndarray:
    tau = t / 2
    found: np.ndarray = tau ** (size - 1) / (1 + tau) ** (size + 1)
    return found


def test_coagulation_follows_its_closed_form() -> None:
    trajectory = simulate(smoluchowski(aggregation(CELLS)), np.linspace(0, 1, 6), rtol=1e-9, atol=1e-12)
    for size in (1, 2, 5, 12):
        np.testing.assert_allclose(trajectory[f"number[{size}]"], closed_form(trajectory.t, size), rtol=1e-6, atol=1e-10)
    np.testing.assert_allclose(trajectory["total"], 1 / (1 + trajectory.t / 2), rtol=1e-8)
    np.testing.assert_allclose(trajectory["collisions[1]"], trajectory["rate[1]"], rtol=1e-12)


def test_kernel_and_scalar_equations_give_the_same() -> None:
    """The same equations written out as constraints."""
    cells = 8
    with_kernel = smoluchowski(aggregation(cells), cells)
    scalar = smoluchowski(aggregation(cells), cells)
    scalar.kernel.deactivate()
    scalar.collide = Constraint(
        scalar.t,
        scalar.size,
        rule=lambda m, t, k: (
            m.collisions[t, k] == sum(m.number[t, j] * m.number[t, k - j] for j in range(1, k)) / 2 - m.number[t, k] * m.total[t]
        ),
    )
    one, other = (simulate(model, [0.0, 0.5, 1.0], rtol=1e-10, atol=1e-13) for model in (with_kernel, scalar))
    for size in range(1, cells + 1):
        np.testing.assert_allclose(one[f"number[{size}]"], other[f"number[{size}]"], rtol=1e-8, atol=1e-12)


def test_jacobian_through_a_kernel_is_exact() -> None:
    system = lower(smoluchowski(aggregation(6), 6))
    by_blocks = ca.Function("a", list(system.arguments), [ca.densify(system.slopes_by(1, 2))])
    by_graph = ca.Function("b", list(system.arguments), [ca.densify(ca.jacobian(system.ode, system.x))])
    point = (0.0, np.linspace(0.1, 0.6, 6), np.zeros(0), np.zeros(0), 1.3)
    np.testing.assert_allclose(np.asarray(by_blocks(*point)), np.asarray(by_graph(*point)), rtol=1e-13)


def test_changed_parameter_needs_no_new_lowering() -> None:
    model = smoluchowski(aggregation(CELLS))
    system = lower(model)
    model.beta = 0.5
    trajectory = simulate(system, [0.0, 1.0], rtol=1e-9, atol=1e-12)
    assert trajectory.system is system
    assert trajectory["number[1]"][-1] == pytest.approx(1 / 1.25**2, rel=1e-7)


def two_phases(kernel: ca.Function) -> ConcreteModel:
    """Return a vessel whose fast species follow from an equilibrium that a vector function gives: an algebraic loop through it.

    total = free + bound, bound = free^2 (elementwise), total' = -free.
    """
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 1))
    model.i = RangeSet(3)
    model.total = Var(model.t, model.i, initialize=2.0)
    model.free, model.bound = Var(model.t, model.i, initialize=1.0), Var(model.t, model.i, initialize=1.0)
    model.rate = DerivativeVar(model.total, wrt=model.t)
    model.law = VectorFunction(kernel, inputs=[model.free], outputs=[model.bound])
    model.sum = Constraint(model.t, model.i, rule=lambda m, t, i: m.total[t, i] == m.free[t, i] + m.bound[t, i])
    model.decay = Constraint(model.t, model.i, rule=lambda m, t, i: m.rate[t, i] == -m.free[t, i])
    for i in model.i:
        model.total[0, i].fix(2.0 * i)
    return model


def test_algebraic_loop_through_a_kernel() -> None:
    """With c free, (1 + 2 c) c' = -c: ln c + 2 c = ln c0 + 2 c0 - t."""
    free = ca.SX.sym("free", 3)
    system = lower(two_phases(ca.Function("square", [free], [free**2])))
    assert len(system.algebraics) > 0
    trajectory = simulate(system, np.linspace(0, 1, 5), rtol=1e-10, atol=1e-12)
    for i in (1, 2, 3):
        c = trajectory[f"free[{i}]"]
        assert c[0] + c[0] ** 2 == pytest.approx(2.0 * i, rel=1e-9)
        np.testing.assert_allclose(np.log(c) + 2 * c, np.log(c[0]) + 2 * c[0] - trajectory.t, atol=1e-8)
        np.testing.assert_allclose(trajectory[f"bound[{i}]"], c**2, rtol=1e-9)


C_SOURCE = """
#include <math.h>
#ifndef casadi_int
#define casadi_int long long int
#endif
/* y_i = k x_i^2 : k, k_n_in, ... as casadi.external asks for */
static const casadi_int column[] = {3, 1, 0, 3, 0, 1, 2};
static const casadi_int diagonal[] = {3, 3, 0, 1, 2, 3, 0, 1, 2};
casadi_int square_n_in(void) { return 1; }
casadi_int square_n_out(void) { return 1; }
const casadi_int *square_sparsity_in(casadi_int i) { (void)i; return column; }
const casadi_int *square_sparsity_out(casadi_int i) { (void)i; return column; }
int square(const double **arg, double **res, casadi_int *iw, double *w, int mem)
{
    (void)iw; (void)w; (void)mem;
    if (res[0]) for (int i = 0; i < 3; i++) res[0][i] = arg[0][i] * arg[0][i];
    return 0;
}
casadi_int jac_square_n_in(void) { return 2; }
casadi_int jac_square_n_out(void) { return 1; }
const casadi_int *jac_square_sparsity_in(casadi_int i) { (void)i; return column; }
const casadi_int *jac_square_sparsity_out(casadi_int i) { (void)i; return diagonal; }
int jac_square(const double **arg, double **res, casadi_int *iw, double *w, int mem)
{
    (void)iw; (void)w; (void)mem;
    if (res[0]) for (int i = 0; i < 3; i++) res[0][i] = 2 * arg[0][i];
    return 0;
}
"""


def test_compiled_kernel_through_the_external_interface(tmp_path: Path) -> None:
    source, library = tmp_path / "square.c", tmp_path / "square.so"
    source.write_text(C_SOURCE)
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    compiled = simulate(two_phases(ca.external("square", str(library))), [0.0, 1.0], rtol=1e-10, atol=1e-12)
    free = ca.SX.sym("free", 3)
    scalar = simulate(two_phases(ca.Function("square", [free], [free**2])), [0.0, 1.0], rtol=1e-10, atol=1e-12)
    for i in (1, 2, 3):
        assert compiled[f"total[{i}]"][-1] == pytest.approx(scalar[f"total[{i}]"][-1], rel=1e-9)


def test_pyomo_refuses_a_model_with_a_kernel(tmp_path: Path) -> None:
    from pyomo.environ import Objective, TransformationFactory

    model = smoluchowski(aggregation(3), 3)
    TransformationFactory("dae.collocation").apply_to(model, nfe=2, ncp=2)
    model.goal = Objective(expr=model.number[1, 1])
    with pytest.raises(ValueError, match="VectorFunction"):
        model.write(str(tmp_path / "model.nl"))


def test_check_of_units_passes_over_a_kernel() -> None:
    from pyomo.util.check_units import assert_units_consistent

    assert_units_consistent(smoluchowski(aggregation(3), 3))


def test_clone_keeps_the_kernel() -> None:
    copy = smoluchowski(aggregation(CELLS)).clone()
    assert copy.kernel.inputs[0] is copy.number
    assert simulate(copy, [0.0, 1.0])["number[1]"][-1] == pytest.approx(1 / 1.5**2, rel=1e-6)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda m: VectorFunction(aggregation(2), [m.number], [m.collisions]), "3 members at a time, the function wants 2"),
        (lambda m: VectorFunction(aggregation(3), [m.number[0, 1]], [m.collisions]), "no whole component"),
        (lambda m: VectorFunction(aggregation(3), [m.number], [m.total]), "members at a time"),
    ],
)
def test_misfits_are_refused_by_name(make: Any, text: str) -> None:
    model = smoluchowski(aggregation(3), 3)
    model.del_component("kernel")
    model.kernel = make(model)
    with pytest.raises(UnsupportedModelError, match=text):
        lower(model)


def test_wrong_arguments_are_refused_when_declared() -> None:
    model = smoluchowski(aggregation(3), 3)
    with pytest.raises(UsageError, match="takes 1 columns"):
        VectorFunction(aggregation(3), [model.number, model.number], [model.collisions])
    with pytest.raises(UsageError, match=r"casadi\.Function"):
        VectorFunction(lambda x: x, [model.number], [model.collisions])  # type: ignore[arg-type]
    matrix = ca.SX.sym("m", 2, 2)
    with pytest.raises(UsageError, match="no column"):
        VectorFunction(ca.Function("f", [matrix], [matrix]), [model.number], [model.collisions])
