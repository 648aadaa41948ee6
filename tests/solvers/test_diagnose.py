"""What an engineer is told before a run, and when one fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import casadi as ca
import numpy as np
import pytest
from pyomo.dae import ContinuousSet, DerivativeVar
from pyomo.environ import Block, ConcreteModel, Constraint, Param, Var, log, sqrt
from pyomo.environ import units as u
from pyomo.network import Arc, Port

from solvers import SimulationError, Status, diagnose, lower, simulate
from solvers.declare import Direction, Event, VectorFunction, nominal
from solvers.errors import NumericsError, StructureError, UnsupportedModelError, UsageError


def decay(rate: Any = 1.0, start: float = 1.0) -> ConcreteModel:
    """Return y' = -rate * y with an output z = 2 y."""
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 1))
    model.y = Var(model.t, initialize=start, doc="what decays")
    model.z = Var(model.t, initialize=0.0)
    model.dy = DerivativeVar(model.y, wrt=model.t)
    model.rate = Param(initialize=rate, mutable=True)
    model.balance = Constraint(model.t, rule=lambda m, t: m.dy[t] == -m.rate * m.y[t])
    model.output = Constraint(model.t, rule=lambda m, t: m.z[t] == 2 * m.y[t])
    model.y[0].fix(start)
    return model


def with_equation(right: Any, start: float = 1.0) -> ConcreteModel:
    """Return y' = right(y)."""
    model = decay(start=start)
    model.balance.deactivate()
    model.other = Constraint(model.t, rule=lambda m, t: m.dy[t] == right(m.y[t]))
    return model


def test_well_posed_model_says_so() -> None:
    found = diagnose(decay())
    assert found.well_posed
    assert (found.equations, found.unknowns, found.states, found.freedom) == (2, 2, 1, 0)
    assert "well posed" in str(found)


def test_too_much_freedom_names_the_candidates() -> None:
    model = decay()
    model.output.deactivate()
    model.more = Constraint(model.t, rule=lambda m, t: m.z[t] * 1.0 >= 0)  # an inequality determines nothing
    model.extra = Var(model.t)
    model.link = Constraint(model.t, rule=lambda m, t: m.z[t] == m.extra[t] + 1)
    found = diagnose(model)
    assert not found.well_posed
    assert found.freedom == 1
    assert set(found.under_determined_variables) == {"z", "extra"}
    with pytest.raises(StructureError, match=r"1 degree\(s\) of freedom.*z.*extra|1 degree\(s\) of freedom.*extra.*z") as error:
        lower(model)
    assert set(error.value.names) == {"z", "extra"}


def test_too_many_equations_are_named_with_what_they_determine() -> None:
    model = decay()
    model.again = Constraint(model.t, rule=lambda m, t: m.z[t] == 3 * m.y[t])
    found = diagnose(model)
    assert found.freedom == -1
    assert set(found.over_determined_equations) == {"output[1]", "again[1]"}
    assert found.over_determined_variables == ("z",)


def test_structural_singularity_is_told_with_both_sides() -> None:
    model = decay()
    model.w = Var(model.t)
    model.v = Var(model.t)
    model.first = Constraint(model.t, rule=lambda m, t: m.z[t] + m.y[t] == 1)
    model.second = Constraint(model.t, rule=lambda m, t: m.w[t] + m.v[t] == m.y[t])
    with pytest.raises(StructureError, match="structurally singular") as error:
        lower(model)
    assert {"w", "v", "first[1]", "output[1]"} <= set(error.value.names)


