#include "integrator_core.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { OUT_OF_MEMORY = -20 };

/* -- the model ------------------------------------------------------------------------------------------------------- */

static int first_not_finite(const double *value, int count)
{
    for (int i = 0; i < count; i++)
        if (!isfinite(value[i]))
            return i;
    return -1;
}

/* Lay out the problem's state from the solver's unknowns and their derivatives. */
static void lay_out(const integrator *it, const double *y, const double *yp, double *state)
{
    const dae_problem *p = &it->problem;
    if (it->method->holds_algebra) {
        memcpy(state, y, (size_t)it->full * sizeof(double));
        return;
    }
    if (!p->rate_of) { /* CVODE knows the states only */
        for (int block = 0; block <= p->tangent.blocks; block++)
            memcpy(state + (size_t)block * (size_t)it->full, y + (size_t)block * (size_t)it->size, (size_t)it->size * sizeof(double));
        return;
    }
    for (int k = 0; k < it->full; k++)
        state[k] = p->rate_of[k] >= 0 ? yp[p->rate_of[k]] : y[p->place_of[k]];
}

void integrator_load(integrator *it, double elapsed, const double *y, const double *yp)
{
    *it->problem.time = it->origin + elapsed;
    lay_out(it, y, yp, it->problem.state);
    if (it->method->holds_algebra)
        it->algebra.is_solved = 0; /* z is the method's, which need not be as exact */
}

/* Remember the first slope that is not finite, and where that was; 1 if there is one. */
static int some_not_finite(integrator *it, int count)
{
    int wrong = first_not_finite(it->problem.slope, count);
    if (wrong < 0)
        return 0;
    it->not_finite = wrong;
    it->not_finite_time = *it->problem.time;
    memcpy(it->not_finite_state, it->problem.state, (size_t)it->full * sizeof(double));
    return 1;
}

int integrator_evaluate_slopes(integrator *it)
{
    it->problem.evaluate(it->problem.slopes);
    it->counts.evaluations++;
    return some_not_finite(it, it->full);
}

/* result += some columns of a matrix times x, the matrix in compressed columns */
static void add_product(int first, int last, const int *start, const int *row, const double *entry, const double *x, double *result)
{
    for (int j = first; j < last; j++) {
        double factor = x[j];
        if (factor != 0.0)
            for (int k = start[j]; k < start[j + 1]; k++)
                result[row[k]] += entry[k] * factor;
    }
}

/* Evaluate J and P with the slopes of the states, and from them the slopes of the derivatives that are carried along. Those of
 * algebraic variables follow from their equations: 0 = g_x s + g_z s_z + g_p. */
static int evaluate_tangents(integrator *it, algebra_solver *algebra)
{
    const dae_problem *p = &it->problem;
    const tangent_problem *q = &p->tangent;
    p->evaluate(q->slopes);
    it->counts.evaluations++;
    if (algebra->count && algebra_factor(algebra, q->entries))
        return 1;
    for (int i = 0; i < q->blocks; i++) {
        size_t place = (size_t)(i + 1) * (size_t)it->full;
        double *slope = p->slope + place, *s = p->state + place, *s_z = s + p->differential;
        memset(slope, 0, (size_t)it->full * sizeof(double));
        add_product(0, p->differential, q->column_start, q->row, q->entries, s, slope);
        add_product(0, q->force_columns, q->force_start, q->force_row, q->force, q->seed + (size_t)i * (size_t)q->force_columns, slope);
        if (algebra->count) {
            for (int k = 0; k < algebra->count; k++)
                s_z[k] = -slope[p->differential + k];
            if (lu_solve(&algebra->lu, s_z))
                return 1;
            add_product(p->differential, it->full, q->column_start, q->row, q->entries, s, slope);
        }
    }
    return some_not_finite(it, it->full * (1 + q->blocks));
}

/* Evaluate slopes and algebraic residuals, or solve the latter. */
int integrator_slopes_at(integrator *it, double elapsed, const double *y, const double *yp)
{
    integrator_load(it, elapsed, y, yp);
    if (it->algebra.count && algebra_solve(it, &it->algebra))
        return 1;
    if (it->problem.tangent.blocks)
        return evaluate_tangents(it, &it->algebra);
    return it->algebra.count ? 0 : integrator_evaluate_slopes(it);
}

/* Solve for what the method does not hold, or not as exactly: algebraic variables, and their derivatives. */
int integrator_complete_state(integrator *it, algebra_solver *algebra)
{
    if (!algebra->count)
        return 0;
    return algebra_solve(it, algebra) || (it->problem.tangent.blocks && evaluate_tangents(it, algebra));
}

int integrator_evaluate_jacobian(integrator *it)
{
    it->problem.evaluate(it->problem.jacobian);
    it->counts.jacobians++;
    return first_not_finite(it->problem.entries, it->problem.entry_count) >= 0;
}

int integrator_jacobian_at(integrator *it, double elapsed, const double *y, const double *yp)
{
    integrator_load(it, elapsed, y, yp);
    if (!it->algebra.count)
        return integrator_evaluate_jacobian(it);
    return algebra_solve(it, &it->algebra) || integrator_evaluate_jacobian(it) || algebra_factor(&it->algebra, it->problem.entries);
}

