# cython: boundscheck=False, wraparound=False
"""Cython face of population_balance.c, tracers.c and two_components.c, one library so that they share a row of seats for CasADi.

Checks nothing: csrc.population_balance, csrc.tracers and csrc.two_components do, and are the modules to call.
"""

import numpy as np

cimport numpy as cnp
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc

cnp.import_array()


cdef extern from "population_balance.h" nogil:
    ctypedef struct run:
        pass
    ctypedef struct balance:
        size_t cells, coefficients, nonzeros
        size_t place[4]
        const double *pivots
        const double *per_gap
        const double *collisions
        const run *runs
        size_t run_count
        const double *fragments
        const double *speed
        const double *widths
        const double *nuclei
        const int64_t *column
        const int64_t *first_row
        const int64_t *last_row
    bint all_finite(const double *numbers, size_t size)
    void balance_rates(const balance *b, const double *number, const double *coefficients, double *work, double *rates)
    void balance_jacobian(const balance *b, const double *number, const double *coefficients, double *work, double *by_number,
                          double *by_coefficients)


cdef extern from "seats.h" nogil:
    ctypedef struct seated:
        size_t work, jacobian_work
    void seated_release(seated *s)
    int seated_seat(seated *s)


cdef extern from "population_balance_seated.h" nogil:
    ctypedef struct population:
        pass
    population *population_new(const balance *given, size_t collisions)
    seated *population_seat(population *p)
    const balance *population_tables(const population *p)


cdef extern from "tracers.h" nogil:
    ctypedef struct tracers:
        seated seat
        balance balance
        size_t count
    tracers *tracers_new(const balance *given, size_t collisions, size_t count)
    void tracers_rates(const tracers *t, const double *number, const double *content, const double *coefficients, double *work, double *rates)
    void tracers_jacobian(const tracers *t, const double *number, const double *content, const double *coefficients, double *work,
                          double *by_number, double *by_content, double *by_coefficients)


cdef extern from "two_components.h" nogil:
    ctypedef struct plane:
        seated seat
        size_t nx, ny
        const int64_t *to_x
        const int64_t *to_y
        const double *share_x
        const double *share_y
        const double *collisions
        const double *breakage
    plane *plane_new(const plane *given)
    void plane_rates(const plane *p, const double *number, const double *coefficients, double *work, double *rates)
    void plane_jacobian(const plane *p, const double *number, const double *coefficients, double *work, double *by_number,
                        double *by_coefficients)


cdef double NOTHING = 0.0  # what a table without entries points at: present, and never read


cdef const double *numbers(const double[::1] table):
    if table is None:
        return NULL
    if table.shape[0] == 0:
        return &NOTHING
    return &table[0]


cdef balance balance_of(const double[::1] pivots, const double[::1] per_gap, const double[::1] collisions, const int64_t[:, ::1] runs,
                        const double[::1] fragments, const double[::1] speed, const double[::1] widths, const double[::1] nuclei,
                        const int64_t[::1] column, const int64_t[::1] first_row, const int64_t[::1] last_row):
    """A balance that points at these tables: arrays as in population_balance.h, None for processes that are absent."""
    cdef balance given
    given.cells, given.nonzeros, given.coefficients = pivots.shape[0], column[pivots.shape[0]], 0
    for place, table in enumerate((collisions, fragments, speed, nuclei)):
        given.place[place] = given.coefficients
        given.coefficients += table is not None
    given.pivots, given.per_gap, given.collisions = numbers(pivots), numbers(per_gap), numbers(collisions)
    given.runs, given.run_count = NULL, 0
    if runs is not None and runs.shape[0]:
        given.runs, given.run_count = <const run *>&runs[0, 0], runs.shape[0]
    given.fragments, given.speed, given.widths, given.nuclei = numbers(fragments), numbers(speed), numbers(widths), numbers(nuclei)
    given.column, given.first_row, given.last_row = &column[0], &first_row[0], &last_row[0]
    return given


