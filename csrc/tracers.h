/* What the particles of each cell of a population balance hold, per volume: liquid, a drug. See csrc/tracers.py. */

#ifndef TRACERS_H
#define TRACERS_H

#include "population_balance.h"
#include "seats.h"

/*
 * A balance with `count` tracers. Contents are kept cell by cell, content[i count + c] that of tracer c in cell i.
 *
 * Derivatives of rates by numbers are dense with aggregation, none without; those by contents couple a tracer with itself alone, in the
 * pattern of the balance. Both, like those by coefficients, are kept by columns.
 */
typedef struct {
    seated seat;
    balance balance;
    size_t count;
} tracers;

/* A copy of the balance, with as many collisions as pairs; NULL without memory. */
tracers *tracers_new(const balance *given, size_t pairs, size_t count);

/* rates, content per time, of numbers and contents; `coefficients` are those of the balance. work: as long as the seat says. */
void tracers_rates(const tracers *t, const double *number, const double *content, const double *coefficients, double *work, double *rates);

/* Derivatives of the rates; what is NULL is not wanted. */
void tracers_jacobian(const tracers *t, const double *number, const double *content, const double *coefficients, double *work,
                      double *by_number, double *by_content, double *by_coefficients);

#endif
