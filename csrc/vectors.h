/* How loops become vectors. */

#ifndef VECTORS_H
#define VECTORS_H

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

#endif
