#include "tracers.h"

#include <stdlib.h>
#include <string.h>

/* What collisions make of numbers, arrays of n. Births and deaths leave out particles that grow but stay in their cell. */
typedef struct {
    double *restrict lost_one, *restrict lost_other; /* collisions per particle that take it out of its cell */
    double *restrict births;                         /* volume of the aggregates */
    double *restrict excess;                         /* beyond that of as many particles at the pivot */
    double *restrict grown;                          /* collisions per particle that leave it in its cell */
    double *restrict volume;                         /* of the particles */
} tally;

enum { TALLY = 6 };

INLINE tally tally_in(double *work, size_t n)
{
    tally t = {work, work + n, work + 2 * n, work + 3 * n, work + 4 * n, work + 5 * n};
    return t;
}

/* Tallies the collisions, and adds up in `births` (m planes of n) what the aggregates hold of the contents (m planes of n). */
WIDEST_VECTORS static void collide(const balance *b, size_t m, const double *restrict number, const double *restrict content, tally t,
                                   double *restrict births)
{
    const size_t n = b->cells;
    const double *restrict x = b->pivots, *restrict kernel = b->collisions;
    memset(t.lost_one, 0, (TALLY - 1) * n * sizeof(double));
    memset(births, 0, m * n * sizeof(double));
    for (size_t i = 0; i < n; ++i)
        t.volume[i] = number[i] * x[i];
    for (size_t k = 0; k < b->run_count; ++k) {
        const run r = b->runs[k];
        const double own = number[r.one], *restrict others = number + r.other;
        double *restrict lost_other = t.lost_other + r.other;
        if (r.kind == GROWS || r.kind == LEAVES || r.kind == ACROSS) {
            for (int64_t i = 0; i < r.count; ++i)
                lost_other[i] += kernel[i] * own;
            (r.kind == GROWS ? t.grown : t.lost_one)[r.one] += dot(kernel, others, r.count);
        }
        if (r.kind == GROWS) {
            const double volume = own * dot(kernel, t.volume + r.other, r.count);
            t.births[r.one] += volume;
            t.excess[r.one] += volume;
            for (size_t c = 0; c < m; ++c)
                births[c * n + r.one] += own * dot(kernel, content + c * n + r.other, r.count);
        } else if (r.kind == ACROSS) {
            for (int64_t i = 0; i < r.count; ++i) {
                double rate = kernel[i] * own * others[i];
                t.births[r.cell + i] += rate * (x[r.other + i] + x[r.one]);
                t.excess[r.cell + i] += rate * (x[r.other + i] + (x[r.one] - x[r.cell + i]));
            }
            for (size_t c = 0; c < m; ++c) {
                const double held = content[c * n + r.one], *restrict others_hold = content + c * n + r.other;
                double *restrict to = births + c * n + r.cell;
                for (int64_t i = 0; i < r.count; ++i)
                    to[i] += kernel[i] * (held * others[i] + own * others_hold[i]);
            }
        } else if (r.kind == ALONG) {
            const double *restrict ones = number + r.one;
            for (int64_t i = 0; i < r.count; ++i) {
                double rate = kernel[i] * ones[i] * others[i];
                t.births[r.cell + i] += rate * (x[r.other + i] + x[r.one + i]);
                t.excess[r.cell + i] += rate * (x[r.other + i] + (x[r.one + i] - x[r.cell + i]));
                t.lost_one[r.one + i] += kernel[i] * others[i];
                lost_other[i] += kernel[i] * ones[i];
            }
            for (size_t c = 0; c < m; ++c) {
                const double *restrict ones_hold = content + c * n + r.one, *restrict others_hold = content + c * n + r.other;
                double *restrict to = births + c * n + r.cell;
                for (int64_t i = 0; i < r.count; ++i)
                    to[i] += kernel[i] * (ones_hold[i] * others[i] + ones[i] * others_hold[i]);
            }
        }
        kernel += filled(r.count);
    }
}

#define LEAST_VOLUME 1e-280 /* of births that move: a share of less overflows */

