#include "population_balance.h"

#include <string.h>

/* Density at an edge, and its derivatives by the numbers of the cell behind the donor, the donor and the cell ahead. */
typedef struct {
    double value, behind, donor, ahead;
} edge_density;

/*
 * Density at the edge through which the donor cell empties (van Leer 1974, for cells of any width): the donor's mean plus half a
 * width times a slope that is a weighted harmonic mean of the slopes on both sides, and zero at an extreme. The weight keeps the
 * value between the donor and the cell ahead, so that no number becomes negative. The arguments are numbers and widths.
 */
static edge_density limited(double behind, double donor, double ahead, double width_behind, double width, double width_ahead)
{
    double density = donor / width, weight = width_ahead / width;
    double rise = (density - behind / width_behind) / (0.5 * (width_behind + width));
    double next = (ahead / width_ahead - density) / (0.5 * (width + width_ahead));
    edge_density edge = {density, 0.0, 1.0 / width, 0.0};
    if (!((rise > 0.0 && next > 0.0) || (rise < 0.0 && next < 0.0)))
        return edge;
    double part = rise / (rise + weight * next), rest = weight * next / (rise + weight * next);
    double reach = 0.5 * width * (1.0 + weight);
    double by_rise = reach * rest * rest / weight / (0.5 * (width_behind + width));
    double by_next = reach * part * part / (0.5 * (width + width_ahead));
    edge.value += reach * next * part;
    edge.behind = -by_rise / width_behind;
    edge.donor += (by_rise - by_next) / width;
    edge.ahead = by_next / width_ahead;
    return edge;
}

/* Density at edge e of a flow upwards or downwards; `donor` is the cell that gives, n if none does. */
static edge_density at_edge(const balance *b, const double *number, size_t e, int upwards, size_t *donor)
{
    const size_t n = b->cells;
    const double *h = b->widths;
    edge_density none = {0.0, 0.0, 0.0, 0.0};
    *donor = n;
    if (upwards ? e == 0 : e == n)
        return none;
    size_t i = upwards ? e - 1 : e;
    *donor = i;
    if (i == 0 || i + 1 == n) {
        edge_density first_order = {number[i] / h[i], 0.0, 1.0 / h[i], 0.0};
        return first_order;
    }
    size_t behind = upwards ? i - 1 : i + 1, ahead = upwards ? i + 1 : i - 1;
    return limited(number[behind], number[i], number[ahead], h[behind], h[i], h[ahead]);
}

void balance_growth(const balance *b, const double *number, double direction, double *rates)
{
    const size_t n = b->cells;
    memset(rates, 0, n * sizeof(double));
    for (size_t e = 0; e <= n; ++e) {
        size_t donor;
        double flux = b->speed[e] * at_edge(b, number, e, direction * b->speed[e] >= 0.0, &donor).value;
        if (e > 0)
            rates[e - 1] -= flux;
        if (e < n)
            rates[e] += flux;
    }
}

void balance_growth_jacobian(const balance *b, const double *number, double factor, double *by_number)
{
    const size_t n = b->cells;
    for (size_t e = 0; e <= n; ++e) {
        size_t donor;
        const int upwards = factor * b->speed[e] >= 0.0;
        edge_density edge = at_edge(b, number, e, upwards, &donor);
        if (donor == n)
            continue;
        const int inside = donor > 0 && donor + 1 < n;
        const size_t columns[3] = {upwards ? donor - 1 : donor + 1, donor, upwards ? donor + 1 : donor - 1};
        const double by[3] = {edge.behind, edge.donor, edge.ahead};
        for (int c = inside ? 0 : 1; c < (inside ? 3 : 2); ++c) {
            double *column = by_number + (b->column[columns[c]] - b->first_row[columns[c]]);
            double change = factor * b->speed[e] * by[c];
            if (e > 0)
                column[e - 1] -= change;
            if (e < n)
                column[e] += change;
        }
    }
}

edge_curvature balance_growth_edge(const balance *b, const double *number, size_t edge, int upwards)
{
    edge_curvature c = {{0}, 0, {{0.0}}};
    size_t donor;
    at_edge(b, number, edge, upwards, &donor);
    if (donor == b->cells || donor == 0 || donor + 1 == b->cells)
        return c; /* linear */
    const size_t behind = upwards ? donor - 1 : donor + 1, ahead = upwards ? donor + 1 : donor - 1;
    const double *h = b->widths, weight = h[ahead] / h[donor];
    const double gap_behind = 0.5 * (h[behind] + h[donor]), gap_ahead = 0.5 * (h[donor] + h[ahead]);
    const double rise_by[STENCIL] = {-1.0 / (h[behind] * gap_behind), 1.0 / (h[donor] * gap_behind), 0.0};
    const double next_by[STENCIL] = {0.0, -1.0 / (h[donor] * gap_ahead), 1.0 / (h[ahead] * gap_ahead)};
    c.cells[0] = behind, c.cells[1] = donor, c.cells[2] = ahead, c.count = STENCIL;
    double rise = 0.0, next = 0.0;
    for (int k = 0; k < STENCIL; ++k) {
        rise += rise_by[k] * number[c.cells[k]];
        next += next_by[k] * number[c.cells[k]];
    }
    if (!((rise > 0.0 && next > 0.0) || (rise < 0.0 && next < 0.0)))
        return c; /* at an extreme: linear */
    /* of reach rise next / (rise + weight next) */
    const double sum = rise + weight * next, scale = h[donor] * (1.0 + weight) * weight / sum;
    const double r = rise / sum, s = next / sum, rr = -scale * s * s, rs = scale * r * s, ss = -scale * r * r;
    for (int k = 0; k < STENCIL; ++k)
        for (int l = 0; l < STENCIL; ++l)
            c.by[k][l] = rr * rise_by[k] * rise_by[l] + rs * (rise_by[k] * next_by[l] + next_by[k] * rise_by[l]) + ss * next_by[k] * next_by[l];
    return c;
}
