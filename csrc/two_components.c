#include "two_components.h"

#include <string.h>

/* Adds up what the rows `one` and `other` lose and, by cells of y, what they make: `made` holds ny + 2 numbers. */
static void collide(const plane *p, const double *kernel, const double *one, const double *other, double *lost_one, double *lost_other,
                    double *made)
{
    for (size_t q = 0; q < p->ny; ++q) {
        const int64_t *to = p->to_y + q * p->ny;
        const double *share = p->share_y + q * p->ny, own = one[q];
        double lost = 0.0;
        for (size_t k = 0; k < p->ny; ++k) {
            const double rate = kernel[q * p->ny + k] * own * other[k];
            lost += rate;
            lost_other[k] += rate;
            made[to[k]] += rate - share[k] * rate;
            made[to[k] + 1] += share[k] * rate;
        }
        lost_one[q] += lost;
    }
}

/* Adds the rates by aggregation, times a coefficient. work: ny + 2 + n numbers. */
static void aggregate(const plane *p, const double *number, double coefficient, double *work, double *rates)
{
    const size_t nx = p->nx, ny = p->ny;
    double *made = work, *lost = work + ny + 2;
    const double *kernel = p->collisions;
    memset(lost, 0, nx * ny * sizeof(double));
    for (size_t one = 0; one < nx; ++one)
        for (size_t other = 0; other <= one; ++other, kernel += ny * ny) {
            memset(made, 0, (ny + 2) * sizeof(double));
            collide(p, kernel, number + one * ny, number + other * ny, lost + one * ny, lost + other * ny, made);
            const int64_t to = p->to_x[one * nx + other];
            const double share = p->share_x[one * nx + other];
            for (size_t q = 0; q < ny && to < (int64_t)nx; ++q) {
                rates[to * (int64_t)ny + (int64_t)q] += coefficient * (made[q] - share * made[q]);
                if (share > 0.0) /* never beyond the last row */
                    rates[(to + 1) * (int64_t)ny + (int64_t)q] += coefficient * (share * made[q]);
            }
        }
    for (size_t i = 0; i < nx * ny; ++i)
        rates[i] -= coefficient * lost[i];
}

static void break_up(const plane *p, const double *restrict number, double coefficient, double *restrict rates)
{
    const size_t n = p->nx * p->ny;
    for (size_t k = 0; k < n; ++k) {
        const double *restrict column = p->breakage + k * n, broken = coefficient * number[k];
        for (size_t i = 0; i < n; ++i)
            rates[i] += column[i] * broken;
    }
}

void plane_rates(const plane *p, const double *number, const double *coefficients, double *work, double *rates)
{
    memset(rates, 0, p->nx * p->ny * sizeof(double));
    if (p->collisions)
        aggregate(p, number, *coefficients++, work, rates);
    if (p->breakage)
        break_up(p, number, *coefficients, rates);
}

/* Adds the derivatives of one pair by the numbers of one of its cells to that cell's column. */
static void pair_jacobian(const plane *p, double change, size_t one, size_t other, int64_t x, double share_x, int64_t y, double share_y,
                          double *column)
{
    const int64_t nx = (int64_t)p->nx, ny = (int64_t)p->ny;
    column[one] -= change;
    column[other] -= change;
    for (int64_t up = 0; up < 2; ++up)
        for (int64_t right = 0; right < 2; ++right)
            if (x + up < nx && y + right < ny)
                column[(x + up) * ny + y + right] += change * (up ? share_x : 1.0 - share_x) * (right ? share_y : 1.0 - share_y);
}

static void aggregate_jacobian(const plane *p, const double *number, double coefficient, double *by_number)
{
    const size_t nx = p->nx, ny = p->ny, n = nx * ny;
    const double *kernel = p->collisions;
    for (size_t row = 0; row < nx; ++row)
        for (size_t low = 0; low <= row; ++low)
            for (size_t k = 0; k < ny * ny; ++k, ++kernel) {
                if (*kernel == 0.0)
                    continue;
                const size_t one = row * ny + k / ny, other = low * ny + k % ny;
                const double factor = coefficient * *kernel, share_x = p->share_x[row * nx + low], share_y = p->share_y[k];
                const int64_t x = p->to_x[row * nx + low], y = p->to_y[k];
                pair_jacobian(p, factor * number[other], one, other, x, share_x, y, share_y, by_number + one * n);
                pair_jacobian(p, factor * number[one], one, other, x, share_x, y, share_y, by_number + other * n);
            }
}

void plane_jacobian(const plane *p, const double *number, const double *coefficients, double *work, double *by_number,
                    double *by_coefficients)
{
    const size_t n = p->nx * p->ny;
    if (by_coefficients) {
        const size_t processes = (p->collisions != NULL) + (p->breakage != NULL);
        memset(by_coefficients, 0, processes * n * sizeof(double));
        if (p->collisions)
            aggregate(p, number, 1.0, work, by_coefficients);
        if (p->breakage)
            break_up(p, number, 1.0, by_coefficients + (processes - 1) * n);
    }
    if (!by_number)
        return;
    memset(by_number, 0, n * n * sizeof(double));
    if (p->collisions)
        aggregate_jacobian(p, number, *coefficients++, by_number);
    for (size_t k = 0; p->breakage && k < n * n; ++k)
        by_number[k] += *coefficients * p->breakage[k];
}

/* ---- as CasADi calls it ---- */

static void evaluate(const seated *s, const double **arg, double *work, double *result)
{
    plane_rates((const plane *)s, arg[0], arg[1], work, result);
}

static void differentiate(const seated *s, const double **arg, double *work, double **derivatives)
{
    plane_jacobian((const plane *)s, arg[0], arg[1], work, derivatives[0], derivatives[1]);
}

plane *plane_new(const plane *given)
{
    const size_t nx = given->nx, ny = given->ny, n = nx * ny;
    plane *p = (plane *)seated_new(sizeof *p);
    if (!p)
        return NULL;
    seated *s = &p->seat;
    int failed = 0;
    p->nx = nx;
    p->ny = ny;
    p->to_x = seated_keep(s, given->to_x, nx * nx * 8, &failed);
    p->to_y = seated_keep(s, given->to_y, ny * ny * 8, &failed);
    p->share_x = seated_keep(s, given->share_x, nx * nx * 8, &failed);
    p->share_y = seated_keep(s, given->share_y, ny * ny * 8, &failed);
    p->collisions = seated_keep(s, given->collisions, nx * (nx + 1) / 2 * ny * ny * 8, &failed);
    p->breakage = seated_keep(s, given->breakage, n * n * 8, &failed);
    const size_t processes = (p->collisions != NULL) + (p->breakage != NULL);
    const casadi_int by_number[3] = {(casadi_int)n, (casadi_int)n, 1}, by_coefficients[3] = {(casadi_int)n, (casadi_int)processes, 1};
    s->arguments = 2;
    s->shape[0] = s->shape_result = seated_column(s, n, &failed);
    s->shape[1] = seated_column(s, processes, &failed);
    s->shape_jacobian[0] = seated_keep(s, by_number, sizeof by_number, &failed);
    s->shape_jacobian[1] = seated_keep(s, by_coefficients, sizeof by_coefficients, &failed);
    s->work = s->jacobian_work = ny + 2 + n;
    s->evaluate = evaluate;
    s->differentiate = differentiate;
    if (failed) {
        seated_release(s);
        return NULL;
    }
    return p;
}
