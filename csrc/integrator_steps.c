#include "integrator_core.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ONE_STEP = 2, TSTOP_RETURN = 1, ROOT_RETURN = 2 };
/* Steps so small that time stands still are no steps; at a finite escape SUNDIALS would take them for ever. */
enum { MOST_STALLED = 10 };
/* A guard whose parabola comes this close to zero within a step, in shares of its values at the ends, is looked at there. */
static const double CLOSE_TO_ZERO = 0.2;
/* The time of a crossing within a step is halved in so many times. */
enum { HALVINGS = 60 };

/* Why a step failed at time t, in one language for both solvers. */
static int failure(const integrator *it, int flag, double t)
{
    int implicit = it->problem.rate_of != NULL;
    if (it->bad_guard >= 0)
        return FAILED_GUARD;
    if (it->algebra.stuck >= 0 && it->algebra.stuck_time >= t && !(it->not_finite >= 0 && it->not_finite_time >= t))
        return FAILED_ALGEBRA;
    /* what was not finite lies on the step that failed, not on one that was repeated and passed */
    if (it->not_finite >= 0 && it->not_finite_time >= t)
        return FAILED_MODEL;
    switch (flag) {
    case -2: return FAILED_TOLERANCE;
    case -3: return FAILED_ERROR_TEST;
    case -4: return FAILED_CONVERGENCE;
    case -6: return FAILED_CONVERGENCE; /* a singular iteration matrix */
    case -8: case -9: return FAILED_MODEL;
    case -10: case -11: return implicit ? FAILED_OTHER : FAILED_MODEL;
    case -12: return implicit ? FAILED_MODEL : FAILED_OTHER;
    default: return FAILED_OTHER;
    }
}

/* Solve for z at what has been loaded, from scratch, and copy the state's entries at `places` (all if NULL) to `target`. */
static int read_state(integrator *it, const int *places, int count, double *target)
{
    dae_problem *p = &it->problem;
    algebra_solver *a = &it->reading;
    double *z = p->state + p->differential;
    size_t bytes_of_z = (size_t)a->count * sizeof(double), bytes_of_entries = (size_t)p->entry_count * sizeof(double);
    if (a->count) {
        memcpy(it->kept_z, z, bytes_of_z);
        memcpy(it->kept_entries, p->entries, bytes_of_entries);
        memcpy(z, it->algebra.accepted, bytes_of_z);
        a->is_solved = a->factored = 0;
    }
    int flag = integrator_complete_state(it, a);
    for (int i = 0; i < count; i++)
        target[i] = p->state[places ? places[i] : i];
    if (a->count) {
        memcpy(z, it->kept_z, bytes_of_z);
        memcpy(p->entries, it->kept_entries, bytes_of_entries);
        it->algebra.is_solved = 0; /* the slopes are those of what was read */
    }
    return flag ? FAILED_ALGEBRA : 0;
}

/* Read the solution at a time within the last step; 0 or a FAILED code. */
static int read_within_step(integrator *it, double t, const int *places, int count, double *target)
{
    double elapsed = fmax(it->step_start, fmin(t - it->origin, it->elapsed)); /* rounding may have moved t out of the step */
    sundials_table *s = &it->call;
    int implicit = it->problem.rate_of != NULL;
    int flag = implicit ? s->IDAGetDky(it->memory, elapsed, 0, it->spare) : s->CVodeGetDky(it->memory, elapsed, 0, it->spare);
    if (!flag && implicit)
        flag = s->IDAGetDky(it->memory, elapsed, 1, it->weight);
    if (flag)
        return FAILED_OTHER;
    integrator_load(it, elapsed, it->spare, it->weight);
    return read_state(it, places, count, target);
}

/* Interpolate the outputs that the last step has passed. One exactly at an event or at the end belongs to what comes after. */
static int fill_outputs(integrator *it, double t, int ends, const double *times, int count, int *done, double *outputs)
{
    while (*done < count && (times[*done] < t || (!ends && times[*done] == t))) {
        int width = it->problem.kept_count;
        int flag = read_within_step(it, times[*done], it->problem.kept, width, outputs + (size_t)*done * (size_t)width);
        if (flag)
            return flag;
        ++*done;
    }
    return 0;
}

