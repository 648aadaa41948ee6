#include "population_balance.h"

#include <string.h>

enum { LANES = 8 };

/* Sums of share[k] and of share[k] (pivots[k] + shift), in an order that does not depend on the width of vectors. */
static inline void run_sums(const double *share, const double *pivots, double shift, int64_t count, double *number, double *excess)
{
    double n[LANES] = {0.0}, e[LANES] = {0.0};
    int64_t k = 0;
    if (count >= 2 * LANES) {
        for (; k + LANES <= count; k += LANES)
            for (int l = 0; l < LANES; ++l) {
                n[l] += share[k + l];
                e[l] += share[k + l] * (pivots[k + l] + shift);
            }
        for (int half = LANES / 2; half; half /= 2)
            for (int l = 0; l < half; ++l) {
                n[l] += n[l + half];
                e[l] += e[l + half];
            }
    }
    double one = n[0], other = e[0];
    for (; k < count; ++k) {
        one += share[k];
        other += share[k] * (pivots[k] + shift);
    }
    *number = one;
    *excess = other;
}

/*
 * Births, their volume in excess of the pivot, and deaths per particle of each cell, before births are moved to pivots.
 * work: births, excess, deaths, shares, n each.
 */
static inline void collide(const balance *b, const double *number, double *work)
{
    const size_t n = b->cells;
    const double *restrict pivots = b->pivots;
    double *restrict births = work, *restrict excess = work + n, *restrict deaths = work + 2 * n, *restrict share = work + 3 * n;
    memset(work, 0, 3 * n * sizeof(double));
    for (size_t j = 0; j < n; ++j) {
        const double *restrict row = b->collisions + j * (j + 1) / 2;
        int64_t first = b->first_run[j], end = b->first_run[j + 1], start = 0;
        if (first == end)
            continue;
        int64_t partners = b->run_end[end - 1];
        double own = number[j], met = 0.0;
        for (int64_t k = 0; k < partners; ++k) {
            share[k] = row[k] * number[k];
            deaths[k] += row[k] * own;
        }
        for (int64_t run = first; run < end; ++run) {
            int64_t stop = b->run_end[run];
            size_t cell = (size_t)b->run_cell[run];
            double sum, over;
            run_sums(share + start, pivots + start, cell < n ? pivots[j] - pivots[cell] : 0.0, stop - start, &sum, &over);
            met += sum;
            if (cell < n) {
                births[cell] += own * sum;
                excess[cell] += own * over;
            }
            start = stop;
        }
        deaths[j] += met;
    }
}

/* What a cell's excess volume moves per unit: up to the next pivot if positive, down if not. Ends of the grid move nothing out. */
static inline double moves_up(const balance *b, double excess, size_t i)
{
    return excess > 0.0 && i + 1 < b->cells ? b->per_gap[i] : 0.0;
}

static inline double moves_down(const balance *b, double excess, size_t i)
{
    return i > 0 && (!(excess > 0.0) || i + 1 == b->cells) ? -b->per_gap[i - 1] : 0.0;
}

/* Cell average (Kumar et al. 2006): births of a cell go to the two pivots around their mean volume. */
WIDEST_VECTORS void balance_aggregation(const balance *b, const double *number, double *work, double *rates)
{
    const size_t n = b->cells;
    const double *births = work, *excess = work + n, *deaths = work + 2 * n;
    collide(b, number, work);
    for (size_t i = 0; i < n; ++i)
        rates[i] = births[i] - number[i] * deaths[i];
    for (size_t i = 0; i < n; ++i) {
        double up = moves_up(b, excess[i], i) * excess[i], down = moves_down(b, excess[i], i) * excess[i];
        rates[i] -= up + down;
        if (i + 1 < n)
            rates[i + 1] += up;
        if (i > 0)
            rates[i - 1] += down;
    }
}

