#include "integrator_sundials.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "integrator_core.h"

enum { CSUN_BDF = 2, OUT_OF_MEMORY = -20, ONE_STEP = 2, TSTOP_RETURN = 1, ROOT_RETURN = 2 };

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

/* -- the model as SUNDIALS calls it ---------------------------------------------------------------------------------------- */

static double *values(const integrator *it, handle vector)
{
    return vector ? it->call.N_VGetArrayPointer(vector) : NULL;
}

static int cvode_slopes(double t, handle y, handle yp, void *data)
{
    integrator *it = data;
    if (integrator_slopes_at(it, t, values(it, y), NULL))
        return 1;
    double *target = values(it, yp);
    for (int block = 0; block <= it->problem.tangent.blocks; block++)
        memcpy(target + (size_t)block * (size_t)it->size, it->problem.slope + (size_t)block * (size_t)it->full, (size_t)it->size * sizeof(double));
    return 0;
}

static int ida_residual(double t, handle y, handle yp, handle residual, void *data)
{
    integrator *it = data;
    const dae_problem *p = &it->problem;
    if (integrator_slopes_at(it, t, values(it, y), values(it, yp)))
        return 1;
    double *r = values(it, residual);
    const double *slope = values(it, yp);
    for (int k = 0; k < it->full; k++) {
        int row = p->row_of[k];
        if (row >= 0)
            r[row] = k < p->differential ? p->slope[k] - slope[k] : p->slope[k];
    }
    return 0;
}

/* matrix = scale * Jacobian + shift on the diagonal of the differential states; a derivative changes by -shift with its state */
static void fill_matrix(integrator *it, double scale, double shift)
{
    const dae_problem *p = &it->problem;
    memset(it->sundials.matrix, 0, (size_t)p->column_start[p->matrix_size] * sizeof(double));
    if (p->rate_of)
        for (int k = 0; k < p->entry_count; k++) {
            if (p->entry_place[k] >= 0)
                it->sundials.matrix[p->entry_place[k]] += scale * p->entries[k] * (p->entry_rate[k] ? -shift : 1.0);
        }
    else
        for (int k = 0; k < p->entry_count; k++)
            it->sundials.matrix[p->entry_place[k]] = scale * p->entries[k];
    for (int i = 0; i < p->differential; i++)
        if (p->diagonal_place[i] >= 0)
            it->sundials.matrix[p->diagonal_place[i]] += shift;
}

static int cvode_matrix(double t, handle y, handle f, handle matrix, int keep, int *fresh, double gamma, void *data, handle a, handle b,
                        handle c)
{
    integrator *it = data;
    (void)f; (void)matrix; (void)a; (void)b; (void)c;
    if (!keep && integrator_jacobian_at(it, t, values(it, y), NULL))
        return 1;
    *fresh = !keep;
    fill_matrix(it, -gamma, 1.0);
    return 0;
}

static int ida_matrix(double t, double c_j, handle y, handle yp, handle r, handle matrix, void *data, handle a, handle b, handle c)
{
    integrator *it = data;
    (void)r; (void)matrix; (void)a; (void)b; (void)c;
    if (integrator_jacobian_at(it, t, values(it, y), values(it, yp)))
        return 1;
    fill_matrix(it, 1.0, -c_j);
    return 0;
}

static int cvode_guards(double t, handle y, double *guard, void *data)
{
    return integrator_guards(data, t, values(data, y), NULL, guard);
}

static int ida_guards(double t, handle y, handle yp, double *guard, void *data)
{
    return integrator_guards(data, t, values(data, y), values(data, yp), guard);
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
    return lu_factor(&it->sundials.lu, it->sundials.matrix);
}

