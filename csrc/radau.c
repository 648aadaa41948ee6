#include "radau.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROOT_OF_6 2.4494897427831780982
static const double NODE[RADAU_STAGES] = {(4.0 - ROOT_OF_6) / 10.0, (4.0 + ROOT_OF_6) / 10.0, 1.0};
/* Eigenvalues of the inverse of the method's matrix, and the transform T that makes it block-diagonal: eq. 8.10 and what follows. */
static const double GAMMA = 3.6378342527444957324, ALPHA = 2.6810828736277521338, BETA = 3.0504301992474105695;
static const double T[RADAU_STAGES][RADAU_STAGES] = {{0.0944387624889752416, -0.1412552950209542084, -0.0300291941051474244},
                                                     {0.2502131229653333112, 0.2041293522937999320, 0.3829421127572619378},
                                                     {1.0, 1.0, 0.0}};
static const double T_INVERSE[RADAU_STAGES][RADAU_STAGES] = {{4.1787185915519047268, 0.3276828207610623863, 0.5233764454994495479},
                                                             {-4.1787185915519047268, -0.3276828207610623863, 0.4766235545005504521},
                                                             {-0.5028726349457868740, 2.5719269498556054294, -0.5960392048282249248}};
/* Coefficients of the collocation polynomial by those of the stages; the first column is its slope at the start. */
static const double COURSE[RADAU_STAGES][RADAU_STAGES] = {
    {(13.0 + 7.0 * ROOT_OF_6) / 3.0, (-23.0 - 22.0 * ROOT_OF_6) / 3.0, (10.0 + 15.0 * ROOT_OF_6) / 3.0},
    {(13.0 - 7.0 * ROOT_OF_6) / 3.0, (-23.0 + 22.0 * ROOT_OF_6) / 3.0, (10.0 - 15.0 * ROOT_OF_6) / 3.0},
    {1.0 / 3.0, -8.0 / 3.0, 10.0 / 3.0}};

enum { MOST_ITERATIONS = 7, MOST_OF_FIXED = 50 }; /* in a step, in one of fixed length */
enum { MOST_FAILURES = 60 }; /* of one step: halved so often it is lost in rounding */
/* Iterations end where what they leave is this share of the tolerance. */
static const double NEWTON_SHARE = 0.01, MOST_NEWTON_SHARE = 0.1;
/* They cannot get closer than this: the equations are rounded. */
static const double NEWTON_ROUNDING = 1e-13;
/* Changes of algebraic variables count so much less in their norm: what they leave is solved for wherever a value is read, and rounding
 * may keep them from their tolerance (derivatives in the NAND gate). */
static const double ALGEBRAIC_SHARE = 0.01;
/* The Jacobian is kept while iterations converge at least this fast, and the factors too if the step would grow by less than that. */
static const double FAST_RATE = 2e-2, KEPT_GROWTH = 1.2, KEPT_REDUCTION = 0.94;
/* Steps are this share of what the error estimate allows, and change by no more than these factors. */
static const double SAFETY = 0.9, MOST_GROWTH = 8.0, LEAST_GROWTH = 0.2;
/* The first step moves the solution by about this share of its tolerated change, and of the time to the stop it is at most that. */
static const double FIRST_SHARE = 0.01, FIRST_OF_SPAN = 0.1;
/* A first step that fails its error test is reduced to this share; one with slopes that are not finite to that. */
static const double FIRST_REDUCTION = 0.1, NOT_FINITE_REDUCTION = 0.25;

enum { CONVERGED, DIVERGED, NOT_FINITE, SINGULAR };

/* -- life --------------------------------------------------------------------------------------------------------------- */

