/* Aggregation and breakage of particles of two components on a plane of pivots. See csrc/two_components.py. */

#ifndef TWO_COMPONENTS_H
#define TWO_COMPONENTS_H

#include "seats.h"

/*
 * Cells p ny + q at the pivots x_p, y_q. For pivots p1, p2 the sum lies between pivot to_x[p1 nx + p2] and the next, which gets the
 * share share_x; to_x is nx if it lies beyond the last. Likewise for y. The collisions of the rows p1 >= p2 stand one after
 * another, ny x ny for each pair of rows, halved for p1 = p2, so that each pair is one event. Column k of `breakage` (n x n) holds the
 * rates of change of all cells by particles of cell k. A process that is absent has a null pointer; `coefficients` multiply those that
 * are there, aggregation first.
 */
typedef struct {
    seated seat;
    size_t nx, ny;
    const int64_t *to_x, *to_y;
    const double *share_x, *share_y;
    const double *collisions, *breakage;
} plane;

/* A copy of the tables; NULL without memory. */
plane *plane_new(const plane *given);

/* rates[i], number per time, of the numbers in the cells. work: as long as the seat says. */
void plane_rates(const plane *p, const double *number, const double *coefficients, double *work, double *rates);

/* Derivatives of the rates by numbers (n x n) and coefficients (n x processes), by columns; what is NULL is not wanted. */
void plane_jacobian(const plane *p, const double *number, const double *coefficients, double *work, double *by_number,
                    double *by_coefficients);

#endif
