"""Thin face of integrator_core.c: memory, addresses and the loop that lets Ctrl-C through."""

cimport cython
from cpython.pycapsule cimport PyCapsule_GetName, PyCapsule_GetPointer
from libc.stdint cimport uintptr_t
from libc.string cimport memset

from enum import IntEnum

import numpy as np

cdef extern from "integrator_core.h":
    ctypedef struct sundials_table:
        pass
    int sundials_set(sundials_table *table, const char *name, void *address)
    const char *sundials_name(int i)
    ctypedef struct tangent_problem:
        int blocks
        void *slopes
        const double *entries
        const int *column_start
        const int *row
        const double *force
        const int *force_start
        const int *force_row
        int force_columns
        const double *seed
    ctypedef struct dae_problem:
        void (*evaluate)(void *) noexcept nogil
        void *slopes
        void *jacobian
        void *guards
        double *time
        double *state
        double *slope
        double *entries
        double *guard
        const int *watched
        const double *offset
        int differential
        int algebraic
        int guard_count
        int unknowns
        int matrix_size
        const int *rate_of
        const int *place_of
        const int *row_of
        const int *entry_rate
        const int *column_start
        const int *row
        const int *entry_place
        const int *diagonal_place
        int entry_count
        tangent_problem tangent
        const int *kept
        int kept_count
    ctypedef struct integration_counts:
        long steps
        long evaluations
        long jacobians
        long iterations
        long error_failures
        long restarts
    ctypedef struct lu_factors:
        int n
        long factorizations
        long refactorizations
    int lu_init(lu_factors *lu, int n, const int *column_start, const int *row, const int *order)
    void lu_free(lu_factors *lu)
    int lu_factor(lu_factors *lu, const double *value)
    int lu_solve_many(lu_factors *lu, double *b, int count)
    ctypedef struct algebra_solver:
        const int *start
        const int *row
        const int *entry
        const double *magnitude
        double relative
        int stuck
        double stuck_time
    ctypedef struct radau_steps "radau":
        double fixed
    ctypedef struct integrator:
        sundials_table call
        dae_problem problem
        radau_steps radau
        algebra_solver algebra
        int full
        int size
        int length
        int not_finite
        int bad_guard
        double not_finite_time
        double *not_finite_state
        integration_counts counts
    enum:
        REACHED_END
        FOUND_EVENT
        WANTS_PAUSE
        FAILED_TOLERANCE
        FAILED_ERROR_TEST
        FAILED_CONVERGENCE
        FAILED_MODEL
        FAILED_GUARD
        FAILED_STALLED
        FAILED_OTHER
        FAILED_ALGEBRA
    int integrator_open(integrator *it, int method, const int *order, const int *algebra_order, double rtol, const double *atol)
    void integrator_close(integrator *it)
    void integrator_reset(integrator *it)
    int integrator_restart(integrator *it, double t, double stop, int *direction)
    int integrator_run(integrator *it, double *t, double stop, const double *times, int count, int *done, double *outputs, int *roots,
                       int most_steps) nogil
    int integrator_sample(integrator *it, const double *times, int count, double *samples)
    int integrator_errors(integrator *it, double *errors)
    double integrator_step(integrator *it)
    long integrator_factorizations(const integrator *it)
    enum:
        BY_BDF
        BY_RADAU


def sundials_names():
    """Return the names of the SUNDIALS functions that an Integrator needs addresses of."""
    names = []
    cdef int i = 0
    while sundials_name(i) != NULL:
        names.append(sundials_name(i).decode())
        i += 1
    return names


Outcome = IntEnum(
    "Outcome",
    {
        "REACHED_END": REACHED_END,
        "FOUND_EVENT": FOUND_EVENT,
        "WANTS_PAUSE": WANTS_PAUSE,
        "FAILED_TOLERANCE": FAILED_TOLERANCE,
        "FAILED_ERROR_TEST": FAILED_ERROR_TEST,
        "FAILED_CONVERGENCE": FAILED_CONVERGENCE,
        "FAILED_MODEL": FAILED_MODEL,
        "FAILED_GUARD": FAILED_GUARD,
        "FAILED_STALLED": FAILED_STALLED,
        "FAILED_OTHER": FAILED_OTHER,
        "FAILED_ALGEBRA": FAILED_ALGEBRA,
    },
)
Outcome.__doc__ = "How a run of the integrator ended; what is negative is a failure."


