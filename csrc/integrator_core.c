#include "integrator_core.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CSUN_BDF = 2, ONE_STEP = 2, TSTOP_RETURN = 1, ROOT_RETURN = 2, OUT_OF_MEMORY = -20 };

/* SUNDIALS gives up on a step after 7 failed error tests, too few where a state passes zero on its way to an instability. */
enum { MOST_FAILURES = 30 };
/* Steps so small that time stands still are no steps; at a finite escape SUNDIALS would take them for ever. */
enum { MOST_STALLED = 10 };
/* Newton's iterations end at this share of the local error allowed. SUNDIALS' 0.1 leaves so much noise in the error estimate that
 * OREGO, HIRES and ROBER take 25 to 45 % more steps for one digit less. */
static const double NEWTON_SHARE = 0.01;

static const char *const NAMES[] = {
#define NAME(name, result, arguments) #name,
    SUNDIALS_FUNCTIONS(NAME)
#undef NAME
};

const char *sundials_name(int i)
{
    return i < (int)(sizeof NAMES / sizeof *NAMES) ? NAMES[i] : NULL;
}

int sundials_set(sundials_table *table, const char *name, void *address)
{
#define SET(member, result, arguments)                         \
    if (strcmp(name, #member) == 0) {                          \
        memcpy(&table->member, &address, sizeof table->member); \
        return 0;                                              \
    }
    SUNDIALS_FUNCTIONS(SET)
#undef SET
    return -1;
}

/* -- the model ------------------------------------------------------------------------------------------------------- */

static int first_not_finite(const double *value, int count)
{
    for (int i = 0; i < count; i++)
        if (!isfinite(value[i]))
            return i;
    return -1;
}

static void load(integrator *it, double t, handle y)
{
    *it->problem.time = t;
    memcpy(it->problem.state, it->call.N_VGetArrayPointer(y), (size_t)it->length * sizeof(double));
}

/* result += matrix times x, the matrix in compressed columns */
static void add_product(int columns, const int *start, const int *row, const double *entry, const double *x, double *result)
{
    for (int j = 0; j < columns; j++) {
        double factor = x[j];
        if (factor != 0.0)
            for (int k = start[j]; k < start[j + 1]; k++)
                result[row[k]] += entry[k] * factor;
    }
}

/* Slopes of the derivatives that are carried along, from J and P as they were evaluated last. */
static void evaluate_tangents(const integrator *it, double *slope)
{
    const tangent_problem *p = &it->problem.tangent;
    size_t size = (size_t)it->size;
    const double *state = it->problem.state + size, *seed = p->seed;
    memset(slope, 0, (size_t)p->blocks * size * sizeof(double));
    for (int i = 0; i < p->blocks; i++, slope += size, state += size, seed += p->force_columns) {
        add_product(it->size, p->column_start, p->row, p->entries, state, slope);
        add_product(p->force_columns, p->force_start, p->force_row, p->force, seed, slope);
    }
}

/* Evaluate slopes and algebraic residuals; 1 (recoverable) where one is not finite. */
static int evaluate_slopes(integrator *it, double t, handle y)
{
    load(it, t, y);
    if (it->problem.tangent.blocks) {
        it->problem.evaluate(it->problem.tangent.slopes);
        evaluate_tangents(it, it->problem.slope + it->size);
    } else {
        it->problem.evaluate(it->problem.slopes);
    }
    it->counts.evaluations++;
    int wrong = first_not_finite(it->problem.slope, it->length);
    if (wrong >= 0) {
        it->not_finite = wrong;
        it->not_finite_time = t;
        return 1;
    }
    return 0;
}

static int cvode_slopes(double t, handle y, handle yp, void *data)
{
    integrator *it = data;
    if (evaluate_slopes(it, t, y))
        return 1;
    memcpy(it->call.N_VGetArrayPointer(yp), it->problem.slope, (size_t)it->length * sizeof(double));
    return 0;
}

static int ida_residual(double t, handle y, handle yp, handle residual, void *data)
{
    integrator *it = data;
    if (evaluate_slopes(it, t, y))
        return 1;
    double *r = it->call.N_VGetArrayPointer(residual);
    const double *slope = it->call.N_VGetArrayPointer(yp);
    memcpy(r, it->problem.slope, (size_t)it->length * sizeof(double));
    for (int first = 0; first < it->length; first += it->size)
        for (int i = first; i < first + it->problem.differential; i++)
            r[i] -= slope[i];
    return 0;
}

static int evaluate_jacobian(integrator *it, double t, handle y)
{
    load(it, t, y);
    it->problem.evaluate(it->problem.jacobian);
    it->counts.jacobians++;
    return first_not_finite(it->problem.entries, it->problem.entry_count) >= 0;
}

/* matrix = scale * Jacobian + shift on the diagonal of the differential states */
static void fill_matrix(integrator *it, double scale, double shift)
{
    const dae_problem *p = &it->problem;
    memset(it->matrix, 0, (size_t)p->column_start[it->size] * sizeof(double));
    for (int k = 0; k < p->entry_count; k++)
        it->matrix[p->entry_place[k]] = scale * p->entries[k];
    for (int i = 0; i < p->differential; i++)
        it->matrix[p->diagonal_place[i]] += shift;
}

static int cvode_matrix(double t, handle y, handle f, handle matrix, int keep, int *fresh, double gamma, void *data, handle a, handle b,
                        handle c)
{
    integrator *it = data;
    (void)f; (void)matrix; (void)a; (void)b; (void)c;
    if (!keep && evaluate_jacobian(it, t, y))
        return 1;
    *fresh = !keep;
    fill_matrix(it, -gamma, 1.0);
    return 0;
}

static int ida_matrix(double t, double c_j, handle y, handle yp, handle r, handle matrix, void *data, handle a, handle b, handle c)
{
    integrator *it = data;
    (void)yp; (void)r; (void)matrix; (void)a; (void)b; (void)c;
    if (evaluate_jacobian(it, t, y))
        return 1;
    fill_matrix(it, 1.0, -c_j);
    return 0;
}

static int evaluate_guards(integrator *it, double t, handle y, double *guard)
{
    const dae_problem *p = &it->problem;
    load(it, t, y);
    p->evaluate(p->guards);
    for (int i = 0; i < p->guard_count; i++) {
        guard[i] = p->watched[i] ? p->guard[i] + p->offset[i] : 1.0;
        if (!isfinite(guard[i])) {
            it->bad_guard = i;
            it->not_finite_time = t;
            return -1;
        }
    }
    return 0;
}

static int cvode_guards(double t, handle y, double *guard, void *data)
{
    return evaluate_guards(data, t, y, guard);
}

static int ida_guards(double t, handle y, handle yp, double *guard, void *data)
{
    (void)yp;
    return evaluate_guards(data, t, y, guard);
}

/* -- the linear solver: SUNDIALS' band solver with its work done by our factors ----------------------------------------- */

static integrator *owner(handle solver)
{
    return *(integrator **)solver; /* the first member of a SUNLinearSolver is its content */
}

static int solver_initialize(handle solver)
{
    (void)solver;
    return 0;
}

static int solver_setup(handle solver, handle matrix)
{
    integrator *it = owner(solver);
    (void)matrix;
    return lu_factor(&it->lu, it->matrix);
}

/* Correct the derivatives, whose iteration matrix is that of the states, block by block.
 *
 * What couples them to the states is left to the iterations where all equations are differential (the simultaneous corrector of Maly
 * & Petzold 1996, Appl. Numer. Math. 20:57): a smaller step weakens it. It does not where equations are algebraic. There, derivatives
 * with tolerances much tighter than the states' would look like divergence at every step size, and they are corrected with what
 * their residuals are at the corrected states. */
static int solve_tangents(integrator *it, double *correction)
{
    const dae_problem *p = &it->problem;
    size_t count = (size_t)p->tangent.blocks * (size_t)it->size;
    double *right = correction + it->size;
    const double *slope = p->slope + it->size, *corrected = p->tangent.corrected;
    if (p->algebraic) {
        for (int i = 0; i < it->size; i++)
            p->state[i] += correction[i]; /* it holds the iterate at which the residual was evaluated */
        p->evaluate(p->tangent.slopes);
        it->counts.evaluations++;
        evaluate_tangents(it, p->tangent.corrected);
        if (first_not_finite(corrected, (int)count) < 0)
            for (size_t i = 0; i < count; i++)
                right[i] -= corrected[i] - slope[i];
    }
    return lu_solve_many(&it->lu, right, p->tangent.blocks);
}

static int solver_solve(handle solver, handle matrix, handle x, handle b, double tolerance)
{
    integrator *it = owner(solver);
    (void)matrix; (void)tolerance;
    double *target = it->call.N_VGetArrayPointer(x);
    const double *source = it->call.N_VGetArrayPointer(b);
    if (target != source)
        memcpy(target, source, (size_t)it->length * sizeof(double));
    int flag = lu_solve(&it->lu, target);
    return flag || !it->problem.tangent.blocks ? flag : solve_tangents(it, target);
}

static int solver_flag(handle solver)
{
    (void)solver;
    return 0;
}

static void **find(void **table, void *entry)
{
    for (int i = 0; table && i < 16; i++)
        if (table[i] == entry)
            return table + i;
    return NULL;
}

#define ADDRESS(f) ((union { void *object; int (*function)(void); }){.function = (int (*)(void))(f)}.object)

static int make_solver(integrator *it)
{
    sundials_table *s = &it->call;
    it->matrix_stub = s->SUNBandMatrix(it->length, 0, 0, it->context);
    it->solver = it->matrix_stub ? s->SUNLinSol_Band(it->y, it->matrix_stub, it->context) : NULL;
    if (!it->solver)
        return OUT_OF_MEMORY;
    void *old[] = {ADDRESS(s->SUNLinSolInitialize_Band), ADDRESS(s->SUNLinSolSetup_Band), ADDRESS(s->SUNLinSolSolve_Band),
                   ADDRESS(s->SUNLinSolLastFlag_Band)};
    void *new[] = {ADDRESS(solver_initialize), ADDRESS(solver_setup), ADDRESS(solver_solve), ADDRESS(solver_flag)};
    int found = 0;
    for (int member = 1; member < 3 && !found; member++) { /* the table of operations comes after the content */
        void **table = ((void ***)it->solver)[member];
        if (!find(table, old[0]))
            continue;
        for (int i = 0; i < 4; i++) {
            void **entry = find(table, old[i]);
            if (!entry)
                return -100; /* another SUNDIALS than the one this was written for */
            *entry = new[i];
        }
        found = 1;
    }
    if (!found)
        return -100;
    it->solver_content = *(void **)it->solver;
    *(void **)it->solver = it;
    return 0;
}

/* Leave the derivatives of algebraic variables out of the error test: they follow from what is in it. A derivative near zero would be
 * held to less than the local errors of the states it follows from, and IDA stays at order one, with steps a thousand times too small. */
static int leave_out_algebraic(integrator *it)
{
    sundials_table *s = &it->call;
    double *tested = s->N_VGetArrayPointer(it->spare);
    for (int i = 0; i < it->length; i++)
        tested[i] = i < it->size || i % it->size < it->problem.differential;
    int flag = s->IDASetId(it->memory, it->spare);
    return flag ? flag : s->IDASetSuppressAlg(it->memory, 1);
}

/* -- life -------------------------------------------------------------------------------------------------------------- */

int integrator_open(integrator *it, const int *order, double rtol, const double *atol)
{
    sundials_table *s = &it->call;
    const dae_problem *p = &it->problem;
    int flag;
    it->size = p->differential + p->algebraic;
    it->length = it->size * (1 + p->tangent.blocks);
    it->not_finite = it->bad_guard = -1;
    if (lu_init(&it->lu, it->size, p->column_start, p->row, order))
        return OUT_OF_MEMORY;
    if (p->tangent.blocks && !(it->problem.tangent.corrected = malloc((size_t)(it->length - it->size) * sizeof(double))))
        return OUT_OF_MEMORY;
    it->matrix = malloc((size_t)p->column_start[it->size] * sizeof(double));
    if (!it->matrix || s->SUNContext_Create(0, &it->context))
        return OUT_OF_MEMORY;
    s->SUNContext_ClearErrHandlers(it->context);
    it->y = s->N_VNew_Serial(it->length, it->context);
    it->yp = s->N_VNew_Serial(it->length, it->context);
    it->tolerance = s->N_VNew_Serial(it->length, it->context);
    it->spare = s->N_VNew_Serial(it->length, it->context);
    it->weight = s->N_VNew_Serial(it->length, it->context);
    if (!it->y || !it->yp || !it->tolerance || !it->spare || !it->weight)
        return OUT_OF_MEMORY;
    memcpy(s->N_VGetArrayPointer(it->tolerance), atol, (size_t)it->length * sizeof(double));
    memcpy(s->N_VGetArrayPointer(it->y), p->state, (size_t)it->length * sizeof(double));
    memset(s->N_VGetArrayPointer(it->yp), 0, (size_t)it->length * sizeof(double));
    if ((flag = make_solver(it)))
        return flag;
    if (p->algebraic) {
        it->memory = s->IDACreate(it->context);
        if (!it->memory)
            return OUT_OF_MEMORY;
        if ((flag = s->IDAInit(it->memory, ida_residual, *p->time, it->y, it->yp)) || (flag = s->IDASetUserData(it->memory, it)) ||
            (flag = s->IDASVtolerances(it->memory, rtol, it->tolerance)) ||
            (flag = s->IDASetLinearSolver(it->memory, it->solver, it->matrix_stub)) || (flag = s->IDASetJacFn(it->memory, ida_matrix)) ||
            (flag = s->IDASetMaxErrTestFails(it->memory, MOST_FAILURES)) || (flag = s->IDASetMaxConvFails(it->memory, MOST_FAILURES)) ||
            (flag = s->IDASetNonlinConvCoef(it->memory, NEWTON_SHARE)))
            return flag;
        if (p->tangent.blocks && (flag = leave_out_algebraic(it)))
            return flag;
        if (p->guards && ((flag = s->IDARootInit(it->memory, p->guard_count, ida_guards)) || (flag = s->IDASetNoInactiveRootWarn(it->memory))))
            return flag;
        return 0;
    }
    it->memory = s->CVodeCreate(CSUN_BDF, it->context);
    if (!it->memory)
        return OUT_OF_MEMORY;
    if ((flag = s->CVodeInit(it->memory, cvode_slopes, *p->time, it->y)) || (flag = s->CVodeSetUserData(it->memory, it)) ||
        (flag = s->CVodeSVtolerances(it->memory, rtol, it->tolerance)) ||
        (flag = s->CVodeSetLinearSolver(it->memory, it->solver, it->matrix_stub)) || (flag = s->CVodeSetLinSysFn(it->memory, cvode_matrix)) ||
        (flag = s->CVodeSetMaxHnilWarns(it->memory, -1)) || (flag = s->CVodeSetMaxErrTestFails(it->memory, MOST_FAILURES)) || (flag = s->CVodeSetMaxConvFails(it->memory, MOST_FAILURES)) ||
        (flag = s->CVodeSetNonlinConvCoef(it->memory, NEWTON_SHARE)))
        return flag;
    if (p->guards && ((flag = s->CVodeRootInit(it->memory, p->guard_count, cvode_guards)) || (flag = s->CVodeSetNoInactiveRootWarn(it->memory))))
        return flag;
    return 0;
}

void integrator_close(integrator *it)
{
    sundials_table *s = &it->call;
    if (it->memory) {
        if (it->problem.algebraic)
            s->IDAFree(&it->memory);
        else
            s->CVodeFree(&it->memory);
    }
    if (it->solver) {
        if (it->solver_content)
            *(void **)it->solver = it->solver_content; /* its own again, so that it can be freed */
        s->SUNLinSolFree(it->solver);
    }
    if (it->matrix_stub) s->SUNMatDestroy(it->matrix_stub);
    if (it->y) s->N_VDestroy(it->y);
    if (it->yp) s->N_VDestroy(it->yp);
    if (it->tolerance) s->N_VDestroy(it->tolerance);
    if (it->spare) s->N_VDestroy(it->spare);
    if (it->weight) s->N_VDestroy(it->weight);
    if (it->context) s->SUNContext_Free(&it->context);
    free(it->matrix);
    free(it->problem.tangent.corrected);
    it->problem.tangent.corrected = NULL;
    lu_free(&it->lu);
    it->memory = it->solver = it->matrix_stub = it->y = it->yp = it->tolerance = it->spare = it->weight = it->context = NULL;
    it->matrix = NULL;
}

/* SUNDIALS counts from each restart; the counts of the whole run are kept here. */
static void collect(integrator *it)
{
    sundials_table *s = &it->call;
    long steps = 0, iterations = 0, failures = 0;
    if (it->problem.algebraic) {
        s->IDAGetNumSteps(it->memory, &steps);
        s->IDAGetNumNonlinSolvIters(it->memory, &iterations);
        s->IDAGetNumErrTestFails(it->memory, &failures);
    } else {
        s->CVodeGetNumSteps(it->memory, &steps);
        s->CVodeGetNumNonlinSolvIters(it->memory, &iterations);
        s->CVodeGetNumErrTestFails(it->memory, &failures);
    }
    it->counts.steps = it->before.steps + steps;
    it->counts.iterations = it->before.iterations + iterations;
    it->counts.error_failures = it->before.error_failures + failures;
}

int integrator_restart(integrator *it, double t, double stop, int *direction)
{
    sundials_table *s = &it->call;
    size_t bytes = (size_t)it->length * sizeof(double);
    int flag;
    collect(it);
    it->before = it->counts;
    it->counts.restarts++;
    it->before.restarts = it->counts.restarts;
    it->not_finite = it->bad_guard = -1;
    memcpy(s->N_VGetArrayPointer(it->y), it->problem.state, bytes);
    if (it->problem.algebraic) {
        if (evaluate_slopes(it, t, it->y))
            return FAILED_MODEL;
        double *yp = s->N_VGetArrayPointer(it->yp);
        memset(yp, 0, bytes);
        for (int first = 0; first < it->length; first += it->size)
            memcpy(yp + first, it->problem.slope + first, (size_t)it->problem.differential * sizeof(double));
        flag = s->IDAReInit(it->memory, t, it->y, it->yp) || s->IDASetStopTime(it->memory, stop) ||
               (it->problem.guards && s->IDASetRootDirection(it->memory, direction));
    } else {
        flag = s->CVodeReInit(it->memory, t, it->y) || s->CVodeSetStopTime(it->memory, stop) ||
               (it->problem.guards && s->CVodeSetRootDirection(it->memory, direction));
    }
    return flag ? FAILED_OTHER : 0;
}

/* Why a step failed at time t, in one language for both solvers. */
static int failure(const integrator *it, int flag, double t)
{
    int implicit = it->problem.algebraic > 0;
    if (it->bad_guard >= 0)
        return FAILED_GUARD;
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

/* The solution at a time within the last step, into `spare`. */
static int interpolate(integrator *it, double t)
{
    return it->problem.algebraic ? it->call.IDAGetDky(it->memory, t, 0, it->spare) : it->call.CVodeGetDky(it->memory, t, 0, it->spare);
}

/* Interpolate the outputs that the last step has passed. One exactly at an event or at the end belongs to what comes after. */
static int fill_outputs(integrator *it, double t, int ends, const double *times, int count, int *done, double *outputs)
{
    sundials_table *s = &it->call;
    while (*done < count && (times[*done] < t || (!ends && times[*done] == t))) {
        int flag = interpolate(it, times[*done]);
        if (flag)
            return flag;
        const double *state = s->N_VGetArrayPointer(it->spare);
        double *output = outputs + (size_t)*done * (size_t)it->problem.kept_count;
        for (int i = 0; i < it->problem.kept_count; i++)
            output[i] = state[it->problem.kept[i]];
        ++*done;
    }
    return 0;
}

int integrator_run(integrator *it, double *t, double stop, const double *times, int count, int *done, double *outputs, int *roots,
                   int most_steps)
{
    sundials_table *s = &it->call;
    int implicit = it->problem.algebraic > 0, result = WANTS_PAUSE, stalled = 0;
    for (int step = 0; step < most_steps && result == WANTS_PAUSE; step++) {
        double before = *t;
        int flag = implicit ? s->IDASolve(it->memory, stop, t, it->y, it->yp, ONE_STEP) : s->CVode(it->memory, stop, it->y, t, ONE_STEP);
        stalled = *t == before && flag == 0 ? stalled + 1 : 0;
        if (flag < 0)
            result = failure(it, flag, before);
        else if (stalled > MOST_STALLED)
            result = it->not_finite >= 0 && it->not_finite_time >= *t ? FAILED_MODEL : FAILED_STALLED;
        else if (flag == ROOT_RETURN)
            result = FOUND_EVENT;
        else if (flag == TSTOP_RETURN)
            result = REACHED_END;
        if (result >= 0 && fill_outputs(it, *t, result != WANTS_PAUSE, times, count, done, outputs))
            result = FAILED_OTHER;
        if (result == FOUND_EVENT && (implicit ? s->IDAGetRootInfo(it->memory, roots) : s->CVodeGetRootInfo(it->memory, roots)))
            result = FAILED_OTHER;
    }
    collect(it);
    load(it, *t, it->y);
    return result;
}

int integrator_sample(integrator *it, const double *times, int count, double *samples)
{
    for (int i = 0; i < count; i++) {
        int flag = interpolate(it, times[i]);
        if (flag)
            return flag;
        memcpy(samples + (size_t)i * (size_t)it->length, it->call.N_VGetArrayPointer(it->spare), (size_t)it->length * sizeof(double));
    }
    return 0;
}

int integrator_errors(integrator *it, double *errors)
{
    sundials_table *s = &it->call;
    int implicit = it->problem.algebraic > 0;
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
    if (it->problem.algebraic)
        it->call.IDAGetCurrentStep(it->memory, &step);
    else
        it->call.CVodeGetCurrentStep(it->memory, &step);
    return step;
}
