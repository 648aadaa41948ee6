/* Drives CVODE or IDA over one smooth segment without leaving C.
 *
 * x' = f(t, x, z), 0 = g(t, x, z) goes to CVODE with x alone: z is solved from g by Newton's method wherever f is wanted, and the
 * iteration matrix is factored with g in it, so that it stays sparse. Then errors are those of an ordinary differential equation.
 * IDA takes implicit systems x' = v, 0 = g(t, x, v, z) whose g does not determine v: it gets g alone, with v the derivative
 * that it forms itself.
 *
 * SUNDIALS is not linked: its functions come as addresses from the shared libraries of the scikit-sundae wheel. The model
 * comes as CasADi function buffers: arguments and results stay at fixed places in memory, an evaluation is one call.
 */
#ifndef INTEGRATOR_CORE_H
#define INTEGRATOR_CORE_H

#include "integrator_algebra.h"
#include "integrator_lu.h"

typedef void *handle; /* N_Vector, SUNMatrix, SUNLinearSolver, SUNContext and solver memory are all opaque here */

/* name, result type, arguments: SUNDIALS 7, double precision, 32-bit indices */
#define SUNDIALS_FUNCTIONS(F)                                                                                                     \
    F(SUNContext_Create, int, (int, handle *))                                                                                    \
    F(SUNContext_Free, int, (handle *))                                                                                           \
    F(SUNContext_ClearErrHandlers, int, (handle))                                                                                 \
    F(N_VNew_Serial, handle, (int, handle))                                                                                       \
    F(N_VDestroy, void, (handle))                                                                                                 \
    F(N_VGetArrayPointer, double *, (handle))                                                                                     \
    F(SUNBandMatrix, handle, (int, int, int, handle))                                                                             \
    F(SUNMatDestroy, void, (handle))                                                                                              \
    F(SUNLinSol_Band, handle, (handle, handle, handle))                                                                           \
    F(SUNLinSolFree, int, (handle))                                                                                               \
    F(SUNLinSolInitialize_Band, int, (handle))                                                                                    \
    F(SUNLinSolSetup_Band, int, (handle, handle))                                                                                 \
    F(SUNLinSolSolve_Band, int, (handle, handle, handle, handle, double))                                                         \
    F(SUNLinSolLastFlag_Band, int, (handle))                                                                                      \
    F(CVodeCreate, handle, (int, handle))                                                                                         \
    F(CVodeFree, void, (handle *))                                                                                                \
    F(CVodeInit, int, (handle, int (*)(double, handle, handle, void *), double, handle))                                          \
    F(CVodeReInit, int, (handle, double, handle))                                                                                 \
    F(CVodeSVtolerances, int, (handle, double, handle))                                                                           \
    F(CVodeSetUserData, int, (handle, void *))                                                                                    \
    F(CVodeSetLinearSolver, int, (handle, handle, handle))                                                                        \
    F(CVodeSetLinSysFn, int,                                                                                                      \
      (handle, int (*)(double, handle, handle, handle, int, int *, double, void *, handle, handle, handle)))                      \
    F(CVodeSetMaxErrTestFails, int, (handle, int))                                                                                \
    F(CVodeSetMaxConvFails, int, (handle, int))                                                                                   \
    F(CVodeSetNonlinConvCoef, int, (handle, double))                                                                              \
    F(CVodeSetMaxHnilWarns, int, (handle, int))                                                                                   \
    F(CVodeRootInit, int, (handle, int, int (*)(double, handle, double *, void *)))                                               \
    F(CVodeSetRootDirection, int, (handle, int *))                                                                                \
    F(CVodeSetNoInactiveRootWarn, int, (handle))                                                                                  \
    F(CVodeGetRootInfo, int, (handle, int *))                                                                                     \
    F(CVodeSetStopTime, int, (handle, double))                                                                                    \
    F(CVode, int, (handle, double, handle, double *, int))                                                                        \
    F(CVodeGetDky, int, (handle, double, int, handle))                                                                            \
    F(CVodeGetNumSteps, int, (handle, long *))                                                                                    \
    F(CVodeGetNumNonlinSolvIters, int, (handle, long *))                                                                          \
    F(CVodeGetNumErrTestFails, int, (handle, long *))                                                                             \
    F(CVodeGetCurrentStep, int, (handle, double *))                                                                               \
    F(CVodeGetEstLocalErrors, int, (handle, handle))                                                                              \
    F(CVodeGetErrWeights, int, (handle, handle))                                                                                  \
    F(IDACreate, handle, (handle))                                                                                                \
    F(IDAFree, void, (handle *))                                                                                                  \
    F(IDAInit, int, (handle, int (*)(double, handle, handle, handle, void *), double, handle, handle))                            \
    F(IDAReInit, int, (handle, double, handle, handle))                                                                           \
    F(IDASVtolerances, int, (handle, double, handle))                                                                             \
    F(IDASetUserData, int, (handle, void *))                                                                                      \
    F(IDASetLinearSolver, int, (handle, handle, handle))                                                                          \
    F(IDASetJacFn, int,                                                                                                           \
      (handle, int (*)(double, double, handle, handle, handle, handle, void *, handle, handle, handle)))                          \
    F(IDASetMaxErrTestFails, int, (handle, int))                                                                                  \
    F(IDASetMaxConvFails, int, (handle, int))                                                                                     \
    F(IDASetNonlinConvCoef, int, (handle, double))                                                                                \
    F(IDARootInit, int, (handle, int, int (*)(double, handle, handle, double *, void *)))                                         \
    F(IDASetRootDirection, int, (handle, int *))                                                                                  \
    F(IDASetNoInactiveRootWarn, int, (handle))                                                                                    \
    F(IDAGetRootInfo, int, (handle, int *))                                                                                       \
    F(IDASetStopTime, int, (handle, double))                                                                                      \
    F(IDASolve, int, (handle, double, double *, handle, handle, int))                                                             \
    F(IDAGetDky, int, (handle, double, int, handle))                                                                              \
    F(IDAGetNumSteps, int, (handle, long *))                                                                                      \
    F(IDAGetNumNonlinSolvIters, int, (handle, long *))                                                                            \
    F(IDAGetNumErrTestFails, int, (handle, long *))                                                                               \
    F(IDAGetCurrentStep, int, (handle, double *))                                                                                 \
    F(IDAGetEstLocalErrors, int, (handle, handle))                                                                                \
    F(IDAGetErrWeights, int, (handle, handle))

