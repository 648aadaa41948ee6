#include "integrator_core.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Steps so small that time stands still are no steps; at a finite escape SUNDIALS would take them for ever. */
enum { MOST_STALLED = 10 };
/* A guard whose parabola comes this close to zero within a step, in shares of its values at the ends, is looked at there. */
static const double CLOSE_TO_ZERO = 0.2;
/* The time of a crossing within a step is narrowed so many times at most, to within this share of itself; every third time by half. */
enum { NARROWINGS = 90, HALF_EVERY = 3 };
static const double TIME_ROUNDING = 8.0 * DBL_EPSILON;
/* The side of a guard that is zero at the start of a segment is taken so far into the first step; until it has left zero it counts for
 * nothing. SUNDIALS does the same. */
static const double LEAVING_ZERO = 0.1;

/* Why a step failed at time t, which its method calls `found`. */
static int failure(const integrator *it, int found, double t)
{
    if (it->bad_guard >= 0)
        return FAILED_GUARD;
    if (it->algebra.stuck >= 0 && it->algebra.stuck_time >= t && !(it->not_finite >= 0 && it->not_finite_time >= t))
        return FAILED_ALGEBRA;
    /* what was not finite lies on the step that failed, not on one that was repeated and passed */
    return it->not_finite >= 0 && it->not_finite_time >= t ? FAILED_MODEL : found;
}

/* Read the solution at a time within the last step: solve for z from scratch, and copy the state's entries at `places` (all if NULL) to
 * `target`; 0 or a FAILED code. */
