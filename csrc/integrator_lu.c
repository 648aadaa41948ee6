#include "integrator_lu.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "vectors.h"

static const double DIAGONAL_PREFERENCE = 0.1; /* the diagonal is taken if it is this large against the largest candidate */
enum { BLOCK = 4 };     /* columns of a dense block that are taken together */
enum { FEW_ROWS = 4 };  /* runs shorter than that are looked up */
enum { FEW_SIDES = 3 }; /* with fewer right sides they are solved for one by one */
static const double SOUND_PIVOT = 1e-3;        /* a reused pivot has to be this large against the column's largest entry */

int lu_init(lu_factors *lu, int n, const int *column_start, const int *row, const int *order)
{
    memset(lu, 0, sizeof *lu);
    lu->n = n;
    lu->column_start = column_start;
    lu->row = row;
    lu->order = order;
    lu->lower_size = lu->upper_size = 4 * column_start[n] + 16;
    lu->lower_start = malloc((size_t)(n + 1) * sizeof(int));
    lu->upper_start = malloc((size_t)(n + 1) * sizeof(int));
    lu->lower_row = malloc((size_t)lu->lower_size * sizeof(int));
    lu->upper_row = malloc((size_t)lu->upper_size * sizeof(int));
    lu->lower_run = malloc((size_t)n * sizeof(int));
    lu->upper_run = malloc((size_t)n * sizeof(int));
    lu->lower = malloc((size_t)lu->lower_size * sizeof(double));
    lu->upper = malloc((size_t)lu->upper_size * sizeof(double));
    lu->pivot = malloc((size_t)n * sizeof(double));
    lu->row_place = malloc((size_t)n * sizeof(int));
    lu->work = calloc((size_t)n, sizeof(double));
    lu->stack = malloc((size_t)n * sizeof(int));
    lu->cursor = malloc((size_t)n * sizeof(int));
    lu->mark = malloc((size_t)n * sizeof(int));
    lu->reach = malloc((size_t)n * sizeof(int));
    if (!lu->lower_start || !lu->upper_start || !lu->lower_row || !lu->upper_row || !lu->lower_run || !lu->upper_run || !lu->lower || !lu->upper || !lu->pivot ||
        !lu->row_place || !lu->work || !lu->stack || !lu->cursor || !lu->mark || !lu->reach) {
        lu_free(lu);
        return -1;
    }
    return 0;
}

void lu_free(lu_factors *lu)
{
    free(lu->lower_start); free(lu->upper_start); free(lu->lower_row); free(lu->upper_row);
    free(lu->lower); free(lu->upper); free(lu->pivot); free(lu->row_place); free(lu->work);
    free(lu->side_by_side); free(lu->lower_run); free(lu->upper_run);
    free(lu->stack); free(lu->cursor); free(lu->mark); free(lu->reach);
    memset(lu, 0, sizeof *lu);
}

void lu_reset(lu_factors *lu)
{
    lu->factored = 0;
    lu->factorizations = lu->refactorizations = 0;
}

static int grow(int **row, double **value, int *size, int needed)
{
    if (needed <= *size)
        return 0;
    int larger = 2 * needed;
    int *rows = realloc(*row, (size_t)larger * sizeof(int));
    if (rows) *row = rows;
    double *values = realloc(*value, (size_t)larger * sizeof(double));
    if (values) *value = values;
    if (!rows || !values)
        return -1;
    *size = larger;
    return 0;
}