/* The complex system in its real form: entry (i, j) stands at (2i, 2j) and (2i + 1, 2j + 1), a diagonal also couples the two. */
static int make_pair(radau *r)
{
    const radau_problem *p = &r->problem;
    int n = p->n, entries = p->column_start[n], count = 0;
    r->pair_start = malloc((size_t)(2 * n + 1) * sizeof(int));
    r->pair_row = malloc((size_t)(2 * (entries + p->differential)) * sizeof(int));
    r->pair_order = malloc((size_t)(2 * n) * sizeof(int));
    r->own = malloc((size_t)(2 * entries) * sizeof(int));
    r->cross = malloc((size_t)(2 * p->differential + 1) * sizeof(int));
    if (!r->pair_start || !r->pair_row || !r->pair_order || !r->own || !r->cross)
        return -1;
    for (int column = 0; column < 2 * n; column++) {
        int j = column / 2, part = column % 2;
        r->pair_start[column] = count;
        for (int q = p->column_start[j]; q < p->column_start[j + 1]; q++) {
            r->own[2 * q + part] = count;
            r->pair_row[count++] = 2 * p->row[q] + part;
        }
        if (j < p->differential) {
            r->cross[2 * j + part] = count;
            r->pair_row[count++] = 2 * j + 1 - part;
        }
        r->pair_order[column] = 2 * p->order[j] + part;
    }
    r->pair_start[2 * n] = count;
    r->pair_matrix = malloc((size_t)count * sizeof(double));
    return r->pair_matrix ? lu_init(&r->pair, 2 * n, r->pair_start, r->pair_row, r->pair_order) : -1;
}

int radau_open(radau *r, const radau_problem *problem, const double *absolute)
{
    size_t n = (size_t)problem->n, entries = (size_t)problem->column_start[problem->n];
    memset(r, 0, sizeof *r);
    r->problem = *problem;
    r->share = fmin(MOST_NEWTON_SHARE, fmax(NEWTON_SHARE, NEWTON_ROUNDING / problem->relative));
    r->real_matrix = malloc(entries * sizeof(double));
    r->jacobian = malloc(entries * sizeof(double));
    r->absolute = malloc(n * sizeof(double));
    r->storage = calloc(21 * n, sizeof(double));
    if (!r->real_matrix || !r->jacobian || !r->absolute || !r->storage || make_pair(r) ||
        lu_init(&r->real, problem->n, problem->column_start, problem->row, problem->order)) {
        radau_close(r);
        return -1;
    }
    memcpy(r->absolute, absolute, n * sizeof(double));
    double *next = r->storage, **vectors[] = {&r->y, &r->slope, &r->weight, &r->stage, &r->start, &r->bend, &r->error};
    for (int i = 0; i < 7; i++, next += n)
        *vectors[i] = next;
    r->z = next;
    r->w = next + 3 * n;
    r->f = next + 6 * n;
    r->course = next + 9 * n;
    r->side = next + 12 * n;
    return 0;
}

void radau_close(radau *r)
{
    free(r->pair_start); free(r->pair_row); free(r->pair_order); free(r->own); free(r->cross);
    free(r->real_matrix); free(r->pair_matrix); free(r->jacobian); free(r->absolute); free(r->storage);
    if (r->real.n) lu_free(&r->real);
    if (r->pair.n) lu_free(&r->pair);
    memset(r, 0, sizeof *r);
}

void radau_reset(radau *r)
{
    lu_reset(&r->real);
    lu_reset(&r->pair);
}

void radau_start(radau *r, const double *y)
{
    size_t n = (size_t)r->problem.n;
    memcpy(r->y, y, n * sizeof(double));
    memcpy(r->start, y, n * sizeof(double));
    memset(r->course, 0, 3 * n * sizeof(double));
    memset(r->bend, 0, n * sizeof(double));
    memset(r->error, 0, n * sizeof(double));
    memset(&r->counts, 0, sizeof r->counts);
    r->t = r->t_before = r->length = r->next = r->factored_step = 0.0;
    r->margin = 1.0;
    r->jacobian_age = 2;
    r->taken = 0;
}

/* -- norms, the first step ----------------------------------------------------------------------------------------------- */

static void weigh(radau *r)
{
    for (int i = 0; i < r->problem.n; i++)
        r->weight[i] = 1.0 / (r->problem.relative * fabs(r->y[i]) + r->absolute[i]);
}