def _check_pattern(column_start, row, order):
    """Raise ValueError unless these are compressed columns of a square matrix and an order of its columns."""
    starts, rows, columns = np.asarray(column_start), np.asarray(row), np.asarray(order)
    size = len(columns)
    if len(starts) != size + 1 or starts[0] != 0 or (np.diff(starts) < 0).any() or starts[-1] != len(rows):
        raise ValueError("the column starts do not fit the pattern")
    if len(rows) and (rows.min() < 0 or rows.max() >= size):
        raise ValueError("a row of the pattern lies outside the matrix")
    if not np.array_equal(np.sort(columns), np.arange(size)):
        raise ValueError("the order of columns is no permutation")


def _check_columns(column_start, row, entries, rows, columns):
    """Raise ValueError unless these are compressed columns of a matrix of that size."""
    starts, places = np.asarray(column_start), np.asarray(row)
    if len(starts) != columns + 1 or starts[0] != 0 or (np.diff(starts) < 0).any() or not starts[-1] == len(places) == len(entries):
        raise ValueError("the column starts do not fit the pattern")
    if len(places) and (places.min() < 0 or places.max() >= rows):
        raise ValueError("a row of the pattern lies outside the matrix")


cdef void *_pointer(object capsule) except NULL:
    return PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule))