/* -- guards within a step ------------------------------------------------------------------------------------------------ */

/* Guards at a time since the restart, within the last step; 0, or -1 where they cannot be had. */
static int guards_within_step(integrator *it, double elapsed, double *guard)
{
    if (it->call.CVodeGetDky(it->memory, elapsed, 0, it->spare))
        return -1;
    return integrator_guards(it, elapsed, it->spare, NULL, guard);
}

/* Where the parabola through a guard's values at start, middle and end of a step has its extremum, in shares of the step, and how close it
 * comes to zero; outside (0, 1) if there is none. */
static double extremum(double start, double middle, double end, double *value)
{
    double a = 2.0 * (start - 2.0 * middle + end), b = 4.0 * middle - 3.0 * start - end;
    double share = a != 0.0 ? -b / (2.0 * a) : -1.0;
    *value = start + b * share + a * share * share;
    return share;
}

/* Halve in the time at which guard i changes sign between two times, and load the solution there; the time, or a negative number. */
static double halve_in(integrator *it, int i, double early, double late, double sign_of_early, double *guard)
{
    for (int k = 0; k < HALVINGS && early < late; k++) {
        double middle = 0.5 * (early + late);
        if (middle <= early || middle >= late)
            break;
        if (guards_within_step(it, middle, guard))
            return -1.0;
        if (guard[i] * sign_of_early > 0.0)
            early = middle;
        else
            late = middle;
    }
    return guards_within_step(it, late, guard) ? -1.0 : late;
}

/* Where in a step guard i lies beyond zero although it does not at the step's ends, in shares of the step; 0 if nowhere, -1 if guards
 * cannot be had. The guard is known in the middle; elsewhere it is looked at if its parabola comes close to zero. */
static double beyond_zero(integrator *it, int i, double start, double length, double middle, double *guard)
{
    const double before = it->guard_before[i], after = it->guard_after[i];
    double value, share = extremum(before, middle, after, &value);
    if (middle * before <= 0.0)
        return 0.5;
    if (!(share > 0.0 && share < 1.0) || value * copysign(1.0, before) > CLOSE_TO_ZERO * fmin(fabs(before), fabs(after)))
        return 0.0;
    if (guards_within_step(it, start + share * length, guard))
        return -1.0;
    return guard[i] * before <= 0.0 ? share : 0.0;
}

/* Find a guard that crosses zero and returns within the last step, which SUNDIALS does not see. 1 if there is one: the solution, the time
 * and roots[] are then those of the first such crossing; 0 if not, -1 where a guard cannot be had. */
static int look_inside(integrator *it, int *roots)
{
    int count = it->problem.guard_count, found = -1;
    double *middle = it->guard_middle, *guard = it->guard_inside;
    double start = it->step_start, length = it->elapsed - start, first = INFINITY;
    if (!(length > 0.0))
        return 0;
    if ((!it->guards_known && guards_within_step(it, start, it->guard_before)) || guards_within_step(it, start + 0.5 * length, middle) ||
        integrator_guards(it, it->elapsed, it->y, NULL, it->guard_after))
        return -1;
    for (int i = 0; i < count; i++) {
        double before = it->guard_before[i], side = copysign(1.0, before);
        if (!(before * it->guard_after[i] > 0.0))
            continue;
        double share = beyond_zero(it, i, start, length, middle[i], guard);
        if (share < 0.0)
            return -1;
        if (share == 0.0)
            continue;
        int only_back = it->direction[i] != 0 && it->direction[i] * side > 0.0;
        double turn = start + share * length;
        double time = only_back ? halve_in(it, i, turn, it->elapsed, -side, guard) : halve_in(it, i, start, turn, side, guard);
        if (time < 0.0)
            return -1;
        if (time < first) {
            first = time;
            found = i;
        }
    }
    if (found >= 0) {
        double side = copysign(1.0, it->guard_before[found]);
        memset(roots, 0, (size_t)count * sizeof(int));
        roots[found] = it->direction[found] ? it->direction[found] : (side > 0.0 ? -1 : 1);
        it->elapsed = first;
        return it->call.CVodeGetDky(it->memory, first, 0, it->y) ? -1 : 1;
    }
    memcpy(it->guard_before, it->guard_after, (size_t)count * sizeof(double));
    it->guards_known = 1;
    return 0;
}