def test_constraint_among_states_is_refused_as_higher_index() -> None:
    """The pendulum in Cartesian coordinates has index three; the rod's equation holds no unknown."""
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 1))
    for name, start in (("x", 1.0), ("y", 0.0), ("vx", 0.0), ("vy", 0.0)):
        model.add_component(name, Var(model.t, initialize=start))
        model.add_component(f"d{name}", DerivativeVar(model.component(name), wrt=model.t))
        model.component(name)[0].fix(start)
    model.tension = Var(model.t, initialize=0.0)
    model.a = Constraint(model.t, rule=lambda m, t: m.dx[t] == m.vx[t])
    model.b = Constraint(model.t, rule=lambda m, t: m.dy[t] == m.vy[t])
    model.c = Constraint(model.t, rule=lambda m, t: m.dvx[t] == -m.tension[t] * m.x[t])
    model.d = Constraint(model.t, rule=lambda m, t: m.dvy[t] == -m.tension[t] * m.y[t] - 9.81)
    model.rod = Constraint(model.t, rule=lambda m, t: m.x[t] ** 2 + m.y[t] ** 2 == 1)
    with pytest.raises(StructureError, match="index above one") as error:
        lower(model)
    assert "rod[1]" in error.value.names
    assert not diagnose(model).well_posed


def test_numerically_singular_algebra_is_refused_though_its_structure_is_regular() -> None:
    model = decay()
    model.v, model.w = Var(model.t, initialize=1.0), Var(model.t, initialize=1.0)
    model.first = Constraint(model.t, rule=lambda m, t: m.v[t] ** 1 + m.w[t] * m.rate == m.y[t])
    model.second = Constraint(model.t, rule=lambda m, t: m.v[t] * m.rate + m.w[t] == m.y[t])
    with pytest.raises(StructureError, match="singular at t = 0") as error:
        simulate(model, [0.0, 1.0])
    assert set(error.value.names) & {"v", "w"}
    model.rate.set_value(0.5)
    simulate(model, [0.0, 1.0])


def test_coupled_derivatives_are_solved_as_a_loop() -> None:
    """2 x' + y' = -x, x' + 2 y' = -y: a regular mass matrix."""
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 1))
    model.x, model.y = Var(model.t, initialize=1.0), Var(model.t, initialize=0.0)
    model.dx, model.dy = DerivativeVar(model.x, wrt=model.t), DerivativeVar(model.y, wrt=model.t)
    model.first = Constraint(model.t, rule=lambda m, t: 2 * m.dx[t] + m.dy[t] == -m.x[t])
    model.second = Constraint(model.t, rule=lambda m, t: m.dx[t] + 2 * m.dy[t] == -m.y[t])
    model.x[0].fix(1.0)
    model.y[0].fix(0.0)
    trajectory = simulate(model, [0.0, 1.0])
    total, difference = np.exp(-1 / 3), np.exp(-1.0)
    assert trajectory["x"][-1] == pytest.approx((total + difference) / 2, rel=1e-7)
    assert trajectory["y"][-1] == pytest.approx((total - difference) / 2, rel=1e-7)


def test_finite_escape_keeps_what_was_computed_and_marks_it() -> None:
    model = with_equation(lambda y: y**2)  # y = 1 / (1 - t)
    with pytest.raises(SimulationError) as error:
        simulate(model, np.linspace(0, 2, 21))
    assert "t = 1" in str(error.value) or "t = 0.99999" in str(error.value)
    assert "y" in error.value.names
    partial = error.value.trajectory
    assert partial is not None
    assert partial.status is Status.INCOMPLETE
    assert partial.t[-1] <= 1.0 + 1e-9
    np.testing.assert_allclose(partial["y"][:9], 1 / (1 - partial.t[:9]), rtol=1e-5)
    assert partial["y"][-1] > 1e3  # the last good point shows the escape


def test_not_a_number_is_told_with_variable_and_time() -> None:
    model = with_equation(lambda y: -1 - 1e-3 * sqrt(y))  # y reaches zero at t = 1; beyond it the root is not a number
    with pytest.raises(SimulationError, match=r"y") as error:
        simulate(model, [0.0, 2.0])
    assert error.value.trajectory is not None
    assert error.value.trajectory.status is Status.INCOMPLETE


def test_slope_that_is_not_finite_at_the_start_is_told() -> None:
    model = with_equation(lambda y: log(y - 1))
    with pytest.raises(NumericsError, match="not finite"):
        simulate(model, [0.0, 1.0])


