# cython: boundscheck=False, wraparound=False
"""Cython face of population_balance.c. Checks nothing: csrc.population_balance does, and is the module to call."""

import numpy as np

from libc.stdint cimport int64_t


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
    size_t balance_rates_work(const balance *b)
    size_t balance_jacobian_work(const balance *b)
    void balance_rates(const balance *b, const double *number, const double *coefficients, double *work, double *rates)
    void balance_jacobian(const balance *b, const double *number, const double *coefficients, double *work, double *by_number,
                          double *by_coefficients)


cdef extern from "population_balance_casadi.h" nogil:
    ctypedef struct shared_balance:
        pass
    shared_balance *shared_balance_new(const balance *tables, size_t pairs)
    const balance *shared_balance_tables(const shared_balance *s)
    void shared_balance_release(shared_balance *s)
    int shared_balance_seat(shared_balance *s)


cdef double NOTHING = 0.0  # what a table without entries points at: present, and never read


cdef const double *numbers(const double[::1] table):
    if table is None:
        return NULL
    if table.shape[0] == 0:
        return &NOTHING
    return &table[0]


cdef const int64_t *places(const int64_t[::1] table):
    return &table[0]


cdef class Balance:
    """A balance on fixed tables, which are copied; arrays as in population_balance.h, None for processes that are absent."""

    cdef shared_balance *shared
    cdef const balance *tables

    def __cinit__(self, const double[::1] pivots not None, const double[::1] per_gap not None, const double[::1] collisions,
                  const int64_t[:, ::1] runs, const double[::1] fragments, const double[::1] speed,
                  const double[::1] widths, const double[::1] nuclei, const int64_t[::1] column not None, const int64_t[::1] first_row not None, const int64_t[::1] last_row not None):
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
        given.column, given.first_row, given.last_row = places(column), places(first_row), places(last_row)
        self.shared = shared_balance_new(&given, 0 if collisions is None else collisions.shape[0])
        if self.shared == NULL:
            raise MemoryError()
        self.tables = shared_balance_tables(self.shared)

    def __dealloc__(self):
        if self.shared != NULL:
            shared_balance_release(self.shared)

    def rates(self, const double[::1] number not None, const double[::1] coefficients not None):
        """Return the rates; the interpreter lock is released meanwhile."""
        rates, work = np.empty(self.tables.cells), np.empty(balance_rates_work(self.tables))
        cdef double[::1] out = rates, scratch = work
        with nogil:
            balance_rates(self.tables, &number[0], &coefficients[0], &scratch[0], &out[0])
        return rates

    def jacobian(self, const double[::1] number not None, const double[::1] coefficients not None):
        """Return the derivatives by numbers (nonzeros,) and by coefficients (coefficients, cells)."""
        by_number = np.empty(self.tables.nonzeros + 1)  # never empty, so that there is a first one
        by_coefficients = np.empty((self.tables.coefficients, self.tables.cells))
        cdef double[::1] one = by_number, scratch = np.empty(balance_jacobian_work(self.tables))
        cdef double[:, ::1] other = by_coefficients
        with nogil:
            balance_jacobian(self.tables, &number[0], &coefficients[0], &scratch[0], &one[0], &other[0, 0])
        return by_number[:self.tables.nonzeros], by_coefficients

    def seat(self):
        """Return the number by which CasADi finds this balance, -1 if no more can be found at the same time."""
        return shared_balance_seat(self.shared)