/* -- steps -------------------------------------------------------------------------------------------------------------- */

int integrator_run(integrator *it, double *t, double stop, const double *times, int count, int *done, double *outputs, int *roots,
                   int most_steps)
{
    sundials_table *s = &it->call;
    int implicit = it->problem.rate_of != NULL, result = WANTS_PAUSE, stalled = 0, flag_of_outputs;
    for (int step = 0; step < most_steps && result == WANTS_PAUSE; step++) {
        double before = it->elapsed, end = stop - it->origin;
        int flag = implicit ? s->IDASolve(it->memory, end, &it->elapsed, it->y, it->yp, ONE_STEP)
                            : s->CVode(it->memory, end, it->y, &it->elapsed, ONE_STEP);
        it->step_start = before;
        *t = flag == TSTOP_RETURN ? stop : it->origin + it->elapsed;
        stalled = it->elapsed == before && flag == 0 ? stalled + 1 : 0;
        if (flag < 0)
            result = failure(it, flag, it->origin + before);
        else if (stalled > MOST_STALLED)
            result = it->not_finite >= 0 && it->not_finite_time >= *t ? FAILED_MODEL : FAILED_STALLED;
        else if (flag == ROOT_RETURN)
            result = FOUND_EVENT;
        else if (flag == TSTOP_RETURN)
            result = REACHED_END;
        int crossed_inside = 0;
        if (result >= 0 && result != FOUND_EVENT && it->problem.guards && !implicit) {
            crossed_inside = look_inside(it, roots);
            if (crossed_inside > 0) {
                result = FOUND_EVENT;
                *t = it->origin + it->elapsed;
            } else if (crossed_inside < 0)
                result = it->bad_guard >= 0 ? FAILED_GUARD : FAILED_ALGEBRA;
        }
        if (result >= 0)
            algebra_accept(it);
        if (result >= 0 && (flag_of_outputs = fill_outputs(it, *t, result != WANTS_PAUSE, times, count, done, outputs)))
            result = flag_of_outputs;
        if (result == FOUND_EVENT && !crossed_inside && (implicit ? s->IDAGetRootInfo(it->memory, roots) : s->CVodeGetRootInfo(it->memory, roots)))
            result = FAILED_OTHER;
    }
    integrator_collect(it);
    integrator_load(it, it->elapsed, it->y, it->yp);
    *it->problem.time = *t;
    if (integrator_complete_state(it, &it->algebra) && result >= 0)
        result = FAILED_ALGEBRA;
    return result;
}

int integrator_sample(integrator *it, const double *times, int count, double *samples)
{
    size_t width = (size_t)it->full * (size_t)(1 + it->problem.tangent.blocks);
    int flag = 0;
    for (int i = 0; i < count && !flag; i++) {
        flag = read_within_step(it, times[i], NULL, (int)width, samples + (size_t)i * width);
    }
    integrator_load(it, it->elapsed, it->y, it->yp);
    return integrator_complete_state(it, &it->algebra) ? FAILED_ALGEBRA : flag;
}

int integrator_errors(integrator *it, double *errors)
{
    sundials_table *s = &it->call;
    int implicit = it->problem.rate_of != NULL;
    int flag = implicit ? s->IDAGetEstLocalErrors(it->memory, it->spare) : s->CVodeGetEstLocalErrors(it->memory, it->spare);
    if (!flag)
        flag = implicit ? s->IDAGetErrWeights(it->memory, it->weight) : s->CVodeGetErrWeights(it->memory, it->weight);
    if (flag)
        return flag;
    const double *error = s->N_VGetArrayPointer(it->spare), *weight = s->N_VGetArrayPointer(it->weight);
    for (int i = 0; i < it->length; i++)
        errors[i] = fabs(error[i]) * weight[i];
    return 0;
}

double integrator_step(integrator *it)
{
    double step = 0.0;
    if (it->problem.rate_of)
        it->call.IDAGetCurrentStep(it->memory, &step);
    else
        it->call.CVodeGetCurrentStep(it->memory, &step);
    return step;
}