@cython.final
cdef class Integrator:
    """One method on one problem: CVODE, IDA or Radau IIA. Not for several threads at once."""

    cdef integrator it
    cdef bint opened
    cdef object kept
    cdef double[::1] time_view
    cdef double[::1] state_view
    cdef int[::1] roots_view
    cdef int[::1] direction_view

    def __cinit__(self):
        memset(&self.it, 0, sizeof(integrator))
        self.opened = False

    def __init__(self, dict addresses, Py_ssize_t evaluate, object slopes, object jacobian, object guards, double[::1] time,
                 double[::1] state, double[::1] slope, double[::1] entries, double[::1] guard, int[::1] watched,
                 double[::1] offset, int algebraic, int[::1] column_start,
                 int[::1] row, int[::1] entry_place, int[::1] diagonal_place, int[::1] order, double rtol, double[::1] atol,
                 int[::1] kept, object tangent=None, implicit=None, algebra=None, bint radau=False):
        cdef dae_problem *p = &self.it.problem
        cdef int flag
        cdef Py_ssize_t size = order.shape[0]
        cdef int blocks = 0
        if self.opened:
            raise RuntimeError("an Integrator is set up once")
        _check_pattern(column_start, row, order)
        for name, address in addresses.items():
            if sundials_set(&self.it.call, name.encode(), <void *><uintptr_t>address):
                raise KeyError(name)
        if algebraic and (implicit is None) == (algebra is None):
            raise ValueError("algebraic variables are either solved apart or among the unknowns")
        full = len(diagonal_place) + algebraic
        if tangent is not None:
            blocks = self._set_tangent(full, tangent)
        if blocks and implicit is not None:
            raise ValueError("no derivatives are carried along where derivatives are among the unknowns")
        if state.shape[0] != slope.shape[0] or full * (1 + blocks) != state.shape[0] or (implicit is None and size != full):
            raise ValueError("state, slope and order do not fit each other: one part for the states and one for each block of derivatives")
        unknowns, rest = divmod(atol.shape[0], 1 + blocks)
        if rest or unknowns != (len(diagonal_place) if implicit is None else size):
            raise ValueError("one tolerance is needed for each unknown of the solver")
        if len(kept) and not (0 <= np.min(kept) and np.max(kept) < state.shape[0]):
            raise ValueError("what is kept lies outside the state")
        if column_start.shape[0] != size + 1 or entry_place.shape[0] != entries.shape[0]:
            raise ValueError("the pattern does not fit the number of states or of entries")
        if algebraic < 0:
            raise ValueError("the number of algebraic variables is negative")
        for places in [np.asarray(entry_place), np.asarray(diagonal_place)]:
            if len(places) and not ((0 if implicit is None else -1) <= places.min() and places.max() < len(row)):
                raise ValueError("a place lies outside the pattern")
        if watched.shape[0] != guard.shape[0] or offset.shape[0] != guard.shape[0] or time.shape[0] != 1:
            raise ValueError("guards, their watch and their offsets have to be of one length, and time is one number")
        p.evaluate = <void (*)(void *) noexcept nogil><uintptr_t>evaluate
        p.slopes = _pointer(slopes)
        p.jacobian = _pointer(jacobian)
        p.guards = NULL if guards is None else _pointer(guards)
        p.time = &time[0]
        p.state = &state[0]
        p.slope = &slope[0]
        p.entries = &entries[0] if entries.shape[0] else NULL
        p.guard = &guard[0] if guard.shape[0] else NULL
        p.watched = &watched[0] if watched.shape[0] else NULL
        p.offset = &offset[0] if offset.shape[0] else NULL
        p.differential = <int>diagonal_place.shape[0]
        p.algebraic = algebraic
        p.guard_count = <int>guard.shape[0]
        p.column_start = &column_start[0]
        p.row = &row[0]
        p.entry_place = &entry_place[0] if entries.shape[0] else NULL
        p.diagonal_place = &diagonal_place[0] if diagonal_place.shape[0] else NULL
        p.entry_count = <int>entries.shape[0]
        p.kept = &kept[0] if kept.shape[0] else NULL
        p.kept_count = <int>kept.shape[0]
        p.unknowns = <int>unknowns
        p.matrix_size = <int>size
        self._set_implicit(implicit, full, entries.shape[0])
        cdef const int *algebra_order = self._set_algebra(algebra, rtol, entries.shape[0])
        self.kept = (kept, tangent, implicit, algebra, slopes, jacobian, guards, slope, entries, guard, watched, offset, column_start, row,
                     entry_place, diagonal_place, order)
        self.time_view = time
        self.state_view = state
        self.roots_view = np.zeros(max(1, guard.shape[0]), dtype=np.intc)
        self.direction_view = np.zeros(max(1, guard.shape[0]), dtype=np.intc)
        self.opened = True
        flag = integrator_open(&self.it, BY_RADAU if radau else BY_BDF, &order[0], algebra_order, rtol, &atol[0])
        if flag:
            raise RuntimeError(f"the method could not be set up (flag {flag})")

    cdef _set_implicit(self, implicit, Py_ssize_t full, Py_ssize_t entry_count):
        """Take (rate_of, place_of, row_of, entry_rate), arrays of int, or None where no unknown is a derivative."""
        cdef dae_problem *p = &self.it.problem
        p.rate_of = p.place_of = p.row_of = p.entry_rate = NULL
        if implicit is None:
            return
        cdef int[::1] rate_of = implicit[0]
        cdef int[::1] place_of = implicit[1]
        cdef int[::1] row_of = implicit[2]
        cdef int[::1] entry_rate = implicit[3]
        if not (rate_of.shape[0] == place_of.shape[0] == row_of.shape[0] == full) or entry_rate.shape[0] != entry_count:
            raise ValueError("the places of derivatives do not fit the state")
        if p.algebraic == 0 or entry_count == 0:
            raise ValueError("an implicit system has algebraic variables")
        for places in implicit[:3]:
            if np.min(places) < -1 or np.max(places) >= p.unknowns:
                raise ValueError("a place of an unknown lies outside the solver's vectors")
        if (np.asarray(place_of)[np.asarray(rate_of) < 0] < 0).any():
            raise ValueError("an unknown that is no derivative needs a place")
        p.rate_of, p.place_of, p.row_of, p.entry_rate = &rate_of[0], &place_of[0], &row_of[0], &entry_rate[0]

    cdef const int *_set_algebra(self, algebra, double rtol, Py_ssize_t entry_count) except? NULL:
        """Take (column starts, rows, Jacobian entries, order) of dg/dz and the variables' absolute tolerances, or None; return the order."""
        if algebra is None:
            return NULL
        _check_pattern(algebra[0], algebra[1], algebra[3])
        cdef int[::1] starts = algebra[0]
        cdef int[::1] rows = algebra[1]
        cdef int[::1] entry = algebra[2]
        cdef int[::1] order = algebra[3]
        cdef double[::1] magnitude = algebra[4]
        if order.shape[0] != self.it.problem.algebraic or magnitude.shape[0] != order.shape[0] or entry.shape[0] != rows.shape[0]:
            raise ValueError("the pattern of the algebraic equations does not fit their number")
        if not rows.shape[0] or np.min(algebra[2]) < 0 or np.max(algebra[2]) >= entry_count:
            raise ValueError("an entry of the algebraic equations lies outside the Jacobian")
        self.it.algebra.start, self.it.algebra.row, self.it.algebra.entry = &starts[0], &rows[0], &entry[0]
        self.it.algebra.magnitude = &magnitude[0]
        self.it.algebra.relative = rtol
        return &order[0]

    cdef int _set_tangent(self, Py_ssize_t size, tuple tangent) except -1:
        cdef tangent_problem *p = &self.it.problem.tangent
        cdef object slopes
        cdef double[::1] entries, force
        cdef double[:, ::1] seed
        cdef int[::1] start, row, force_start, force_row
        slopes, entries, start, row, force, force_start, force_row, seed = tangent
        _check_columns(start, row, entries, size, size)
        _check_columns(force_start, force_row, force, size, seed.shape[1])
        p.slopes = _pointer(slopes)
        p.entries = &entries[0] if entries.shape[0] else NULL
        p.column_start, p.row = &start[0], (&row[0] if row.shape[0] else NULL)
        p.force = &force[0] if force.shape[0] else NULL
        p.force_start, p.force_row = &force_start[0], (&force_row[0] if force_row.shape[0] else NULL)
        p.force_columns = <int>seed.shape[1]
        p.seed = &seed[0, 0] if seed.shape[0] and seed.shape[1] else NULL
        p.blocks = <int>seed.shape[0]
        return p.blocks

    def __dealloc__(self):
        if self.opened:
            integrator_close(&self.it)

    def reset(self):
        """Forget counts and factors, so that a run gives the same to the last bit as with a new Integrator."""
        integrator_reset(&self.it)

    def fix_step(self, double step):
        """Let Radau IIA take steps of this length whatever their errors, to measure its order; 0 for controlled steps."""
        self.it.radau.fixed = step

    def restart(self, double t, double stop, int[::1] direction):
        """Start anew at t from the states in ``state``; return 0 or a failing Outcome."""
        cdef Py_ssize_t i
        if direction.shape[0] != self.it.problem.guard_count:
            raise ValueError("one direction is needed for each guard")
        for i in range(direction.shape[0]):
            self.direction_view[i] = direction[i]
        self.time_view[0] = t
        return integrator_restart(&self.it, t, stop, &self.direction_view[0])

    def run(self, double stop, double[::1] times, int done, double[:, ::1] outputs, long most_steps):
        """Integrate to the next event or to ``stop``; return (Outcome, time, next output, signs of the guards that crossed)."""
        cdef double t = self.time_view[0]
        cdef int flag = WANTS_PAUSE
        cdef const double *first_time = &times[0] if times.shape[0] else NULL
        cdef double *first_output = &outputs[0, 0] if outputs.shape[0] and outputs.shape[1] else NULL
        cdef int count = <int>times.shape[0]
        cdef long taken = 0
        cdef int most
        if outputs.shape[1] != self.it.problem.kept_count or outputs.shape[0] < times.shape[0] or not 0 <= done <= times.shape[0]:
            raise ValueError("the outputs do not fit the times or the states")
        while flag == WANTS_PAUSE and taken < most_steps:
            most = <int>min(256, most_steps - taken)
            with nogil:
                flag = integrator_run(&self.it, &t, stop, first_time, count, &done, first_output, &self.roots_view[0], most)
            taken += most
            if flag == WANTS_PAUSE:
                _check_signals()
        return Outcome(flag), t, done, np.asarray(self.roots_view).copy()

    def sample(self, double[::1] times):
        """Return the solution at times within the last step, shape (times, states)."""
        result = np.empty((times.shape[0], self.state_view.shape[0]))
        cdef double[:, ::1] view = result
        if times.shape[0] and integrator_sample(&self.it, &times[0], <int>times.shape[0], &view[0, 0]):
            raise ValueError("a time lies outside the last step")
        return result

    def errors(self):
        """Return the estimated local error of each state in units of its tolerance, or None."""
        result = np.zeros(self.it.length)
        cdef double[::1] view = result
        return None if integrator_errors(&self.it, &view[0]) else result

    @property
    def step(self):
        """Size of the step that is to be tried next."""
        return integrator_step(&self.it)

    @property
    def counts(self):
        """Steps, evaluations and so on since the beginning."""
        cdef integration_counts *c = &self.it.counts
        return {
            "steps": c.steps,
            "evaluations": c.evaluations,
            "jacobians": c.jacobians,
            "iterations": c.iterations,
            "error_failures": c.error_failures,
            "restarts": c.restarts,
            "factorizations": integrator_factorizations(&self.it),
        }

    @property
    def not_finite(self):
        """Position and time of the last slope or residual that was not finite, or None."""
        if self.it.not_finite < 0:
            return None
        state = [self.it.not_finite_state[k] for k in range(self.it.full)]
        return self.it.not_finite, self.it.not_finite_time, np.array(state)

    @property
    def stuck(self):
        """Position and time of the worst algebraic equation where no solution was found, or None."""
        return None if self.it.algebra.stuck < 0 else (self.it.algebra.stuck, self.it.algebra.stuck_time)

    @property
    def bad_guard(self):
        """Position and time of a guard that was not finite, or None."""
        return None if self.it.bad_guard < 0 else (self.it.bad_guard, self.it.not_finite_time)


