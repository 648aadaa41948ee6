# cython: boundscheck=False, wraparound=False
"""Cython face of population_balance.c. Checks nothing: csrc.population_balance does, and is the module to call."""

cimport numpy as cnp
from libc.stdlib cimport free, malloc

include "balance_tables.pxi"

cnp.import_array()


cdef extern from "population_balance.h" nogil:
    bint all_finite(const double *numbers, size_t size)
    void balance_rates(const balance *b, const double *number, const double *coefficients, double *work, double *rates)
    void balance_jacobian(const balance *b, const double *number, const double *coefficients, double *work, double *by_number,
                          double *by_coefficients)


cdef extern from "population_balance_seated.h" nogil:
    ctypedef struct population:
        pass
    population *population_new(const balance *given, size_t collisions)
    seated *population_seat(population *p)
    const balance *population_tables(const population *p)


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
