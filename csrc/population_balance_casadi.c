#include "population_balance_casadi.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

typedef long long int casadi_int;

enum { ARGUMENTS = 3, SECOND = 2 * ARGUMENTS }; /* numbers, coefficients, nominal rates */

/* Shapes of the derivatives of both blocks of the Jacobian by each argument, and the entries of the first. */
typedef struct {
    second_pattern pattern;
    casadi_int *shape[SECOND];
} second_shapes;

struct shared_balance {
    balance tables;
    atomic_int users;
    int first_choice, seat;
    casadi_int number[3], coefficients[3], by_coefficients[3]; /* dense columns and a dense matrix, as CasADi writes them */
    casadi_int *by_number;
    void *memory;
    _Atomic(second_shapes *) second; /* made when it is first asked for */
};

static _Atomic(shared_balance *) seats[SEATS];

/* ---- life ---- */

typedef struct {
    char *next;
} pool;

static const void *kept(pool *p, const void *table, size_t bytes)
{
    if (!table)
        return NULL;
    void *copy = memcpy(p->next, table, bytes);
    p->next += (bytes + 63) / 64 * 64;
    return copy;
}

shared_balance *shared_balance_new(const balance *given, size_t collisions)
{
    const size_t n = given->cells, triangle = n * (n + 1) / 2, columns = n + 2 + n + 1 + given->nonzeros;
    shared_balance *s = calloc(1, sizeof *s);
    size_t bytes = (collisions + triangle + 12 * n + columns + 16 + LANES) * 8 + given->run_count * sizeof(run) + 32 * 64;
    void *memory = s ? aligned_alloc(64, (bytes + 63) / 64 * 64) : NULL;
    if (!memory) {
        free(s);
        return NULL;
    }
    memset(memory, 0, (bytes + 63) / 64 * 64);
    pool p = {memory};
    balance *b = &s->tables;
    *b = *given;
    b->pivots = kept(&p, b->pivots, n * 8);
    p.next += LANES * 8; /* runs reach beyond */
    b->per_gap = kept(&p, b->per_gap, (n - 1) * 8);
    b->collisions = kept(&p, b->collisions, collisions * 8);
    b->runs = kept(&p, b->runs, b->run_count * sizeof(run));
    b->fragments = kept(&p, b->fragments, triangle * 8);
    b->speed = kept(&p, b->speed, (n + 1) * 8);
    b->widths = kept(&p, b->widths, n * 8);
    b->nuclei = kept(&p, b->nuclei, n * 8);
    b->column = kept(&p, b->column, (n + 1) * 8);
    b->first_row = kept(&p, b->first_row, n * 8);
    b->last_row = kept(&p, b->last_row, n * 8);
    s->memory = memory;
    s->seat = -1;
    atomic_init(&s->users, 1);
    const casadi_int shapes[3][3] = {{(casadi_int)n, 1, 1}, {(casadi_int)b->coefficients, 1, 1}, {(casadi_int)n, (casadi_int)b->coefficients, 1}};
    memcpy(s->number, shapes[0], sizeof s->number);
    memcpy(s->coefficients, shapes[1], sizeof s->coefficients);
    memcpy(s->by_coefficients, shapes[2], sizeof s->by_coefficients);
    s->by_number = (casadi_int *)p.next;
    casadi_int *entry = s->by_number;
    *entry++ = (casadi_int)n;
    *entry++ = (casadi_int)n;
    for (size_t m = 0; m <= n; ++m)
        *entry++ = b->column[m];
    for (size_t m = 0; m < n; ++m)
        for (int64_t row = b->first_row[m]; row <= b->last_row[m]; ++row)
            *entry++ = row;
    uint64_t digest = 14695981039346656037u;
    for (const uint64_t *word = memory; word < (const uint64_t *)entry; ++word)
        digest = (digest ^ *word) * 1099511628211u;
    s->first_choice = (int)(digest >> 32) & (SEATS - 1);
    return s;
}

const balance *shared_balance_tables(const shared_balance *s) { return &s->tables; }

void shared_balance_release(shared_balance *s)
{
    if (atomic_fetch_sub(&s->users, 1) > 1)
        return;
    if (s->seat >= 0)
        atomic_store(&seats[s->seat], NULL);
    free(atomic_load(&s->second));
    free(s->memory);
    free(s);
}

int shared_balance_seat(shared_balance *s)
{
    /* The first choice depends on the tables: a function that is read in another process hardly meets another balance. */
    for (int tried = 0; s->seat < 0 && tried < SEATS; ++tried) {
        const int seat = (s->first_choice + tried) & (SEATS - 1);
        shared_balance *empty = NULL;
        if (atomic_compare_exchange_strong(&seats[seat], &empty, s))
            s->seat = seat;
    }
    return s->seat;
}

/* ---- what CasADi calls ---- */

