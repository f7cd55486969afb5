/* Rows times a matrix, with the norm before it, and what comes after it.

   Blocks of 32 rows x 32 outcomes stay in tiles over the whole inner length; rows and matrices lie in memory as the tiles
   read them. A block's products are finished (scaled, added, rounded) while the next block's are computed. */

#include "paper.h"

#define TALLEST 224   /* rows that go through all of a matrix before others do */
#define PRODUCTS 4096 /* bytes of 32 x 32 */

static int64_t bytes_of(const Matrix *m) { return m->inner * (m->kind == BFLOAT16 ? 2 : 1); }

/* Rows that are multiplied, those between two matrices, and each thread's room for a block of products. */
int64_t linear_scratch(const Linear *l) {
  int64_t rows = up(l->rows, PAIR);
  return up(rows * bytes_of(l->first), 4096) + (l->second ? up(rows * bytes_of(l->second), 4096) : 0) +
         l->threads * 2 * PRODUCTS;
}

static char *between(const Linear *l) { return l->scratch + up(up(l->rows, PAIR) * bytes_of(l->first), 4096); }

/* A matrix (outer, bytes) as tiles: of 32 outcomes, 64 bytes of each: two tiles of 16 x 16 numbers of four bytes. */
void pack_matrix(const uint8_t *from, int64_t outer, int64_t bytes, uint8_t *to) {
  for (int64_t n = 0; n < outer; n += PAIR)
    for (int64_t k = 0; k < bytes; k += 64)
      for (int half = 0; half < PAIR; half += SIDE) {
        __m512i r[SIDE];
        for (int i = 0; i < SIDE; i++) r[i] = _mm512_loadu_si512(from + (n + half + i) * bytes + k);
        transpose(r);
        for (int i = 0; i < SIDE; i++, to += 64) _mm512_storeu_si512(to, r[i]);
      }
}

/* Where a byte of a row stands: rows that are multiplied lie as tiles of 16 rows x 64 bytes. */
static inline char *in_tiles(char *tiles, int64_t bytes, int64_t row, int64_t at) {
  return tiles + row / SIDE * SIDE * bytes + at / 64 * 1024 + row % SIDE * 64 + at % 64;
}

/* One row through the norm, or as it is, to numbers that are multiplied. */
static void prepare_row(const Matrix *m, const bf16 *x, char *tiles, int64_t row) {
  int64_t bytes = bytes_of(m);
  __m512 mean = _mm512_setzero_ps(), scale = _mm512_set1_ps(1);
  if (m->norm_weight) {
    __m512 sum = _mm512_setzero_ps(), apart = sum;
    for (int64_t i = 0; i < m->inner; i += 16) sum = _mm512_add_ps(sum, wide(x + i));
    mean = _mm512_set1_ps(_mm512_reduce_add_ps(sum) / (float)m->inner);
    for (int64_t i = 0; i < m->inner; i += 16) {
      __m512 d = _mm512_sub_ps(wide(x + i), mean);
      apart = _mm512_fmadd_ps(d, d, apart);
    }
    __m512 variance = _mm512_set1_ps(_mm512_reduce_add_ps(apart) / (float)m->inner + m->epsilon);
    scale = _mm512_div_ps(scale, _mm512_sqrt_ps(variance));
  }
  for (int64_t i = 0; i < m->inner; i += 16) {
    __m512 y = wide(x + i);
    if (m->norm_weight) {
      y = _mm512_mul_ps(_mm512_sub_ps(y, mean), scale);
      y = _mm512_fmadd_ps(y, _mm512_loadu_ps(m->norm_weight + i), _mm512_loadu_ps(m->norm_bias + i));
    }
    if (m->kind == BFLOAT16)
      narrow((bf16 *)in_tiles(tiles, bytes, row, 2 * i), y);
    else
      _mm_storeu_si128((__m128i *)in_tiles(tiles, bytes, row, i),
                       _mm512_cvtusepi32_epi8(_mm512_max_epi32(_mm512_cvtps_epi32(y), _mm512_setzero_si512())));
  }
}

static void prepare_part(void *job) {
  const Linear *l = job;
  int64_t from, to;
  split(l->rows, &from, &to);
  for (int64_t row = from; row < to; row++) prepare_row(l->first, l->x + row * l->first->inner, l->scratch, row);
}

/* What becomes of 32 x 32 products. Loops without choices inside, so one for each way. */
enum { OUT, ADDED, AFTER_RELU, AFTER_SWISH, WAYS };

static inline __attribute__((always_inline)) __m512 between_matrices(__m512 y, int way) {
  if (way == AFTER_RELU) return _mm512_max_ps(y, _mm512_setzero_ps());
  __m512 below = power_of_two(_mm512_mul_ps(y, _mm512_set1_ps(-LOG2_E)));
  return _mm512_mul_ps(y, _mm512_rcp14_ps(_mm512_add_ps(below, _mm512_set1_ps(1))));
}

