/* Radau IIA with three stages, order 5 (Hairer & Wanner 1996, Solving ODEs II, IV.8), for M y' = f(t, y) with M = diag(I, 0).
 *
 * The first unknowns have slopes, the others algebraic equations of index one. The stages are solved by simplified Newton iterations,
 * transformed so that each takes a real system (gamma/h M - J) and a complex one ((alpha + i beta)/h M - J); the latter is factored in
 * its real form with the real and imaginary part of each unknown side by side. Time counts from the last start.
 */
#ifndef RADAU_H
#define RADAU_H

#include "integrator_lu.h"

enum { RADAU_STAGES = 3 };

typedef struct {
    int n, differential;           /* unknowns; the first so many have slopes */
    const int *column_start, *row; /* pattern of gamma/h M - J, compressed columns */
    const int *order;              /* of elimination */
    const int *diagonal_place;     /* place in the pattern of the diagonal of each unknown that has a slope */
    double relative;               /* errors and iterations are weighted by relative |y| + absolute */
    void *data;
    int (*slopes)(void *data, double t, const double *y, double *slope); /* and residuals; 1 where they are not finite */
    int (*jacobian)(void *data, double t, const double *y, double *values); /* J in the pattern; 1 where it is not finite */
} radau_problem;

typedef struct {
    long steps, iterations, error_failures;
} radau_counts;

typedef struct {
    radau_problem problem;
    lu_factors real, pair;
    int *pair_start, *pair_row, *pair_order; /* pattern of the complex system in its real form */
    int *own, *cross;          /* places in it of each entry of the pattern (two), and of what couples the parts of a diagonal (two) */
    double *real_matrix, *pair_matrix, *jacobian, *absolute;
    double *storage;           /* of the vectors that follow */
    double *y, *slope, *weight; /* the solution reached, its slopes and residuals, the weights of errors there */
    double *z, *w, *f;         /* of the stages: y_i - y and its transform, slopes */
    double *stage, *side;      /* a stage; right side of the complex system */
    double *start, *course;    /* of the last step: y at its start, coefficients of its polynomial (three) */
    double *bend;              /* what the polynomial's slope lacks at the start of the step, times the step */
    double *error;             /* estimated local error */
    double t, t_before, length; /* time reached, start and length of the last step */
    double next;               /* step to be tried next */
    double factored_step;      /* the step whose matrices are factored; 0 if none */
    double rate, margin;       /* of the iterations: how fast they converge, and rate / (1 - rate) */
    double reduction;          /* by what a step whose iterations did not converge is to be reduced */
    double share;              /* of the tolerance, to which the iterations go */
    double step_accepted, error_accepted;
    double fixed;              /* steps of this length whatever their errors; 0 for controlled ones */
    int iterations;            /* of the last step */
    int jacobian_age;          /* 0: taken where the step begins, 1: before, 2: there is none */
    int taken;                 /* steps since the start */
    radau_counts counts;       /* since the start */
} radau;

enum {
    RADAU_STEPPED = 0,
    RADAU_AT_STOP = 1,
    RADAU_ERROR_TEST = -1,  /* the error is too large whatever the step */
    RADAU_CONVERGENCE = -2, /* the iterations do not converge, or the matrix is singular, whatever the step */
    RADAU_NOT_FINITE = -3,  /* the slopes are not finite, whatever the step */
    RADAU_STALLED = -4      /* steps so small that time stands still */
};

/* 0, or -1 without memory; what the problem points to stays the caller's; absolute tolerances are copied. */
int radau_open(radau *r, const radau_problem *problem, const double *absolute);
void radau_close(radau *r);
/* Forget pivots. */
void radau_reset(radau *r);
/* Start at time 0 from y: nothing is left of what was before but the pivots. */
void radau_start(radau *r, const double *y);
/* One step, which ends at `stop` at the latest, and there exactly. */
int radau_step(radau *r, double stop);
/* The solution at a time within the last step, by its polynomial; algebraic variables are approximate. */
void radau_read(const radau *r, double t, double *y);

#endif
