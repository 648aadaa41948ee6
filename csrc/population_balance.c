#include "population_balance.h"

#include <string.h>

enum { TILE = 8 };

WIDEST_VECTORS int all_finite(const double *numbers, size_t size)
{
    size_t finite = 0;
    for (size_t i = 0; i < size; ++i)
        finite += numbers[i] - numbers[i] == 0.0;
    return finite == size;
}

/* What collisions make of the numbers before aggregates are moved to pivots; arrays over cells. */
typedef struct {
    double *restrict births; /* this and the next three are there once for each of the turns that runs take */
    double *restrict excess; /* volume of the aggregates in a cell beyond that of as many particles at its pivot */
    double *restrict lost_one, *restrict lost_other;
    double *restrict deaths; /* per particle, of runs that grow */
    double *restrict volume;
    double *restrict number;
} tally;

/*
 * Runs one after the other add to places that overlap by less than a vector, and a processor waits when it reads across what it has
 * just written. So they take turns with separate sums.
 */
enum { TURNS = 4, SUMS = 4, TALLIES = TURNS * SUMS + 3 };

INLINE size_t tally_size(const balance *b) { return TALLIES * span(b) + LANES; }

INLINE tally tally_in(const balance *b, double *work)
{
    const size_t s = span(b);
    work += (64 - (uintptr_t)work % 64) % 64 / sizeof(double); /* whole vectors do not lie across lines of the cache */
    double *rest = work + TURNS * SUMS * s;
    tally t = {work, work + s, work + 2 * s, work + 3 * s, rest, rest + s, rest + 2 * s};
    return t;
}

/* Runs that grow side by side, from place `first` to `end`: how often each particle dies, and the volume that each run gains. */
INLINE void grow_together(int runs, const double *const *kernel, const double *own, tally t, int64_t other, int64_t first, int64_t end,
                          lanes *gained)
{
    for (int64_t i = first; i < end; i += LANES) {
        lanes died = *in_lanes(t.deaths + other + i), volume = *in_lanes(t.volume + other + i);
        for (int r = 0; r < runs; ++r) {
            died += *in_lanes(kernel[r] + i) * own[r];
            gained[r] += *in_lanes(kernel[r] + i) * volume;
        }
        *(lanes *)(t.deaths + other + i) = died;
    }
}

enum { TOGETHER = 4 };

/* All runs that grow, which come first; returns how many there are, and moves the table on. */
INLINE size_t grow(const balance *b, tally t, const double **table)
{
    size_t k = 0;
    while (k < b->run_count && b->runs[k].kind == GROWS) {
        const run *r = b->runs + k;
        const double *kernel[TOGETHER] = {*table};
        double own[TOGETHER] = {t.number[r->one]};
        lanes gained[TOGETHER] = {{0.0}};
        int64_t shared = filled(r->count);
        int runs = 1;
        for (; runs < TOGETHER && k + runs < b->run_count && r[runs].kind == GROWS && r[runs].other == r->other; ++runs) {
            kernel[runs] = kernel[runs - 1] + filled(r[runs - 1].count);
            own[runs] = t.number[r[runs].one];
            shared = shared < filled(r[runs].count) ? shared : filled(r[runs].count);
        }
        if (runs == TOGETHER)
            grow_together(TOGETHER, kernel, own, t, r->other, 0, shared, gained);
        for (int one = 0; one < runs; ++one) {
            grow_together(1, kernel + one, own + one, t, r->other, runs == TOGETHER ? shared : 0, filled(r[one].count), gained + one);
            t.excess[r[one].one] += own[one] * total(gained + one);
        }
        *table = kernel[runs - 1] + filled(r[runs - 1].count);
        k += (size_t)runs;
    }
    return k;
}