static double mean_square(const radau *r, const double *x, int first, int last)
{
    double sum = 0.0;
    for (int i = first; i < last; i++)
        sum += x[i] * x[i] * r->weight[i] * r->weight[i];
    return last > first ? sum / (last - first) : 0.0;
}

/* Root of the mean square of what has slopes, in units of the tolerances. */
static double norm(const radau *r, const double *x)
{
    return sqrt(mean_square(r, x, 0, r->problem.differential));
}

/* A first step from slopes here and a little later, like Hairer, Norsett & Wanner's (1993, II.4), but free of the unit of time: with a
 * time scale tau = |y'| / |y''| the estimate, of third order, is about h^4 |y'| / tau^3. */
static double first_step(radau *r, double stop)
{
    int n = r->problem.differential;
    double most = FIRST_OF_SPAN * stop, slope = norm(r, r->slope);
    double trial = fmin(most, slope > 0.0 ? FIRST_SHARE * fmax(1.0, norm(r, r->y)) / slope : most);
    memcpy(r->stage, r->y, (size_t)r->problem.n * sizeof(double));
    for (int i = 0; i < n; i++)
        r->stage[i] += trial * r->slope[i];
    if (r->problem.slopes(r->problem.data, trial, r->stage, r->f))
        return FIRST_SHARE * trial;
    for (int i = 0; i < n; i++)
        r->f[i] -= r->slope[i];
    double change = norm(r, r->f);
    if (!(change > 0.0))
        return fmin(100.0 * trial, most);
    slope = fmax(slope, change);
    double tau = trial * slope / change;
    return fmin(fmin(100.0 * trial, most), pow(FIRST_SHARE * tau * tau * tau / slope, 0.25));
}

/* -- one step ------------------------------------------------------------------------------------------------------------ */

static void multiply(int n, const double (*matrix)[RADAU_STAGES], const double *x, double *result)
{
    for (int i = 0; i < n; i++) {
        double a = x[i], b = x[n + i], c = x[2 * n + i];
        for (int s = 0; s < RADAU_STAGES; s++)
            result[s * n + i] = matrix[s][0] * a + matrix[s][1] * b + matrix[s][2] * c;
    }
}

/* Take J where the step begins, or where that is not finite (a root of zero) a step later. */
static int take_jacobian(radau *r, double h)
{
    const radau_problem *p = &r->problem;
    r->factored_step = 0.0;
    r->jacobian_age = 2;
    if (p->jacobian(p->data, r->t, r->y, r->jacobian)) {
        memcpy(r->stage, r->y, (size_t)p->n * sizeof(double));
        for (int i = 0; i < p->differential; i++)
            r->stage[i] += h * r->slope[i];
        if (p->jacobian(p->data, r->t + h, r->stage, r->jacobian))
            return 1;
    }
    r->jacobian_age = 0;
    return 0;
}

static int factor(radau *r, double h)
{
    const radau_problem *p = &r->problem;
    int entries = p->column_start[p->n];
    r->factored_step = 0.0;
    for (int k = 0; k < entries; k++) {
        r->real_matrix[k] = -r->jacobian[k];
        r->pair_matrix[r->own[2 * k]] = r->pair_matrix[r->own[2 * k + 1]] = -r->jacobian[k];
    }
    for (int i = 0; i < p->differential; i++) {
        int k = p->diagonal_place[i];
        r->real_matrix[k] += GAMMA / h;
        r->pair_matrix[r->own[2 * k]] += ALPHA / h;
        r->pair_matrix[r->own[2 * k + 1]] += ALPHA / h;
        r->pair_matrix[r->cross[2 * i]] = BETA / h;
        r->pair_matrix[r->cross[2 * i + 1]] = -BETA / h;
    }
    if (lu_factor(&r->real, r->real_matrix) || lu_factor(&r->pair, r->pair_matrix))
        return 1;
    r->factored_step = h;
    return 0;
}