static int read_within_step(integrator *it, double t, const int *places, int count, double *target)
{
    dae_problem *p = &it->problem;
    algebra_solver *a = &it->reading;
    double *z = p->state + p->differential;
    double elapsed = fmax(it->step_start, fmin(t - it->origin, it->elapsed)); /* rounding may have moved t out of the step */
    size_t bytes_of_z = (size_t)a->count * sizeof(double), bytes_of_entries = (size_t)p->entry_count * sizeof(double);
    if (it->method->read(it, elapsed))
        return FAILED_OTHER;
    if (a->count) {
        memcpy(it->kept_z, z, bytes_of_z);
        memcpy(it->kept_entries, p->entries, bytes_of_entries);
        memcpy(z, it->algebra.accepted, bytes_of_z);
        a->is_solved = a->factored = 0;
    }
    integrator_load(it, elapsed, it->between, it->between_rate);
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
    if (it->method->read(it, elapsed))
        return -1;
    return integrator_guards(it, elapsed, it->between, it->between_rate, guard);
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

/* Two times between which a guard changes sign, and its values there. */
typedef struct {
    double early, late, at_early, at_late;
} bracket;

/* Narrow in the time at which guard i changes sign (Illinois and halving in turn), to the later end; put the guards there into `guard`.
 * The time, or a negative number where guards cannot be had. */
static double narrow(integrator *it, int i, bracket b, double *guard)
{
    double side = copysign(1.0, b.at_early);
    int moved = 0;
    for (int k = 1; k <= NARROWINGS && b.late - b.early > TIME_ROUNDING * b.late; k++) {
        double nearest = 0.4 * TIME_ROUNDING * b.late, time = b.late - b.at_late * ((b.late - b.early) / (b.at_late - b.at_early));
        if (k % HALF_EVERY == 0 || !isfinite(time))
            time = 0.5 * (b.early + b.late);
        time = fmin(b.late - nearest, fmax(b.early + nearest, time)); /* so that the other end moves too */
        if (!(time > b.early && time < b.late))
            break;
        if (guards_within_step(it, time, guard))
            return -1.0;
        if (guard[i] * side > 0.0) {
            b.early = time;
            b.at_early = guard[i];
            b.at_late *= moved < 0 ? 0.5 : 1.0;
            moved = -1;
        } else {
            b.late = time;
            b.at_late = guard[i];
            b.at_early *= moved > 0 ? 0.5 : 1.0;
            moved = 1;
        }
    }
    return guards_within_step(it, b.late, guard) ? -1.0 : b.late;
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

/* Find where in the last step guard i first crosses zero in its direction: 1 if there is such a crossing, 0 if not, -1 where guards cannot
 * be had. What has changed sign by the end of the step is left to the method if it finds that itself. */
static int first_crossing(integrator *it, int i, bracket *b)
{
    double start = it->step_start, length = it->elapsed - start;
    double before = it->guard_before[i], middle = it->guard_middle[i], after = it->guard_after[i], side = copysign(1.0, before);
    int wanted = it->direction[i];
    if (before == 0.0)
        return 0;
    if (!(before * after > 0.0)) {
        if (it->method->finds_crossings || wanted * side > 0.0)
            return 0;
        *b = middle * before <= 0.0 ? (bracket){start, start + 0.5 * length, before, middle}
                                    : (bracket){start + 0.5 * length, it->elapsed, middle, after};
        return 1;
    }
    double share = beyond_zero(it, i, start, length, middle, it->guard_inside);
    if (!(share > 0.0))
        return share < 0.0 ? -1 : 0;
    double turn = start + share * length, beyond = share == 0.5 ? middle : it->guard_inside[i];
    *b = wanted * side > 0.0 ? (bracket){turn, it->elapsed, beyond, after} : (bracket){start, turn, before, beyond};
    if (wanted * side > 0.0 && beyond == 0.0)
        b->at_early = -side * DBL_MIN; /* it touches zero, and leaves it */
    return 1;
}

/* Take the guards at the start of the last step, unless they are those at the end of the one before. */
static int guards_at_start(integrator *it)
{
    double start = it->step_start;
    int count = it->problem.guard_count, at_zero = 0;
    if (it->guards_known)
        return 0;
    if (guards_within_step(it, start, it->guard_before))
        return -1;
    for (int i = 0; i < count; i++)
        at_zero += it->guard_before[i] == 0.0;
    if (!at_zero || it->method->finds_crossings)
        return 0;
    if (guards_within_step(it, start + LEAVING_ZERO * (it->elapsed - start), it->guard_inside))
        return -1;
    for (int i = 0; i < count; i++)
        if (it->guard_before[i] == 0.0)
            it->guard_before[i] = it->guard_inside[i];
    return 0;
}

/* Find the first guard that crosses zero within the last step, or crosses it and returns, as far as the method does not. 1 if there is
 * one: the solution, the time and roots[] are then those of its crossing; 0 if not, -1 where a guard cannot be had. */
static int look_inside(integrator *it, int *roots)
{
    int count = it->problem.guard_count, found = -1;
    double first = it->elapsed;
    if (!(it->elapsed > it->step_start))
        return 0;
    if (guards_at_start(it) || guards_within_step(it, 0.5 * (it->step_start + it->elapsed), it->guard_middle) ||
        integrator_guards(it, it->elapsed, it->now, it->now_rate, it->guard_after))
        return -1;
    for (int i = 0; i < count; i++) {
        bracket b;
        int crosses = first_crossing(it, i, &b);
        if (crosses < 0)
            return -1;
        if (!crosses || (found >= 0 && b.early >= first))
            continue;
        if (found >= 0 && b.late > first) {
            if (it->guard_first[i] * b.at_early > 0.0)
                continue; /* it has not crossed yet */
            b.late = first;
            b.at_late = it->guard_first[i];
        }
        double time = narrow(it, i, b, it->guard_inside);
        if (time < 0.0)
            return -1;
        if (found < 0 || time < first) {
            memcpy(it->guard_first, it->guard_inside, (size_t)count * sizeof(double));
            first = time;
            found = i;
        }
    }
    if (found < 0) {
        memcpy(it->guard_before, it->guard_after, (size_t)count * sizeof(double));
        it->guards_known = 1;
        return 0;
    }
    for (int i = 0; i < count; i++) { /* others may cross at the same time */
        double before = it->guard_before[i];
        int sign = before > 0.0 ? -1 : 1, crosses = i == found || (before != 0.0 && !(it->guard_first[i] * before > 0.0));
        roots[i] = !crosses ? 0 : it->direction[i] == 0 || it->direction[i] == sign ? sign : i == found ? -sign : 0;
    }
    it->elapsed = first;
    if (it->method->read(it, first))
        return -1;
    memcpy(it->now, it->between, (size_t)(it->method->holds_algebra ? it->full : it->length) * sizeof(double));
    return 1;
}

/* -- steps -------------------------------------------------------------------------------------------------------------- */

int integrator_run(integrator *it, double *t, double stop, const double *times, int count, int *done, double *outputs, int *roots,
                   int most_steps)
{
    int result = WANTS_PAUSE, stalled = 0, flag_of_outputs;
    for (int step = 0; step < most_steps && result == WANTS_PAUSE; step++) {
        double before = it->elapsed;
        int found = it->method->step(it, stop - it->origin);
        it->step_start = before;
        *t = found == STEPPED_TO_STOP ? stop : it->origin + it->elapsed;
        stalled = it->elapsed == before && found == STEPPED ? stalled + 1 : 0;
        if (found < 0)
            result = failure(it, found, it->origin + before);
        else if (stalled > MOST_STALLED)
            result = it->not_finite >= 0 && it->not_finite_time >= *t ? FAILED_MODEL : FAILED_STALLED;
        else if (found == STEPPED_TO_CROSSING)
            result = it->method->crossed(it, roots) ? FAILED_OTHER : FOUND_EVENT;
        else if (found == STEPPED_TO_STOP)
            result = REACHED_END;
        if (result >= 0 && result != FOUND_EVENT && it->problem.guards && it->method->looks_inside) {
            int crossed_inside = look_inside(it, roots);
            if (crossed_inside > 0) {
                result = FOUND_EVENT;
                *t = found == STEPPED_TO_STOP && it->elapsed == stop - it->origin ? stop : it->origin + it->elapsed;
            } else if (crossed_inside < 0)
                result = it->bad_guard >= 0 ? FAILED_GUARD : FAILED_ALGEBRA;
        }
        if (result >= 0)
            algebra_accept(it);
        if (result >= 0 && (flag_of_outputs = fill_outputs(it, *t, result != WANTS_PAUSE, times, count, done, outputs)))
            result = flag_of_outputs;
    }
    integrator_collect(it);
    integrator_load(it, it->elapsed, it->now, it->now_rate);
    *it->problem.time = *t;
    if (integrator_complete_state(it, &it->algebra) && result >= 0)
        result = FAILED_ALGEBRA;
    return result;
}

int integrator_sample(integrator *it, const double *times, int count, double *samples)
{
    size_t width = (size_t)it->full * (size_t)(1 + it->problem.tangent.blocks);
    int flag = 0;
    for (int i = 0; i < count && !flag; i++)
        flag = read_within_step(it, times[i], NULL, (int)width, samples + (size_t)i * width);
    integrator_load(it, it->elapsed, it->now, it->now_rate);
    return integrator_complete_state(it, &it->algebra) ? FAILED_ALGEBRA : flag;
}
