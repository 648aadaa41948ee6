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

void plane_rates(const plane *p, const double *number, double coefficient, double *work, double *rates)
{
    const size_t nx = p->nx, ny = p->ny;
    double *made = work, *lost = work + ny + 2;
    const double *kernel = p->collisions;
    memset(rates, 0, nx * ny * sizeof(double));
    memset(lost, 0, nx * ny * sizeof(double));
    for (size_t one = 0; one < nx; ++one)
        for (size_t other = 0; other <= one; ++other, kernel += ny * ny) {
            memset(made, 0, (ny + 2) * sizeof(double));
            collide(p, kernel, number + one * ny, number + other * ny, lost + one * ny, lost + other * ny, made);
            const int64_t to = p->to_x[one * nx + other];
            const double share = p->share_x[one * nx + other];
            for (size_t q = 0; q < ny && to < (int64_t)nx; ++q) {
                rates[to * (int64_t)ny + (int64_t)q] += made[q] - share * made[q];
                if (share > 0.0) /* never beyond the last row */
                    rates[(to + 1) * (int64_t)ny + (int64_t)q] += share * made[q];
            }
        }
    for (size_t i = 0; i < nx * ny; ++i)
        rates[i] = coefficient * (rates[i] - lost[i]);
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

void plane_jacobian(const plane *p, const double *number, double coefficient, double *by_number)
{
    const size_t nx = p->nx, ny = p->ny, n = nx * ny;
    const double *kernel = p->collisions;
    memset(by_number, 0, n * n * sizeof(double));
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

/* ---- as CasADi calls it ---- */

static void evaluate(const seated *s, const double **arg, double *work, double *result)
{
    plane_rates((const plane *)s, arg[0], arg[1][0], work, result);
}

static void differentiate(const seated *s, const double **arg, double *work, double **derivatives)
{
    const plane *p = (const plane *)s;
    if (derivatives[0])
        plane_jacobian(p, arg[0], arg[1][0], derivatives[0]);
    if (derivatives[1])
        plane_rates(p, arg[0], 1.0, work, derivatives[1]);
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
    const casadi_int dense[3] = {(casadi_int)n, (casadi_int)n, 1};
    s->arguments = 2;
    s->shape[0] = s->shape_result = s->shape_jacobian[1] = seated_column(s, n, &failed);
    s->shape[1] = seated_column(s, 1, &failed);
    s->shape_jacobian[0] = seated_keep(s, dense, sizeof dense, &failed);
    s->work = s->jacobian_work = ny + 2 + n;
    s->evaluate = evaluate;
    s->differentiate = differentiate;
    if (failed) {
        seated_release(s);
        return NULL;
    }
    return p;
}
