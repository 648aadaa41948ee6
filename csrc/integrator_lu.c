#include "integrator_lu.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double DIAGONAL_PREFERENCE = 0.1; /* the diagonal is taken if it is this large against the largest candidate */
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
    lu->lower = malloc((size_t)lu->lower_size * sizeof(double));
    lu->upper = malloc((size_t)lu->upper_size * sizeof(double));
    lu->pivot = malloc((size_t)n * sizeof(double));
    lu->row_place = malloc((size_t)n * sizeof(int));
    lu->work = calloc((size_t)n, sizeof(double));
    lu->stack = malloc((size_t)n * sizeof(int));
    lu->cursor = malloc((size_t)n * sizeof(int));
    lu->mark = malloc((size_t)n * sizeof(int));
    lu->reach = malloc((size_t)n * sizeof(int));
    if (!lu->lower_start || !lu->upper_start || !lu->lower_row || !lu->upper_row || !lu->lower || !lu->upper || !lu->pivot ||
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
    free(lu->side_by_side);
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
        int start = lu->upper_start[k];
        sort_column(lu->upper_row + start, lu->upper + start, lu->upper_start[k + 1] - start);
    }
    lu->factored = 1;
    return 0;
}

/* 0 if the old pivots served, 1 if they did not. */
static int refactor(lu_factors *lu, const double *value)
{
    double *x = lu->work;
    lu->refactorizations++;
    for (int k = 0; k < lu->n; k++) {
        int column = lu->order[k];
        for (int p = lu->column_start[column]; p < lu->column_start[column + 1]; p++)
            x[lu->row_place[lu->row[p]]] = value[p];
        for (int p = lu->upper_start[k]; p < lu->upper_start[k + 1]; p++) {
            int place = lu->upper_row[p];
            double factor = x[place];
            lu->upper[p] = factor;
            x[place] = 0.0;
            for (int q = lu->lower_start[place]; q < lu->lower_start[place + 1]; q++)
                x[lu->lower_row[q]] -= lu->lower[q] * factor;
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

int lu_solve(lu_factors *lu, double *b)
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
            for (int p = lu->lower_start[k]; p < lu->lower_start[k + 1]; p++)
                x[lu->lower_row[p]] -= lu->lower[p] * known;
    }
    for (int k = n - 1; k >= 0; k--) {
        double known = x[k] / lu->pivot[k];
        x[k] = known;
        if (known != 0.0)
            for (int p = lu->upper_start[k]; p < lu->upper_start[k + 1]; p++)
                x[lu->upper_row[p]] -= lu->upper[p] * known;
    }
    for (int k = 0; k < n; k++) {
        b[lu->order[k]] = x[k];
        x[k] = 0.0;
    }
    return 0;
}

/* Up to LU_SIDES right sides at once: each factor is read once for all, and the innermost loop has a fixed length. */
static void solve_side_by_side(lu_factors *lu, double *b, int count)
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
