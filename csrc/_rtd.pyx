# cython: boundscheck=False, wraparound=False
"""Cython face of rtd.c. Checks nothing: csrc.rtd does, and is the module to call."""

import numpy as np


cdef extern from "rtd.h" nogil:
    void rtd_convolve(size_t points, const double *times, const double *inlet, double before, size_t cells, const double *ages,
                      const double *mass, const double *skew, size_t outlets, const double *at, double *outlet)


def convolve(const double[::1] times not None, const double[::1] inlet not None, double before, const double[::1] ages not None,
             const double[::1] mass not None, const double[::1] skew not None, const double[::1] at not None):
    """Return the outlet at the times ``at``; arrays as in rtd.h. The interpreter lock is released meanwhile."""
    outlet = np.empty(at.shape[0])
    cdef double[::1] out = outlet
    if at.shape[0] == 0:
        return outlet
    with nogil:
        rtd_convolve(times.shape[0], &times[0], &inlet[0], before, mass.shape[0], &ages[0], &mass[0], &skew[0],
                     at.shape[0], &at[0], &out[0])
    return outlet
