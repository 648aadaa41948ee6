#include "seats.h"

#include <stdlib.h>
#include <string.h>

static _Atomic(seated *) seats[SEATS];

/* ---- life ---- */

seated *seated_new(size_t bytes)
{
    seated *s = calloc(1, bytes);
    if (!s)
        return NULL;
    s->seat = -1;
    s->digest = 14695981039346656037u;
    atomic_init(&s->users, 1);
    return s;
}

const void *seated_keep(seated *s, const void *table, size_t bytes, int *failed)
{
    if (!table)
        return NULL;
    const size_t room = (bytes + 63) / 64 * 64 + 64;
    void *copy = s->tables < MOST_TABLES ? aligned_alloc(64, room) : NULL;
    if (!copy) {
        *failed = 1;
        return NULL;
    }
    s->table[s->tables++] = copy;
    memset((char *)copy + bytes / 64 * 64, 0, room - bytes / 64 * 64);
    memcpy(copy, table, bytes);
    for (const uint64_t *word = copy; word < (const uint64_t *)copy + (bytes + 7) / 8; ++word)
        s->digest = (s->digest ^ *word) * 1099511628211u;
    return copy;
}

const casadi_int *seated_column(seated *s, size_t rows, int *failed)
{
    const casadi_int shape[3] = {(casadi_int)rows, 1, 1};
    return seated_keep(s, shape, sizeof shape, failed);
}

void seated_release(seated *s)
{
    if (atomic_fetch_sub(&s->users, 1) > 1)
        return;
    if (s->seat >= 0)
        atomic_store(&seats[s->seat], NULL);
    if (s->release)
        s->release(s);
    for (int k = 0; k < s->tables; ++k)
        free(s->table[k]);
    free(s);
}

int seated_seat(seated *s)
{
    /* The first choice depends on the tables: a function that is read in another process hardly meets another kernel. */
    for (int tried = 0; s->seat < 0 && tried < SEATS; ++tried) {
        const int seat = (int)((s->digest >> 32) + (uint64_t)tried) & (SEATS - 1);
        seated *empty = NULL;
        if (atomic_compare_exchange_strong(&seats[seat], &empty, s))
            s->seat = seat;
    }
    return s->seat;
}

/* ---- what CasADi calls ---- */

static void enter(int seat)
{
    seated *s = atomic_load(&seats[seat]);
    if (s)
        atomic_fetch_add(&s->users, 1);
}

static void leave(int seat)
{
    seated *s = atomic_load(&seats[seat]);
    if (s)
        seated_release(s);
}

static int arguments(int seat)
{
    const seated *s = atomic_load(&seats[seat]);
    return s ? s->arguments : 0;
}

static const casadi_int *shape(int seat, casadi_int argument)
{
    const seated *s = atomic_load(&seats[seat]);
    return !s ? NULL : argument < s->arguments ? s->shape[argument] : s->shape_result;
}

static const casadi_int *jacobian_shape(int seat, casadi_int argument)
{
    const seated *s = atomic_load(&seats[seat]);
    return s ? s->shape_jacobian[argument] : NULL;
}

static const casadi_int *second_argument_shape(int seat, casadi_int argument)
{
    const int before = arguments(seat) + 1;
    return argument < before ? shape(seat, argument) : jacobian_shape(seat, argument - before);
}

static const casadi_int *second_shape(int seat, casadi_int block)
{
    seated *s = atomic_load(&seats[seat]);
    return s ? s->second_shape(s, (int)block) : NULL;
}

enum { VALUE, JACOBIAN, SECOND };

static int sizes(int seat, int order, casadi_int *counts[4])
{
    const seated *s = atomic_load(&seats[seat]);
    if (!s)
        return 1;
    const int n = s->arguments;
    const int taken[] = {n, n + 1, 2 * n + 1}, given[] = {1, n, n * (n + 1)};
    const size_t work[] = {s->work, s->jacobian_work, s->second_work};
    *counts[0] = taken[order];
    *counts[1] = given[order];
    *counts[2] = 0;
    *counts[3] = (casadi_int)work[order];
    return 0;
}

static int call(int seat, int order, const double **arg, double **res, double *w)
{
    const seated *s = atomic_load(&seats[seat]);
    if (!s)
        return 1;
    for (int k = 0; k < s->arguments; ++k)
        if (!arg[k])
            return 1;
    if (order == SECOND)
        s->differentiate_twice(s, arg, w, res);
    else if (order == JACOBIAN)
        s->differentiate(s, arg, w, res);
    else if (res[0])
        s->evaluate(s, arg, w, res[0]);
    return 0;
}

/* Twenty thousand functions of one line each: to improve them would take the compiler a minute. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O0")
#endif
#define FUNCTION(name, k, order, taken, given, taken_shape, given_shape)                                                       \
    void name##_incref(void) { enter(k); }                                                                                     \
    void name##_decref(void) { leave(k); }                                                                                     \
    casadi_int name##_n_in(void) { return taken; }                                                                             \
    casadi_int name##_n_out(void) { return given; }                                                                            \
    const casadi_int *name##_sparsity_in(casadi_int i) { return taken_shape; }                                                 \
    const casadi_int *name##_sparsity_out(casadi_int i) { return given_shape; }                                                \
    int name##_work(casadi_int *a, casadi_int *r, casadi_int *iw, casadi_int *w)                                               \
    {                                                                                                                          \
        casadi_int *counts[4] = {a, r, iw, w};                                                                                 \
        return sizes(k, order, counts);                                                                                        \
    }                                                                                                                          \
    int name(const double **arg, double **res, casadi_int *iw, double *w, int mem)                                             \
    {                                                                                                                          \
        (void)iw, (void)mem;                                                                                                   \
        return call(k, order, arg, res, w);                                                                                    \
    }
#define ONCE(name, k)                                                                                                          \
    FUNCTION(name, k, VALUE, arguments(k), 1, shape(k, i), shape(k, MOST_ARGUMENTS + i))                                       \
    FUNCTION(jac_##name, k, JACOBIAN, arguments(k) + 1, arguments(k), shape(k, i), jacobian_shape(k, i))
#define TWICE(name, k)                                                                                                         \
    ONCE(name, k)                                                                                                              \
    FUNCTION(jac_jac_##name, k, SECOND, 2 * arguments(k) + 1, arguments(k) * (arguments(k) + 1), second_argument_shape(k, i),   \
             second_shape(k, i))
#define SEAT(k) ONCE(seated_##k, k) TWICE(curved_##k, k)

/* 512 seats, numbered in octal so that names are pasted from digits alone. */
#define SEATS_8(d) SEAT(d##0) SEAT(d##1) SEAT(d##2) SEAT(d##3) SEAT(d##4) SEAT(d##5) SEAT(d##6) SEAT(d##7)
#define SEATS_64(d) SEATS_8(d##0) SEATS_8(d##1) SEATS_8(d##2) SEATS_8(d##3) SEATS_8(d##4) SEATS_8(d##5) SEATS_8(d##6) SEATS_8(d##7)
SEATS_64(00) SEATS_64(01) SEATS_64(02) SEATS_64(03) SEATS_64(04) SEATS_64(05) SEATS_64(06) SEATS_64(07)
