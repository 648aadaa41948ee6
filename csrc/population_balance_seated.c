#include "population_balance_seated.h"

#include <stdlib.h>
#include <string.h>

/* Blocks of second derivatives: of the Jacobians by numbers and by coefficients, by both of these and by the nominal rates. */
enum { ARGUMENTS = 2, BLOCKS = ARGUMENTS * (ARGUMENTS + 1), OTHER = ARGUMENTS + 1 };

/* Their shapes, and the entries of the first. */
typedef struct {
    second_pattern pattern;
    casadi_int *shape[BLOCKS];
} second_shapes;

struct population {
    seated seat;
    balance tables;
    _Atomic(second_shapes *) second; /* made when it is first asked for */
};

/* Starts a sparse matrix of CasADi and returns where its columns begin to be told. */
static casadi_int *shaped(casadi_int **next, size_t rows, size_t columns, size_t entries)
{
    casadi_int *shape = *next;
    shape[0] = (casadi_int)rows;
    shape[1] = (casadi_int)columns;
    memset(shape + 2, 0, (columns + 1) * sizeof *shape);
    *next = shape + 3 + columns + entries;
    return shape;
}

static second_shapes *new_second_shapes(const balance *b, const casadi_int *jacobian)
{
    const size_t n = b->cells, p = b->coefficients, entries = b->nonzeros;
    const casadi_int *first = jacobian + 2, *row = jacobian + 3 + n;
    second_pattern counted = {malloc((n * n + 1) * sizeof(int64_t)), NULL};
    if (!counted.start)
        return NULL;
    balance_second_pattern(b, counted);
    const size_t curved = (size_t)counted.start[n * n];
    const size_t shapes = BLOCKS * (3 + n + p) + curved + 2 * p * entries;
    second_shapes *s = calloc(1, sizeof *s + (n * n + 1 + curved) * sizeof(int64_t) + shapes * sizeof(casadi_int));
    if (s) {
        s->pattern.start = memcpy(s + 1, counted.start, (n * n + 1) * sizeof(int64_t));
        s->pattern.row = s->pattern.start + n * n + 1;
        balance_second_pattern(b, s->pattern);
        casadi_int *next = (casadi_int *)(s->pattern.row + curved);
        const size_t rows[2] = {n * n, n * p}, columns[OTHER] = {n, p, n};
        const size_t counts[BLOCKS] = {curved, p * entries, 0, p * entries, 0, 0};
        for (int k = 0; k < BLOCKS; ++k)
            s->shape[k] = shaped(&next, rows[k / OTHER], columns[k % OTHER], counts[k]);
        casadi_int *column = s->shape[0] + 2, *entry = column + n + 1;
        for (size_t k = 0; k < n; ++k) {
            for (size_t m = 0; m < n; ++m)
                for (int64_t e = s->pattern.start[k * n + m]; e < s->pattern.start[k * n + m + 1]; ++e)
                    *entry++ = (casadi_int)(m * n) + s->pattern.row[e];
            column[k + 1] = s->pattern.start[(k + 1) * n];
        }
        column = s->shape[1] + 2, entry = column + p + 1;
        for (size_t c = 0; c < p; ++c) {
            for (size_t m = 0; m < n; ++m)
                for (casadi_int e = first[m]; e < first[m + 1]; ++e)
                    *entry++ = (casadi_int)(m * n) + row[e];
            column[c + 1] = (casadi_int)((c + 1) * entries);
        }
        column = s->shape[OTHER] + 2, entry = column + n + 1;
        for (size_t m = 0; m < n; ++m) {
            for (size_t c = 0; c < p; ++c)
                for (casadi_int e = first[m]; e < first[m + 1]; ++e)
                    *entry++ = (casadi_int)(c * n) + row[e];
            column[m + 1] = (casadi_int)p * first[m + 1];
        }
    }
    free(counted.start);
    return s;
}

static second_shapes *second_of(population *p)
{
    second_shapes *made = atomic_load(&p->second), *mine;
    if (!made && (mine = new_second_shapes(&p->tables, p->seat.shape_jacobian[0]))) {
        if (atomic_compare_exchange_strong(&p->second, &made, mine))
            made = mine;
        else
            free(mine);
    }
    return made;
}

/* ---- as CasADi calls it ---- */

static void evaluate(const seated *s, const double **arg, double *work, double *result)
{
    balance_rates(&((const population *)s)->tables, arg[0], arg[1], work, result);
}

static void differentiate(const seated *s, const double **arg, double *work, double **derivatives)
{
    balance_jacobian(&((const population *)s)->tables, arg[0], arg[1], work, derivatives[0], derivatives[1]);
}