/* The share of the births' volume, and so of what they hold, that goes from a cell to the next or the one before. */
typedef struct {
    ptrdiff_t to;
    double value, by_excess, by_volume;
} share;

INLINE share moved(const balance *b, double excess, double volume, size_t i)
{
    share s = {0, 0.0, 0.0, 0.0};
    if (!(volume > LEAST_VOLUME))
        return s;
    if (excess > 0.0 && i + 1 < b->cells) {
        s.to = 1;
        s.by_excess = b->pivots[i + 1] * b->per_gap[i] / volume;
    } else if (!(excess > 0.0) && i > 0) {
        s.to = -1;
        s.by_excess = -b->pivots[i - 1] * b->per_gap[i - 1] / volume;
    }
    s.value = s.by_excess * excess;
    s.by_volume = -s.value / volume;
    if (s.value > 1.0) { /* of negative numbers only, as an integrator may try */
        s.value = 1.0;
        s.by_excess = s.by_volume = 0.0;
    }
    return s;
}

INLINE double volume_of_births(const tally *t, size_t i) { return t->births[i] + t->volume[i] * t->grown[i]; }

static void aggregation(const balance *b, size_t m, const double *number, const double *content, double *work, double *rates)
{
    const size_t n = b->cells;
    const tally t = tally_in(work, n);
    double *births = work + TALLY * n;
    collide(b, m, number, content, t, births);
    for (size_t k = 0; k < m * n; ++k)
        rates[k] = births[k] - content[k] * (t.lost_one[k % n] + t.lost_other[k % n]);
    for (size_t i = 0; i < n; ++i) {
        const share s = moved(b, t.excess[i], volume_of_births(&t, i), i);
        for (size_t k = i; k < m * n; k += n) {
            const double amount = s.value * (births[k] + content[k] * t.grown[i]);
            rates[k] -= amount;
            rates[k + (size_t)s.to] += amount;
        }
    }
}

/* Fragments hold what broke in proportion to their volume. */
WIDEST_VECTORS static void breakage(const balance *b, const double *restrict content, double *restrict rates)
{
    const double *restrict x = b->pivots;
    memset(rates, 0, b->cells * sizeof(double));
    for (size_t k = 0; k < b->cells; ++k) {
        const double *restrict column = b->fragments + k * (k + 1) / 2, per_volume = content[k] / x[k];
        for (size_t i = 0; i <= k; ++i)
            rates[i] += column[i] * per_volume;
    }
    for (size_t i = 0; i < b->cells; ++i)
        rates[i] *= x[i];
}

/* Rates of one process with a coefficient of one, in planes; nuclei hold nothing. */
static void unit_rates(const tracers *t, int process, const double *number, const double *content, double coefficient, double *work,
                       double *rates)
{
    const balance *b = &t->balance;
    const size_t n = b->cells;
    if (process == AGGREGATION)
        aggregation(b, t->count, number, content, work, rates);
    for (size_t c = 0; c < t->count; ++c) {
        if (process == BREAKAGE)
            breakage(b, content + c * n, rates + c * n);
        else if (process == GROWTH)
            balance_growth(b, content + c * n, coefficient, rates + c * n);
        else if (process == NUCLEATION)
            memset(rates + c * n, 0, n * sizeof(double));
    }
}

static void into_planes(size_t n, size_t m, const double *content, double *planes)
{
    for (size_t c = 0; c < m; ++c)
        for (size_t i = 0; i < n; ++i)
            planes[c * n + i] = content[i * m + c];
}

void tracers_rates(const tracers *t, const double *number, const double *content, const double *coefficients, double *work, double *rates)
{
    const balance *b = &t->balance;
    const size_t n = b->cells, m = t->count;
    double *planes = work, *unit = work + m * n;
    into_planes(n, m, content, planes);
    memset(rates, 0, m * n * sizeof(double));
    for (int process = 0; process < PROCESSES; ++process) {
        if (!present(b, process))
            continue;
        const double coefficient = coefficients[b->place[process]];
        unit_rates(t, process, number, planes, coefficient, work + 2 * m * n, unit);
        for (size_t c = 0; c < m; ++c)
            for (size_t i = 0; i < n; ++i)
                rates[i * m + c] += coefficient * unit[c * n + i];
    }
}