def test_algebra_without_a_solution_is_told_by_equation() -> None:
    model = decay()
    model.v = Var(model.t, initialize=1.0)
    model.square = Constraint(model.t, rule=lambda m, t: m.v[t] ** 2 + 1 + m.y[t] == 0)
    with pytest.raises((NumericsError, StructureError)) as error:
        simulate(model, [0.0, 1.0])
    assert "square[1]" in str(error.value) or "v" in error.value.names


def test_events_that_call_each_other_are_stopped() -> None:
    model = decay()
    model.s = Var(model.t, initialize=1.0)
    model.s.fix()
    model.up = Event(guard=lambda m, t: -m.s[t], direction=Direction.RISING, transition=lambda m, t: [(m.s[t], 1.0)])
    model.down = Event(guard=lambda m, t: m.s[t], direction=Direction.RISING, transition=lambda m, t: [(m.s[t], -1.0)])
    with pytest.raises(SimulationError, match=r"call each other|again and again"):
        simulate(model, [0.0, 1.0])


def test_transition_to_something_that_is_not_finite_is_told() -> None:
    model = decay()
    model.bad = Event(at=(0.5,), transition=lambda m, t: [(m.y[t], log(m.y[t] - 10))])
    with pytest.raises(SimulationError, match=r"bad.*not finite") as error:
        simulate(model, np.linspace(0, 1, 11))
    assert error.value.trajectory is not None
    assert error.value.trajectory.t[-1] == pytest.approx(0.5)  # the last good point, before the transition


def test_condition_that_changes_within_a_segment_is_refused() -> None:
    model = decay()
    model.bad = Event(guard=lambda m, t: m.y[t] - 0.5, when=lambda m, t: m.z[t] - 1)
    with pytest.raises(UnsupportedModelError, match=r"when.*bad"):
        lower(model)


def test_transition_of_a_computed_variable_is_refused() -> None:
    model = decay()
    model.bad = Event(at=(0.5,), transition=lambda m, t: [(m.z[t], 1.0)])
    with pytest.raises(UnsupportedModelError, match=r"bad.*z"):
        lower(model)


@pytest.mark.parametrize(
    ("times", "tolerances"),
    [
        ([], {}),
        ([0.0, 0.0], {}),
        ([1.0, 0.5], {}),
        ([-1.0, 1.0], {}),
        ([0.0, np.nan], {}),
        ([0.0, 1.0], {"rtol": 0.0}),
        ([0.0, 1.0], {"rtol": 1e-20}),
        ([0.0, 1.0], {"rtol": -1.0}),
        ([0.0, 1.0], {"rtol": np.nan}),
        ([0.0, 1.0], {"atol": 0.0}),
        ([0.0, 1.0], {"atol": np.inf}),
    ],
)
def test_times_and_tolerances_that_cannot_be_served_are_refused(times: list[float], tolerances: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        simulate(decay(), times, **tolerances)


def test_bounds_and_scales_are_remarked_on() -> None:
    model = decay(start=1e9)
    model.z.setub(1.0)
    found = diagnose(model)
    assert any("nominal" in remark for remark in found.remarks)
    nominal(model.y, 1e9)
    assert not any("nominal value" in remark for remark in diagnose(model).remarks)


def test_blocks_over_time_are_read() -> None:
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 1))
    model.y = Var(model.t, initialize=1.0)
    model.dy = DerivativeVar(model.y, wrt=model.t)

    def state_block(block: Any, t: Any) -> None:
        block.flow = Var(initialize=1.0)
        block.law = Constraint(expr=block.flow == 2 * block.model().y[t])

    model.state = Block(model.t, rule=state_block)
    model.balance = Constraint(model.t, rule=lambda m, t: m.dy[t] == -m.state[t].flow)
    model.y[0].fix(1.0)
    assert simulate(model, [0.0, 1.0])["y"][-1] == pytest.approx(np.exp(-2.0), rel=1e-7)


def test_second_derivative_is_refused_with_a_way_out() -> None:
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 1))
    model.x = Var(model.t, initialize=1.0)
    model.ddx = DerivativeVar(model.x, wrt=(model.t, model.t))
    model.law = Constraint(model.t, rule=lambda m, t: m.ddx[t] == -m.x[t])
    with pytest.raises(UnsupportedModelError, match="higher derivative"):
        lower(model)


