#include "integrator_core.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CSUN_BDF = 2, OUT_OF_MEMORY = -20 };

/* SUNDIALS gives up on a step after 7 failed error tests, too few where a state passes zero on its way to an instability. */
enum { MOST_FAILURES = 30 };
/* Newton's iterations end at this share of the local error allowed. SUNDIALS' 0.1 leaves so much noise in the error estimate that
 * OREGO, HIRES and ROBER take 25 to 45 % more steps for one digit less. */
static const double NEWTON_SHARE = 0.01, MOST_NEWTON_SHARE = 0.1;
/* Newton's iterations cannot get closer than this: the equations are rounded. */
static const double NEWTON_ROUNDING = 1e-13;

static double newton_share(double rtol)
{
    return fmin(MOST_NEWTON_SHARE, fmax(NEWTON_SHARE, NEWTON_ROUNDING / rtol));
}

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

/* Lay out the problem's state from the solver's unknowns and their derivatives. */
static void lay_out(const integrator *it, const double *y, const double *yp, double *state)
{
    const dae_problem *p = &it->problem;
    if (!p->rate_of) { /* CVODE knows the states only */
        for (int block = 0; block <= p->tangent.blocks; block++)
            memcpy(state + (size_t)block * (size_t)it->full, y + (size_t)block * (size_t)it->size, (size_t)it->size * sizeof(double));
        return;
    }
    for (int k = 0; k < it->full; k++)
        state[k] = p->rate_of[k] >= 0 ? yp[p->rate_of[k]] : y[p->place_of[k]];
}