static const casadi_int *second_shape(seated *s, int block)
{
    const second_shapes *shapes = second_of((population *)s);
    return shapes ? shapes->shape[block] : NULL;
}

static void differentiate_twice(const seated *s, const double **arg, double *work, double **derivatives)
{
    population *p = (population *)s;
    const balance *b = &p->tables;
    if (derivatives[0])
        balance_second(b, second_of(p)->pattern, arg[0], arg[1], work, derivatives[0]); /* CasADi has asked for its shape before */
    double *block = work + balance_jacobian_work(b);
    for (size_t c = 0; (derivatives[1] || derivatives[OTHER]) && c < b->coefficients; ++c) {
        balance_jacobian_by_coefficient(b, (int)c, arg[0], arg[1], work, block);
        if (derivatives[1])
            memcpy(derivatives[1] + c * b->nonzeros, block, b->nonzeros * sizeof *block);
        for (size_t m = 0; derivatives[OTHER] && m < b->cells; ++m) {
            const size_t first = (size_t)b->column[m], count = (size_t)b->column[m + 1] - first;
            memcpy(derivatives[OTHER] + b->coefficients * first + c * count, block + first, count * sizeof *block);
        }
    }
}

static void release(seated *s) { free(atomic_load(&((population *)s)->second)); }

static const casadi_int *jacobian_pattern(seated *s, const balance *b, int *failed)
{
    const size_t n = b->cells, length = 3 + n + b->nonzeros;
    casadi_int *shape = malloc(length * sizeof *shape), *entry = shape;
    if (!shape) {
        *failed = 1;
        return NULL;
    }
    *entry++ = (casadi_int)n;
    *entry++ = (casadi_int)n;
    for (size_t m = 0; m <= n; ++m)
        *entry++ = b->column[m];
    for (size_t m = 0; m < n; ++m)
        for (int64_t row = b->first_row[m]; row <= b->last_row[m]; ++row)
            *entry++ = row;
    const casadi_int *kept = seated_keep(s, shape, length * sizeof *shape, failed);
    free(shape);
    return kept;
}

balance balance_kept(seated *s, const balance *given, size_t collisions, int *failed)
{
    const size_t n = given->cells;
    balance b = *given;
    b.pivots = seated_keep(s, b.pivots, n * 8, failed); /* runs reach beyond: what is kept ends in zeros enough */
    b.per_gap = seated_keep(s, b.per_gap, (n - 1) * 8, failed);
    b.collisions = seated_keep(s, b.collisions, collisions * 8, failed);
    b.runs = seated_keep(s, b.runs, b.run_count * sizeof(run), failed);
    b.fragments = seated_keep(s, b.fragments, n * (n + 1) / 2 * 8, failed);
    b.speed = seated_keep(s, b.speed, (n + 1) * 8, failed);
    b.widths = seated_keep(s, b.widths, n * 8, failed);
    b.nuclei = seated_keep(s, b.nuclei, n * 8, failed);
    b.column = seated_keep(s, b.column, (n + 1) * 8, failed);
    b.first_row = seated_keep(s, b.first_row, n * 8, failed);
    b.last_row = seated_keep(s, b.last_row, n * 8, failed);
    return b;
}

population *population_new(const balance *given, size_t collisions)
{
    population *p = (population *)seated_new(sizeof *p);
    if (!p)
        return NULL;
    seated *s = &p->seat;
    int failed = 0;
    p->tables = balance_kept(s, given, collisions, &failed);
    const balance *b = &p->tables;
    s->arguments = ARGUMENTS;
    s->shape[0] = s->shape_result = seated_column(s, b->cells, &failed);
    s->shape[1] = seated_column(s, b->coefficients, &failed);
    s->shape_jacobian[0] = failed ? NULL : jacobian_pattern(s, b, &failed);
    const casadi_int dense[3] = {(casadi_int)b->cells, (casadi_int)b->coefficients, 1};
    s->shape_jacobian[1] = seated_keep(s, dense, sizeof dense, &failed);
    s->work = balance_rates_work(b);
    s->jacobian_work = balance_jacobian_work(b);
    const size_t one = balance_second_work(b), other = s->jacobian_work + b->nonzeros;
    s->second_work = one > other ? one : other;
    s->evaluate = evaluate;
    s->differentiate = differentiate;
    s->second_shape = second_shape;
    s->differentiate_twice = differentiate_twice;
    s->release = release;
    if (failed) {
        seated_release(s);
        return NULL;
    }
    return p;
}

seated *population_seat(population *p) { return &p->seat; }

const balance *population_tables(const population *p) { return &p->tables; }