int integrator_guards(integrator *it, double elapsed, const double *y, const double *yp, double *guard)
{
    const dae_problem *p = &it->problem;
    integrator_load(it, elapsed, y, yp);
    if (it->algebra.count && algebra_solve(it, &it->algebra))
        return -1;
    p->evaluate(p->guards);
    for (int i = 0; i < p->guard_count; i++) {
        guard[i] = p->watched[i] ? p->guard[i] + p->offset[i] : 1.0;
        if (!isfinite(guard[i])) {
            it->bad_guard = i;
            it->not_finite_time = *p->time;
            return -1;
        }
    }
    return 0;
}

/* -- life -------------------------------------------------------------------------------------------------------------- */

/* Take the method's unknowns, and the derivatives that are known, from the problem's state. */
static void take_state(integrator *it)
{
    const dae_problem *p = &it->problem;
    double *y = it->now, *yp = it->now_rate;
    if (it->method->holds_algebra)
        memcpy(y, p->state, (size_t)it->full * sizeof(double));
    else if (!p->rate_of)
        for (int block = 0; block <= p->tangent.blocks; block++)
            memcpy(y + (size_t)block * (size_t)it->size, p->state + (size_t)block * (size_t)it->full, (size_t)it->size * sizeof(double));
    if (!p->rate_of) {
        algebra_restart(it);
        return;
    }
    memset(yp, 0, (size_t)it->length * sizeof(double));
    for (int k = 0; k < it->full; k++) {
        if (p->rate_of[k] >= 0)
            yp[p->rate_of[k]] = p->state[k];
        else
            y[p->place_of[k]] = p->state[k];
    }
}

static const stepping_method *choose_method(const dae_problem *p, int method)
{
    if (p->rate_of)
        return &IDA_METHOD;
    return method == BY_RADAU && !p->tangent.blocks ? &RADAU_METHOD : &CVODE_METHOD;
}

int integrator_open(integrator *it, int method, const int *order, const int *algebra_order, double rtol, const double *atol)
{
    const dae_problem *p = &it->problem;
    it->full = p->differential + p->algebraic;
    it->size = p->unknowns;
    it->length = it->size * (1 + p->tangent.blocks);
    it->not_finite = it->bad_guard = -1;
    it->method = choose_method(p, method);
    if (algebra_init(&it->algebra, p->rate_of ? 0 : p->algebraic, p->differential, algebra_order))
        return OUT_OF_MEMORY;
    it->reading = (algebra_solver){.start = it->algebra.start, .row = it->algebra.row, .entry = it->algebra.entry,
                                   .magnitude = it->algebra.magnitude, .relative = it->algebra.relative};
    if (algebra_init(&it->reading, it->algebra.count, p->differential, algebra_order))
        return OUT_OF_MEMORY;
    it->kept_z = malloc((size_t)(p->algebraic + 1) * sizeof(double));
    it->kept_entries = malloc((size_t)(p->entry_count + 1) * sizeof(double));
    it->guard_before = malloc((size_t)(5 * p->guard_count + 1) * sizeof(double));
    it->direction = malloc((size_t)(p->guard_count + 1) * sizeof(int));
    it->not_finite_state = malloc((size_t)(it->full + 1) * sizeof(double));
    if (!it->not_finite_state || !it->kept_z || !it->kept_entries || !it->guard_before || !it->direction)
        return OUT_OF_MEMORY;
    it->guard_after = it->guard_before + p->guard_count;
    it->guard_middle = it->guard_after + p->guard_count;
    it->guard_inside = it->guard_middle + p->guard_count;
    it->guard_first = it->guard_inside + p->guard_count;
    return it->method->open(it, order, rtol, atol);
}

void integrator_close(integrator *it)
{
    if (it->method)
        it->method->close(it);
    algebra_free(&it->algebra);
    algebra_free(&it->reading);
    free(it->kept_z);
    free(it->not_finite_state);
    free(it->kept_entries);
    free(it->guard_before);
    free(it->direction);
    it->not_finite_state = it->kept_z = it->kept_entries = it->guard_before = NULL;
    it->direction = NULL;
    it->method = NULL;
}

/* The method counts from each restart; the counts of the whole run are kept here. */
void integrator_collect(integrator *it)
{
    integration_counts since = {0};
    it->method->count(it, &since);
    it->counts.steps = it->before.steps + since.steps;
    it->counts.iterations = it->before.iterations + since.iterations;
    it->counts.error_failures = it->before.error_failures + since.error_failures;
}

long integrator_factorizations(const integrator *it)
{
    return it->method->factorizations(it);
}

double integrator_step(integrator *it)
{
    return it->method->next_step(it);
}

int integrator_errors(integrator *it, double *errors)
{
    return it->method->errors(it, errors);
}

void integrator_reset(integrator *it)
{
    memset(&it->counts, 0, sizeof it->counts);
    memset(&it->before, 0, sizeof it->before);
    it->counted_from_restart = 0;
    it->method->reset(it);
    lu_reset(&it->algebra.lu);
    lu_reset(&it->reading.lu);
}

int integrator_restart(integrator *it, double t, double stop, int *direction)
{
    if (it->counted_from_restart)
        integrator_collect(it);
    it->counted_from_restart = 1;
    it->before = it->counts;
    it->counts.restarts++;
    it->before.restarts = it->counts.restarts;
    it->not_finite = it->bad_guard = -1;
    it->origin = t;
    it->elapsed = it->step_start = 0.0;
    it->guards_known = 0;
    if (it->problem.guards)
        memcpy(it->direction, direction, (size_t)it->problem.guard_count * sizeof(int));
    take_state(it);
    return it->method->restart(it, stop - t);
}
