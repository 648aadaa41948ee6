"""Every kind of Pyomo expression gives on the tape what Pyomo itself computes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import casadi as ca
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyomo.core.base.units_container import _PyomoUnit
from pyomo.core.expr.numeric_expr import LinearExpression
from pyomo.environ import (
    ConcreteModel,
    Expr_if,
    Expression,
    ExternalFunction,
    Param,
    Var,
    acos,
    acosh,
    asin,
    asinh,
    atan,
    atanh,
    ceil,
    cos,
    cosh,
    exp,
    floor,
    log,
    log10,
    sin,
    sinh,
    sqrt,
    tan,
    tanh,
    value,
)
from pyomo.environ import units as u

from solvers.errors import UnsupportedModelError
from solvers.tape import Tape, deep_expressions


def model_with(x: float, y: float) -> ConcreteModel:
    model = ConcreteModel()
    model.x, model.y = Var(initialize=x), Var(initialize=y)
    model.p = Param(initialize=1.7, mutable=True)
    model.e = Expression(expr=model.x * model.y + 1)
    return model


def played(expression: Any, model: ConcreteModel) -> float:
    """Write an expression on a tape, play it, and evaluate it at the model's values."""
    nodes: dict[int, int] = {}

    def leaf(thing: Any) -> int:
        if id(thing) in nodes:
            return nodes[id(thing)]
        if thing is model.e:
            return tape.write(thing.expr)
        if isinstance(thing, _PyomoUnit):
            return tape.number(1.0)
        raise UnsupportedModelError(f"cannot read {thing}")

    tape = Tape(leaf)
    for component in (model.x, model.y, model.p):
        nodes[id(component)] = tape.symbol()
    node = tape.write(expression)
    symbols = ca.SX.sym("s", 3)
    pool, position = tape.play(symbols)
    return float(ca.Function("f", [symbols], [pool[int(position[node])]])([value(model.x), value(model.y), value(model.p)]))


