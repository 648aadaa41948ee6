"""C source of scalar functions in which what repeats is written once: a loop over the places where it occurs.

The virtual machine executes the operations of a CasADi function one after the other; a column of 200 cells has 200 times the same
ones. Here the operations are cut into *cones*: an operation that is used once, or only inside one cone, belongs to the cone of its
user; what is used by several, or is a result, is the tip of a cone and has its place in memory. Cones with the same operations on
the same kinds of operands are one *pattern*. A pattern that occurs often becomes one C function, called with a table of the places
of its operands, entries of a sparse Jacobian cell by cell like everything else; the others become straight code. Cones of one level need
nothing of each other, so that order does not matter.

Every operation has the operands that it has in the virtual machine, and so the results are the same bytes.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import casadi as ca

FEWEST_IN_LOOP = 4
"""A pattern that occurs less often, on average of the levels at which it does, is written out:"""
MOST_WRITTEN_OUT = 100
"""unless it occurs as often as this."""
LARGEST_CONE = 60
"""Operations in one cone. Long sums come in pieces of that size, which repeat as well."""
LONGEST_FUNCTION = 2000
"""Operations of straight code in one C function: compilers want far longer for much longer ones."""

_LIBM = "exp log sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh erf log1p expm1"
_UNARY = {
    ca.OP_ASSIGN: "({0})",
    ca.OP_LIFT: "({0})",
    ca.OP_NEG: "(-{0})",
    ca.OP_SQ: "({0} * {0})",
    ca.OP_TWICE: "(2.0 * {0})",
    ca.OP_INV: "(1.0 / {0})",
    ca.OP_NOT: "(!{0})",
    ca.OP_SIGN: "({0} < 0 ? -1 : {0} > 0 ? 1 : {0})",
    ca.OP_FLOOR: "floor({0})",
    ca.OP_CEIL: "ceil({0})",
    ca.OP_FABS: "fabs({0})",
    ca.OP_SQRT: "sqrt({0})",
    **{getattr(ca, f"OP_{name.upper()}"): f"{name}({{0}})" for name in _LIBM.split()},
}
_BINARY = {
    ca.OP_ADD: "({0} + {1})",
    ca.OP_SUB: "({0} - {1})",
    ca.OP_MUL: "({0} * {1})",
    ca.OP_DIV: "({0} / {1})",
    ca.OP_POW: "pow({0}, {1})",
    ca.OP_CONSTPOW: "pow({0}, {1})",
    ca.OP_LT: "({0} < {1})",
    ca.OP_LE: "({0} <= {1})",
    ca.OP_EQ: "({0} == {1})",
    ca.OP_NE: "({0} != {1})",
    ca.OP_AND: "({0} && {1})",
    ca.OP_OR: "({0} || {1})",
    ca.OP_IF_ELSE_ZERO: "({0} ? {1} : 0)",
    ca.OP_FMOD: "fmod({0}, {1})",
    ca.OP_COPYSIGN: "copysign({0}, {1})",
    ca.OP_ATAN2: "atan2({0}, {1})",
    ca.OP_HYPOT: "hypot({0}, {1})",
    ca.OP_REMAINDER: "remainder({0}, {1})",
}


def _choice(name: str) -> str:
    """Fmin or fmax, choosing between 0 and -0 as the virtual machine does.

    There the C++ compiler was free to exchange the arguments; which way it went is seen from what comes out.
    """
    x, y = ca.SX.sym("x"), ca.SX.sym("y")
    interpreted = float(ca.Function(name, [x, y], [getattr(ca, name)(x, y)])(0.0, -0.0))
    # glibc gives the second argument
    return f"{name}({{1}}, {{0}})" if math.copysign(1.0, interpreted) > 0 else f"{name}({{0}}, {{1}})"


_OPERATIONS = {**_UNARY, **_BINARY, ca.OP_FMIN: _choice("fmin"), ca.OP_FMAX: _choice("fmax")}
_SIGNATURE = "(const double **x, double **r, double *restrict w, int first, int last)"
_LEAVES = (ca.OP_INPUT, ca.OP_CONST)


@dataclass(frozen=True)
class Rolled:
    """C source of some functions, with the interface of CasADi's external functions."""

    source: str
    statements: int
    """Operations in the source; the compiler's time grows with them."""
    operations: int
    """Operations that one evaluation of all functions executes."""


