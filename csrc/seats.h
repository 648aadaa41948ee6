/* Kernels as external functions of CasADi. */

#ifndef SEATS_H
#define SEATS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

typedef long long int casadi_int;

enum { SEATS = 512, MOST_ARGUMENTS = 4, MOST_TABLES = 24 };

/*
 * A kernel that owns its tables, shared by Python and by functions of CasADi, and freed by the last of them.
 *
 * CasADi finds a function by a name in a library and hands it no other data than its arguments. So the library holds a row of
 * seats, seated_0000 and so on (in octal), each with all the functions that CasADi asks for; a kernel takes a seat before the first
 * CasADi function is made of it, and leaves it, unchanged all the while, when the last user is gone.
 *
 * A kernel is a structure that starts with this one. Arguments and result are dense columns; shape_jacobian[k] is the pattern, by
 * columns, of the derivative of the result by argument k. `evaluate` writes the result, `differentiate` what it is given room for.
 */
typedef struct seated seated;
struct seated {
    atomic_int users;
    int seat, arguments, tables;
    uint64_t digest;
    const casadi_int *shape[MOST_ARGUMENTS], *shape_result, *shape_jacobian[MOST_ARGUMENTS];
    size_t work, jacobian_work;
    void (*evaluate)(const seated *s, const double **arguments, double *work, double *result);
    void (*differentiate)(const seated *s, const double **arguments, double *work, double **derivatives);
    void *table[MOST_TABLES];
};

/* A kernel of so many bytes with one user; NULL without memory. */
seated *seated_new(size_t bytes);

/* A copy of a table that lives as long as the kernel, NULL of NULL; without memory `failed` is set. */
const void *seated_keep(seated *s, const void *table, size_t bytes, int *failed);

/* Shape of a dense column; NULL without memory, with `failed` set. */
const casadi_int *seated_column(seated *s, size_t rows, int *failed);

void seated_release(seated *s);

/* The number of its seat, -1 if all are taken. */
int seated_seat(seated *s);

#endif
