#include "integrator_algebra.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "integrator_core.h"

enum { MOST_ITERATIONS = 25 };
/* Iterations end where the next change is this share of the tolerance. What is left is noise in the slopes, which CVODE would
 * take for the course of the solution. */
static const double ALGEBRA_SHARE = 1e-3;
/* Changes that no longer shrink but are this small are rounding. */
static const double ROUNDING_SHARE = 1.0;
/* Factors are renewed where the changes shrink by less than this. */
static const double SLOWEST_RATE = 0.2;

int algebra_init(algebra_solver *algebra, int count, int states, const int *order)
{
    algebra->count = count;
    algebra->stuck = -1;
    if (!count)
        return 0;
    algebra->matrix = malloc((size_t)(algebra->start[count] + 1) * sizeof(double));
    algebra->change = malloc((size_t)count * sizeof(double));
    algebra->accepted = calloc((size_t)count, sizeof(double));
    algebra->solved_x = malloc((size_t)states * sizeof(double));
    if (!algebra->matrix || !algebra->change || !algebra->accepted || !algebra->solved_x)
        return -1;
    return lu_init(&algebra->lu, count, algebra->start, algebra->row, order);
}

void algebra_free(algebra_solver *algebra)
{
    free(algebra->matrix);
    free(algebra->change);
    free(algebra->accepted);
    free(algebra->solved_x);
    if (algebra->lu.n)
        lu_free(&algebra->lu);
    memset(algebra, 0, sizeof *algebra);
}

void algebra_accept(integrator *it)
{
    algebra_solver *a = &it->algebra;
    if (a->count)
        memcpy(a->accepted, it->problem.state + it->problem.differential, (size_t)a->count * sizeof(double));
}

void algebra_restart(integrator *it)
{
    it->algebra.is_solved = it->algebra.factored = 0;
    it->algebra.stuck = -1;
    algebra_accept(it);
}

int algebra_factor(algebra_solver *a, const double *entries)
{
    for (int k = 0; k < a->start[a->count]; k++)
        a->matrix[k] = entries[a->entry[k]];
    a->factored = lu_factor(&a->lu, a->matrix) == 0;
    return !a->factored;
}

static int renew_factors(integrator *it, algebra_solver *a)
{
    return integrator_evaluate_jacobian(it) || algebra_factor(a, it->problem.entries);
}

/* Put the change that Newton's method wants into `change`, and return its size in units of the tolerance. */
static double newton_change(const integrator *it, algebra_solver *a)
{
    const double *z = it->problem.state + it->problem.differential;
    double largest = 0.0;
    memcpy(a->change, it->problem.slope + it->problem.differential, (size_t)a->count * sizeof(double));
    if (lu_solve(&a->lu, a->change))
        return INFINITY;
    for (int i = 0; i < a->count; i++) {
        double size = fabs(a->change[i]) / (a->relative * fabs(z[i]) + a->magnitude[i]);
        if (!(size <= largest))
            largest = size; /* also where it is not a number */
    }
    return largest;
}

static int give_up(integrator *it, algebra_solver *a)
{
    double largest = -1.0;
    for (int i = 0; i < a->count; i++) {
        double size = fabs(it->problem.slope[it->problem.differential + i]);
        if (size > largest) {
            largest = size;
            a->stuck = i;
        }
    }
    a->stuck_time = *it->problem.time;
    a->factored = a->is_solved = 0;
    memcpy(it->problem.state + it->problem.differential, it->algebra.accepted, (size_t)a->count * sizeof(double));
    return 1;
}

int algebra_solve(integrator *it, algebra_solver *a)
{
    dae_problem *p = &it->problem;
    double *z = p->state + p->differential, before = INFINITY;
    int renewed = 0;
    if (a->is_solved && a->solved_time == *p->time && memcmp(a->solved_x, p->state, (size_t)p->differential * sizeof(double)) == 0)
        return 0;
    for (int iteration = 0; iteration < MOST_ITERATIONS; iteration++) {
        if (integrator_evaluate_slopes(it))
            return give_up(it, a);
        if (!a->factored) {
            if (renew_factors(it, a))
                return give_up(it, a);
            renewed = 1;
        }
        double size = newton_change(it, a);
        if (!(size < SLOWEST_RATE * before) && iteration && size > ALGEBRA_SHARE) {
            if (size <= ROUNDING_SHARE && renewed)
                size = 0.0;
            else {
                if (renew_factors(it, a) || (renewed && size > 2.0 * before && iteration > 3))
                    return give_up(it, a);
                renewed = 1;
                size = newton_change(it, a);
            }
        }
        if (!isfinite(size))
            return give_up(it, a);
        if (size <= ALGEBRA_SHARE) {
            memcpy(a->solved_x, p->state, (size_t)p->differential * sizeof(double));
            a->solved_time = *p->time;
            a->is_solved = 1;
            return 0;
        }
        for (int i = 0; i < a->count; i++)
            z[i] -= a->change[i];
        before = size;
    }
    return give_up(it, a);
}
