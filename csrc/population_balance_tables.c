#include "population_balance_seated.h"

balance balance_kept(seated *s, const balance *given, size_t collisions, int *failed)
{
    const size_t n = given->cells;
    balance b = *given;
    b.pivots = seated_keep(s, b.pivots, n * 8, failed); /* runs reach beyond: what is kept ends in zeros enough */
    b.per_gap = seated_keep(s, b.per_gap, (n - 1) * 8, failed);
    b.collisions = seated_keep(s, b.collisions, collisions * 8, failed);
    b.runs = seated_keep(s, b.runs, b.run_count * sizeof(run), failed);
    b.fragments = seated_keep(s, b.fragments, n * (n + 1) / 2 * 8, failed);
    b.speed = seated_keep(s, b.speed, (n + 1) * 8, failed);
    b.widths = seated_keep(s, b.widths, n * 8, failed);
    b.nuclei = seated_keep(s, b.nuclei, n * 8, failed);
    b.column = seated_keep(s, b.column, (n + 1) * 8, failed);
    b.first_row = seated_keep(s, b.first_row, n * 8, failed);
    b.last_row = seated_keep(s, b.last_row, n * 8, failed);
    return b;
}
