# cython: boundscheck=False, wraparound=False
"""Cython face of two_components.c. Checks nothing: csrc.two_components does, and is the module to call."""

import numpy as np

from libc.stdint cimport int64_t


cdef extern from "seats.h" nogil:
    ctypedef struct seated:
        size_t work, jacobian_work
    void seated_release(seated *s)
    int seated_seat(seated *s)


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
