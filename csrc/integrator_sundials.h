/* SUNDIALS is not linked: its functions come as addresses from the shared libraries of the scikit-sundae wheel. */
#ifndef INTEGRATOR_SUNDIALS_H
#define INTEGRATOR_SUNDIALS_H

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

/* What one CVODE or IDA memory needs. */
typedef struct {
    handle context, memory, matrix_stub, solver, y, yp, tolerance, spare, spare_rate, weight;
    void *solver_content;
    lu_factors lu;          /* of the iteration matrix */
    double *matrix, *right; /* the iteration matrix and a right side for it */
} sundials_memory;

#endif
