"""What the Cython faces of population balances share: the tables, as they come from csrc.population_balance."""

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