def test_two_continuous_sets_are_refused_and_none_too() -> None:
    model = decay()
    model.space = ContinuousSet(bounds=(0, 1))
    model.c = Var(model.t, model.space, initialize=0.0)
    model.dc = DerivativeVar(model.c, wrt=model.space)
    with pytest.raises(UnsupportedModelError, match="space"):
        lower(model)
    empty = ConcreteModel()
    with pytest.raises(UnsupportedModelError, match="no continuous time"):
        lower(empty)


def test_values_are_read_by_name_and_by_reference_with_units() -> None:
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 10))
    model.m = Var(model.t, ["a", "b"], initialize=1.0, units=u.kg, doc="hold-up")
    model.dm = DerivativeVar(model.m, wrt=model.t, units=u.kg / u.s)
    model.law = Constraint(model.t, ["a", "b"], rule=lambda m, t, c: m.dm[t, c] == -m.m[t, c] * 0.1 / u.s)
    model.m[0, :].fix(2.0)
    trajectory = simulate(model, [0.0, 5.0])
    np.testing.assert_array_equal(trajectory["m[a]"], trajectory[model.m[:, "a"]])
    assert trajectory.unit("m[a]") == "kg"
    assert trajectory.unit("dm[b]") == "kg/s"
    assert trajectory.doc("m[a]") == "hold-up"
    with pytest.raises(UsageError, match=r"did you mean m\[a\]|m\[b\]"):
        trajectory["m[A]"]
    with pytest.raises(UsageError, match="slice over time only"):
        trajectory[model.m]


# -- whole flowsheets --------------------------------------------------------------------------------------------------


def two_tanks(pipes: int = 1, fed: bool = True) -> ConcreteModel:
    """Return two tanks with ports, joined by so many arcs, the upper one fed or not."""
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 10))

    def tank(block: Any) -> None:
        block.level = Var(model.t, initialize=1.0, bounds=(0, 5))
        block.inflow, block.outflow = Var(model.t, initialize=0.5), Var(model.t, initialize=0.5)
        block.rate = DerivativeVar(block.level, wrt=model.t)
        block.balance = Constraint(model.t, rule=lambda b, t: b.rate[t] == b.inflow[t] - b.outflow[t])
        block.law = Constraint(model.t, rule=lambda b, t: b.outflow[t] ** 2 == 0.2 * b.level[t])
        block.inlet = Port(initialize={"flow": block.inflow})
        block.outlet = Port(initialize={"flow": block.outflow})
        block.level[0].fix(1.0)

    model.upper, model.lower = Block(rule=tank), Block(rule=tank)
    if fed:
        model.upper.inflow.fix(0.5)
    for number in range(pipes):
        setattr(model, f"pipe{number}", Arc(source=model.upper.outlet, destination=model.lower.inlet))
    return model


def test_connected_flowsheet_is_well_posed_and_has_nothing_to_do() -> None:
    found = diagnose(two_tanks())
    assert found.well_posed
    assert found.steps == found.units == found.candidates == ()
    assert {loop for (loop,) in found.loops} == {"upper.outflow", "lower.outflow"}


def test_unconnected_inlet_is_told_by_unit_with_what_to_fix() -> None:
    found = diagnose(two_tanks(pipes=0))
    (fault,) = found.units
    assert fault.name == "unit lower"
    assert "lower.inflow" in fault.variables
    assert found.candidates[0] == "lower.inflow"
    assert "fix(lower.inflow)" in found.steps[0]
    assert max(map(len, str(found).splitlines())) <= 100


def test_feed_that_is_not_given_is_told() -> None:
    found = diagnose(two_tanks(fed=False))
    assert found.freedom == 1
    assert "fix(upper.inflow)" in found.steps[0]


def test_inlet_that_is_connected_twice_is_told_by_stream() -> None:
    found = diagnose(two_tanks(pipes=2))
    assert {fault.name for fault in found.units} >= {"stream pipe0", "stream pipe1"}
    assert found.candidates[:2] == ("deactivate(pipe0)", "deactivate(pipe1)")
    assert "take away 1" in found.steps[0]