static void enter(int seat)
{
    shared_balance *s = atomic_load(&seats[seat]);
    if (s)
        atomic_fetch_add(&s->users, 1);
}

static void leave(int seat)
{
    shared_balance *s = atomic_load(&seats[seat]);
    if (s)
        shared_balance_release(s);
}

static const casadi_int *argument_shape(int seat, casadi_int i)
{
    const shared_balance *s = atomic_load(&seats[seat]);
    return !s ? NULL : i == 1 ? s->coefficients : s->number; /* numbers, coefficients, nominal rates */
}

static const casadi_int *jacobian_shape(int seat, casadi_int i)
{
    const shared_balance *s = atomic_load(&seats[seat]);
    return !s ? NULL : i == 0 ? s->by_number : s->by_coefficients;
}

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
    const size_t shapes = SECOND * (3 + n + p) + curved + 2 * p * entries;
    second_shapes *s = calloc(1, sizeof *s + (n * n + 1 + curved) * sizeof(int64_t) + shapes * sizeof(casadi_int));
    if (s) {
        s->pattern.start = memcpy(s + 1, counted.start, (n * n + 1) * sizeof(int64_t));
        s->pattern.row = s->pattern.start + n * n + 1;
        balance_second_pattern(b, s->pattern);
        casadi_int *next = (casadi_int *)(s->pattern.row + curved);
        const size_t rows[2] = {n * n, n * p}, columns[ARGUMENTS] = {n, p, n};
        const size_t counts[SECOND] = {curved, p * entries, 0, p * entries, 0, 0};
        for (int k = 0; k < SECOND; ++k)
            s->shape[k] = shaped(&next, rows[k / ARGUMENTS], columns[k % ARGUMENTS], counts[k]);
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
        column = s->shape[ARGUMENTS] + 2, entry = column + n + 1;
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

static second_shapes *second_of(int seat)
{
    shared_balance *s = atomic_load(&seats[seat]);
    if (!s)
        return NULL;
    second_shapes *made = atomic_load(&s->second), *mine;
    if (!made && (mine = new_second_shapes(&s->tables, s->by_number))) {
        if (atomic_compare_exchange_strong(&s->second, &made, mine))
            made = mine;
        else
            free(mine);
    }
    return made;
}

static const casadi_int *second_argument_shape(int seat, casadi_int i)
{
    return i < ARGUMENTS ? argument_shape(seat, i) : jacobian_shape(seat, i - ARGUMENTS);
}

static const casadi_int *second_shape(int seat, casadi_int i)
{
    const second_shapes *s = second_of(seat);
    return s ? s->shape[i] : NULL;
}

static size_t second_work(const balance *b)
{
    const size_t one = balance_second_work(b), other = balance_jacobian_work(b) + b->nonzeros;
    return one > other ? one : other;
}

static int differentiate_twice(int seat, const double **arg, double **res, double *w)
{
    const shared_balance *s = atomic_load(&seats[seat]);
    const second_shapes *shapes = second_of(seat);
    if (!shapes || !arg[0] || !arg[1])
        return 1;
    const balance *b = &s->tables;
    if (res[0])
        balance_second(b, shapes->pattern, arg[0], arg[1], w, res[0]);
    double *block = w + balance_jacobian_work(b);
    for (size_t c = 0; (res[1] || res[ARGUMENTS]) && c < b->coefficients; ++c) {
        balance_jacobian_by_coefficient(b, (int)c, arg[0], arg[1], w, block);
        if (res[1])
            memcpy(res[1] + c * b->nonzeros, block, b->nonzeros * sizeof *block);
        for (size_t m = 0; res[ARGUMENTS] && m < b->cells; ++m) {
            const size_t first = (size_t)b->column[m], count = (size_t)b->column[m + 1] - first;
            memcpy(res[ARGUMENTS] + b->coefficients * first + c * count, block + first, count * sizeof *block);
        }
    }
    return 0;
}

static int work_sizes(int seat, size_t (*size)(const balance *), casadi_int counts[4])
{
    const shared_balance *s = atomic_load(&seats[seat]);
    counts[0] = ARGUMENTS + 2;
    counts[1] = SECOND;
    counts[2] = 0;
    counts[3] = s ? (casadi_int)size(&s->tables) : 0;
    return !s;
}

static int evaluate(int seat, const double **arg, double **res, double *w)
{
    const shared_balance *s = atomic_load(&seats[seat]);
    if (!s || !arg[0] || !arg[1])
        return 1;
    if (res[0])
        balance_rates(&s->tables, arg[0], arg[1], w, res[0]);
    return 0;
}

static int differentiate(int seat, const double **arg, double **res, double *w)
{
    const shared_balance *s = atomic_load(&seats[seat]);
    if (!s || !arg[0] || !arg[1])
        return 1;
    balance_jacobian(&s->tables, arg[0], arg[1], w, res[0], res[1]);
    return 0;
}

#define SEAT(k)                                                                                                                \
    void population_balance_##k##_incref(void) { enter(k); }                                                                   \
    void population_balance_##k##_decref(void) { leave(k); }                                                                   \
    casadi_int population_balance_##k##_n_in(void) { return 2; }                                                               \
    casadi_int population_balance_##k##_n_out(void) { return 1; }                                                              \
    const casadi_int *population_balance_##k##_sparsity_in(casadi_int i) { return argument_shape(k, i); }                      \
    const casadi_int *population_balance_##k##_sparsity_out(casadi_int i) { return argument_shape(k, 2 * i); }                 \
    int population_balance_##k##_work(casadi_int *a, casadi_int *r, casadi_int *iw, casadi_int *w)                             \
    {                                                                                                                          \
        casadi_int counts[4];                                                                                                  \
        int failed = work_sizes(k, balance_rates_work, counts);                                                                \
        *a = counts[0], *r = counts[1], *iw = counts[2], *w = counts[3];                                                       \
        return failed;                                                                                                         \
    }                                                                                                                          \
    int population_balance_##k(const double **arg, double **res, casadi_int *iw, double *w, int mem)                           \
    {                                                                                                                          \
        (void)iw, (void)mem;                                                                                                   \
        return evaluate(k, arg, res, w);                                                                                       \
    }                                                                                                                          \
    void jac_population_balance_##k##_incref(void) { enter(k); }                                                               \
    void jac_population_balance_##k##_decref(void) { leave(k); }                                                               \
    casadi_int jac_population_balance_##k##_n_in(void) { return 3; }                                                           \
    casadi_int jac_population_balance_##k##_n_out(void) { return 2; }                                                          \
    const casadi_int *jac_population_balance_##k##_sparsity_in(casadi_int i) { return argument_shape(k, i); }                  \
    const casadi_int *jac_population_balance_##k##_sparsity_out(casadi_int i) { return jacobian_shape(k, i); }                 \
    int jac_population_balance_##k##_work(casadi_int *a, casadi_int *r, casadi_int *iw, casadi_int *w)                         \
    {                                                                                                                          \
        casadi_int counts[4];                                                                                                  \
        int failed = work_sizes(k, balance_jacobian_work, counts);                                                             \
        *a = counts[0], *r = counts[1], *iw = counts[2], *w = counts[3];                                                       \
        return failed;                                                                                                         \
    }                                                                                                                          \
    int jac_population_balance_##k(const double **arg, double **res, casadi_int *iw, double *w, int mem)                       \
    {                                                                                                                          \
        (void)iw, (void)mem;                                                                                                   \
        return differentiate(k, arg, res, w);                                                                                  \
    }                                                                                                                          \
    void jac_jac_population_balance_##k##_incref(void) { enter(k); }                                                           \
    void jac_jac_population_balance_##k##_decref(void) { leave(k); }                                                           \
    casadi_int jac_jac_population_balance_##k##_n_in(void) { return ARGUMENTS + 2; }                                           \
    casadi_int jac_jac_population_balance_##k##_n_out(void) { return SECOND; }                                                 \
    const casadi_int *jac_jac_population_balance_##k##_sparsity_in(casadi_int i) { return second_argument_shape(k, i); }       \
    const casadi_int *jac_jac_population_balance_##k##_sparsity_out(casadi_int i) { return second_shape(k, i); }               \
    int jac_jac_population_balance_##k##_work(casadi_int *a, casadi_int *r, casadi_int *iw, casadi_int *w)                     \
    {                                                                                                                          \
        casadi_int counts[4];                                                                                                  \
        int failed = work_sizes(k, second_work, counts);                                                                       \
        *a = counts[0], *r = counts[1], *iw = counts[2], *w = counts[3];                                                       \
        return failed;                                                                                                         \
    }                                                                                                                          \
    int jac_jac_population_balance_##k(const double **arg, double **res, casadi_int *iw, double *w, int mem)                   \
    {                                                                                                                          \
        (void)iw, (void)mem;                                                                                                   \
        return differentiate_twice(k, arg, res, w);                                                                            \
    }

/* 512 seats, numbered in octal so that names are pasted from digits alone. */
#define SEATS_8(d) SEAT(d##0) SEAT(d##1) SEAT(d##2) SEAT(d##3) SEAT(d##4) SEAT(d##5) SEAT(d##6) SEAT(d##7)
#define SEATS_64(d) SEATS_8(d##0) SEATS_8(d##1) SEATS_8(d##2) SEATS_8(d##3) SEATS_8(d##4) SEATS_8(d##5) SEATS_8(d##6) SEATS_8(d##7)
SEATS_64(00) SEATS_64(01) SEATS_64(02) SEATS_64(03) SEATS_64(04) SEATS_64(05) SEATS_64(06) SEATS_64(07)