/* The last step's polynomial at a share of the step.
 *
 * To the collocation polynomial a quartic is added that vanishes at the start and the end and has slope one at the start and zero at
 * the nodes, times what the slope lacks at the start: then the polynomial has the solution's slopes at the start too, and order 4
 * between the ends of steps in place of 3. In (1 - x/c1) (1 - x/c2) (1 - x), its slope, 1/c1 + 1/c2 = 8 and 1/(c1 c2) = 10. */
static void polynomial(const radau *r, double share, double *y)
{
    int n = r->problem.n;
    double quartic = share * (1.0 + share * (-4.5 + share * (6.0 - 2.5 * share)));
    const double *a = r->course, *b = a + n, *c = b + n;
    for (int i = 0; i < n; i++)
        y[i] = r->start[i] + share * (a[i] + share * (b[i] + share * c[i])) + quartic * r->bend[i];
}

/* Starting values of the stages: the last step's polynomial beyond its end. */
static void extrapolate(radau *r, double h)
{
    int n = r->problem.n;
    if (!r->taken) {
        memset(r->z, 0, (size_t)(3 * n) * sizeof(double));
        memset(r->w, 0, (size_t)(3 * n) * sizeof(double));
        return;
    }
    for (int s = 0; s < RADAU_STAGES; s++) {
        polynomial(r, 1.0 + NODE[s] * h / r->length, r->z + s * n);
        for (int i = 0; i < n; i++)
            r->z[s * n + i] -= r->y[i];
    }
    multiply(n, T_INVERSE, r->z, r->w);
}

/* Overwrite the transformed slopes in f by the change of w; `size` is its norm over all stages. */
static int newton_change(radau *r, double h, double *size)
{
    int n = r->problem.n, moving = r->problem.differential;
    double *f = r->f, *side = r->side;
    const double *w = r->w;
    multiply(n, T_INVERSE, f, f);
    for (int i = 0; i < moving; i++) {
        double real = w[n + i] / h, imaginary = w[2 * n + i] / h;
        f[i] -= GAMMA / h * w[i];
        f[n + i] -= ALPHA * real - BETA * imaginary;
        f[2 * n + i] -= BETA * real + ALPHA * imaginary;
    }
    for (int i = 0; i < n; i++) {
        side[2 * i] = f[n + i];
        side[2 * i + 1] = f[2 * n + i];
    }
    if (lu_solve(&r->real, f) || lu_solve(&r->pair, side))
        return -1;
    for (int i = 0; i < n; i++) {
        f[n + i] = side[2 * i];
        f[2 * n + i] = side[2 * i + 1];
    }
    double sum = 0.0;
    for (int s = 0; s < RADAU_STAGES; s++)
        sum += mean_square(r, f + s * n, 0, moving) + ALGEBRAIC_SHARE * ALGEBRAIC_SHARE * mean_square(r, f + s * n, moving, n);
    *size = sqrt(sum / RADAU_STAGES);
    return 0;
}

static int stage_slopes(radau *r, double h)
{
    int n = r->problem.n;
    for (int s = 0; s < RADAU_STAGES; s++) {
        for (int i = 0; i < n; i++)
            r->stage[i] = r->y[i] + r->z[s * n + i];
        if (r->problem.slopes(r->problem.data, r->t + NODE[s] * h, r->stage, r->f + s * n))
            return 1;
    }
    return 0;
}

/* Whether iterations that change by `size`, `before` in the one before, will do in time; else how far to reduce the step. */
static int will_converge(radau *r, int k, int most, double size, double before, double *last_ratio)
{
    double ratio = size / before;
    r->rate = k == 2 ? ratio : sqrt(ratio * *last_ratio);
    *last_ratio = ratio;
    r->reduction = 0.5;
    if (size <= r->share) /* rounding: it gets no better */
        return 1;
    if (!(r->rate < 0.99))
        return 0;
    r->margin = r->rate / (1.0 - r->rate);
    double left = r->margin * size * pow(r->rate, most - 1 - k) / r->share;
    if (k < most && left >= 1.0) {
        r->reduction = 0.8 * pow(fmin(20.0, left), -1.0 / (4 + most - 1 - k));
        return 0;
    }
    return 1;
}