/* Load what holds at a time since the last restart. */
void integrator_load(integrator *it, double elapsed, handle y, handle yp)
{
    *it->problem.time = it->origin + elapsed;
    lay_out(it, it->call.N_VGetArrayPointer(y), yp ? it->call.N_VGetArrayPointer(yp) : NULL, it->problem.state);
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

/* Evaluate slopes and algebraic residuals, or solve the latter; 1 (recoverable) where that cannot be done. */
static int evaluate_slopes(integrator *it, double t, handle y, handle yp)
{
    integrator_load(it, t, y, yp);
    if (it->algebra.count && algebra_solve(it, &it->algebra))
        return 1;
    if (it->problem.tangent.blocks)
        return evaluate_tangents(it, &it->algebra);
    return it->algebra.count ? 0 : integrator_evaluate_slopes(it);
}

/* Solve for what the solver's vectors do not hold: algebraic variables, and their derivatives. */
int integrator_complete_state(integrator *it, algebra_solver *algebra)
{
    if (!algebra->count)
        return 0;
    return algebra_solve(it, algebra) || (it->problem.tangent.blocks && evaluate_tangents(it, algebra));
}

static int cvode_slopes(double t, handle y, handle yp, void *data)
{
    integrator *it = data;
    if (evaluate_slopes(it, t, y, NULL))
        return 1;
    double *target = it->call.N_VGetArrayPointer(yp);
    for (int block = 0; block <= it->problem.tangent.blocks; block++)
        memcpy(target + (size_t)block * (size_t)it->size, it->problem.slope + (size_t)block * (size_t)it->full, (size_t)it->size * sizeof(double));
    return 0;
}

static int ida_residual(double t, handle y, handle yp, handle residual, void *data)
{
    integrator *it = data;
    const dae_problem *p = &it->problem;
    if (evaluate_slopes(it, t, y, yp))
        return 1;
    double *r = it->call.N_VGetArrayPointer(residual);
    const double *slope = it->call.N_VGetArrayPointer(yp);
    for (int k = 0; k < it->full; k++) {
        int row = p->row_of[k];
        if (row >= 0)
            r[row] = k < p->differential ? p->slope[k] - slope[k] : p->slope[k];
    }
    return 0;
}

int integrator_evaluate_jacobian(integrator *it)
{
    it->problem.evaluate(it->problem.jacobian);
    it->counts.jacobians++;
    return first_not_finite(it->problem.entries, it->problem.entry_count) >= 0;
}

static int evaluate_jacobian(integrator *it, double t, handle y, handle yp)
{
    integrator_load(it, t, y, yp);
    if (!it->algebra.count)
        return integrator_evaluate_jacobian(it);
    return algebra_solve(it, &it->algebra) || integrator_evaluate_jacobian(it) || algebra_factor(&it->algebra, it->problem.entries);
}

/* matrix = scale * Jacobian + shift on the diagonal of the differential states; a derivative changes by -shift with its state */
static void fill_matrix(integrator *it, double scale, double shift)
{
    const dae_problem *p = &it->problem;
    memset(it->matrix, 0, (size_t)p->column_start[p->matrix_size] * sizeof(double));
    if (p->rate_of)
        for (int k = 0; k < p->entry_count; k++) {
            if (p->entry_place[k] >= 0)
                it->matrix[p->entry_place[k]] += scale * p->entries[k] * (p->entry_rate[k] ? -shift : 1.0);
        }
    else
        for (int k = 0; k < p->entry_count; k++)
            it->matrix[p->entry_place[k]] = scale * p->entries[k];
    for (int i = 0; i < p->differential; i++)
        if (p->diagonal_place[i] >= 0)
            it->matrix[p->diagonal_place[i]] += shift;
}

static int cvode_matrix(double t, handle y, handle f, handle matrix, int keep, int *fresh, double gamma, void *data, handle a, handle b,
                        handle c)
{
    integrator *it = data;
    (void)f; (void)matrix; (void)a; (void)b; (void)c;
    if (!keep && evaluate_jacobian(it, t, y, NULL))
        return 1;
    *fresh = !keep;
    fill_matrix(it, -gamma, 1.0);
    return 0;
}

static int ida_matrix(double t, double c_j, handle y, handle yp, handle r, handle matrix, void *data, handle a, handle b, handle c)
{
    integrator *it = data;
    (void)r; (void)matrix; (void)a; (void)b; (void)c;
    if (evaluate_jacobian(it, t, y, yp))
        return 1;
    fill_matrix(it, 1.0, -c_j);
    return 0;
}

int integrator_guards(integrator *it, double t, handle y, handle yp, double *guard)
{
    const dae_problem *p = &it->problem;
    integrator_load(it, t, y, yp);
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

static int cvode_guards(double t, handle y, double *guard, void *data)
{
    return integrator_guards(data, t, y, NULL, guard);
}

static int ida_guards(double t, handle y, handle yp, double *guard, void *data)
{
    return integrator_guards(data, t, y, yp, guard);
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

static int solver_solve(handle solver, handle matrix, handle x, handle b, double tolerance)
{
    integrator *it = owner(solver);
    (void)matrix; (void)tolerance;
    double *target = it->call.N_VGetArrayPointer(x);
    const double *source = it->call.N_VGetArrayPointer(b);
    size_t size = (size_t)it->size, whole = (size_t)it->problem.matrix_size;
    int blocks = it->length / it->size;
    for (int i = 0; i < blocks; i++) {
        memcpy(it->right + (size_t)i * whole, source + (size_t)i * size, size * sizeof(double));
        /* CVODE's iterations keep 0 = g solved, so the right side of its rows is zero */
        memset(it->right + (size_t)i * whole + size, 0, (whole - size) * sizeof(double));
    }
    /* The iteration matrix of the derivatives is that of the states, block by block; what couples them to the states is left
     * to the iterations (Maly & Petzold 1996, Appl. Numer. Math. 20:57). */
    int flag = lu_solve_many(&it->lu, it->right, blocks);
    for (int i = 0; i < blocks; i++)
        memcpy(target + (size_t)i * size, it->right + (size_t)i * whole, size * sizeof(double));
    return flag;
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

/* Take the solver's unknowns, and the derivatives that are known, from the problem's state. */
static void take_state(integrator *it)
{
    const dae_problem *p = &it->problem;
    double *y = it->call.N_VGetArrayPointer(it->y), *yp = it->call.N_VGetArrayPointer(it->yp);
    memset(yp, 0, (size_t)it->length * sizeof(double));
    if (!p->rate_of) {
        for (int block = 0; block <= p->tangent.blocks; block++)
            memcpy(y + (size_t)block * (size_t)it->size, p->state + (size_t)block * (size_t)it->full, (size_t)it->size * sizeof(double));
        algebra_restart(it);
        return;
    }
    for (int k = 0; k < it->full; k++) {
        if (p->rate_of[k] >= 0)
            yp[p->rate_of[k]] = p->state[k];
        else
            y[p->place_of[k]] = p->state[k];
    }
}

/* -- life -------------------------------------------------------------------------------------------------------------- */

int integrator_open(integrator *it, const int *order, const int *algebra_order, double rtol, const double *atol)
{
    sundials_table *s = &it->call;
    const dae_problem *p = &it->problem;
    int flag;
    it->full = p->differential + p->algebraic;
    it->size = p->unknowns;
    it->length = it->size * (1 + p->tangent.blocks);
    it->not_finite = it->bad_guard = -1;
    if (lu_init(&it->lu, p->matrix_size, p->column_start, p->row, order) ||
        algebra_init(&it->algebra, p->rate_of ? 0 : p->algebraic, p->differential, algebra_order))
        return OUT_OF_MEMORY;
    it->reading = (algebra_solver){.start = it->algebra.start, .row = it->algebra.row, .entry = it->algebra.entry,
                                   .magnitude = it->algebra.magnitude, .relative = it->algebra.relative};
    if (algebra_init(&it->reading, it->algebra.count, p->differential, algebra_order))
        return OUT_OF_MEMORY;
    it->kept_z = malloc((size_t)(p->algebraic + 1) * sizeof(double));
    it->kept_entries = malloc((size_t)(p->entry_count + 1) * sizeof(double));
    it->guard_before = malloc((size_t)(4 * p->guard_count + 1) * sizeof(double));
    it->direction = malloc((size_t)(p->guard_count + 1) * sizeof(int));
    it->not_finite_state = malloc((size_t)(it->full + 1) * sizeof(double));
    if (!it->not_finite_state || !it->kept_z || !it->kept_entries || !it->guard_before || !it->direction)
        return OUT_OF_MEMORY;
    it->guard_after = it->guard_before + p->guard_count;
    it->guard_middle = it->guard_after + p->guard_count;
    it->guard_inside = it->guard_middle + p->guard_count;
    it->matrix = malloc((size_t)p->column_start[p->matrix_size] * sizeof(double));
    it->right = malloc((size_t)p->matrix_size * (size_t)(1 + p->tangent.blocks) * sizeof(double));
    if (!it->matrix || !it->right || s->SUNContext_Create(0, &it->context))
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
    take_state(it);
    if ((flag = make_solver(it)))
        return flag;
    if (p->rate_of) {
        it->memory = s->IDACreate(it->context);
        if (!it->memory)
            return OUT_OF_MEMORY;
        if ((flag = s->IDAInit(it->memory, ida_residual, 0.0, it->y, it->yp)) || (flag = s->IDASetUserData(it->memory, it)) ||
            (flag = s->IDASVtolerances(it->memory, rtol, it->tolerance)) ||
            (flag = s->IDASetLinearSolver(it->memory, it->solver, it->matrix_stub)) || (flag = s->IDASetJacFn(it->memory, ida_matrix)) ||
            (flag = s->IDASetMaxErrTestFails(it->memory, MOST_FAILURES)) || (flag = s->IDASetMaxConvFails(it->memory, MOST_FAILURES)) ||
            (flag = s->IDASetNonlinConvCoef(it->memory, newton_share(rtol))))
            return flag;
        if (p->guards && ((flag = s->IDARootInit(it->memory, p->guard_count, ida_guards)) || (flag = s->IDASetNoInactiveRootWarn(it->memory))))
            return flag;
        return 0;
    }
    it->memory = s->CVodeCreate(CSUN_BDF, it->context);
    if (!it->memory)
        return OUT_OF_MEMORY;
    if ((flag = s->CVodeInit(it->memory, cvode_slopes, 0.0, it->y)) || (flag = s->CVodeSetUserData(it->memory, it)) ||
        (flag = s->CVodeSVtolerances(it->memory, rtol, it->tolerance)) ||
        (flag = s->CVodeSetLinearSolver(it->memory, it->solver, it->matrix_stub)) || (flag = s->CVodeSetLinSysFn(it->memory, cvode_matrix)) ||
        (flag = s->CVodeSetMaxHnilWarns(it->memory, -1)) || (flag = s->CVodeSetMaxErrTestFails(it->memory, MOST_FAILURES)) || (flag = s->CVodeSetMaxConvFails(it->memory, MOST_FAILURES)) ||
        (flag = s->CVodeSetNonlinConvCoef(it->memory, newton_share(rtol))))
        return flag;
    if (p->guards && ((flag = s->CVodeRootInit(it->memory, p->guard_count, cvode_guards)) || (flag = s->CVodeSetNoInactiveRootWarn(it->memory))))
        return flag;
    return 0;
}

void integrator_close(integrator *it)
{
    sundials_table *s = &it->call;
    if (it->memory) {
        if (it->problem.rate_of)
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
    free(it->right);
    lu_free(&it->lu);
    algebra_free(&it->algebra);
    algebra_free(&it->reading);
    free(it->kept_z);
    free(it->not_finite_state);
    free(it->kept_entries);
    free(it->guard_before);
    free(it->direction);
    it->memory = it->solver = it->matrix_stub = it->y = it->yp = it->tolerance = it->spare = it->weight = it->context = NULL;
    it->matrix = it->right = it->not_finite_state = it->kept_z = it->kept_entries = it->guard_before = NULL;
    it->direction = NULL;
}

/* SUNDIALS counts from each restart; the counts of the whole run are kept here. */
void integrator_collect(integrator *it)
{
    sundials_table *s = &it->call;
    long steps = 0, iterations = 0, failures = 0;
    if (it->problem.rate_of) {
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

void integrator_reset(integrator *it)
{
    memset(&it->counts, 0, sizeof it->counts);
    memset(&it->before, 0, sizeof it->before);
    it->counted_from_restart = 0;
    lu_reset(&it->lu);
    lu_reset(&it->algebra.lu);
    lu_reset(&it->reading.lu);
}

int integrator_restart(integrator *it, double t, double stop, int *direction)
{
    sundials_table *s = &it->call;
    int flag;
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
    if (it->problem.rate_of) {
        if (evaluate_slopes(it, 0.0, it->y, it->yp))
            return FAILED_MODEL;
        memcpy(s->N_VGetArrayPointer(it->yp), it->problem.slope, (size_t)it->problem.differential * sizeof(double));
        flag = s->IDAReInit(it->memory, 0.0, it->y, it->yp) || s->IDASetStopTime(it->memory, stop - t) ||
               (it->problem.guards && s->IDASetRootDirection(it->memory, direction));
    } else {
        flag = s->CVodeReInit(it->memory, 0.0, it->y) || s->CVodeSetStopTime(it->memory, stop - t) ||
               (it->problem.guards && s->CVodeSetRootDirection(it->memory, direction));
    }
    return flag ? FAILED_OTHER : 0;
}
