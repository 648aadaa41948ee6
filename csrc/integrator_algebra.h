/* Newton's method for the algebraic variables z of 0 = g(t, x, z) at given x, with dg/dz factored as seldom as it will do. */
#ifndef INTEGRATOR_ALGEBRA_H
#define INTEGRATOR_ALGEBRA_H

#include "integrator_lu.h"

struct integrator_tag;

typedef struct {
    int count;               /* algebraic variables; 0 where there is nothing to solve */
    const int *start, *row;  /* pattern of dg/dz, compressed columns */
    const int *entry;        /* which entry of the Jacobian each of its entries is */
    const double *magnitude; /* absolute tolerance of each variable */
    double relative;         /* relative tolerance */
    lu_factors lu;
    double *matrix, *change, *accepted, *solved_x;
    double solved_time;
    int factored, is_solved; /* is_solved: z and the slopes belong to solved_x at solved_time */
    int stuck;               /* equation (position in g) that was worst where no solution was found, or -1 */
    double stuck_time;
} algebra_solver;

/* 0, or -1 without memory; order, pattern and tolerances stay the caller's. */
int algebra_init(algebra_solver *algebra, int count, int states, const int *order);
void algebra_free(algebra_solver *algebra);
/* Forget what was solved: state or constants have changed from outside. */
void algebra_restart(struct integrator_tag *it);
/* Solve for z in the problem's state, from what stands there; leaves the slopes at the solution. 0, or 1 if there is none. */
int algebra_solve(struct integrator_tag *it, algebra_solver *algebra);
/* Factor dg/dz, taken from a Jacobian's entries; 0, or 1 if it is singular. */
int algebra_factor(algebra_solver *algebra, const double *entries);
/* Keep z as what a failed attempt returns to. */
void algebra_accept(struct integrator_tag *it);

#endif