/* Rows that the column touches once the columns before it have been eliminated, in topological order at reach[top..n-1]. */
static int reach_of_column(lu_factors *lu, int column, int step)
{
    int top = lu->n;
    for (int p = lu->column_start[column]; p < lu->column_start[column + 1]; p++) {
        if (lu->mark[lu->row[p]] == step)
            continue;
        int depth = 0;
        lu->stack[0] = lu->row[p];
        while (depth >= 0) {
            int row = lu->stack[depth];
            int place = lu->row_place[row];
            if (lu->mark[row] != step) {
                lu->mark[row] = step;
                lu->cursor[depth] = place < 0 ? 0 : lu->lower_start[place];
            }
            int end = place < 0 ? 0 : lu->lower_start[place + 1];
            int q = lu->cursor[depth];
            while (q < end && lu->mark[lu->lower_row[q]] == step)
                q++;
            if (q < end) {
                lu->cursor[depth] = q + 1;
                lu->stack[++depth] = lu->lower_row[q];
            } else {
                lu->reach[--top] = row;
                depth--;
            }
        }
    }
    return top;
}

static void sort_column(int *row, double *value, int count)
{
    for (int i = 1; i < count; i++) { /* short columns: insertion */
        int r = row[i];
        double v = value[i];
        int j = i - 1;
        for (; j >= 0 && row[j] > r; j--) {
            row[j + 1] = row[j];
            value[j + 1] = value[j];
        }
        row[j + 1] = r;
        value[j + 1] = v;
    }
}

/* First of rows that follow each other, -1 if they do not or are few. */
static int run_of(const int *row, int count)
{
    return count >= FEW_ROWS && row[count - 1] - row[0] == count - 1 ? row[0] : -1;
}

/* x -= factor times a column; the rows of a run are not looked up, so that the loop takes vectors. */
INLINE void subtract_column(double *restrict x, const double *restrict value, const int *restrict row, int start, int end, int run,
                                   double factor)
{
    if (run >= 0)
        for (int p = 0; p < end - start; p++)
            x[run + p] -= value[start + p] * factor;
    else
        for (int p = start; p < end; p++)
            x[row[p]] -= value[p] * factor;
}

INLINE void subtract_lower(const lu_factors *lu, double *x, int k, double factor)
{
    subtract_column(x, lu->lower, lu->lower_row, lu->lower_start[k], lu->lower_start[k + 1], lu->lower_run[k], factor);
}

INLINE void subtract_upper(const lu_factors *lu, double *x, int k, double factor)
{
    subtract_column(x, lu->upper, lu->upper_row, lu->upper_start[k], lu->upper_start[k + 1], lu->upper_run[k], factor);
}

/* Whether BLOCK columns of the lower factor are full from the diagonal down to the same row: those of a dense block. */
static int full(const lu_factors *lu, int k)
{
    const int *start = lu->lower_start + k;
    if (k + BLOCK > lu->n)
        return 0;
    for (int j = 0; j < BLOCK; j++)
        if (lu->lower_run[k + j] != k + j + 1 || start[j + 1] - start[j] != start[1] - start[0] - j)
            return 0;
    return 1;
}

/* x -= BLOCK full columns, each times what stands in its row by then, which is left in `factor`. One by one they would read and
 * write x as many times; the operations and their order are the same. */
INLINE void subtract_full(const lu_factors *lu, double *restrict x, int k, double *factor)
{
    const double *column[BLOCK];
    for (int j = 0; j < BLOCK; j++) {
        column[j] = lu->lower + lu->lower_start[k + j] - (k + j + 1);
        factor[j] = x[k + j];
        x[k + j] = 0.0;
        for (int i = k + j + 1; i < k + BLOCK; i++)
            x[i] -= column[j][i] * factor[j];
    }
    const int end = k + 1 + lu->lower_start[k + 1] - lu->lower_start[k];
    for (int i = k + BLOCK; i < end; i++) {
        double rest = x[i];
        for (int j = 0; j < BLOCK; j++)
            rest -= column[j][i] * factor[j];
        x[i] = rest;
    }
}

