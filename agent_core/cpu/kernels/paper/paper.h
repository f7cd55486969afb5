/* What the code for the paper's layers shares. Heads have 64 numbers; floating numbers are bfloat16, sums float32.

   Products are of tiles, 16 rows of 64 bytes, whether a processor multiplies tiles itself (by_tiles.c) or has wide vectors
   only (by_vectors.c). */

#ifndef IAFM_PAPER_H
#define IAFM_PAPER_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "../threads.h"

#define HEAD 64
#define SIDE 16 /* of a tile, in numbers of 32 bits */
#define TILE 1024 /* its bytes */
#define PAIR 32 /* two tiles side by side, or one below the other */
#define MOST_FRAMES 16

typedef uint16_t bf16;

/* ---- attention over rows of keys and values (attention.c) ---- */

typedef struct {
  const bf16 *data;
  int64_t batch, head, row; /* distances, in numbers */
} Rows;

typedef struct {
  Rows query, key, value;
  const bf16 *bias; /* (batch, queries, keys): 0 where seen; or nothing, where all is */
  int64_t bias_batch, bias_row;
  const int64_t *memory; /* (batch): which of the keys and values each looks at; nothing: its own */
  bf16 *out; /* (batch, queries, heads, HEAD) */
  int64_t batch, heads, queries, keys, threads;
  char *scratch;
} Attention;

int64_t attention_scratch(const Attention *a); /* bytes for each thread */
void attend(Attention *a);

/* ---- attention over time: a picture's places, each with itself earlier on (over_time.c) ---- */

typedef struct {
  Rows query, key, value; /* of the newest frames (pictures, heads, places) */
  bf16 *keys, *values;    /* memory (rows, places, heads, frames, HEAD), written and read */
  const bf16 *bias;       /* (frames, pictures): 0 where seen */
  const int64_t *row, *frame; /* of each picture: its memory, and where in it */
  bf16 *out; /* (pictures, places, heads, HEAD) */
  int64_t pictures, places, heads, frames, threads;
} LookBack;

void look_back(LookBack *l);

/* ---- one matrix, or a feed-forward's two (matrices.c) ---- */

enum { BFLOAT16, UINT8 }; /* what is multiplied: rows of it, by a matrix of bfloat16 or int8 */
enum { RELU, SWISH };             /* what comes between two matrices */

typedef struct {
  const uint8_t *packed; /* see pack_matrix */
  const float *scale, *bias; /* (outer): outcome = product * scale + bias */
  const float *norm_weight, *norm_bias; /* (inner), or nothing where there is no norm before the matrix */
  float epsilon;
  float becomes, zero; /* of whole outcomes between two matrices: number * becomes + zero */
  int64_t kind, after, inner, outer;
} Matrix;

typedef struct {
  const Matrix *first, *second; /* second: of a feed-forward, or nothing */
  const bf16 *x, *onto;         /* (rows, inner) -> (rows, outer); added to the outcome, or nothing */
  bf16 *out;
  int64_t rows, threads;
  char *scratch;
} Linear;

int64_t linear_scratch(const Linear *l); /* bytes for all threads */
void linear(Linear *l);

/* ---- products of tiles (by_tiles.c or by_vectors.c) ---- */

void begin_products(void); /* by each thread, before its first and after its last */
void end_products(void);

/* 32 rows, of which the first `count` are wanted, x 32 outcomes, over `bytes` of each. Some of the lines that follow in the
   matrix are called for: those at `skip` and then every `of`-th. */
typedef struct {
  int64_t kind, bytes, count, skip, of;
  const char *rows;
  const uint8_t *matrix; /* see pack_matrix */
  float *to;             /* 2 x 2 tiles of numbers */
} Products;

void multiply_rows(const Products *p);

/* Scores of 16 keys (this far from each other) for some tiles of packed queries, each tile's `apart` from the one before. */
void multiply_keys(const bf16 *keys, int64_t row, const bf16 *queries, int64_t tiles, float *scores, int64_t apart);

/* found (4 tiles of 16 features x 16 queries) += packed values x chances of one tile of queries, 32 keys at a time. */
void multiply_values(const bf16 *values, const bf16 *chances, int64_t keys, float *found);

/* ---- numbers ---- */

static inline __m512 wide(const bf16 *x) {
  return (__m512)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)x)), 16);
}

static inline void narrow(bf16 *to, __m512 x) {
  _mm256_storeu_si256((__m256i *)to, (__m256i)_mm512_cvtneps_pbh(x));
}

/* 2^x with a relative error of 1e-4, a fortieth of what bfloat16 keeps; 0 for very negative x. */
static inline __m512 power_of_two(__m512 x) {
  __m512 rest = _mm512_reduce_ps(x, 1); /* x - floor(x) */
  __m512 p = _mm512_fmadd_ps(_mm512_set1_ps(0.0790199f), rest, _mm512_set1_ps(0.2241264f));
  p = _mm512_fmadd_ps(p, rest, _mm512_set1_ps(0.6968386f));
  p = _mm512_fmadd_ps(p, rest, _mm512_set1_ps(0.9999253f));
  return _mm512_scalef_ps(p, x);
}

#define LOG2_E 1.44269504f

/* 16 x 16 numbers of 32 bits. */
static inline void transpose(__m512i *r) {
  __m512i t[SIDE];
  for (int i = 0; i < 8; i++) {
    t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  }
  for (int i = 0; i < SIDE; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  for (int i = 0; i < 4; i++) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
  }
  for (int i = 0; i < 4; i++) {
    r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
    r[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
    r[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
  }
}

#endif