/* ---- derivatives ---- */

/* The cell of the aggregate of pair i of a run, n if it leaves, and the pair. */
INLINE size_t pair_of(const balance *b, run r, int64_t i, size_t *one, size_t *other)
{
    *one = (size_t)(r.one + (r.kind == ALONG ? i : 0));
    *other = (size_t)(r.other + i);
    return r.kind == LEAVES ? b->cells : (size_t)(r.cell + (r.kind == GROWS ? 0 : i));
}

/* Row i, column l: derivative by a_l of what aggregates in cell i are made of, the sum over pairs of kernel (a_j held_k + held_j a_k). */
WIDEST_VECTORS static void births_by(const balance *b, const double *restrict held, double *restrict by)
{
    const size_t n = b->cells;
    const double *kernel = b->collisions;
    memset(by, 0, n * n * sizeof(double));
    for (size_t k = 0; k < b->run_count; ++k) {
        const run r = b->runs[k];
        for (int64_t i = 0; i < r.count && r.kind != LEAVES; ++i) {
            size_t one, other, cell = pair_of(b, r, i, &one, &other);
            by[cell * n + one] += kernel[i] * held[other];
            by[cell * n + other] += kernel[i] * held[one];
        }
        kernel += filled(r.count);
    }
}

/* Takes away, from row j and column k, what particles k take from cell j: they meet all particles, also those that stay in their cell. */
WIDEST_VECTORS static void deaths_by(const balance *b, const double *restrict held, double *restrict by)
{
    const size_t n = b->cells;
    const double *kernel = b->collisions;
    for (size_t k = 0; k < b->run_count; ++k) {
        const run r = b->runs[k];
        for (int64_t i = 0; i < r.count; ++i) {
            size_t one, other;
            pair_of(b, r, i, &one, &other);
            by[one * n + other] -= kernel[i] * held[one];
            by[other * n + one] -= kernel[i] * held[other];
        }
        kernel += filled(r.count);
    }
}

/* Moves the rows of `amounts` out of their cells. */
WIDEST_VECTORS static void move_rows(size_t n, const share *shares, const double *restrict amounts, double *restrict by)
{
    for (size_t i = 0; i < n; ++i) {
        const double *restrict amount = amounts + i * n;
        double *restrict from = by + i * n, *restrict to = from + shares[i].to * (ptrdiff_t)n;
        if (shares[i].to == 0)
            continue;
        for (size_t l = 0; l < n; ++l) {
            from[l] -= amount[l];
            to[l] += amount[l];
        }
    }
}

/* Work of the derivatives: matrices of n x n, by rows. */
typedef struct {
    double *numbers; /* births of particles by numbers, of contents by contents */
    double *volumes; /* births of volume by numbers */
    double *own;     /* births of one tracer by numbers */
    double *amounts; /* moved out of the cells */
} matrices;

WIDEST_VECTORS static void content_by_number(const balance *b, const double *restrict content, const double *restrict births, const tally *t,
                                             const share *shares, matrices w)
{
    const size_t n = b->cells;
    const double *restrict x = b->pivots;
    births_by(b, content, w.own);
    for (size_t i = 0; i < n; ++i) {
        const share s = shares[i];
        const double held = births[i] + content[i] * t->grown[i];
        const double by_volume = held * (s.by_excess + s.by_volume), by_births = -held * s.by_excess * x[i];
        const double *restrict own = w.own + i * n, *restrict volumes = w.volumes + i * n, *restrict numbers = w.numbers + i * n;
        double *restrict amounts = w.amounts + i * n;
        for (size_t l = 0; l < n; ++l)
            amounts[l] = s.value * own[l] + by_volume * volumes[l] + by_births * numbers[l];
    }
    deaths_by(b, content, w.own);
    move_rows(n, shares, w.amounts, w.own);
}

