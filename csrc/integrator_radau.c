/* Radau IIA as a method of the integrator: unknowns are (x, z), tolerances of z those of its equations. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "integrator_core.h"

enum { OUT_OF_MEMORY = -20 };
/* Where iterations fail, algebraic equations are tried this often on the way ahead, each time four times as far. */
enum { LOOKS_AHEAD = 12 };

static void load(integrator *it, double t, const double *y)
{
    *it->problem.time = it->origin + t;
    memcpy(it->problem.state, y, (size_t)it->full * sizeof(double));
    it->algebra.is_solved = 0;
}

static int slopes(void *data, double t, const double *y, double *slope)
{
    integrator *it = data;
    load(it, t, y);
    int wrong = integrator_evaluate_slopes(it);
    memcpy(slope, it->problem.slope, (size_t)it->full * sizeof(double));
    return wrong;
}

static int jacobian(void *data, double t, const double *y, double *values)
{
    integrator *it = data;
    const dae_problem *p = &it->problem;
    load(it, t, y);
    if (integrator_evaluate_jacobian(it))
        return 1;
    memset(values, 0, (size_t)p->column_start[p->matrix_size] * sizeof(double));
    for (int k = 0; k < p->entry_count; k++)
        values[p->entry_place[k]] = p->entries[k];
    return 0;
}

static int open_radau(integrator *it, const int *order, double rtol, const double *atol)
{
    const dae_problem *p = &it->problem;
    size_t states = (size_t)p->differential, full = (size_t)it->full;
    radau_problem problem = {.n = it->full, .differential = p->differential, .column_start = p->column_start, .row = p->row, .order = order,
                             .diagonal_place = p->diagonal_place, .relative = rtol, .data = it, .slopes = slopes, .jacobian = jacobian};
    it->now = calloc(2 * full, sizeof(double));
    double *absolute = malloc(full * sizeof(double));
    int flag = it->now && absolute ? 0 : OUT_OF_MEMORY;
    if (!flag) {
        it->between = it->now + full;
        memcpy(absolute, atol, states * sizeof(double));
        if (it->algebra.count)
            memcpy(absolute + states, it->algebra.magnitude, (full - states) * sizeof(double));
        flag = radau_open(&it->radau, &problem, absolute) ? OUT_OF_MEMORY : 0;
    }
    free(absolute);
    return flag;
}

static void close_radau(integrator *it)
{
    radau_close(&it->radau);
    free(it->now);
    it->now = it->between = NULL;
}

static void reset(integrator *it)
{
    radau_reset(&it->radau);
}

static int restart(integrator *it, double stop)
{
    (void)stop;
    radau_start(&it->radau, it->now);
    return 0;
}

/* Whether the algebraic equations are to blame for iterations that fail: whether they have no solution soon, at states that go on as
 * they went. */
static int look_ahead(integrator *it, double step)
{
    radau *r = &it->radau;
    for (int k = 0; k < LOOKS_AHEAD; k++, step *= 4.0) {
        memcpy(it->between, r->y, (size_t)it->full * sizeof(double));
        for (int i = 0; i < it->problem.differential; i++)
            it->between[i] += step * r->slope[i];
        load(it, r->t + step, it->between);
        if (algebra_solve(it, &it->algebra))
            return 1;
    }
    return 0;
}

static int step(integrator *it, double stop)
{
    radau *r = &it->radau;
    double tried = r->next;
    int found = radau_step(r, stop);
    int no_solution = found == RADAU_CONVERGENCE && it->algebra.count && look_ahead(it, tried > 0.0 ? tried : r->next);
    it->elapsed = r->t;
    memcpy(it->now, r->y, (size_t)it->full * sizeof(double));
    integrator_load(it, it->elapsed, it->now, NULL);
    switch (found) {
    case RADAU_STEPPED: return STEPPED;
    case RADAU_AT_STOP: return STEPPED_TO_STOP;
    case RADAU_ERROR_TEST: return FAILED_ERROR_TEST;
    case RADAU_CONVERGENCE: return no_solution ? FAILED_ALGEBRA : FAILED_CONVERGENCE;
    case RADAU_NOT_FINITE: return FAILED_MODEL;
    case RADAU_STALLED: return FAILED_STALLED;
    default: return FAILED_OTHER;
    }
}

static int read(integrator *it, double t)
{
    radau_read(&it->radau, t, it->between);
    return 0;
}

static int crossed(integrator *it, int *roots)
{
    (void)it; (void)roots;
    return -1; /* it finds none itself */
}

static int errors(integrator *it, double *errors)
{
    const radau *r = &it->radau;
    for (int i = 0; i < it->length; i++)
        errors[i] = fabs(r->error[i]) * r->weight[i];
    return 0;
}

static double next_step(integrator *it)
{
    return it->radau.next;
}

static void count(integrator *it, integration_counts *counts)
{
    counts->steps = it->radau.counts.steps;
    counts->iterations = it->radau.counts.iterations;
    counts->error_failures = it->radau.counts.error_failures;
}

static long factorizations(const integrator *it)
{
    const lu_factors *real = &it->radau.real, *pair = &it->radau.pair;
    return real->factorizations + real->refactorizations + pair->factorizations + pair->refactorizations;
}

const stepping_method RADAU_METHOD = {.looks_inside = 1, .holds_algebra = 1, .open = open_radau, .close = close_radau, .reset = reset,
                                      .restart = restart, .step = step, .read = read, .crossed = crossed, .errors = errors,
                                      .next_step = next_step, .count = count, .factorizations = factorizations};
