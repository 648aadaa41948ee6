/* Sparse LU factorization with a column order given once, for many matrices of one pattern.
 *
 * Left-looking with partial pivoting (Gilbert & Peierls 1988, SIAM J. Sci. Stat. Comput. 9:862); once factored, further
 * matrices of the same pattern are factored with the same pivots and fill ("refactored") while these stay sound.
 */
#ifndef INTEGRATOR_LU_H
#define INTEGRATOR_LU_H

enum { LU_SIDES = 8 }; /* right sides that are solved for together */

typedef struct {
    int n;
    const int *column_start; /* pattern of the matrix, compressed columns */
    const int *row;
    const int *order;        /* order[k]: which column is eliminated k-th */
    int *lower_start, *lower_row, *upper_start, *upper_row;
    int *lower_run, *upper_run; /* first row of a column whose rows follow each other, as those of dense blocks do; else -1 */
    double *lower, *upper, *pivot;
    int lower_size, upper_size;
    int *row_place;          /* place of each row among the pivots; -1 while it is none */
    double *work;
    double *side_by_side;    /* LU_SIDES right sides; made when they are first needed */
    int *stack, *cursor, *mark, *reach;
    int factored;
    long factorizations, refactorizations;
} lu_factors;

/* 0, or -1 without memory; the pattern and order stay the caller's. */
int lu_init(lu_factors *lu, int n, const int *column_start, const int *row, const int *order);
void lu_free(lu_factors *lu);
/* Forget pivots and counts. */
void lu_reset(lu_factors *lu);
/* 0, or 1 + the elimination step at which no pivot was left, or -1 without memory. */
int lu_factor(lu_factors *lu, const double *value);
/* Overwrite b by the solution; -1 if nothing has been factored. */
int lu_solve(lu_factors *lu, double *b);
/* The same for `count` right sides that lie one after the other; -1 also without memory. */
int lu_solve_many(lu_factors *lu, double *b, int count);

#endif