/* Derivatives of births and excess volume of cell i by numbers stand in rows i of two matrices after the work of the rates. */
WIDEST_VECTORS void balance_aggregation_jacobian(const balance *b, const double *number, double factor, double *work, double *by_number)
{
    const size_t n = b->cells;
    const double *restrict pivots = b->pivots;
    const double *excess = work + n, *deaths = work + 2 * n;
    double *restrict row_sum = work + 3 * n, *restrict births_by = work + 4 * n, *restrict excess_by = births_by + n * n;
    collide(b, number, work);
    memset(births_by, 0, 2 * n * n * sizeof(double));
    for (size_t j = 0; j < n; ++j) {
        const double *restrict row = b->collisions + j * (j + 1) / 2;
        double *restrict own_births = births_by + j * n, *restrict by_own = by_number + j * n;
        const double own = number[j];
        int64_t k = 0;
        for (int64_t run = b->first_run[j]; run < b->first_run[j + 1]; ++run) {
            const int64_t start = k, stop = b->run_end[run];
            size_t cell = (size_t)b->run_cell[run];
            for (int64_t m = start; m < stop; ++m) { /* deaths: of j by the others, of the others by j */
                own_births[m] -= row[m] * own;
                by_own[m] -= factor * (row[m] * number[m]);
            }
            k = stop;
            if (cell == n)
                continue;
            double *restrict births = births_by + cell * n, *restrict over = excess_by + cell * n;
            const double shift = pivots[j] - pivots[cell];
            double sum, moved;
            for (int64_t m = start; m < stop; ++m) {
                double rate = row[m] * own;
                births[m] += rate;
                over[m] += rate * (pivots[m] + shift);
                row_sum[m] = row[m] * number[m];
            }
            run_sums(row_sum + start, pivots + start, shift, stop - start, &sum, &moved);
            births[j] += sum;
            over[j] += moved;
        }
    }
    for (size_t i = 0; i < n; ++i) {
        double *restrict births = births_by + i * n, *restrict total = row_sum;
        const double *restrict own = excess_by + i * n;
        const double *restrict below = i > 0 ? own - n : own, *restrict above = i + 1 < n ? own + n : own;
        double stays = -moves_up(b, excess[i], i) - moves_down(b, excess[i], i);
        double from_below = i > 0 ? moves_up(b, excess[i - 1], i - 1) : 0.0;
        double from_above = i + 1 < n ? moves_down(b, excess[i + 1], i + 1) : 0.0;
        births[i] -= deaths[i];
        for (size_t m = 0; m < n; ++m)
            total[m] = factor * (births[m] + stays * own[m] + from_below * below[m] + from_above * above[m]);
        for (size_t m = 0; m < n; ++m)
            by_number[m * n + i] += total[m];
    }
}

WIDEST_VECTORS static void break_up(const balance *b, const double *restrict number, double *restrict rates)
{
    memset(rates, 0, b->cells * sizeof(double));
    for (size_t k = 0; k < b->cells; ++k) {
        const double *restrict column = b->fragments + k * (k + 1) / 2;
        for (size_t i = 0; i <= k; ++i)
            rates[i] += column[i] * number[k];
    }
}

/* Rates of one process with a coefficient of one; `coefficient` tells which way particles grow. */
static void unit_rates(const balance *b, int process, const double *number, double coefficient, double *work, double *rates)
{
    if (process == AGGREGATION)
        balance_aggregation(b, number, work, rates);
    else if (process == BREAKAGE)
        break_up(b, number, rates);
    else if (process == GROWTH)
        balance_growth(b, number, coefficient, rates);
    else
        memcpy(rates, b->nuclei, b->cells * sizeof(double));
}

static int present(const balance *b, int process)
{
    const double *tables[PROCESSES] = {b->collisions, b->fragments, b->speed, b->nuclei};
    return tables[process] != NULL;
}

size_t balance_rates_work(const balance *b) { return 5 * b->cells; }

size_t balance_jacobian_work(const balance *b) { return b->cells * (b->collisions ? 4 + 2 * b->cells : 4); }

void balance_rates(const balance *b, const double *number, const double *coefficients, double *work, double *rates)
{
    const size_t n = b->cells;
    double *unit = work + 4 * n;
    memset(rates, 0, n * sizeof(double));
    for (int process = 0; process < PROCESSES; ++process) {
        if (!present(b, process))
            continue;
        double coefficient = coefficients[b->place[process]];
        unit_rates(b, process, number, coefficient, work, unit);
        for (size_t i = 0; i < n; ++i)
            rates[i] += coefficient * unit[i];
    }
}

void balance_jacobian(const balance *b, const double *number, const double *coefficients, double *work, double *by_number,
                      double *by_coefficients)
{
    const size_t n = b->cells;
    for (int process = 0; by_coefficients && process < PROCESSES; ++process)
        if (present(b, process))
            unit_rates(b, process, number, coefficients[b->place[process]], work, by_coefficients + n * b->place[process]);
    if (!by_number)
        return;
    memset(by_number, 0, b->nonzeros * sizeof(double));
    if (b->collisions)
        balance_aggregation_jacobian(b, number, coefficients[b->place[AGGREGATION]], work, by_number);
    for (size_t k = 0; b->fragments && k < n; ++k) {
        const double *column = b->fragments + k * (k + 1) / 2;
        const double factor = coefficients[b->place[BREAKAGE]];
        for (size_t i = 0; i <= k; ++i)
            by_number[b->column[k] + (int64_t)i] += factor * column[i]; /* first_row[k] is 0 wherever there is breakage */
    }
    if (b->speed)
        balance_growth_jacobian(b, number, coefficients[b->place[GROWTH]], by_number);
}