@cython.final
cdef class SparseFactors:
    """The integrator's sparse LU factors on their own: one pattern in compressed columns, many matrices."""

    cdef lu_factors lu
    cdef int[::1] starts
    cdef object kept

    def __cinit__(self):
        memset(&self.lu, 0, sizeof(lu_factors))

    def __init__(self, int[::1] column_start, int[::1] row, int[::1] order):
        if self.kept is not None:
            raise RuntimeError("factors are set up once")
        _check_pattern(column_start, row, order)
        self.starts = column_start
        self.kept = (column_start, row, order)
        if lu_init(&self.lu, <int>order.shape[0], &column_start[0], &row[0], &order[0]):
            raise MemoryError

    def __dealloc__(self):
        lu_free(&self.lu)

    def factor(self, double[::1] values):
        """Factor a matrix; ZeroDivisionError names the column at which no pivot was left."""
        if values.shape[0] != self.starts[self.lu.n]:
            raise ValueError("as many values are needed as the pattern has entries")
        cdef int flag = lu_factor(&self.lu, &values[0])
        if flag > 0:
            raise ZeroDivisionError(f"no pivot at elimination step {flag - 1}")
        if flag:
            raise MemoryError

    def solve(self, b):
        """Return the solution of the factored matrix for a right side of shape (n,), or for several of shape (any, n)."""
        result = np.array(b, dtype=float, order="C")
        if result.ndim not in (1, 2) or result.shape[result.ndim - 1] != self.lu.n:
            raise ValueError("the right side has another length than the matrix")
        cdef double[:, ::1] x = result.reshape(-1, self.lu.n)
        if x.shape[0] and lu_solve_many(&self.lu, &x[0, 0], <int>x.shape[0]):
            raise ZeroDivisionError("no matrix has been factored")
        return result

    @property
    def counts(self):
        """Factorizations with a search for pivots, and without."""
        return self.lu.factorizations, self.lu.refactorizations


cdef extern from "Python.h":
    int PyErr_CheckSignals() except -1


cdef _check_signals():
    PyErr_CheckSignals()
