#include "population_balance.h"

#include <string.h>

/* One pair of cells that aggregates: its kernel, halved for a cell with itself, and its aggregate's volume beyond the cell's pivot. */
typedef struct {
    size_t one, other, cell;
    double kernel, over;
} collision;

/* Calls `visit` for every pair; cell is n where aggregates leave the grid. */
#define FOR_EACH_COLLISION(b, c)                                                                                               \
    for (size_t at_ = 0, run_ = 0, i_ = 0; run_ < (b)->run_count; i_ = 0, at_ += (size_t)filled((b)->runs[run_].count), ++run_)         \
        for (collision c; i_ < (size_t)(b)->runs[run_].count && (c = collision_at(b, (b)->runs[run_], at_, i_), 1); ++i_)

static collision collision_at(const balance *b, run r, size_t at, size_t i)
{
    collision c = {(size_t)r.one + (r.kind == ALONG ? i : 0), (size_t)r.other + i, 0, b->collisions[at + i], 0.0};
    c.cell = r.kind == GROWS ? c.one : r.kind == LEAVES ? b->cells : (size_t)r.cell + i;
    if (c.cell < b->cells)
        c.over = b->pivots[c.other] + (b->pivots[c.one] - b->pivots[c.cell]);
    return c;
}

/* Rows that a pair or an edge touches, increasing and without repetition. */
typedef struct {
    size_t count;
    int64_t row[16];
} touched;

static void touch(touched *t, int64_t row, int64_t n)
{
    if (row < 0 || row >= n)
        return;
    size_t place = t->count;
    while (place > 0 && t->row[place - 1] > row)
        --place;
    if (place > 0 && t->row[place - 1] == row)
        return;
    memmove(t->row + place + 1, t->row + place, (t->count - place) * sizeof *t->row);
    t->row[place] = row;
    t->count++;
}

static touched touched_by_pair(const balance *b, size_t m, size_t k, size_t cell, int aggregates)
{
    const int64_t n = (int64_t)b->cells;
    touched t = {0, {0}};
    if (aggregates) {
        touch(&t, (int64_t)m, n);
        touch(&t, (int64_t)k, n);
        for (int64_t step = -1; step <= 1 && cell < b->cells; ++step)
            touch(&t, (int64_t)cell + step, n);
    }
    const size_t least = m < k ? m : k, largest = m < k ? k : m;
    if (b->speed && largest - least < STENCIL) /* edges whose stencil may hold both cells, whichever way particles grow */
        for (int64_t row = (int64_t)largest - 2; row <= (int64_t)least + 2; ++row)
            touch(&t, row, n);
    return t;
}

void balance_second_pattern(const balance *b, second_pattern p)
{
    const size_t n = b->cells;
    int64_t *partner = p.start + 1; /* for each pair the cell of its aggregate, until the numbers of entries take its place */
    for (size_t pair = 0; pair < n * n; ++pair)
        partner[pair] = -1;
    if (b->collisions)
        FOR_EACH_COLLISION(b, c)
            partner[c.one * n + c.other] = partner[c.other * n + c.one] = (int64_t)c.cell;
    int64_t entries = 0;
    p.start[0] = 0;
    for (size_t k = 0; k < n; ++k)
        for (size_t m = 0; m < n; ++m) {
            const int64_t cell = partner[k * n + m];
            const touched t = touched_by_pair(b, m, k, cell < 0 ? n : (size_t)cell, cell >= 0);
            if (p.row)
                memcpy(p.row + entries, t.row, t.count * sizeof *t.row);
            entries += (int64_t)t.count;
            p.start[k * n + m + 1] = entries;
        }
}

static void add(second_pattern p, size_t n, size_t k, size_t m, size_t row, double value, double *values)
{
    int64_t place = p.start[k * n + m];
    while (p.row[place] != (int64_t)row)
        ++place;
    values[place] += value;
}

static void add_collisions(const balance *b, second_pattern p, const double *number, double factor, double *work, double *values)
{
    const size_t n = b->cells;
    double *excess = work + balance_rates_work(b);
    balance_excess(b, number, work, excess);
    FOR_EACH_COLLISION(b, c)
    {
        const double rate = factor * c.kernel * (c.one == c.other ? 2.0 : 1.0);
        for (int side = 0; side < (c.one == c.other ? 1 : 2); ++side) {
            const size_t k = side ? c.other : c.one, m = side ? c.one : c.other;
            add(p, n, k, m, c.one, -rate, values);
            add(p, n, k, m, c.other, -rate, values);
            if (c.cell == n)
                continue;
            const double up = moves_up(b, excess[c.cell], c.cell) * c.over, down = moves_down(b, excess[c.cell], c.cell) * c.over;
            add(p, n, k, m, c.cell, rate * (1.0 - up - down), values);
            if (c.cell + 1 < n)
                add(p, n, k, m, c.cell + 1, rate * up, values);
            if (c.cell > 0)
                add(p, n, k, m, c.cell - 1, rate * down, values);
        }
    }
}

static void add_growth(const balance *b, second_pattern p, const double *number, double factor, double *values)
{
    const size_t n = b->cells;
    for (size_t e = 0; e <= n; ++e) {
        const double speed = factor * b->speed[e];
        const edge_curvature c = balance_growth_edge(b, number, e, speed >= 0.0);
        for (size_t k = 0; k < c.count; ++k)
            for (size_t m = 0; m < c.count; ++m) {
                if (e > 0)
                    add(p, n, c.cells[k], c.cells[m], e - 1, -speed * c.by[k][m], values);
                if (e < n)
                    add(p, n, c.cells[k], c.cells[m], e, speed * c.by[k][m], values);
            }
    }
}

size_t balance_second_work(const balance *b) { return balance_rates_work(b) + b->cells; }

void balance_second(const balance *b, second_pattern p, const double *number, const double *coefficients, double *work, double *values)
{
    memset(values, 0, (size_t)p.start[b->cells * b->cells] * sizeof(double));
    if (b->collisions)
        add_collisions(b, p, number, coefficients[b->place[AGGREGATION]], work, values);
    if (b->speed)
        add_growth(b, p, number, coefficients[b->place[GROWTH]], values);
}

void balance_jacobian_by_coefficient(const balance *b, int place, const double *number, const double *coefficients, double *work,
                                     double *values)
{
    /* the Jacobian with one coefficient of one and the others zero; which way particles grow is left as it is */
    const double sign = coefficients[place] < 0.0 ? -1.0 : 1.0;
    double one[PROCESSES] = {0.0};
    one[place] = sign;
    balance_jacobian(b, number, one, work, values, NULL);
    for (size_t entry = 0; sign < 0.0 && entry < b->nonzeros; ++entry)
        values[entry] = -values[entry];
}
