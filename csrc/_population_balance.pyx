# cython: boundscheck=False, wraparound=False
"""Cython face of population_balance.c. Checks nothing: csrc.population_balance does, and is the module to call."""

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

    def rates(self, number, coefficients):
        """Return the rates; None if an argument is not a contiguous vector of finite doubles of the right length."""
        cdef const double *n = finite(number, self.tables.cells)
        cdef const double *c = finite(coefficients, self.tables.coefficients)
        if n == NULL or c == NULL:
            return None
        rates = empty(self.tables.cells)
        cdef double *out = <double *>cnp.PyArray_DATA(rates)
        cdef double *work = scratch(balance_rates_work(self.tables))
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
        cdef double *work = scratch(balance_jacobian_work(self.tables))
        with nogil:
            balance_jacobian(self.tables, n, c, work, one, other)
        free(work)
        return by_number, by_coefficients

    def seat(self):
        """Return the number by which CasADi finds this balance, -1 if no more can be found at the same time."""
        return shared_balance_seat(self.shared)