EXPRESSIONS: dict[str, Callable[[ConcreteModel], Any]] = {
    "sum": lambda m: m.x + 2 * m.y - 3,
    "product": lambda m: m.x * m.y * m.p,
    "quotient": lambda m: m.x / (m.y + 3),
    "power": lambda m: (m.x + 3) ** m.y,
    "square": lambda m: m.x**2 + m.y**-1,
    "negation": lambda m: -(m.x + m.y),
    "absolute value": lambda m: abs(m.x - m.y),
    "exp and logs": lambda m: exp(m.x) + log(m.y) + log10(m.y),
    "root": lambda m: sqrt(m.y),
    "circular": lambda m: sin(m.x) + cos(m.x) + tan(m.x) + asin(m.x) + acos(m.x) + atan(m.x),
    "hyperbolic": lambda m: sinh(m.x) + cosh(m.x) + tanh(m.x) + asinh(m.x) + acosh(1 + m.y) + atanh(m.x),
    "rounding": lambda m: ceil(m.y) + floor(m.y),
    "named": lambda m: m.e * 2 + m.e**2,
    "params only": lambda m: exp(m.p) ** 2 / m.p - abs(-m.p),
    "units": lambda m: m.x * u.kg / u.s + m.y * u.kg / u.s,
    "branch taken": lambda m: Expr_if(IF=m.x <= m.y, THEN=m.x, ELSE=m.y),
    "branch not taken": lambda m: Expr_if(IF=m.x >= m.y, THEN=m.x, ELSE=m.y),
    "linear": lambda m: LinearExpression(constant=1, linear_coefs=[2, -3.5], linear_vars=[m.x, m.y]),
    "a number": lambda m: 3.25,
    "nothing": lambda m: LinearExpression(),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_expression_has_pyomos_value(name: str) -> None:
    model = model_with(0.3, 1.9)
    expression = EXPRESSIONS[name](model)
    assert played(expression, model) == pytest.approx(value(expression), rel=1e-14)


def test_branch_that_is_not_taken_may_be_undefined() -> None:
    model = model_with(-1.0, 2.0)
    assert played(Expr_if(IF=model.x >= 0, THEN=sqrt(model.x), ELSE=model.y), model) == 2.0


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_random_expressions_have_pyomos_value(data: st.DataObject) -> None:
    model = model_with(data.draw(st.floats(0.1, 2)), data.draw(st.floats(0.1, 2)))
    expression: Any = model.x
    for _ in range(data.draw(st.integers(1, 12))):
        other = data.draw(st.sampled_from([model.x, model.y, model.p, model.e, 0.7, 2]))
        step = data.draw(st.sampled_from(["+", "-", "*", "/", "sin", "exp-"]))
        expression = {
            "+": lambda a, b: a + b,
            "-": lambda a, b: b - a,
            "*": lambda a, b: a * b,
            "/": lambda a, b: a / (1 + b),
            "sin": lambda a, b: sin(a) + b,
            "exp-": lambda a, b: exp(-abs(a)) * b,
        }[step](expression, other)
    assert played(expression, model) == pytest.approx(value(expression), rel=1e-12, abs=1e-12)


def test_equal_expressions_are_one_node() -> None:
    model = model_with(1.0, 2.0)
    nodes: dict[int, int] = {}
    tape = Tape(lambda thing: nodes[id(thing)])
    nodes[id(model.x)], nodes[id(model.y)] = tape.symbol(), tape.symbol()
    assert tape.write(model.x * model.y + 2) == tape.write(model.x * model.y + 2)
    assert tape.write(model.x * model.y + 2) != tape.write(model.x * model.y + 3)


def test_not_a_number_does_not_equal_itself() -> None:
    tape = Tape(lambda thing: 0)
    assert tape.number(math.nan) != tape.number(math.nan)
    assert tape.number(1.5) == tape.number(1.5)


def test_deep_expression_is_written() -> None:
    model = model_with(1e-3, 2.0)
    expression: Any = model.x
    for _ in range(5000):
        expression = sin(expression)
    nodes: dict[int, int] = {}
    tape = Tape(lambda thing: nodes[id(thing)])
    nodes[id(model.x)] = tape.symbol()
    with deep_expressions():
        node = tape.write(expression)
    symbol = ca.SX.sym("s")
    pool, position = tape.play(symbol)
    expected = 1e-3
    for _ in range(5000):
        expected = math.sin(expected)
    assert float(ca.Function("f", [symbol], [pool[int(position[node])]])(1e-3)) == pytest.approx(expected, rel=1e-12)


def test_external_function_is_refused() -> None:
    model = model_with(1.0, 2.0)
    model.f = ExternalFunction(lambda a: a)
    with pytest.raises(UnsupportedModelError):
        played(model.f(model.x), model)


def test_levels_are_played_in_order_whatever_the_size() -> None:
    generator = np.random.default_rng(3)
    model = model_with(0.4, 0.9)
    terms = [model.x * float(a) + model.y ** int(b) for a, b in zip(generator.normal(size=300), generator.integers(1, 5, 300), strict=True)]
    assert played(sum(terms), model) == pytest.approx(value(sum(terms)), rel=1e-12)


def test_long_chain_costs_its_length() -> None:
    """A chain of named expressions is one operation deep at each link; nothing is copied link by link."""
    model = model_with(0.5, 0.25)
    nodes: dict[int, int] = {}
    tape = Tape(lambda thing: nodes[id(thing)])
    nodes[id(model.x)], nodes[id(model.y)] = tape.symbol(), tape.symbol()
    node = tape.write(model.x)
    second = tape.write(model.y)
    for k in range(3000):
        node = tape.apply(tape.code("mul"), tape.apply(tape.code("add"), node, second), tape.number(0.5 + k % 2))
    symbols = ca.SX.sym("s", 2)
    pool, position = tape.play(symbols)
    expected = 0.5
    for k in range(3000):
        expected = (expected + 0.25) * (0.5 + k % 2)
    assert float(ca.Function("f", [symbols], [pool[int(position[node])]])([0.5, 0.25])) == pytest.approx(expected, rel=1e-12)