def test_double_specification_offers_to_free_what_is_fixed() -> None:
    model = two_tanks()
    model.also = Constraint(model.t, rule=lambda m, t: m.upper.outflow[t] == 2 * m.upper.inflow[t])
    found = diagnose(model)
    assert found.freedom == -1
    assert found.candidates[0] == "unfix(upper.inflow)"


def nearly_the_same(apart: float) -> ConcreteModel:
    """Return two equations for a and b that differ by so little."""
    model = decay()
    model.a, model.b = Var(model.t, initialize=1.0), Var(model.t, initialize=1.0)
    model.first = Constraint(model.t, rule=lambda m, t: m.a[t] + m.b[t] + m.a[t] ** 2 == m.y[t])
    model.second = Constraint(model.t, rule=lambda m, t: m.a[t] + (1 + apart) * m.b[t] + m.a[t] ** 2 == m.y[t] + apart)
    return model


def test_nearly_singular_block_is_told_with_its_variables() -> None:
    found = diagnose(nearly_the_same(1e-11))
    assert found.well_posed
    (block,) = found.near_singular
    assert set(block.variables) == {"a", "b"}
    assert block.condition > 1e10
    assert "first[1]" in found.steps[0]
    assert diagnose(nearly_the_same(0.5)).near_singular == ()


def test_singular_block_is_no_well_posed_model() -> None:
    found = diagnose(nearly_the_same(0.0))
    assert not found.well_posed
    assert "singular" in str(found)


def test_variables_at_and_outside_bounds_and_far_from_their_size_are_told() -> None:
    model = decay(start=5e7)
    model.y.setub(1e6)
    found = diagnose(model)
    assert found.at_bounds == ("y",)
    assert "outside its bounds" in str(found)
    model = decay(start=5e7)
    found = diagnose(model)
    assert found.badly_scaled == ("y",)
    assert any("nominal(y, 5e+07)" in step for step in found.steps)
    nominal(model.y, 1e7)
    assert diagnose(model).badly_scaled == ()


def test_coefficients_that_lie_too_far_apart_are_told() -> None:
    model = decay()
    model.far = Var(model.t, initialize=1.0)
    model.tiny = Constraint(model.t, rule=lambda m, t: 1e-12 * m.far[t] + 1e-13 * m.far[t] ** 3 == 1e-12 * m.y[t])
    assert "tiny[1]" in diagnose(model).badly_scaled


def test_implicit_model_is_well_posed_and_higher_index_is_told_with_its_number() -> None:
    model = decay()
    model.w = Var(model.t, initialize=2.0)
    model.dw = DerivativeVar(model.w, wrt=model.t)
    model.balance.deactivate()
    model.both = Constraint(model.t, rule=lambda m, t: m.dy[t] + m.dw[t] == -m.y[t])
    model.partition = Constraint(model.t, rule=lambda m, t: m.w[t] == 2 * m.y[t])
    found = diagnose(model)
    assert found.well_posed, found
    assert found.structural_rank < found.equations
    model.both.deactivate()
    model.force = Var(model.t, initialize=0.0)
    model.pull = Constraint(model.t, rule=lambda m, t: m.dy[t] == m.force[t])
    model.follow = Constraint(model.t, rule=lambda m, t: m.dw[t] == -m.force[t])
    found = diagnose(model)
    assert not found.well_posed
    assert "index 2" in str(found)


def test_model_with_a_vector_function_is_examined_too() -> None:
    model = decay()
    square = ca.SX.sym("square")
    model.area = Var(model.t, initialize=1.0)
    model.kernel = VectorFunction(ca.Function("f", [square], [square**2]), [model.y], [model.area])
    found = diagnose(model)
    assert found.well_posed
    assert found.system is not None
    assert found.system.joined is not None


def test_page_of_the_docs_is_what_is_printed() -> None:
    page = (Path(__file__).parents[2] / "docs" / "diagnosis.md").read_text(encoding="utf-8")
    printed = page.split("```text\n")[1].split("```")[0]
    assert printed == f"{diagnose(two_tanks(pipes=0))}\n"