static int solver_solve(handle solver, handle matrix, handle x, handle b, double tolerance)
{
    integrator *it = owner(solver);
    (void)matrix; (void)tolerance;
    double *target = values(it, x);
    const double *source = values(it, b);
    size_t size = (size_t)it->size, whole = (size_t)it->problem.matrix_size;
    int blocks = it->length / it->size;
    for (int i = 0; i < blocks; i++) {
        memcpy(it->sundials.right + (size_t)i * whole, source + (size_t)i * size, size * sizeof(double));
        /* CVODE's iterations keep 0 = g solved, so the right side of its rows is zero */
        memset(it->sundials.right + (size_t)i * whole + size, 0, (whole - size) * sizeof(double));
    }
    /* The iteration matrix of the derivatives is that of the states, block by block; what couples them to the states is left
     * to the iterations (Maly & Petzold 1996, Appl. Numer. Math. 20:57). */
    int flag = lu_solve_many(&it->sundials.lu, it->sundials.right, blocks);
    for (int i = 0; i < blocks; i++)
        memcpy(target + (size_t)i * size, it->sundials.right + (size_t)i * whole, size * sizeof(double));
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
    it->sundials.matrix_stub = s->SUNBandMatrix(it->length, 0, 0, it->sundials.context);
    it->sundials.solver = it->sundials.matrix_stub ? s->SUNLinSol_Band(it->sundials.y, it->sundials.matrix_stub, it->sundials.context) : NULL;
    if (!it->sundials.solver)
        return OUT_OF_MEMORY;
    void *old[] = {ADDRESS(s->SUNLinSolInitialize_Band), ADDRESS(s->SUNLinSolSetup_Band), ADDRESS(s->SUNLinSolSolve_Band),
                   ADDRESS(s->SUNLinSolLastFlag_Band)};
    void *new[] = {ADDRESS(solver_initialize), ADDRESS(solver_setup), ADDRESS(solver_solve), ADDRESS(solver_flag)};
    int found = 0;
    for (int member = 1; member < 3 && !found; member++) { /* the table of operations comes after the content */
        void **table = ((void ***)it->sundials.solver)[member];
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
    it->sundials.solver_content = *(void **)it->sundials.solver;
    *(void **)it->sundials.solver = it;
    return 0;
}

/* -- CVODE and IDA as methods ---------------------------------------------------------------------------------------------- */

static int open_common(integrator *it, const int *order, const double *atol)
{
    const dae_problem *p = &it->problem;
    sundials_table *s = &it->call;
    sundials_memory *m = &it->sundials;
    if (lu_init(&m->lu, p->matrix_size, p->column_start, p->row, order))
        return OUT_OF_MEMORY;
    m->matrix = malloc((size_t)p->column_start[p->matrix_size] * sizeof(double));
    m->right = malloc((size_t)p->matrix_size * (size_t)(1 + p->tangent.blocks) * sizeof(double));
    if (!m->matrix || !m->right || s->SUNContext_Create(0, &m->context))
        return OUT_OF_MEMORY;
    s->SUNContext_ClearErrHandlers(m->context);
    handle *vectors[] = {&m->y, &m->yp, &m->tolerance, &m->spare, &m->spare_rate, &m->weight};
    for (int i = 0; i < 6; i++)
        if (!(*vectors[i] = s->N_VNew_Serial(it->length, m->context)))
            return OUT_OF_MEMORY;
    memcpy(values(it, m->tolerance), atol, (size_t)it->length * sizeof(double));
    it->now = values(it, m->y);
    it->now_rate = values(it, m->yp);
    it->between = values(it, m->spare);
    it->between_rate = values(it, m->spare_rate);
    memset(it->now, 0, (size_t)it->length * sizeof(double));
    memset(it->now_rate, 0, (size_t)it->length * sizeof(double));
    return make_solver(it);
}

static int open_cvode(integrator *it, const int *order, double rtol, const double *atol)
{
    sundials_table *s = &it->call;
    sundials_memory *m = &it->sundials;
    const dae_problem *p = &it->problem;
    int flag = open_common(it, order, atol);
    if (flag)
        return flag;
    m->memory = s->CVodeCreate(CSUN_BDF, m->context);
    if (!m->memory)
        return OUT_OF_MEMORY;
    if ((flag = s->CVodeInit(m->memory, cvode_slopes, 0.0, m->y)) || (flag = s->CVodeSetUserData(m->memory, it)) ||
        (flag = s->CVodeSVtolerances(m->memory, rtol, m->tolerance)) ||
        (flag = s->CVodeSetLinearSolver(m->memory, m->solver, m->matrix_stub)) || (flag = s->CVodeSetLinSysFn(m->memory, cvode_matrix)) ||
        (flag = s->CVodeSetMaxHnilWarns(m->memory, -1)) || (flag = s->CVodeSetMaxErrTestFails(m->memory, MOST_FAILURES)) ||
        (flag = s->CVodeSetMaxConvFails(m->memory, MOST_FAILURES)) || (flag = s->CVodeSetNonlinConvCoef(m->memory, newton_share(rtol))))
        return flag;
    if (p->guards && ((flag = s->CVodeRootInit(m->memory, p->guard_count, cvode_guards)) || (flag = s->CVodeSetNoInactiveRootWarn(m->memory))))
        return flag;
    return 0;
}

static int open_ida(integrator *it, const int *order, double rtol, const double *atol)
{
    sundials_table *s = &it->call;
    sundials_memory *m = &it->sundials;
    const dae_problem *p = &it->problem;
    int flag = open_common(it, order, atol);
    if (flag)
        return flag;
    m->memory = s->IDACreate(m->context);
    if (!m->memory)
        return OUT_OF_MEMORY;
    if ((flag = s->IDAInit(m->memory, ida_residual, 0.0, m->y, m->yp)) || (flag = s->IDASetUserData(m->memory, it)) ||
        (flag = s->IDASVtolerances(m->memory, rtol, m->tolerance)) ||
        (flag = s->IDASetLinearSolver(m->memory, m->solver, m->matrix_stub)) || (flag = s->IDASetJacFn(m->memory, ida_matrix)) ||
        (flag = s->IDASetMaxErrTestFails(m->memory, MOST_FAILURES)) || (flag = s->IDASetMaxConvFails(m->memory, MOST_FAILURES)) ||
        (flag = s->IDASetNonlinConvCoef(m->memory, newton_share(rtol))))
        return flag;
    if (p->guards && ((flag = s->IDARootInit(m->memory, p->guard_count, ida_guards)) || (flag = s->IDASetNoInactiveRootWarn(m->memory))))
        return flag;
    return 0;
}

static void close_sundials(integrator *it)
{
    sundials_table *s = &it->call;
    sundials_memory *m = &it->sundials;
    if (m->memory) {
        if (it->problem.rate_of)
            s->IDAFree(&m->memory);
        else
            s->CVodeFree(&m->memory);
    }
    if (m->solver) {
        if (m->solver_content)
            *(void **)m->solver = m->solver_content; /* its own again, so that it can be freed */
        s->SUNLinSolFree(m->solver);
    }
    if (m->matrix_stub) s->SUNMatDestroy(m->matrix_stub);
    handle vectors[] = {m->y, m->yp, m->tolerance, m->spare, m->spare_rate, m->weight};
    for (int i = 0; i < 6; i++)
        if (vectors[i])
            s->N_VDestroy(vectors[i]);
    if (m->context) s->SUNContext_Free(&m->context);
    free(m->matrix);
    free(m->right);
    if (m->lu.n) lu_free(&m->lu);
    memset(m, 0, sizeof *m);
}

static void reset_sundials(integrator *it)
{
    lu_reset(&it->sundials.lu);
}

static long sundials_factorizations(const integrator *it)
{
    return it->sundials.lu.factorizations + it->sundials.lu.refactorizations;
}

static int restart_cvode(integrator *it, double stop)
{
    sundials_table *s = &it->call;
    handle memory = it->sundials.memory;
    int flag = s->CVodeReInit(memory, 0.0, it->sundials.y) || s->CVodeSetStopTime(memory, stop) ||
               (it->problem.guards && s->CVodeSetRootDirection(memory, it->direction));
    return flag ? FAILED_OTHER : 0;
}

static int restart_ida(integrator *it, double stop)
{
    sundials_table *s = &it->call;
    sundials_memory *m = &it->sundials;
    if (integrator_slopes_at(it, 0.0, it->now, it->now_rate))
        return FAILED_MODEL;
    memcpy(it->now_rate, it->problem.slope, (size_t)it->problem.differential * sizeof(double));
    int flag = s->IDAReInit(m->memory, 0.0, m->y, m->yp) || s->IDASetStopTime(m->memory, stop) ||
               (it->problem.guards && s->IDASetRootDirection(m->memory, it->direction));
    return flag ? FAILED_OTHER : 0;
}

/* How a step ended, in one language for all methods. */
static int outcome(const integrator *it, int flag)
{
    int implicit = it->problem.rate_of != NULL;
    switch (flag) {
    case TSTOP_RETURN: return STEPPED_TO_STOP;
    case ROOT_RETURN: return STEPPED_TO_CROSSING;
    case -2: return FAILED_TOLERANCE;
    case -3: return FAILED_ERROR_TEST;
    case -4: return FAILED_CONVERGENCE;
    case -6: return FAILED_CONVERGENCE; /* a singular iteration matrix */
    case -8: case -9: return FAILED_MODEL;
    case -10: case -11: return implicit ? FAILED_OTHER : FAILED_MODEL;
    case -12: return implicit ? FAILED_MODEL : FAILED_OTHER;
    default: return flag < 0 ? FAILED_OTHER : STEPPED;
    }
}

static int step_cvode(integrator *it, double stop)
{
    return outcome(it, it->call.CVode(it->sundials.memory, stop, it->sundials.y, &it->elapsed, ONE_STEP));
}

static int step_ida(integrator *it, double stop)
{
    return outcome(it, it->call.IDASolve(it->sundials.memory, stop, &it->elapsed, it->sundials.y, it->sundials.yp, ONE_STEP));
}

static int read_cvode(integrator *it, double t)
{
    return it->call.CVodeGetDky(it->sundials.memory, t, 0, it->sundials.spare);
}

static int read_ida(integrator *it, double t)
{
    sundials_memory *m = &it->sundials;
    return it->call.IDAGetDky(m->memory, t, 0, m->spare) || it->call.IDAGetDky(m->memory, t, 1, m->spare_rate);
}

static int crossed_cvode(integrator *it, int *roots)
{
    return it->call.CVodeGetRootInfo(it->sundials.memory, roots);
}

static int crossed_ida(integrator *it, int *roots)
{
    return it->call.IDAGetRootInfo(it->sundials.memory, roots);
}

static int weighted(integrator *it, int flag, double *errors)
{
    if (flag)
        return flag;
    const double *error = values(it, it->sundials.spare), *weight = values(it, it->sundials.weight);
    for (int i = 0; i < it->length; i++)
        errors[i] = fabs(error[i]) * weight[i];
    return 0;
}

static int errors_cvode(integrator *it, double *errors)
{
    sundials_memory *m = &it->sundials;
    return weighted(it, it->call.CVodeGetEstLocalErrors(m->memory, m->spare) || it->call.CVodeGetErrWeights(m->memory, m->weight), errors);
}

static int errors_ida(integrator *it, double *errors)
{
    sundials_memory *m = &it->sundials;
    return weighted(it, it->call.IDAGetEstLocalErrors(m->memory, m->spare) || it->call.IDAGetErrWeights(m->memory, m->weight), errors);
}

static double next_cvode(integrator *it)
{
    double step = 0.0;
    it->call.CVodeGetCurrentStep(it->sundials.memory, &step);
    return step;
}

static double next_ida(integrator *it)
{
    double step = 0.0;
    it->call.IDAGetCurrentStep(it->sundials.memory, &step);
    return step;
}

static void count_cvode(integrator *it, integration_counts *counts)
{
    it->call.CVodeGetNumSteps(it->sundials.memory, &counts->steps);
    it->call.CVodeGetNumNonlinSolvIters(it->sundials.memory, &counts->iterations);
    it->call.CVodeGetNumErrTestFails(it->sundials.memory, &counts->error_failures);
}

static void count_ida(integrator *it, integration_counts *counts)
{
    it->call.IDAGetNumSteps(it->sundials.memory, &counts->steps);
    it->call.IDAGetNumNonlinSolvIters(it->sundials.memory, &counts->iterations);
    it->call.IDAGetNumErrTestFails(it->sundials.memory, &counts->error_failures);
}

const stepping_method CVODE_METHOD = {.finds_crossings = 1, .looks_inside = 1, .open = open_cvode, .close = close_sundials,
                                      .reset = reset_sundials, .restart = restart_cvode, .step = step_cvode, .read = read_cvode,
                                      .crossed = crossed_cvode, .errors = errors_cvode, .next_step = next_cvode, .count = count_cvode,
                                      .factorizations = sundials_factorizations};
const stepping_method IDA_METHOD = {.finds_crossings = 1, .open = open_ida, .close = close_sundials, .reset = reset_sundials,
                                    .restart = restart_ida, .step = step_ida, .read = read_ida, .crossed = crossed_ida,
                                    .errors = errors_ida, .next_step = next_ida, .count = count_ida,
                                    .factorizations = sundials_factorizations};