cdef const double *finite(vector, size_t size):
    """Return the numbers of a contiguous vector of finite doubles of that length, NULL if it is none."""
    if type(vector) is not cnp.ndarray:
        return NULL
    cdef cnp.ndarray array = vector
    if cnp.PyArray_TYPE(array) != cnp.NPY_DOUBLE or cnp.PyArray_NDIM(array) != 1 or not cnp.PyArray_ISCARRAY_RO(array):
        return NULL
    if <size_t>cnp.PyArray_DIM(array, 0) != size:
        return NULL
    cdef const double *numbers = <const double *>cnp.PyArray_DATA(array)
    return numbers if all_finite(numbers, size) else NULL


cdef cnp.ndarray empty(size_t size):
    cdef cnp.npy_intp length = size
    return cnp.PyArray_EMPTY(1, &length, cnp.NPY_DOUBLE, 0)


cdef double *scratch(size_t size) except NULL:
    cdef double *work = <double *>malloc(size * sizeof(double))
    if work == NULL:
        raise MemoryError()
    return work


cdef class Balance:
    """A balance on fixed tables, which are copied; arrays as in population_balance.h, None for processes that are absent."""

    cdef population *own
    cdef const balance *tables

    def __cinit__(self, const double[::1] pivots not None, const double[::1] per_gap not None, const double[::1] collisions,
                  const int64_t[:, ::1] runs, const double[::1] fragments, const double[::1] speed, const double[::1] widths,
                  const double[::1] nuclei, const int64_t[::1] column not None, const int64_t[::1] first_row not None,
                  const int64_t[::1] last_row not None):
        cdef balance given = balance_of(pivots, per_gap, collisions, runs, fragments, speed, widths, nuclei, column, first_row, last_row)
        self.own = population_new(&given, 0 if collisions is None else collisions.shape[0])
        if self.own == NULL:
            raise MemoryError()
        self.tables = population_tables(self.own)

    def __dealloc__(self):
        if self.own != NULL:
            seated_release(population_seat(self.own))

    def rates(self, number, coefficients):
        """Return the rates; None if an argument is not a contiguous vector of finite doubles of the right length."""
        cdef const double *n = finite(number, self.tables.cells)
        cdef const double *c = finite(coefficients, self.tables.coefficients)
        if n == NULL or c == NULL:
            return None
        rates = empty(self.tables.cells)
        cdef double *out = <double *>cnp.PyArray_DATA(rates)
        cdef double *work = scratch(population_seat(self.own).work)
        with nogil:
            balance_rates(self.tables, n, c, work, out)
        free(work)
        return rates

    def jacobian(self, number, coefficients):
        """Return the derivatives by numbers (nonzeros,) and by coefficients (coefficients * cells,); None as for the rates."""
        cdef const double *n = finite(number, self.tables.cells)
        cdef const double *c = finite(coefficients, self.tables.coefficients)
        if n == NULL or c == NULL:
            return None
        by_number, by_coefficients = empty(self.tables.nonzeros), empty(self.tables.coefficients * self.tables.cells)
        cdef double *one = <double *>cnp.PyArray_DATA(by_number)
        cdef double *other = <double *>cnp.PyArray_DATA(by_coefficients)
        cdef double *work = scratch(population_seat(self.own).jacobian_work)
        with nogil:
            balance_jacobian(self.tables, n, c, work, one, other)
        free(work)
        return by_number, by_coefficients

    def seat(self):
        """Return the number by which CasADi finds this balance, -1 if no more can be found at the same time."""
        return seated_seat(population_seat(self.own))


