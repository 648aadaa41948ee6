# cython: boundscheck=False, wraparound=False
"""Cython face of two_components.c. Checks nothing: csrc.two_components does, and is the module to call."""

import numpy as np

from libc.stdint cimport int64_t


cdef extern from "seats.h" nogil:
    ctypedef struct seated:
        size_t work
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
    plane *plane_new(const plane *given)
    void plane_rates(const plane *p, const double *number, double coefficient, double *work, double *rates)
    void plane_jacobian(const plane *p, const double *number, double coefficient, double *by_number)


cdef class Plane:
    """Aggregation on fixed tables, which are copied; arrays as in two_components.h."""

    cdef plane *own

    def __cinit__(self, const int64_t[:, ::1] to_x not None, const int64_t[:, ::1] to_y not None, const double[:, ::1] share_x not None,
                  const double[:, ::1] share_y not None, const double[::1] collisions not None):
        cdef plane given
        given.nx, given.ny = to_x.shape[0], to_y.shape[0]
        given.to_x, given.to_y, given.share_x, given.share_y = &to_x[0, 0], &to_y[0, 0], &share_x[0, 0], &share_y[0, 0]
        given.collisions = &collisions[0]
        self.own = plane_new(&given)
        if self.own == NULL:
            raise MemoryError()

    def __dealloc__(self):
        if self.own != NULL:
            seated_release(&self.own.seat)

    def rates(self, const double[:, ::1] number not None, double coefficient):
        """Return the rates (nx, ny); the interpreter lock is released meanwhile."""
        rates, work = np.empty((self.own.nx, self.own.ny)), np.empty(self.own.seat.work)
        cdef double[:, ::1] out = rates
        cdef double[::1] scratch = work
        with nogil:
            plane_rates(self.own, &number[0, 0], coefficient, &scratch[0], &out[0, 0])
        return rates

    def jacobian(self, const double[:, ::1] number not None, double coefficient):
        """Return the derivatives of the rates by numbers; row l those by number l."""
        by_number = np.empty((self.own.nx * self.own.ny, self.own.nx * self.own.ny))
        cdef double[:, ::1] out = by_number
        with nogil:
            plane_jacobian(self.own, &number[0, 0], coefficient, &out[0, 0])
        return by_number

    def seat(self):
        """Return the number by which CasADi finds this plane, -1 if no more can be found at the same time."""
        return seated_seat(&self.own.seat)
