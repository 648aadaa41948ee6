#include "rtd.h"

/* A recorded inlet. Piece p reaches from point p to point p + 1; piece -1 lies before the record, piece points - 1 after it. */
typedef struct {
    ptrdiff_t points;
    const double *times;
    const double *values;
    double before;
} record;

/* Last point at or before `time`, -1 if there is none. */
static ptrdiff_t piece_at(const record *inlet, double time)
{
    ptrdiff_t low = -1, high = inlet->points;
    while (high - low > 1) {
        ptrdiff_t middle = low + (high - low) / 2;
        if (inlet->times[middle] <= time)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Value at `time` on the straight line of one piece; between the values at its ends whatever the rounding. */
static double value_on(const record *inlet, ptrdiff_t piece, double time)
{
    if (piece < 0)
        return inlet->before;
    if (piece == inlet->points - 1)
        return inlet->values[piece];
    double start = inlet->times[piece], width = inlet->times[piece + 1] - start;
    double weight = (time - start) / width;
    if (!(weight > 0.0)) /* also where two points stand at one time */
        return inlet->values[piece];
    if (weight >= 1.0)
        return inlet->values[piece + 1];
    return (1.0 - weight) * inlet->values[piece] + weight * inlet->values[piece + 1];
}

/*
 * What one age cell of positive width brings to the outlet at time t. The cell is cut where the inlet has a point; on each cut
 * density and inlet are straight lines and the integral of their product is the sum below. All its terms have the sign of the
 * inlet, so nothing cancels however short a piece is, and the outlet stays within the range of the inlet.
 */
static double cell_share(const record *inlet, ptrdiff_t *piece, double t, double youngest, double oldest, double skew)
{
    double width = oldest - youngest, age = youngest, share = 0.0;
    double place = 0.0, density = 1.0 - skew;
    while (age < oldest) {
        while (*piece >= 0 && t - inlet->times[*piece] <= age)
            --*piece;
        double next = oldest;
        if (*piece >= 0 && t - inlet->times[*piece] < oldest)
            next = t - inlet->times[*piece];
        double next_place = next == oldest ? 1.0 : (next - youngest) / width;
        double next_density = 1.0 + skew * (2.0 * next_place - 1.0);
        double young = value_on(inlet, *piece, t - age), old = value_on(inlet, *piece, t - next);
        share += (next_place - place) * (young * (2.0 * density + next_density) + old * (density + 2.0 * next_density));
        age = next;
        place = next_place;
        density = next_density;
    }
    return share / 6.0;
}

void rtd_convolve(size_t points, const double *times, const double *inlet, double before, size_t cells, const double *ages,
                  const double *mass, const double *skew, size_t outlets, const double *at, double *outlet)
{
    const record recorded = {(ptrdiff_t)points, times, inlet, before};
    for (size_t o = 0; o < outlets; ++o) {
        double t = at[o], sum = 0.0;
        ptrdiff_t piece = cells ? piece_at(&recorded, t - ages[0]) : -1;
        for (size_t cell = 0; cell < cells; ++cell) {
            double youngest = ages[cell], oldest = ages[cell + 1];
            if (mass[cell] == 0.0)
                continue;
            if (oldest > youngest) {
                sum += mass[cell] * cell_share(&recorded, &piece, t, youngest, oldest, skew[cell]);
            } else {
                while (piece >= 0 && recorded.times[piece] > t - youngest)
                    --piece;
                sum += mass[cell] * value_on(&recorded, piece, t - youngest);
            }
        }
        outlet[o] = sum;
    }
}