cdef class Tracers:
    """Tracers of a balance on fixed tables, which are copied; arrays as in population_balance.h, None for processes that are absent."""

    cdef tracers *own

    def __cinit__(self, size_t count, const double[::1] pivots not None, const double[::1] per_gap not None, const double[::1] collisions,
                  const int64_t[:, ::1] runs, const double[::1] fragments, const double[::1] speed, const double[::1] widths,
                  const double[::1] nuclei, const int64_t[::1] column not None, const int64_t[::1] first_row not None,
                  const int64_t[::1] last_row not None):
        cdef balance given = balance_of(pivots, per_gap, collisions, runs, fragments, speed, widths, nuclei, column, first_row, last_row)
        self.own = tracers_new(&given, 0 if collisions is None else collisions.shape[0], count)
        if self.own == NULL:
            raise MemoryError()

    def __dealloc__(self):
        if self.own != NULL:
            seated_release(&self.own.seat)

    def rates(self, const double[::1] number not None, const double[:, ::1] content not None, const double[::1] coefficients not None):
        """Return the rates (cells, tracers); the interpreter lock is released meanwhile."""
        rates, work = np.empty((self.own.balance.cells, self.own.count)), np.empty(self.own.seat.work)
        cdef double[:, ::1] out = rates
        cdef double[::1] scratch = work
        with nogil:
            tracers_rates(self.own, &number[0], &content[0, 0], &coefficients[0], &scratch[0], &out[0, 0])
        return rates

    def jacobian(self, const double[::1] number not None, const double[:, ::1] content not None, const double[::1] coefficients not None):
        """Return the derivatives by numbers, contents and coefficients as they are kept: see tracers.h."""
        cdef size_t n = self.own.balance.cells, m = self.own.count, k = self.own.balance.coefficients
        cdef size_t by_contents = self.own.balance.nonzeros * m
        by_number, by_content, by_coefficients = np.zeros((n, n, m)), np.empty(by_contents + 1), np.empty((k, n, m))
        cdef double[:, :, ::1] one = by_number, three = by_coefficients
        cdef double[::1] two = by_content, scratch = np.empty(self.own.seat.jacobian_work)
        with nogil:
            tracers_jacobian(self.own, &number[0], &content[0, 0], &coefficients[0], &scratch[0], &one[0, 0, 0], &two[0], &three[0, 0, 0])
        return by_number, by_content[:by_contents], by_coefficients

    def seat(self):
        """Return the number by which CasADi finds these tracers, -1 if no more can be found at the same time."""
        return seated_seat(&self.own.seat)


cdef class Plane:
    """A balance on fixed tables, which are copied; arrays as in two_components.h, None for processes that are absent."""

    cdef plane *own

    def __cinit__(self, const int64_t[:, ::1] to_x not None, const int64_t[:, ::1] to_y not None, const double[:, ::1] share_x not None,
                  const double[:, ::1] share_y not None, const double[::1] collisions, const double[:, ::1] breakage):
        cdef plane given
        given.nx, given.ny = to_x.shape[0], to_y.shape[0]
        given.to_x, given.to_y, given.share_x, given.share_y = &to_x[0, 0], &to_y[0, 0], &share_x[0, 0], &share_y[0, 0]
        given.collisions, given.breakage = NULL, NULL
        if collisions is not None:
            given.collisions = &collisions[0]
        if breakage is not None:
            given.breakage = &breakage[0, 0]
        self.own = plane_new(&given)
        if self.own == NULL:
            raise MemoryError()

    def __dealloc__(self):
        if self.own != NULL:
            seated_release(&self.own.seat)

    def rates(self, const double[:, ::1] number not None, const double[::1] coefficients not None):
        """Return the rates (nx, ny); the interpreter lock is released meanwhile."""
        rates, work = np.empty((self.own.nx, self.own.ny)), np.empty(self.own.seat.work)
        cdef double[:, ::1] out = rates
        cdef double[::1] scratch = work
        with nogil:
            plane_rates(self.own, &number[0, 0], &coefficients[0], &scratch[0], &out[0, 0])
        return rates

    def jacobian(self, const double[:, ::1] number not None, const double[::1] coefficients not None):
        """Return the derivatives of the rates by numbers, row l those by number l, and by coefficients likewise."""
        cells = self.own.nx * self.own.ny
        by_number, by_coefficients = np.empty((cells, cells)), np.empty((coefficients.shape[0], cells))
        cdef double[:, ::1] one = by_number, other = by_coefficients
        cdef double[::1] scratch = np.empty(self.own.seat.jacobian_work)
        with nogil:
            plane_jacobian(self.own, &number[0, 0], &coefficients[0], &scratch[0], &one[0, 0], &other[0, 0])
        return by_number, by_coefficients

    def seat(self):
        """Return the number by which CasADi finds this plane, -1 if no more can be found at the same time."""
        return seated_seat(&self.own.seat)