def roll(functions: Sequence[ca.Function]) -> Rolled:
    """Return C source of scalar (SX) functions whose names differ.

    Raises
    ------
    NotImplementedError : a function has an operation that is not known here.

    Examples
    --------
    Ten squares are one pattern of one operation:

    >>> x = ca.SX.sym("x", 10)
    >>> rolled = roll([ca.Function("squares", [x], [x**2])])
    >>> rolled.statements, rolled.operations
    (1, 10)
    """
    writers = [_Writer(function, place) for place, function in enumerate(functions)]
    source = "\n".join(["#include <math.h>", "typedef long long int integer;", *(line for writer in writers for line in writer.lines())])
    return Rolled(source + "\n", sum(writer.statements for writer in writers), sum(writer.operations for writer in writers))


@dataclass
class _Graph:
    """Operations of a function in an order in which they can be executed; equal ones are one."""

    operation: list[int] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    """First operand; of an input the argument."""
    right: list[int] = field(default_factory=list)
    """Second operand, or the first again; of an input its place among the argument's non-zeros."""
    constant: dict[int, float] = field(default_factory=dict)
    results: list[tuple[int, int, int]] = field(default_factory=list)
    """Result, place among its non-zeros, node."""


def _read(function: ca.Function) -> _Graph:
    graph = _Graph()
    known: dict[tuple[int, int | str, int], int] = {}
    at = [0] * function.sz_w()
    for k in range(function.n_instructions()):
        operation, operands, targets = function.instruction_id(k), function.instruction_input(k), function.instruction_output(k)
        if operation == ca.OP_OUTPUT:
            graph.results.append((targets[0], targets[1], at[operands[0]]))
            continue
        key: tuple[int, int | str, int]
        value = 0.0
        if operation == ca.OP_CONST:
            value = function.instruction_constant(k)
            key = (operation, value.hex(), 0)
        elif operation == ca.OP_INPUT:
            key = (operation, operands[0], operands[1])
        elif operation in _UNARY:
            key = (operation, at[operands[0]], at[operands[0]])
        elif operation in _OPERATIONS:
            key = (operation, at[operands[0]], at[operands[1]])
        else:
            raise NotImplementedError(f"operation {operation} of CasADi")
        node = known.get(key)
        if node is None:
            node = known[key] = len(graph.operation)
            graph.operation.append(operation)
            if operation == ca.OP_CONST:
                graph.constant[node] = value
            graph.left.append(node if isinstance(key[1], str) else key[1])
            graph.right.append(key[2])
        at[targets[0]] = node
    return graph


def _cones(graph: _Graph) -> tuple[list[int], list[int]]:
    """Return the tips of cones in order, and the tip of the cone that each node belongs to."""
    none, several = -1, -2
    operation, left, right = graph.operation, graph.left, graph.right
    owner = [none] * len(operation)
    for _, _, node in graph.results:
        owner[node] = several
    size: dict[int, int] = {}
    tips = []
    for node in range(len(operation) - 1, -1, -1):
        if operation[node] in _LEAVES or owner[node] == none:
            continue
        tip = owner[node]
        if tip == several:
            tip = owner[node] = node
            size[tip] = 1
            tips.append(tip)
        for operand in (left[node], right[node]):
            if operation[operand] in _LEAVES or owner[operand] == tip:
                continue
            if owner[operand] == none and size[tip] < LARGEST_CONE:
                owner[operand] = tip
                size[tip] += 1
            else:
                owner[operand] = several
    tips.reverse()
    return tips, owner


@dataclass
class _Pattern:
    """Operations ``(operation, left, right)``: operands count operations before, or are operand ~k of the pattern."""

    operations: tuple[tuple[int, int, int], ...]
    kinds: tuple[str, ...]
    """C name of the array that each operand lies in, ``#`` for a constant; the first is where the result goes."""
    places: list[tuple[float, ...]] = field(default_factory=list)
    """Of each occurrence the places in those arrays, or the constants themselves."""
    levels: list[int] = field(default_factory=list)

    @cached_property
    def is_loop(self) -> bool:
        count = len(self.places)
        return count >= min(FEWEST_IN_LOOP * len(set(self.levels)), MOST_WRITTEN_OUT)


@dataclass(frozen=True)
class _Call:
    level: int
    name: str
    first: int = 0
    last: int = 0
    """Range of occurrences; empty for straight code."""