typedef struct {
#define DECLARE(name, result, arguments) result(*name) arguments;
    SUNDIALS_FUNCTIONS(DECLARE)
#undef DECLARE
} sundials_table;

/* Put the address of a function into the table; -1 if the table has no such function. */
int sundials_set(sundials_table *table, const char *name, void *address);
/* Name of the i-th function, or NULL past the end. */
const char *sundials_name(int i);

/* Derivatives carried along with the states: blocks s' = J s + P q of the size of the system, behind the states themselves.
 * One function buffer gives the slopes of the states, J and P at once. */
typedef struct {
    int blocks;                /* how many; none of what follows is used if there are none */
    void *slopes;              /* function buffer: writes problem.slope, entries and force */
    const double *entries;     /* J in compressed columns */
    const int *column_start, *row;
    const double *force;       /* P in compressed columns */
    const int *force_start, *force_row;
    int force_columns;
    const double *seed;        /* q of each block, one after the other */
} tangent_problem;

typedef struct {
    void (*evaluate)(void *); /* CasADi's evaluation of a function buffer */
    void *slopes, *jacobian, *guards; /* function buffers; guards may be NULL */
    double *time, *state;      /* where the buffers read their arguments */
    double *slope, *entries, *guard; /* where they write their results */
    const int *watched;        /* whether each guard counts */
    const double *offset;      /* what is added to each guard */
    int differential, algebraic, guard_count; /* algebraic variables of the problem, derivatives among them */
    int unknowns;              /* of the solver: of CVODE the states, of IDA all but the derivatives */
    int matrix_size;           /* of the iteration matrix */
    const int *rate_of;        /* the state that each entry of `state` is the derivative of, or -1; NULL where CVODE is used */
    const int *place_of;       /* place among the unknowns of each other entry */
    const int *row_of;         /* solver row of each slope or residual; -1 for x' = v, which the method itself fulfills */
    const int *entry_rate;     /* whether each Jacobian entry is one by a derivative */
    const int *column_start, *row;  /* pattern of the iteration matrix, diagonal included */
    const int *entry_place;    /* place in the pattern of each Jacobian entry; -1 for one that is not needed */
    const int *diagonal_place; /* place in the pattern of each differential state's diagonal; -1 where x' = v */
    int entry_count;
    tangent_problem tangent;
    const int *kept;           /* what of the state goes into each row of outputs */
    int kept_count;
} dae_problem;