static int solve_stages(radau *r, double h)
{
    int n = r->problem.n, most = r->fixed > 0.0 ? MOST_OF_FIXED : MOST_ITERATIONS;
    double size, before = 0.0, last_ratio = 0.0;
    r->rate = FAST_RATE;
    r->reduction = 0.5;
    r->margin = pow(fmax(r->margin, DBL_EPSILON), 0.8);
    for (int k = 1; k <= most; k++) {
        if (stage_slopes(r, h))
            return NOT_FINITE;
        if (newton_change(r, h, &size) || !isfinite(size))
            return DIVERGED;
        r->counts.iterations++;
        r->iterations = k;
        if (k > 1 && !will_converge(r, k, most, size, before, &last_ratio) && !(size <= MOST_NEWTON_SHARE && !r->jacobian_age)) {
            memcpy(r->error, r->f, (size_t)n * sizeof(double)); /* what is to blame */
            return DIVERGED;
        }
        before = fmax(size, DBL_EPSILON);
        for (int i = 0; i < 3 * n; i++)
            r->w[i] += r->f[i];
        multiply(n, T, r->w, r->z);
        if (r->margin * size <= r->share || (k > 1 && size <= r->share))
            return CONVERGED;
    }
    return before <= MOST_NEWTON_SHARE && !r->jacobian_age ? CONVERGED : DIVERGED; /* closer they do not come: the equations are rounded */
}

/* Estimate the error by an embedded formula of third order, filtered by (gamma/h M - J)^-1 (eq. 8.19), with the slopes given. */
static double estimate(radau *r, double h, const double *slope)
{
    int n = r->problem.n, moving = r->problem.differential;
    memset(r->error, 0, (size_t)n * sizeof(double));
    for (int i = 0; i < moving; i++)
        r->error[i] = slope[i] - (COURSE[0][0] * r->z[i] + COURSE[1][0] * r->z[n + i] + COURSE[2][0] * r->z[2 * n + i]) / h;
    lu_solve(&r->real, r->error);
    double size = norm(r, r->error);
    return isfinite(size) ? size : INFINITY;
}

/* The estimate with slopes at the estimate's own end, for steps whose first estimate may be far too large. */
static double estimate_again(radau *r, double h, double first)
{
    int n = r->problem.n;
    for (int i = 0; i < n; i++)
        r->stage[i] = r->y[i] + r->error[i];
    return r->problem.slopes(r->problem.data, r->t, r->stage, r->f) ? first : estimate(r, h, r->f);
}

/* Keep the step's polynomial and move to its end; 1 where the slopes there are not finite. */
static int accept(radau *r, double end, double h)
{
    int n = r->problem.n;
    for (int i = 0; i < n; i++)
        r->stage[i] = r->y[i] + r->z[2 * n + i];
    if (r->problem.slopes(r->problem.data, end, r->stage, r->f))
        return 1;
    memcpy(r->slope, r->f, (size_t)n * sizeof(double));
    for (int i = 0; i < n; i++) {
        double a = r->z[i], b = r->z[n + i], c = r->z[2 * n + i];
        for (int k = 0; k < RADAU_STAGES; k++)
            r->course[k * n + i] = COURSE[0][k] * a + COURSE[1][k] * b + COURSE[2][k] * c;
        r->bend[i] = GAMMA * r->error[i];
    }
    memcpy(r->start, r->y, (size_t)n * sizeof(double));
    memcpy(r->y, r->stage, (size_t)n * sizeof(double));
    r->t_before = r->t;
    r->length = h;
    r->t = end;
    r->taken++;
    r->counts.steps++;
    r->jacobian_age += r->jacobian_age == 0;
    weigh(r);
    return 0;
}

