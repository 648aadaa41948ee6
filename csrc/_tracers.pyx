# cython: boundscheck=False, wraparound=False
"""Cython face of tracers.c. Checks nothing: csrc.tracers does, and is the module to call."""

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


cdef extern from "seats.h" nogil:
    ctypedef struct seated:
        size_t work, jacobian_work
    void seated_release(seated *s)
    int seated_seat(seated *s)


cdef extern from "tracers.h" nogil:
    ctypedef struct tracers:
        seated seat
        balance balance
        size_t count
    tracers *tracers_new(const balance *given, size_t pairs, size_t count)
    void tracers_rates(const tracers *t, const double *number, const double *content, const double *coefficients, double *work, double *rates)
    void tracers_jacobian(const tracers *t, const double *number, const double *content, const double *coefficients, double *work,
                          double *by_number, double *by_content, double *by_coefficients)


cdef double NOTHING = 0.0  # what a table without entries points at: present, and never read


cdef const double *numbers(const double[::1] table):
    if table is None:
        return NULL
    if table.shape[0] == 0:
        return &NOTHING
    return &table[0]


cdef class Tracers:
    """Tracers of a balance on fixed tables, which are copied; arrays as in population_balance.h, None for processes that are absent."""

    cdef tracers *own

    def __cinit__(self, size_t count, const double[::1] pivots not None, const double[::1] per_gap not None, const double[::1] collisions,
                  const int64_t[:, ::1] runs, const double[::1] fragments, const double[::1] speed, const double[::1] widths,
                  const double[::1] nuclei, const int64_t[::1] column not None, const int64_t[::1] first_row not None,
                  const int64_t[::1] last_row not None):
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