static int factor_anew(lu_factors *lu, const double *value)
{
    int n = lu->n, lower_count = 0, upper_count = 0;
    double *x = lu->work;
    for (int i = 0; i < n; i++) {
        lu->row_place[i] = -1;
        lu->mark[i] = -1;
        x[i] = 0.0;
    }
    lu->factored = 0;
    lu->factorizations++;
    for (int k = 0; k < n; k++) {
        int column = lu->order[k];
        lu->lower_start[k] = lower_count;
        lu->upper_start[k] = upper_count;
        int top = reach_of_column(lu, column, k);
        if (grow(&lu->lower_row, &lu->lower, &lu->lower_size, lower_count + n - top) ||
            grow(&lu->upper_row, &lu->upper, &lu->upper_size, upper_count + n - top))
            return -1;
        for (int p = lu->column_start[column]; p < lu->column_start[column + 1]; p++)
            x[lu->row[p]] = value[p];
        double largest = 0.0;
        int chosen = -1;
        for (int p = top; p < n; p++) {
            int row = lu->reach[p], place = lu->row_place[row];
            if (place >= 0) {
                double factor = x[row];
                lu->upper_row[upper_count] = place;
                lu->upper[upper_count++] = factor;
                for (int q = lu->lower_start[place]; q < lu->lower_start[place + 1]; q++)
                    x[lu->lower_row[q]] -= lu->lower[q] * factor;
            }
        }
        for (int p = top; p < n; p++) {
            int row = lu->reach[p];
            if (lu->row_place[row] < 0 && fabs(x[row]) > largest) {
                largest = fabs(x[row]);
                chosen = row;
            }
        }
        if (chosen < 0 || !isfinite(largest)) {
            for (int p = top; p < n; p++)
                x[lu->reach[p]] = 0.0;
            return k + 1;
        }
        if (lu->row_place[column] < 0 && lu->mark[column] == k && fabs(x[column]) >= DIAGONAL_PREFERENCE * largest)
            chosen = column;
        double pivot = x[chosen];
        lu->pivot[k] = pivot;
        for (int p = top; p < n; p++) {
            int row = lu->reach[p];
            if (lu->row_place[row] < 0 && row != chosen) {
                lu->lower_row[lower_count] = row;
                lu->lower[lower_count++] = x[row] / pivot;
            }
            x[row] = 0.0;
        }
        lu->row_place[chosen] = k;
    }
    lu->lower_start[n] = lower_count;
    lu->upper_start[n] = upper_count;
    for (int p = 0; p < lower_count; p++)
        lu->lower_row[p] = lu->row_place[lu->lower_row[p]];
    for (int k = 0; k < n; k++) { /* ascending places are a topological order, which refactoring needs */
        int start = lu->upper_start[k], count = lu->upper_start[k + 1] - start;
        sort_column(lu->upper_row + start, lu->upper + start, count);
        lu->upper_run[k] = run_of(lu->upper_row + start, count);
        start = lu->lower_start[k], count = lu->lower_start[k + 1] - start;
        sort_column(lu->lower_row + start, lu->lower + start, count);
        lu->lower_run[k] = run_of(lu->lower_row + start, count);
    }
    lu->factored = 1;
    return 0;
}

/* 0 if the old pivots served, 1 if they did not. */
WIDEST_VECTORS static int refactor(lu_factors *lu, const double *value)
{
    double *x = lu->work;
    lu->refactorizations++;
    for (int k = 0; k < lu->n; k++) {
        int column = lu->order[k];
        for (int p = lu->column_start[column]; p < lu->column_start[column + 1]; p++)
            x[lu->row_place[lu->row[p]]] = value[p];
        for (int p = lu->upper_start[k], end = lu->upper_start[k + 1]; p < end; p++) {
            int place = lu->upper_row[p];
            double factor = x[place];
            if (p + BLOCK <= end && lu->upper_row[p + BLOCK - 1] == place + BLOCK - 1 && full(lu, place)) {
                subtract_full(lu, x, place, lu->upper + p);
                p += BLOCK - 1;
                continue;
            }
            lu->upper[p] = factor;
            x[place] = 0.0;
            subtract_lower(lu, x, place, factor);
        }
        double pivot = x[k], largest = fabs(pivot);
        x[k] = 0.0;
        lu->pivot[k] = pivot;
        for (int p = lu->lower_start[k]; p < lu->lower_start[k + 1]; p++) {
            double entry = x[lu->lower_row[p]];
            x[lu->lower_row[p]] = 0.0;
            if (fabs(entry) > largest)
                largest = fabs(entry);
            lu->lower[p] = entry / pivot;
        }
        if (!(fabs(pivot) > SOUND_PIVOT * largest)) /* also where it is not a number */
            return 1;
    }
    return 0;
}

