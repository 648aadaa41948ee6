/* Drives CVODE (x' = f) or IDA (x' = f, 0 = g) over one smooth segment without leaving C.
 *
 * SUNDIALS is not linked: its functions come as addresses from the shared libraries of the scikit-sundae wheel. The model
 * comes as CasADi function buffers: arguments and results stay at fixed places in memory, an evaluation is one call.
 */
#ifndef INTEGRATOR_CORE_H
#define INTEGRATOR_CORE_H

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
    F(IDASetId, int, (handle, handle))                                                                                            \
    F(IDASetSuppressAlg, int, (handle, int))                                                                                      \
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
    double *corrected;         /* the slopes of the blocks where the states have been corrected */
} tangent_problem;

typedef struct {
    void (*evaluate)(void *); /* CasADi's evaluation of a function buffer */
    void *slopes, *jacobian, *guards; /* function buffers; guards may be NULL */
    double *time, *state;      /* where the buffers read their arguments */
    double *slope, *entries, *guard; /* where they write their results */
    const int *watched;        /* whether each guard counts */
    const double *offset;      /* what is added to each guard */
    int differential, algebraic, guard_count;
    const int *column_start, *row;  /* pattern of the iteration matrix, diagonal included */
    const int *entry_place;    /* place in the pattern of each Jacobian entry */
    const int *diagonal_place; /* place in the pattern of each differential state's diagonal */
    int entry_count;
    tangent_problem tangent;
    const int *kept;           /* what of the state goes into each row of outputs */
    int kept_count;
} dae_problem;

typedef struct {
    long steps, evaluations, jacobians, iterations, error_failures, restarts;
} integration_counts;

typedef struct {
    sundials_table call;
    dae_problem problem;
    lu_factors lu;
    double *matrix;
    handle context, memory, matrix_stub, solver, y, yp, tolerance, spare, weight;
    void *solver_content;
    int size;                  /* of the system */
    int length;                /* of the solver's vectors: (1 + blocks) systems */
    int not_finite, bad_guard; /* place among the solver's vector, place among the guards; -1 if there is none */
    double not_finite_time;
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
    FAILED_OTHER = -7
};

/* The problem must be filled in; 0 or a negative flag. */
int integrator_open(integrator *it, const int *order, double rtol, const double *atol);
void integrator_close(integrator *it);
/* Start or restart at t with states in problem.state; 0 or a FAILED code. */
int integrator_restart(integrator *it, double t, double stop, int *direction);
/* Step towards `stop`, at most `most_steps` steps, filling rows of `outputs` for times passed.
 * On return *t is the time reached, problem.state the solution there, *done the next output, roots[] which guards crossed. */
int integrator_run(integrator *it, double *t, double stop, const double *times, int count, int *done, double *outputs, int *roots,
                   int most_steps);
/* Fill rows of `samples` (whole vectors) from the polynomial of the last step; 0 or SUNDIALS' flag. */
int integrator_sample(integrator *it, const double *times, int count, double *samples);
/* Estimated local error of each state in units of its tolerance, after a failure. */
int integrator_errors(integrator *it, double *errors);
double integrator_step(integrator *it);

#endif
