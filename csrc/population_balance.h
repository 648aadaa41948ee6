/* Population balance on cells of particle volume: aggregation, breakage, growth, nucleation. See csrc/population_balance.py. */

#ifndef POPULATION_BALANCE_H
#define POPULATION_BALANCE_H

#include <stddef.h>
#include <stdint.h>

#include "vectors.h"

enum { AGGREGATION, BREAKAGE, GROWTH, NUCLEATION, PROCESSES };

/*
 * Pairs one by one: `count` pairs that start with cells `one` >= `other`, whose aggregate falls into `cell`.
 *
 * GROWS: `one` stays and `other` goes on; aggregates stay in the cell of `one`.
 * ALONG: all three go on. ACROSS: `one` stays, `other` and `cell` go on. LEAVES: `one` stays, `other` goes on, aggregates leave the grid.
 */
enum { GROWS, ALONG, ACROSS, LEAVES };
typedef struct {
    int64_t kind, one, other, cell, count;
} run;

/*
 * What does not change from call to call. n cells, pivots x_i, cell i between edges v_i and v_(i + 1).
 *
 * Aggregation: pairs of cells are ordered into runs that vectors can take; collisions hold the kernel of each pair in that
 * order, halved for a pair of one cell with itself, so that each pair is one event; each run is filled up with zeros.
 * Breakage: column k of `fragments` starts at k (k + 1) / 2 and holds the rate of change of cell i <= k by particles of cell k.
 * Growth: speed of edge e (n + 1), widths of cells (n). Nucleation: share of nuclei in each cell (n).
 * A process that is absent has a null pointer. place[p] is its place among the coefficients.
 *
 * The Jacobian is kept by columns; column m holds the rows first_row[m] to last_row[m] and starts at column[m].
 */
typedef struct {
    size_t cells, coefficients, nonzeros;
    size_t place[PROCESSES];
    const double *pivots, *per_gap; /* pivots as long as span() says; per_gap[i] = 1 / (x_(i + 1) - x_i) */
    const double *collisions;
    const run *runs;
    size_t run_count;
    const double *fragments;
    const double *speed, *widths;
    const double *nuclei;
    const int64_t *column, *first_row, *last_row;
} balance;

/* Entries that a run takes in the table of collisions: filled up with zeros to whole vectors, so that no loop has a rest. */
INLINE int64_t filled(int64_t count) { return (count + LANES - 1) / LANES * LANES; }

/* Length of an array over cells that runs may reach beyond. */
INLINE size_t span(const balance *b) { return (size_t)filled((int64_t)b->cells) + LANES; }

/* What a cell's excess volume moves per unit: up to the next pivot if positive, down if not. Ends of the grid move nothing out. */
INLINE double moves_up(const balance *b, double excess, size_t i)
{
    return excess > 0.0 && i + 1 < b->cells ? b->per_gap[i] : 0.0;
}

INLINE double moves_down(const balance *b, double excess, size_t i)
{
    return i > 0 && (!(excess > 0.0) || i + 1 == b->cells) ? -b->per_gap[i - 1] : 0.0;
}

int all_finite(const double *numbers, size_t size);

INLINE int present(const balance *b, int process)
{
    const void *tables[PROCESSES] = {b->collisions, b->fragments, b->speed, b->nuclei};
    return tables[process] != 0;
}

size_t balance_rates_work(const balance *b);
size_t balance_jacobian_work(const balance *b);

/* rates[i], number per time, of the numbers in the cells; `coefficients` multiply the processes. work: as long as said above. */
void balance_rates(const balance *b, const double *number, const double *coefficients, double *work, double *rates);

/* Derivatives of the rates by numbers (nonzeros) and by coefficients (cells x coefficients, by columns). */
void balance_jacobian(const balance *b, const double *number, const double *coefficients, double *work, double *by_number,
                      double *by_coefficients);

/*
 * Second derivatives of the rates: of rate i by the numbers of cells m and k. Entries stand by k, then m, then i, as `start` and `row` tell:
 * those of m and k from start[k * cells + m] on, in rows that increase. The pattern belongs to the tables alone.
 */
typedef struct {
    int64_t *start, *row;
} second_pattern;

/* Fills start (cells * cells + 1) and, unless it is null, row (start's last). */
void balance_second_pattern(const balance *b, second_pattern pattern);

size_t balance_second_work(const balance *b);

/* Values of the pattern's entries: aggregation and growth; breakage and nucleation are linear. */
void balance_second(const balance *b, second_pattern pattern, const double *number, const double *coefficients, double *work, double *values);

/* Derivatives of the Jacobian by the coefficient of one process, in the order of the Jacobian's entries; work as of the Jacobian. */
void balance_jacobian_by_coefficient(const balance *b, int place, const double *number, const double *coefficients, double *work,
                                     double *values);

/* Pieces of these: see population_balance.c and population_balance_growth.c. */
enum { STENCIL = 3 }; /* cells that the density at an edge depends on */
typedef struct {
    size_t cells[STENCIL], count; /* none if no cell gives */
    double by[STENCIL][STENCIL];
} edge_curvature;
edge_curvature balance_growth_edge(const balance *b, const double *number, size_t edge, int upwards);
void balance_excess(const balance *b, const double *number, double *work, double *excess);
void balance_aggregation(const balance *b, const double *number, double *work, double *rates);
void balance_aggregation_jacobian(const balance *b, const double *number, double factor, double *work, double *by_number);
void balance_growth(const balance *b, const double *number, double direction, double *rates);
void balance_growth_jacobian(const balance *b, const double *number, double factor, double *by_number);

#endif