typedef struct {
    long steps, evaluations, jacobians, iterations, error_failures, restarts;
} integration_counts;

typedef struct integrator_tag {
    sundials_table call;
    dae_problem problem;
    lu_factors lu; /* of the iteration matrix */
    algebra_solver algebra, reading; /* along the steps, and for what is read between them: reading must not change the steps */
    double *kept_z, *kept_entries;   /* of the steps, while something is read */
    double *guard_before, *guard_after, *guard_middle, *guard_inside; /* guards at the ends of a step, and within it */
    int *direction, guards_known;    /* the direction in which each guard has to cross; whether guard_before is up to date */
    double *matrix, *right; /* the iteration matrix and a right side for it */
    handle context, memory, matrix_stub, solver, y, yp, tolerance, spare, weight;
    void *solver_content;
    int full;                  /* of the system: states and algebraic variables */
    int size;                  /* of its part in the solver's vectors */
    int length;                /* of the solver's vectors: (1 + blocks) such parts */
    int not_finite, bad_guard; /* place among the slopes, place among the guards; -1 if there is none */
    double not_finite_time, *not_finite_state;
    double origin, elapsed, step_start; /* the solver counts time from the last restart: late in a run, short steps would be rounded away */
    int counted_from_restart; /* whether SUNDIALS' own counts are of this run */
    integration_counts counts, before;
} integrator;

enum {
    REACHED_END = 0,
    FOUND_EVENT = 1,
    WANTS_PAUSE = 2,
    FAILED_TOLERANCE = -1,   /* the tolerances are too tight */
    FAILED_ERROR_TEST = -2,
    FAILED_CONVERGENCE = -3,
    FAILED_MODEL = -4,       /* a slope or residual is not finite */
    FAILED_GUARD = -5,       /* a guard is not finite */
    FAILED_STALLED = -6,     /* time stands still */
    FAILED_OTHER = -7,
    FAILED_ALGEBRA = -8      /* the algebraic equations found no solution */
};

/* Evaluate slopes, or the Jacobian, at the problem's time and state; 1 where one is not finite. */
int integrator_evaluate_slopes(integrator *it);
int integrator_evaluate_jacobian(integrator *it);
/* Load what holds at a time since the last restart; solve for what the solver's vectors do not hold (0, or 1 if there is no solution). */
void integrator_load(integrator *it, double elapsed, handle y, handle yp);
int integrator_complete_state(integrator *it, algebra_solver *algebra);
/* Guards at a time since the last restart; 0, or -1 where they cannot be had. */
int integrator_guards(integrator *it, double elapsed, handle y, handle yp, double *guard);
/* Bring the counts up to date: SUNDIALS counts from each restart. */
void integrator_collect(integrator *it);
/* The problem must be filled in, and the pattern and tolerances of its algebra; 0 or a negative flag. */
int integrator_open(integrator *it, const int *order, const int *algebra_order, double rtol, const double *atol);
void integrator_close(integrator *it);
/* Forget counts and factors: what follows is the same to the last bit as with a new integrator. */
void integrator_reset(integrator *it);
/* Start or restart at t with states in problem.state; 0 or a FAILED code. */
int integrator_restart(integrator *it, double t, double stop, int *direction);
/* Step towards `stop`, at most `most_steps` steps, filling rows of `outputs` for times passed.
 * On return *t is the time reached, problem.state the solution there, *done the next output, roots[] which guards crossed. */
int integrator_run(integrator *it, double *t, double stop, const double *times, int count, int *done, double *outputs, int *roots,
                   int most_steps);
/* Fill rows of `samples` (whole states) from the polynomial of the last step; 0 or a FAILED code. */
int integrator_sample(integrator *it, const double *times, int count, double *samples);
/* Estimated local error of each state in units of its tolerance, after a failure. */
int integrator_errors(integrator *it, double *errors);
double integrator_step(integrator *it);

#endif