/* The step after an accepted one of length h: what the error allows, corrected by how errors went lately (Gustafsson 1994). */
static void choose_next(radau *r, double h, double size, double allowed, int rejected)
{
    double quotient = allowed;
    if (r->taken > 1) {
        double predicted = r->step_accepted / h * pow(size * size / r->error_accepted, 0.25) / SAFETY;
        quotient = fmax(quotient, fmin(1.0 / LEAST_GROWTH, predicted));
    }
    r->step_accepted = h;
    r->error_accepted = fmax(1e-2, size);
    double next = rejected ? fmin(h, h / quotient) : h / quotient;
    if (r->rate > FAST_RATE)
        r->factored_step = 0.0; /* with a new Jacobian */
    else if (next >= KEPT_REDUCTION * h && next <= KEPT_GROWTH * h)
        next = h;
    r->next = next;
}

/* Try one step; RADAU_STEPPED, or why it has to be smaller, with the length to be tried then in `next`. */
static int try_step(radau *r, double end, double h, int rejected)
{
    if (r->factored_step == 0.0 && (r->jacobian_age == 2 || (r->jacobian_age == 1 && r->rate > FAST_RATE)) && take_jacobian(r, h)) {
        r->next = NOT_FINITE_REDUCTION * h;
        return RADAU_CONVERGENCE;
    }
    if (r->factored_step != h && factor(r, h)) {
        r->next = 0.5 * h;
        if (r->jacobian_age)
            r->jacobian_age = 2;
        return RADAU_CONVERGENCE;
    }
    extrapolate(r, h);
    int found = solve_stages(r, h);
    if (found == DIVERGED && r->jacobian_age) { /* once more with a new Jacobian */
        r->jacobian_age = 2;
        r->factored_step = 0.0;
        return try_step(r, end, h, rejected);
    }
    if (found != CONVERGED) {
        r->rate = FAST_RATE; /* the Jacobian is not to blame */
        r->next = h * (found == NOT_FINITE ? NOT_FINITE_REDUCTION : r->reduction);
        return found == NOT_FINITE ? RADAU_NOT_FINITE : RADAU_CONVERGENCE;
    }
    double size = estimate(r, h, r->slope);
    if (size >= 1.0 && (rejected || !r->taken))
        size = estimate_again(r, h, size);
    size = fmax(size, 1e-10);
    double factor = SAFETY * fmin(1.0, (1.0 + 2.0 * MOST_ITERATIONS) / (r->iterations + 2.0 * MOST_ITERATIONS));
    double allowed = fmax(1.0 / MOST_GROWTH, fmin(1.0 / LEAST_GROWTH, pow(size, 0.25) / factor));
    if (size >= 1.0 && r->fixed == 0.0) {
        r->counts.error_failures++;
        r->next = r->taken ? h / allowed : FIRST_REDUCTION * h;
        return RADAU_ERROR_TEST;
    }
    if (accept(r, end, h)) {
        r->next = NOT_FINITE_REDUCTION * h;
        return RADAU_NOT_FINITE;
    }
    choose_next(r, h, size, allowed, rejected);
    return RADAU_STEPPED;
}

int radau_step(radau *r, double stop)
{
    int found = RADAU_STALLED;
    if (!r->taken && r->next == 0.0) {
        weigh(r);
        if (r->problem.slopes(r->problem.data, 0.0, r->y, r->slope))
            return RADAU_NOT_FINITE;
        r->next = first_step(r, stop);
    }
    for (int failures = 0; failures < MOST_FAILURES; failures++) {
        double h = r->fixed > 0.0 ? r->fixed : r->next, left = stop - r->t;
        int last = r->t + 1.0001 * h >= stop;
        if (last)
            h = left;
        if (!(h > 4.0 * DBL_EPSILON * r->t) && !last)
            return found == RADAU_NOT_FINITE || found == RADAU_CONVERGENCE ? found : RADAU_STALLED;
        found = try_step(r, last ? stop : r->t + h, h, failures > 0);
        if (found == RADAU_STEPPED)
            return last ? RADAU_AT_STOP : RADAU_STEPPED;
        if (r->fixed > 0.0)
            return found;
    }
    return found;
}

void radau_read(const radau *r, double t, double *y)
{
    polynomial(r, r->length > 0.0 ? (t - r->t_before) / r->length : 0.0, y);
}
