/* How loops become vectors. */

#ifndef VECTORS_H
#define VECTORS_H

#include <stdint.h>

/* Results are the same bytes on every machine: vectors of any width do the same operations in the same order. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__gnu_linux__)
#define WIDEST_VECTORS __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDEST_VECTORS
#endif
#if defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline)) /* so that it is compiled for the vectors of its caller */
#else
#define INLINE static inline
#endif

enum { LANES = 8 }; /* numbers in the widest vector of any machine */
typedef double lanes __attribute__((vector_size(LANES * sizeof(double)), aligned(sizeof(double)), may_alias));

INLINE const lanes *in_lanes(const double *numbers) { return (const lanes *)numbers; }

INLINE double total(const lanes *s) { return (((*s)[0] + (*s)[1]) + ((*s)[2] + (*s)[3])) + (((*s)[4] + (*s)[5]) + ((*s)[6] + (*s)[7])); }

/* Sum of one[k] other[k], in an order that does not depend on the width of vectors. */
INLINE double dot(const double *one, const double *other, int64_t count)
{
    lanes sum = {0.0};
    int64_t k = 0;
    for (; k + LANES <= count; k += LANES)
        sum += *in_lanes(one + k) * *in_lanes(other + k);
    double rest = 0.0;
    for (; k < count; ++k)
        rest += one[k] * other[k];
    return total(&sum) + rest;
}

#endif