def _in_order(calls: list[_Call]) -> list[_Call]:
    """Return calls level by level; a loop that is called for several levels in turn, as in a recursion, is called once."""
    ordered: list[_Call] = []
    for call in sorted(calls, key=lambda call: call.level):
        before = ordered[-1] if ordered else None
        if before is not None and call.last and before.name == call.name and before.last == call.first:
            ordered[-1] = replace(before, last=call.last)
        else:
            ordered.append(call)
    return ordered


class _Writer:
    """Writes one function."""

    def __init__(self, function: ca.Function, place: int) -> None:
        self._function = function
        self._prefix = f"f{place}_"
        self._graph = _read(function)
        tips, self._owner = _cones(self._graph)
        self._memory: dict[int, tuple[str, int]] = {}
        self._extra: list[tuple[str, int, int]] = []
        """Results that are no tips, or have been written elsewhere: array, place, node."""
        for result, number, node in self._graph.results:
            if self._graph.operation[node] in _LEAVES or node in self._memory:
                self._extra.append((f"r{result}", number, node))
            else:
                self._memory[node] = (f"r{result}", number)
        self._own_memory = 0
        for tip in tips:
            if tip not in self._memory:
                self._memory[tip] = ("w", self._own_memory)
                self._own_memory += 1
        self._patterns = self._sorted_into_patterns(tips)
        loops = [pattern for pattern in self._patterns if pattern.is_loop]
        straight = [pattern for pattern in self._patterns if not pattern.is_loop]
        self.statements = sum(len(p.operations) for p in loops) + sum(len(p.operations) * len(p.places) for p in straight)
        self.operations = sum(len(p.operations) * len(p.places) for p in self._patterns)

    def _sorted_into_patterns(self, tips: list[int]) -> list[_Pattern]:
        patterns: dict[tuple[object, ...], _Pattern] = {}
        level: dict[int, int] = {}
        for tip in tips:
            operations, operands = self._walk(tip)
            kinds, places, depth = [], [], 0
            for node in (tip, *operands):
                kind, place = self._location(node)
                kinds.append(kind)
                places.append(place)
                if node != tip:
                    depth = max(depth, level.get(node, -1) + 1)
            level[tip] = depth
            key = (operations, *kinds)
            pattern = patterns.get(key)
            if pattern is None:
                pattern = patterns[key] = _Pattern(operations, tuple(kinds))
            pattern.places.append(tuple(places))
            pattern.levels.append(depth)
        return list(patterns.values())

    def _walk(self, tip: int) -> tuple[tuple[tuple[int, int, int], ...], list[int]]:
        """Return the operations of a cone, operands first and left before right, and its operands from outside."""
        graph, owner = self._graph, self._owner
        number: dict[int, int] = {}
        operations: list[tuple[int, int, int]] = []
        operands: list[int] = []
        waiting = [tip]
        while waiting:
            node = waiting[-1]
            if node in number:
                waiting.pop()
                continue
            if node != tip and (graph.operation[node] in _LEAVES or owner[node] != tip):
                number[node] = ~len(operands)
                operands.append(node)
                waiting.pop()
                continue
            left, right = graph.left[node], graph.right[node]
            if left not in number:
                waiting.append(left)
            elif right not in number:
                waiting.append(right)
            else:
                number[node] = len(operations)
                operations.append((graph.operation[node], number[left], number[right]))
                waiting.pop()
        return tuple(operations), operands

    def _location(self, node: int) -> tuple[str, float]:
        operation = self._graph.operation[node]
        if operation == ca.OP_CONST:
            return "#", self._graph.constant[node]
        if operation == ca.OP_INPUT:
            return f"x{self._graph.left[node]}", self._graph.right[node]
        return self._memory[node]

    # -- C ----------------------------------------------------------------------------------------------------------------------

    def lines(self) -> Iterator[str]:
        """The function and what CasADi asks about it."""
        loops = [pattern for pattern in self._patterns if pattern.is_loop]
        calls: list[_Call] = []
        for number, pattern in enumerate(loops):
            yield from self._loop(f"{self._prefix}p{number}", pattern, calls)
        yield from self._straight_code(calls)
        yield from self._extra_results(calls)
        yield from self._whole(_in_order(calls))
        yield from self._interface()

    def _arrays(self, used: set[str]) -> Iterator[str]:
        """Pointers to the arrays, as locals that the compiler may believe to be apart."""
        for i in range(self._function.n_in()):
            if f"x{i}" in used:
                yield f"  const double *restrict x{i} = x[{i}];"
        for i in range(self._function.n_out()):
            if f"r{i}" in used:
                yield f"  double *restrict r{i} = r[{i}];"

    def _statements(self, pattern: _Pattern, operand: Sequence[str], indent: str) -> Iterator[str]:
        def text(reference: int) -> str:
            return f"a{reference}" if reference >= 0 else operand[1 + ~reference]

        last = len(pattern.operations) - 1
        for k, (operation, left, right) in enumerate(pattern.operations):
            value = _OPERATIONS[operation].format(text(left), text(right))
            yield f"{indent}{operand[0] if k == last else f'const double a{k}'} = {value};"

    def _loop(self, name: str, pattern: _Pattern, calls: list[_Call]) -> Iterator[str]:
        """A pattern as a C function that is called once for each level at which it occurs."""
        columns = list(zip(*pattern.places, strict=True))
        same = [len({_bits(value) for value in column}) == 1 for column in columns]
        tables = {True: [k for k, kind in enumerate(pattern.kinds) if kind == "#" and not same[k]]}
        tables[False] = [k for k, kind in enumerate(pattern.kinds) if kind != "#" and not same[k]]
        operand = []
        for k, kind in enumerate(pattern.kinds):
            if same[k]:
                operand.append(_literal(columns[k][0]) if kind == "#" else f"{kind}[{columns[k][0]}]")
            elif kind == "#":
                operand.append(f"c[{tables[True].index(k)}]")
            else:
                operand.append(f"{kind}[t[{tables[False].index(k)}]]")
        order = sorted(range(len(pattern.places)), key=lambda i: pattern.levels[i])
        places = [str(pattern.places[i][k]) for i in order for k in tables[False]]
        constants = [_literal(pattern.places[i][k]) for i in order for k in tables[True]]
        width, constant_width = len(tables[False]), len(tables[True])
        yield f"static const int {name}_t[] = {{{', '.join(places) or '0'}}};"
        yield f"static const double {name}_c[] = {{{', '.join(constants) or '0'}}};"
        yield f"static void {name}{_SIGNATURE} {{"
        yield from self._arrays(set(pattern.kinds))
        yield f"  const int *t = {name}_t + (integer)first * {width};"
        yield f"  const double *c = {name}_c + (integer)first * {constant_width};"
        yield f"  for (int k = first; k < last; k++, t += {width}, c += {constant_width}) {{"
        yield from self._statements(pattern, operand, "    ")
        yield "  }"
        yield "  (void)x; (void)r; (void)w; (void)t; (void)c;"
        yield "}"
        levels = [pattern.levels[i] for i in order]
        first = 0
        for i in range(1, len(levels) + 1):
            if i == len(levels) or levels[i] != levels[first]:
                calls.append(_Call(levels[first], name, first, i))
                first = i

    def _straight_code(self, calls: list[_Call]) -> Iterator[str]:
        """Cones that are no loops, in C functions of one level or several levels without loops in between."""
        looped = sorted({call.level for call in calls})
        cones = sorted(
            ((level, pattern, places) for pattern in self._patterns if not pattern.is_loop for level, places in _occurrences(pattern)),
            key=lambda cone: cone[0],
        )
        begin = 0
        while begin < len(cones):
            first, length, end = cones[begin][0], 0, begin
            next_loop = bisect_left(looped, first)
            # a loop of a later level may want what is here, and what is here may want a loop's results of the level before
            last = looped[next_loop] if next_loop < len(looped) else math.inf
            while end < len(cones) and cones[end][0] <= last:
                length += len(cones[end][1].operations)
                if length > LONGEST_FUNCTION and end > begin:
                    break
                end += 1
            taken, begin = cones[begin:end], end
            name = f"{self._prefix}s{begin}"
            yield f"static void {name}{_SIGNATURE} {{"
            yield from self._arrays({kind for _, pattern, _ in taken for kind in pattern.kinds})
            for _, pattern, places in taken:
                operand = [
                    _literal(place) if kind == "#" else f"{kind}[{place}]" for kind, place in zip(pattern.kinds, places, strict=True)
                ]
                yield "  {"
                yield from self._statements(pattern, operand, "    ")
                yield "  }"
            yield "  (void)x; (void)r; (void)w; (void)first; (void)last;"
            yield "}"
            calls.append(_Call(first, name))

    def _extra_results(self, calls: list[_Call]) -> Iterator[str]:
        """Results that are constants, arguments, or other results."""
        last = 1 + max((call.level for call in calls), default=0)
        groups: dict[tuple[str, str], list[tuple[int, float]]] = {}
        for array, number, node in self._extra:
            kind, place = self._location(node)
            groups.setdefault((array, kind), []).append((number, place))
        for (array, kind), pairs in groups.items():
            name = f"{self._prefix}e_{array}{'c' if kind == '#' else kind}"
            yield f"static const int {name}_t[] = {{{', '.join(str(number) for number, _ in pairs)}}};"
            values = ", ".join(_literal(place) if kind == "#" else str(place) for _, place in pairs)
            yield f"static const {'double' if kind == '#' else 'int'} {name}_v[] = {{{values}}};"
            yield f"static void {name}{_SIGNATURE} {{"
            yield from self._arrays({array, kind})
            source = f"{name}_v[k]" if kind == "#" else f"{kind}[{name}_v[k]]"
            yield f"  for (int k = 0; k < {len(pairs)}; k++) {array}[{name}_t[k]] = {source};"
            yield "  (void)x; (void)r; (void)w; (void)first; (void)last;"
            yield "}"
            calls.append(_Call(last, name))

    def _whole(self, calls: list[_Call]) -> Iterator[str]:
        function = self._function
        counts = [function.nnz_in(i) for i in range(function.n_in())]
        yield f"static const double {self._prefix}zeros[{max(counts, default=0) + 1}];"
        listed = ", ".join(f"{{{call.name}, {call.first}, {call.last}}}" for call in calls)
        yield f"static const struct {{ void (*run){_SIGNATURE}; int first, last; }} {self._prefix}calls[] = {{{listed or '{0}'}}};"
        yield f"int {function.name()}(const double **arg, double **res, integer *iw, double *w, int mem) {{"
        yield f"  const double *x[{len(counts) + 1}];"
        yield f"  double *r[{function.n_out() + 1}];"
        for i in range(len(counts)):
            yield f"  x[{i}] = arg[{i}] ? arg[{i}] : {self._prefix}zeros;"
        free = self._own_memory
        for i in range(function.n_out()):
            yield f"  r[{i}] = res[{i}] ? res[{i}] : w + {free};"
            free += function.nnz_out(i)
        yield f"  for (int k = 0; k < {len(calls)}; k++)"
        yield f"    {self._prefix}calls[k].run(x, r, w, {self._prefix}calls[k].first, {self._prefix}calls[k].last);"
        yield "  (void)iw; (void)mem; (void)x; (void)r;"
        yield "  return 0;"
        yield "}"

    def _interface(self) -> Iterator[str]:
        function, name = self._function, self._function.name()
        memory = self._own_memory + sum(function.nnz_out(i) for i in range(function.n_out()))
        for direction, count in (("in", function.n_in()), ("out", function.n_out())):
            yield f"integer {name}_n_{direction}(void) {{ return {count}; }}"
            patterns = [getattr(function, f"sparsity_{direction}")(i) for i in range(count)]
            for i, pattern in enumerate(patterns):
                numbers = ", ".join(map(str, _compressed(pattern)))
                yield f"static const integer {self._prefix}{direction}{i}[] = {{{numbers}}};"
            yield f"const integer *{name}_sparsity_{direction}(integer i) {{"
            yield "  switch (i) {"
            yield from (f"    case {i}: return {self._prefix}{direction}{i};" for i in range(count))
            yield "    default: return 0;"
            yield "  }"
            yield "}"
        yield f"int {name}_work(integer *sz_arg, integer *sz_res, integer *sz_iw, integer *sz_w) {{"
        for what, size in (("arg", function.n_in()), ("res", function.n_out()), ("iw", 0), ("w", memory)):
            yield f"  if (sz_{what}) *sz_{what} = {size};"
        yield "  return 0;"
        yield "}"


def _occurrences(pattern: _Pattern) -> Iterator[tuple[int, tuple[float, ...]]]:
    return zip(pattern.levels, pattern.places, strict=True)


def _compressed(pattern: ca.Sparsity) -> list[int]:
    """A sparsity pattern as CasADi writes it down."""
    if pattern.is_dense():
        return [*pattern.shape, 1]
    return [*pattern.shape, *pattern.colind(), *pattern.row()]


def _bits(value: float) -> float | str:
    return value.hex() if isinstance(value, float) else value


def _literal(value: float) -> str:
    if math.isnan(value):
        return "NAN"
    if math.isinf(value):
        return "INFINITY" if value > 0 else "(-INFINITY)"
    text = float(value).hex()
    return f"({text})" if text.startswith("-") else text
