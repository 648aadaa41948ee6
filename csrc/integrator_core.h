/* Drives one of three methods over smooth segments without leaving C: BDF by CVODE or IDA, or Radau IIA.
 *
 * x' = f(t, x, z), 0 = g(t, x, z) goes to CVODE with x alone: z is solved from g by Newton's method wherever f is wanted, and the
 * iteration matrix is factored with g in it, so that it stays sparse. Then errors are those of an ordinary differential equation.
 * Radau IIA has z among its unknowns; between steps, and for guards, z is solved from g as for CVODE.
 * IDA takes implicit systems x' = v, 0 = g(t, x, v, z) whose g does not determine v: it gets g alone, with v the derivative
 * that it forms itself.
 *
 * The model comes as CasADi function buffers: arguments and results stay at fixed places in memory, an evaluation is one call.
 */
#ifndef INTEGRATOR_CORE_H
#define INTEGRATOR_CORE_H

#include "integrator_algebra.h"
#include "integrator_lu.h"
#include "integrator_sundials.h"
#include "radau.h"

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
    int unknowns;              /* that errors are counted of: the states, with IDA all but the derivatives */
    int matrix_size;           /* of the iteration matrix */
    const int *rate_of;        /* the state that each entry of `state` is the derivative of, or -1; NULL where IDA is not used */
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

/* What a method does for a segment. Times count from the last restart. */
typedef struct {
    int finds_crossings; /* whether it finds guards that have changed sign by the end of a step */
    int looks_inside;    /* whether guards are looked at within its steps besides */
    int holds_algebra;   /* whether `now` and `between` have z behind x */
    int (*open)(struct integrator_tag *it, const int *order, double rtol, const double *atol); /* 0 or a negative flag */
    void (*close)(struct integrator_tag *it);
    void (*reset)(struct integrator_tag *it);
    int (*restart)(struct integrator_tag *it, double stop); /* from `now`, which holds the problem's state; 0 or a FAILED code */
    int (*step)(struct integrator_tag *it, double stop);    /* one step to `now` at `elapsed`; STEPPED, ..., or a FAILED code */
    int (*read)(struct integrator_tag *it, double t);       /* the solution within the last step to `between`; 0 if it can be had */
    int (*crossed)(struct integrator_tag *it, int *roots);  /* which guards crossed, after STEPPED_TO_CROSSING; 0 if it is known */
    int (*errors)(struct integrator_tag *it, double *errors); /* estimated local errors in units of the tolerance; 0 if there are any */
    double (*next_step)(struct integrator_tag *it);
    void (*count)(struct integrator_tag *it, integration_counts *counts); /* steps, iterations, error_failures since the restart */
    long (*factorizations)(const struct integrator_tag *it);
} stepping_method;

extern const stepping_method CVODE_METHOD, IDA_METHOD, RADAU_METHOD;

enum { STEPPED = 0, STEPPED_TO_STOP = 1, STEPPED_TO_CROSSING = 2 };

typedef struct integrator_tag {
    sundials_table call;
    sundials_memory sundials;
    radau radau;
    const stepping_method *method;
    dae_problem problem;
    double *now, *now_rate;         /* the solution reached, as the method holds it, and its derivatives (of IDA alone) */
    double *between, *between_rate; /* the same for what is read within a step */
    algebra_solver algebra, reading; /* along the steps, and for what is read between them: reading must not change the steps */
    double *kept_z, *kept_entries;   /* of the steps, while something is read */
    double *guard_before, *guard_after, *guard_middle, *guard_inside, *guard_first; /* guards at the ends of a step, within it, at an event */
    int *direction, guards_known;    /* the direction in which each guard has to cross; whether guard_before is up to date */
    int full;                  /* of the system: states and algebraic variables */
    int size;                  /* of its part in the vectors of SUNDIALS, and of what errors are counted of */
    int length;                /* of these: (1 + blocks) such parts */
    int not_finite, bad_guard; /* place among the slopes, place among the guards; -1 if there is none */
    double not_finite_time, *not_finite_state;
    double origin, elapsed, step_start; /* methods count time from the last restart: late in a run, short steps would be rounded away */
    int counted_from_restart; /* whether the method's own counts are of this run */
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
/* Load what holds at a time since the last restart; solve for what the method does not hold (0, or 1 if there is no solution). */
void integrator_load(integrator *it, double elapsed, const double *y, const double *yp);
int integrator_complete_state(integrator *it, algebra_solver *algebra);
/* Load a state of CVODE or IDA and evaluate slopes and residuals, or the Jacobian, there; 1 (recoverable) where that cannot be done. */
int integrator_slopes_at(integrator *it, double elapsed, const double *y, const double *yp);
int integrator_jacobian_at(integrator *it, double elapsed, const double *y, const double *yp);
/* Guards at a time since the last restart; 0, or -1 where they cannot be had. */
int integrator_guards(integrator *it, double elapsed, const double *y, const double *yp, double *guard);
/* Bring the counts up to date: methods count from each restart. */
void integrator_collect(integrator *it);
/* The problem must be filled in, and the pattern and tolerances of its algebra; 0 or a negative flag. BDF is taken in place of Radau IIA
 * where IDA is used or derivatives are carried along. */
enum { BY_BDF = 0, BY_RADAU = 1 };
int integrator_open(integrator *it, int method, const int *order, const int *algebra_order, double rtol, const double *atol);
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
long integrator_factorizations(const integrator *it);

#endif