/* The derivatives by contents go in place of `numbers`. */
WIDEST_VECTORS static void content_by_content(const balance *b, const tally *t, const share *shares, matrices w)
{
    const size_t n = b->cells;
    for (size_t i = 0; i < n; ++i)
        for (size_t l = 0; l < n; ++l)
            w.amounts[i * n + l] = shares[i].value * w.numbers[i * n + l];
    for (size_t i = 0; i < n; ++i)
        w.numbers[i * n + i] -= t->lost_one[i] + t->lost_other[i] + t->grown[i];
    move_rows(n, shares, w.amounts, w.numbers);
}

static void aggregation_jacobian(const tracers *tracers, const double *number, const double *content, double factor, double *work,
                                 double *by_number, double *by_content)
{
    const balance *b = &tracers->balance;
    const size_t n = b->cells, m = tracers->count;
    const tally t = tally_in(work, n);
    double *births = work + TALLY * n, *matrix = births + m * n;
    const matrices w = {matrix, matrix + n * n, matrix + 2 * n * n, matrix + 3 * n * n};
    share *shares = (share *)(matrix + 4 * n * n);
    collide(b, m, number, content, t, births);
    for (size_t i = 0; i < n; ++i)
        shares[i] = moved(b, t.excess[i], volume_of_births(&t, i), i);
    births_by(b, number, w.numbers);
    births_by(b, t.volume, w.volumes);
    for (size_t i = 0; i < n; ++i)
        for (size_t l = 0; l < n; ++l)
            w.volumes[i * n + l] += b->pivots[l] * w.numbers[i * n + l];
    for (size_t c = 0; by_number && c < m; ++c) {
        content_by_number(b, content + c * n, births + c * n, &t, shares, w);
        for (size_t l = 0; l < n; ++l)
            for (size_t i = 0; i < n; ++i)
                by_number[(l * n + i) * m + c] = factor * w.own[i * n + l];
    }
    if (!by_content)
        return;
    content_by_content(b, &t, shares, w);
    for (size_t l = 0; l < n; ++l)
        for (size_t i = 0; i < n; ++i)
            by_content[l * n + i] += factor * w.numbers[i * n + l];
}

/* Adds the derivatives of breakage and growth of one tracer by itself, in the pattern of the balance. */
static void linear_jacobian(const balance *b, const double *content, const double *coefficients, double *by_content)
{
    for (size_t k = 0; b->fragments && k < b->cells; ++k) {
        const double *column = b->fragments + k * (k + 1) / 2, factor = coefficients[b->place[BREAKAGE]];
        for (size_t i = 0; i <= k; ++i)
            by_content[b->column[k] + (int64_t)i] += factor * (column[i] * (b->pivots[i] / b->pivots[k]));
    }
    if (b->speed)
        balance_growth_jacobian(b, content, coefficients[b->place[GROWTH]], by_content);
}

static void write_by_content(const tracers *t, const double *common, const double *planes, const double *coefficients, double *own,
                             double *by_content)
{
    const balance *b = &t->balance;
    for (size_t c = 0; c < t->count; ++c) {
        memcpy(own, common, b->nonzeros * sizeof(double));
        linear_jacobian(b, planes + c * b->cells, coefficients, own);
        for (size_t k = 0; k < b->cells; ++k) { /* column k m + c comes after m columns of each cell before and c of its own */
            const size_t length = (size_t)(b->column[k + 1] - b->column[k]);
            memcpy(by_content + (size_t)b->column[k] * t->count + c * length, own + b->column[k], length * sizeof(double));
        }
    }
}

