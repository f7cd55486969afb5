/* What the code for plain vectors shares: float32, as wide as the processor has them. Every row's numbers are summed in the
   same order however many rows there are, so a player in a batch gets the very numbers it would get alone. */

#ifndef IAFM_COMPACT_H
#define IAFM_COMPACT_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "../threads.h"

#ifdef __AVX512F__
#define LANES 16
#define TALL 12 /* rows computed at once: as many sums as there are registers for */
#else
#define LANES 8
#define TALL 6
#endif
#define WIDE (2 * LANES) /* outcomes computed at once */

typedef float vector __attribute__((vector_size(4 * LANES)));
typedef int32_t whole __attribute__((vector_size(4 * LANES)));
typedef vector anywhere __attribute__((aligned(4), may_alias));

static inline vector load(const float *x) { return *(const anywhere *)x; }
static inline void store(float *to, vector x) { *(anywhere *)to = x; }
static inline vector all(float x) { return x - (vector){0}; }
static inline vector choose(whole which, vector yes, vector no) {
  return (vector)(((whole)yes & which) | ((whole)no & ~which));
}
static inline vector larger(vector a, vector b) {
#if LANES == 16
  return (vector)_mm512_max_ps((__m512)a, (__m512)b);
#else
  return (vector)_mm256_max_ps((__m256)a, (__m256)b);
#endif
}

/* Numbers of a, then of b, by their places. */
static inline vector shuffle(vector a, whole places, vector b) {
#if LANES == 16
  return (vector)_mm512_permutex2var_ps((__m512)a, (__m512i)places, (__m512)b);
#else
  __m256 from_a = _mm256_permutevar8x32_ps((__m256)a, (__m256i)places);
  return choose(places >= LANES, (vector)_mm256_permutevar8x32_ps((__m256)b, (__m256i)places), (vector)from_a);
#endif
}

static inline float sum_of(vector x) {
  float sum = 0;
  for (int i = 0; i < LANES; i++) sum += x[i];
  return sum;
}

/* e^x to the last digits of float32; 0 below -87. */
static inline vector exponential(vector x) {
  vector magic = all(12582912.0f), y = larger(x, all(-87.0f));
  vector n = y * 1.44269504f + magic; /* a whole number, in its low bits */
  whole shift = (whole)n << 23;
  n -= magic;
  vector r = y - n * 0.693359375f + n * 2.12194440e-4f;
  vector p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  return choose(x < all(-87.0f), all(0), (vector)((whole)p + shift));
}

/* LANES x LANES numbers, rows to columns: ever larger squares change places. */
static inline void transpose(vector *r) {
#pragma GCC unroll 4
  for (int step = 1; step < LANES; step *= 2)
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i++)
      if (!(i & step)) {
        vector a = r[i], b = r[i + step];
        whole low, high;
        for (int j = 0; j < LANES; j++) {
          low[j] = j & step ? LANES + j - step : j;
          high[j] = j & step ? LANES + j : j + step;
        }
        r[i] = shuffle(a, low, b);
        r[i + step] = shuffle(a, high, b);
      }
}

/* ---- rows times a matrix (product.c) ---- */

enum { AS_IT_IS, RELU };

typedef struct {
  const float *x; /* rows, this far from each other; each one's numbers lie in runs */
  int64_t row, runs, run, skip;
  const float *matrix; /* stripes of WIDE columns; from one line to the next, from one stripe to the next */
  int64_t line, stripe;
  const float *bias, *onto; /* (outer) and (rows, outer, laid out as `out`): added, or nothing */
  float *out;
  int64_t out_row, rows, outer, after;
} Product;

void multiply(const Product *p);

/* ---- a norm (norm.c) ---- */

typedef struct {
  const float *weight, *bias;
} Norm;

void norm(const Norm *n, const float *x, float *to, int64_t rows, int64_t width);

/* ---- a matrix of weights ---- */

typedef struct {
  const float *packed; /* see pack_stripes */
  const float *bias;
  int64_t inner, outer;
} Matrix;

static inline Product by_matrix(const Matrix *m, const float *x, int64_t rows, float *out) {
  Product p = {x,       m->inner, 1,   m->inner, 0,      m->packed, WIDE,    WIDE * m->inner,
               m->bias, 0,        out, m->outer, rows, m->outer,  AS_IT_IS};
  return p;
}

#endif