int lu_factor(lu_factors *lu, const double *value)
{
    if (lu->factored && refactor(lu, value) == 0)
        return 0;
    return factor_anew(lu, value);
}

WIDEST_VECTORS int lu_solve(lu_factors *lu, double *b)
{
    int n = lu->n;
    double *x = lu->work;
    if (!lu->factored)
        return -1;
    for (int i = 0; i < n; i++)
        x[lu->row_place[i]] = b[i];
    for (int k = 0; k < n; k++) {
        double known = x[k];
        if (known != 0.0)
            subtract_lower(lu, x, k, known);
    }
    for (int k = n - 1; k >= 0; k--) {
        double known = x[k] / lu->pivot[k];
        x[k] = known;
        if (known != 0.0)
            subtract_upper(lu, x, k, known);
    }
    for (int k = 0; k < n; k++) {
        b[lu->order[k]] = x[k];
        x[k] = 0.0;
    }
    return 0;
}

/* Up to LU_SIDES right sides at once: each factor is read once for all, and the innermost loop has a fixed length. */
WIDEST_VECTORS static void solve_side_by_side(lu_factors *lu, double *b, int count)
{
    int n = lu->n;
    double *x = lu->side_by_side;
    memset(x, 0, (size_t)n * LU_SIDES * sizeof(double));
    for (int i = 0; i < n; i++)
        for (int s = 0; s < count; s++)
            x[(size_t)lu->row_place[i] * LU_SIDES + s] = b[(size_t)s * n + i];
    for (int k = 0; k < n; k++) {
        const double *known = x + (size_t)k * LU_SIDES;
        for (int p = lu->lower_start[k]; p < lu->lower_start[k + 1]; p++) {
            double *target = x + (size_t)lu->lower_row[p] * LU_SIDES, factor = lu->lower[p];
            for (int s = 0; s < LU_SIDES; s++)
                target[s] -= factor * known[s];
        }
    }
    for (int k = n - 1; k >= 0; k--) {
        double *known = x + (size_t)k * LU_SIDES;
        for (int s = 0; s < LU_SIDES; s++)
            known[s] /= lu->pivot[k];
        for (int p = lu->upper_start[k]; p < lu->upper_start[k + 1]; p++) {
            double *target = x + (size_t)lu->upper_row[p] * LU_SIDES, factor = lu->upper[p];
            for (int s = 0; s < LU_SIDES; s++)
                target[s] -= factor * known[s];
        }
    }
    for (int k = 0; k < n; k++)
        for (int s = 0; s < count; s++)
            b[(size_t)s * n + lu->order[k]] = x[(size_t)k * LU_SIDES + s];
}

int lu_solve_many(lu_factors *lu, double *b, int count)
{
    size_t n = (size_t)lu->n;
    if (!lu->factored)
        return -1;
    if (count >= FEW_SIDES && !lu->side_by_side && !(lu->side_by_side = malloc(n * LU_SIDES * sizeof(double))))
        return -1;
    while (count > 0) {
        int now = count < FEW_SIDES ? 1 : count < LU_SIDES ? count : LU_SIDES;
        if (now == 1)
            lu_solve(lu, b);
        else
            solve_side_by_side(lu, b, now);
        count -= now;
        b += (size_t)now * n;
    }
    return 0;
}