WIDEST_VECTORS static void collide(const balance *b, const double *restrict given, tally t)
{
    const double *restrict x = b->pivots, *restrict number = t.number, *kernel = b->collisions;
    memset(t.births, 0, TALLIES * span(b) * sizeof(double));
    for (size_t i = 0; i < b->cells; ++i) {
        t.number[i] = given[i];
        t.volume[i] = given[i] * x[i];
    }
    for (size_t k = grow(b, t, &kernel); k < b->run_count; ++k) {
        const run r = b->runs[k];
        const int64_t count = filled(r.count);
        const size_t turn = k % TURNS * SUMS * span(b);
        const double own = number[r.one], *restrict others = number + r.other;
        double *restrict lost_other = t.lost_other + turn + r.other, *restrict births = t.births + turn + r.cell;
        double *restrict excess = t.excess + turn + r.cell;
        if (r.kind == ALONG) {
            const double *restrict ones = number + r.one;
            double *restrict lost_one = t.lost_one + turn + r.one;
            for (int64_t i = 0; i < count; ++i) {
                double rate = kernel[i] * ones[i] * others[i];
                births[i] += rate;
                excess[i] += rate * (x[r.other + i] + (x[r.one + i] - x[r.cell + i]));
                lost_one[i] += rate;
                lost_other[i] += rate;
            }
        } else if (r.kind == ACROSS) {
            for (int64_t i = 0; i < count; ++i) {
                double rate = kernel[i] * own * others[i];
                births[i] += rate;
                excess[i] += rate * (x[r.other + i] + (x[r.one] - x[r.cell + i]));
                lost_other[i] += rate;
            }
            t.lost_one[r.one] += own * dot(kernel, others, count);
        } else {
            for (int64_t i = 0; i < count; ++i)
                lost_other[i] += kernel[i] * own * others[i];
            t.lost_one[r.one] += own * dot(kernel, others, count);
        }
        kernel += count;
    }
    for (size_t turn = SUMS * span(b); turn < TURNS * SUMS * span(b); turn += SUMS * span(b))
        for (size_t i = 0; i < span(b); ++i) {
            t.births[i] += t.births[turn + i];
            t.excess[i] += t.excess[turn + i];
            t.lost_one[i] += t.lost_one[turn + i];
            t.lost_other[i] += t.lost_other[turn + i];
        }
}

/* Cell average (Kumar et al. 2006): births of a cell go to the two pivots around their mean volume. */
WIDEST_VECTORS void balance_aggregation(const balance *b, const double *number, double *work, double *rates)
{
    const size_t n = b->cells;
    const tally t = tally_in(b, work);
    collide(b, number, t);
    for (size_t i = 0; i < n; ++i)
        rates[i] = t.births[i] - t.lost_one[i] - t.lost_other[i] - number[i] * t.deaths[i];
    for (size_t i = 0; i < n; ++i) {
        double up = moves_up(b, t.excess[i], i) * t.excess[i], down = moves_down(b, t.excess[i], i) * t.excess[i];
        rates[i] -= up + down;
        if (i + 1 < n)
            rates[i + 1] += up;
        if (i > 0)
            rates[i - 1] += down;
    }
}

/* Adds one pair's derivatives; `first` and `second` are those of its rate by the numbers of its cells, times the factor. */
INLINE void pair_jacobian(size_t n, double first, double second, double over, int64_t one, int64_t other, int64_t cell,
                                 double *excess_by, double *by_number)
{
    double *by_one = by_number + one * n, *by_other = by_number + other * n;
    by_one[one] -= first;
    by_one[other] -= first;
    by_other[one] -= second;
    by_other[other] -= second;
    if (cell == (int64_t)n)
        return;
    by_one[cell] += first;
    by_other[cell] += second;
    excess_by[cell * n + one] += first * over;
    excess_by[cell * n + other] += second * over;
}