void tracers_jacobian(const tracers *t, const double *number, const double *content, const double *coefficients, double *work,
                      double *by_number, double *by_content, double *by_coefficients)
{
    const balance *b = &t->balance;
    const size_t n = b->cells, m = t->count;
    double *planes = work, *unit = planes + m * n, *common = unit + m * n, *own = common + b->nonzeros, *rest = own + b->nonzeros;
    into_planes(n, m, content, planes);
    for (int process = 0; by_coefficients && process < PROCESSES; ++process) {
        if (!present(b, process))
            continue;
        double *column = by_coefficients + m * n * b->place[process];
        unit_rates(t, process, number, planes, coefficients[b->place[process]], rest, unit);
        for (size_t k = 0; k < m * n; ++k)
            column[k] = unit[k % m * n + k / m];
    }
    memset(common, 0, b->nonzeros * sizeof(double));
    if (b->collisions)
        aggregation_jacobian(t, number, planes, coefficients[b->place[AGGREGATION]], rest, by_number, by_content ? common : NULL);
    if (by_content)
        write_by_content(t, common, planes, coefficients, own, by_content);
}

/* ---- as CasADi calls it ---- */

static void evaluate(const seated *s, const double **arg, double *work, double *result)
{
    tracers_rates((const tracers *)s, arg[0], arg[1], arg[2], work, result);
}

static void differentiate(const seated *s, const double **arg, double *work, double **derivatives)
{
    tracers_jacobian((const tracers *)s, arg[0], arg[1], arg[2], work, derivatives[0], derivatives[1], derivatives[2]);
}

/* Pattern of the derivatives of m interleaved tracers by numbers (dense with aggregation, none without) or by themselves. */
static const casadi_int *pattern(tracers *t, int by_content, int *failed)
{
    const balance *b = &t->balance;
    const size_t n = b->cells, m = t->count, columns = by_content ? n * m : n;
    const size_t nonzeros = by_content ? b->nonzeros * m : b->collisions ? n * n * m : 0;
    casadi_int *shape = malloc((2 + columns + 1 + nonzeros) * sizeof *shape);
    if (!shape) {
        *failed = 1;
        return NULL;
    }
    casadi_int *starts = shape + 2, *rows = starts + columns + 1, found = 0;
    shape[0] = (casadi_int)(n * m);
    shape[1] = (casadi_int)columns;
    for (size_t k = 0; k < columns; ++k) {
        starts[k] = found;
        if (by_content)
            for (int64_t i = b->first_row[k / m]; i <= b->last_row[k / m]; ++i)
                rows[found++] = i * (casadi_int)m + (casadi_int)(k % m);
        else if (b->collisions)
            for (size_t i = 0; i < n * m; ++i)
                rows[found++] = (casadi_int)i;
    }
    starts[columns] = found;
    const casadi_int *kept = seated_keep(&t->seat, shape, (2 + columns + 1 + nonzeros) * sizeof *shape, failed);
    free(shape);
    return kept;
}

tracers *tracers_new(const balance *given, size_t collisions, size_t count)
{
    const size_t n = given->cells, m = count;
    tracers *t = (tracers *)seated_new(sizeof *t);
    if (!t)
        return NULL;
    seated *s = &t->seat;
    balance *b = &t->balance;
    int failed = 0;
    *b = balance_kept(s, given, collisions, &failed);
    t->count = count;
    s->arguments = 3;
    const size_t rows[] = {n, n * m, b->coefficients};
    for (int k = 0; k < 3; ++k)
        s->shape[k] = seated_column(s, rows[k], &failed);
    s->shape_result = s->shape[1];
    s->shape_jacobian[0] = pattern(t, 0, &failed);
    s->shape_jacobian[1] = pattern(t, 1, &failed);
    const casadi_int dense[3] = {(casadi_int)(n * m), (casadi_int)b->coefficients, 1};
    s->shape_jacobian[2] = seated_keep(s, dense, sizeof dense, &failed);
    const size_t tallies = (TALLY + m) * n, share_room = n * sizeof(share) / sizeof(double);
    s->work = 2 * m * n + tallies;
    s->jacobian_work = 2 * m * n + 2 * b->nonzeros + tallies + (b->collisions ? 4 * n * n + share_room : 0);
    s->evaluate = evaluate;
    s->differentiate = differentiate;
    if (failed) {
        seated_release(s);
        return NULL;
    }
    return t;
}