static inline __attribute__((always_inline)) void finish(const Linear *l, const Matrix *m, int64_t row, int64_t n,
                                                         const float *products, char *next, int floating, int way) {
  __m512 becomes = _mm512_set1_ps(m->becomes), zero = _mm512_set1_ps(m->zero), scale[2], bias[2];
  for (int half = 0; half < 2; half++) {
    scale[half] = _mm512_loadu_ps(m->scale + n + half * SIDE);
    bias[half] = _mm512_loadu_ps(m->bias + n + half * SIDE);
  }
  for (int64_t i = 0; i < PAIR && row + i < l->rows; i++) {
    const float *product = products + i / SIDE * 512 + i % SIDE * SIDE;
    int64_t at = (row + i) * m->outer + n;
    __m512 y[2];
    for (int half = 0; half < 2; half++, product += 256) {
      y[half] = floating ? _mm512_load_ps(product) : _mm512_cvtepi32_ps(_mm512_load_si512(product));
      y[half] = _mm512_fmadd_ps(y[half], scale[half], bias[half]);
      if (way == ADDED) y[half] = _mm512_add_ps(y[half], wide(l->onto + at + half * SIDE));
      if (way == AFTER_RELU || way == AFTER_SWISH) y[half] = between_matrices(y[half], way);
    }
    __m512i both = (__m512i)_mm512_cvtne2ps_pbh(y[1], y[0]);
    if (way == OUT || way == ADDED) {
      _mm512_storeu_si512(l->out + at, both);
    } else if (floating) {
      _mm512_storeu_si512(in_tiles(next, 2 * m->outer, row + i, 2 * n), both);
    } else {
      for (int half = 0; half < 2; half++) {
        __m512i whole = _mm512_cvtps_epi32(_mm512_fmadd_ps(y[half], becomes, zero));
        whole = _mm512_max_epi32(whole, _mm512_setzero_si512());
        _mm_storeu_si128((__m128i *)in_tiles(next, m->outer, row + i, n + half * SIDE), _mm512_cvtusepi32_epi8(whole));
      }
    }
  }
}

typedef void (*Finish)(const Linear *, const Matrix *, int64_t, int64_t, const float *, char *);
#define FINISH(floating, way)                                                                            \
  static void finish_##floating##_##way(const Linear *l, const Matrix *m, int64_t row, int64_t n,        \
                                        const float *products, char *next) {                             \
    finish(l, m, row, n, products, next, floating, way);                                                 \
  }
FINISH(0, OUT) FINISH(0, ADDED) FINISH(0, AFTER_RELU) FINISH(0, AFTER_SWISH)
FINISH(1, OUT) FINISH(1, ADDED) FINISH(1, AFTER_RELU) FINISH(1, AFTER_SWISH)
static const Finish FINISHES[2][WAYS] = {{finish_0_OUT, finish_0_ADDED, finish_0_AFTER_RELU, finish_0_AFTER_SWISH},
                                         {finish_1_OUT, finish_1_ADDED, finish_1_AFTER_RELU, finish_1_AFTER_SWISH}};

/* A stretch of a matrix's outcomes for all rows: to where the next matrix multiplies them, or out. Products are finished
   while the next ones are computed. */
static void multiply(const Linear *l, const Matrix *m, const char *rows, char *next) {
  int64_t bytes = bytes_of(m), padded = up(l->rows, PAIR), from, to, count = 0, row_before = 0, n_before = 0;
  float *products = (float *)(l->scratch + linear_scratch(l) - (part_number() + 1) * 2 * PRODUCTS);
  int way = next ? (m->after == RELU ? AFTER_RELU : AFTER_SWISH) : l->onto ? ADDED : OUT;
  Finish done = FINISHES[m->kind == BFLOAT16][way];
  split(m->outer / PAIR, &from, &to);
  begin_products();
  for (int64_t top = 0; top < padded; top += TALLEST) {
    int64_t end = padded - top < TALLEST ? padded : top + TALLEST;
    for (int64_t n = from * PAIR; n < to * PAIR; n += PAIR)
      for (int64_t row = top; row < end; row += PAIR, count++) {
        for (int64_t i = 0; !next && i < PAIR && row + i < l->rows; i++)
          __builtin_prefetch(l->out + (row + i) * m->outer + n, 1);
        float *here = products + count % 2 * PAIR * PAIR, *before = products + (count + 1) % 2 * PAIR * PAIR;
        int64_t wanted = l->rows - row < PAIR ? l->rows - row : PAIR;
        Products p = {m->kind, bytes, wanted, (row - top) / PAIR, (end - top) / PAIR, rows + row * bytes,
                      m->packed + n * bytes, here};
        multiply_rows(&p);
        if (count) done(l, m, row_before, n_before, before, next);
        row_before = row;
        n_before = n;
      }
  }
  if (count) done(l, m, row_before, n_before, products + (count + 1) % 2 * PAIR * PAIR, next);
  end_products();
}

static void first_part(void *job) {
  const Linear *l = job;
  multiply(l, l->first, l->scratch, l->second ? between(l) : 0);
}

static void second_part(void *job) {
  const Linear *l = job;
  multiply(l, l->second, between(l), 0);
}

void linear(Linear *l) {
  run(prepare_part, l, l->threads);
  run(first_part, l, l->threads);
  if (l->second) run(second_part, l, l->threads);
}