/* Derivatives of the excess volume of cell i by numbers, times the factor, stand in row i of a matrix after the tally. */
WIDEST_VECTORS static void collision_jacobian(const balance *b, const double *restrict number, double factor, tally t,
                                              double *restrict excess_by, double *restrict by_number)
{
    const size_t n = b->cells;
    const double *restrict x = b->pivots, *restrict kernel = b->collisions;
    for (size_t k = 0; k < b->run_count; ++k) {
        const run r = b->runs[k];
        if (r.kind == GROWS) {
            const double own = factor * number[r.one];
            const double *restrict others = number + r.other, *restrict volumes = x + r.other;
            double *restrict by_one = by_number + r.one * n + r.other, *restrict excess = excess_by + r.one * n;
            for (int64_t i = 0; i < r.count; ++i) {
                by_one[i] -= factor * (kernel[i] * others[i]);
                excess[r.other + i] += kernel[i] * own * volumes[i];
            }
            excess[r.one] += factor * dot(kernel, t.volume + r.other, filled(r.count));
        } else {
            const int64_t moves = r.kind == ALONG, to = r.kind == LEAVES ? 0 : 1;
            for (int64_t i = 0; i < r.count; ++i) {
                const int64_t one = r.one + moves * i, other = r.other + i, cell = r.cell + to * i;
                const double over = cell < (int64_t)n ? x[other] + (x[one] - x[cell]) : 0.0, rate = factor * kernel[i];
                pair_jacobian(n, rate * number[other], rate * number[one], over, one, other, cell, excess_by, by_number);
            }
        }
        kernel += filled(r.count);
    }
    for (size_t i = 0; i < n; ++i)
        by_number[i * n + i] -= factor * t.deaths[i];
}

/* A tile of the derivatives of what excess volume moves; rows of `excess_by` go to columns of `by_number`. */
INLINE void move_tile(const double *restrict shares, const double *restrict excess_by, size_t n, size_t top, size_t left, size_t height,
                             size_t width, double *restrict by_number)
{
    double tile[TILE][TILE];
    for (size_t r = 0; r < height; ++r) {
        const size_t i = top + r;
        const double *restrict own = excess_by + i * n + left, *restrict below = i > 0 ? own - n : own, *restrict above = i + 1 < n ? own + n : own;
        for (size_t m = 0; m < width; ++m)
            tile[r][m] = shares[3 * i] * own[m] + shares[3 * i + 1] * below[m] + shares[3 * i + 2] * above[m];
    }
    for (size_t m = 0; m < width; ++m)
        for (size_t r = 0; r < height; ++r)
            by_number[(left + m) * n + top + r] += tile[r][m];
}

/* Moves excess volume to pivots; `shares` are 3 n numbers to work with. */
WIDEST_VECTORS static void excess_to_pivots(const balance *b, const double *restrict excess, double *restrict shares,
                                            const double *restrict excess_by, double *restrict by_number)
{
    const size_t n = b->cells;
    for (size_t i = 0; i < n; ++i) { /* what cell i takes of the excess of itself, of the cell below and of that above */
        shares[3 * i] = -moves_up(b, excess[i], i) - moves_down(b, excess[i], i);
        shares[3 * i + 1] = i > 0 ? moves_up(b, excess[i - 1], i - 1) : 0.0;
        shares[3 * i + 2] = i + 1 < n ? moves_down(b, excess[i + 1], i + 1) : 0.0;
    }
    for (size_t top = 0; top < n; top += TILE)
        for (size_t left = 0; left < n; left += TILE) {
            if (top + TILE <= n && left + TILE <= n)
                move_tile(shares, excess_by, n, top, left, TILE, TILE, by_number);
            else
                move_tile(shares, excess_by, n, top, left, n - top < TILE ? n - top : TILE, n - left < TILE ? n - left : TILE, by_number);
        }
}

WIDEST_VECTORS void balance_aggregation_jacobian(const balance *b, const double *number, double factor, double *work, double *by_number)
{
    const size_t n = b->cells;
    const tally t = tally_in(b, work);
    double *shares = work + tally_size(b), *excess_by = shares + 3 * n;
    collide(b, number, t);
    memset(excess_by, 0, n * n * sizeof(double));
    collision_jacobian(b, number, factor, t, excess_by, by_number);
    excess_to_pivots(b, t.excess, shares, excess_by, by_number);
}

void balance_excess(const balance *b, const double *number, double *work, double *excess)
{
    const tally t = tally_in(b, work);
    collide(b, number, t);
    memcpy(excess, t.excess, b->cells * sizeof(double));
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

size_t balance_rates_work(const balance *b) { return tally_size(b) + b->cells; }

size_t balance_jacobian_work(const balance *b) { return tally_size(b) + b->cells * (b->collisions ? 3 + b->cells : 0); }

void balance_rates(const balance *b, const double *number, const double *coefficients, double *work, double *rates)
{
    const size_t n = b->cells;
    double *unit = work + tally_size(b);
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
