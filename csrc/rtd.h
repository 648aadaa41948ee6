/* Residence-time convolution of a piecewise linear inlet with a piecewise linear exit-age density. See csrc/rtd.py. */

#ifndef RTD_H
#define RTD_H

#include <stddef.h>

/*
 * outlet[o] = integral over age a of E(a) x(at[o] - a), exact up to rounding.
 *
 * Inlet x: straight lines through (times[i], inlet[i]), i < points, times not decreasing; two points at one time are a jump,
 * at which the later point holds. Before times[0] the value is `before`; from times[points - 1] on the last point holds.
 *
 * Exit-age distribution E: cell j spans ages[j] .. ages[j + 1] (not decreasing, not negative) and holds the fraction mass[j]
 * of what leaves, with a linear density mass/width (1 + skew (2 xi - 1)), xi from 0 to 1 across the cell, -1 <= skew <= 1.
 * A cell of no width is a pure delay of its mass.
 *
 * Reads its arguments and writes `outlet`; keeps nothing, allocates nothing, so that threads may share the inputs.
 * Takes O(outlets (log points + points within the oldest age + cells)).
 */
void rtd_convolve(size_t points, const double *times, const double *inlet, double before, size_t cells, const double *ages,
                  const double *mass, const double *skew, size_t outlets, const double *at, double *outlet);

#endif
