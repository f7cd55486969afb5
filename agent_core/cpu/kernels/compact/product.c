/* Rows times a matrix. A block of TALL rows x WIDE outcomes stays in registers over the whole inner length. */

#include "compact.h"

/* (outer, inner) as stripes: of WIDE outcomes the first numbers, then the second ones, and so on. */
void pack_stripes(const float *from, int64_t outer, int64_t inner, float *to) {
  for (int64_t n = 0; n < outer; n += WIDE)
    for (int64_t k = 0; k < inner; k++)
      for (int64_t i = 0; i < WIDE; i++) *to++ = from[(n + i) * inner + k];
}

static inline __attribute__((always_inline)) void block(const Product *p, int64_t first, int64_t n, const int tall) {
  const float *x = p->x + first * p->row, *m = p->matrix + n / WIDE * p->stripe;
  vector sum[TALL][2];
  for (int i = 0; i < tall; i++)
    for (int j = 0; j < 2; j++) sum[i][j] = p->bias ? load(p->bias + n + j * LANES) : all(0);
  int64_t row = p->row, line = p->line, run = p->run;
  for (int64_t r = 0; r < p->runs; r++, x += p->skip)
    for (int64_t k = 0; k < run; k++, m += line) {
      vector left = load(m), right = load(m + LANES);
#pragma GCC unroll 12
      for (int i = 0; i < tall; i++) {
        sum[i][0] += x[i * row + k] * left;
        sum[i][1] += x[i * row + k] * right;
      }
    }
  for (int i = 0; i < tall; i++)
    for (int j = 0; j < 2; j++) {
      int64_t at = (first + i) * p->out_row + n + j * LANES;
      vector y = sum[i][j];
      if (p->onto) y += load(p->onto + at);
      store(p->out + at, p->after == RELU ? larger(y, all(0)) : y);
    }
}

#define BLOCK(tall) \
  static void block_##tall(const Product *p, int64_t first, int64_t n) { block(p, first, n, tall); }
BLOCK(1) BLOCK(2) BLOCK(3) BLOCK(4) BLOCK(5) BLOCK(6)
#if TALL == 12
BLOCK(7) BLOCK(8) BLOCK(9) BLOCK(10) BLOCK(11) BLOCK(12)
#endif
static void (*const BLOCKS[])(const Product *, int64_t, int64_t) = {
    0, block_1, block_2, block_3, block_4, block_5, block_6,
#if TALL == 12
    block_7, block_8, block_9, block_10, block_11, block_12,
#endif
};

/* Blocks of about the same height: sixteen rows are twice eight. */
void multiply(const Product *p) {
  int64_t blocks = (p->rows + TALL - 1) / TALL;
  for (int64_t n = 0; n < p->outer; n += WIDE)
    for (int64_t b = 0; b < blocks; b++) {
      int64_t first = p->rows * b / blocks;
      BLOCKS[p->rows * (b + 1) / blocks - first](p, first, n);
    }
}

/* (rows, inner) to (rows, outer), by the thread that calls. */
void rows_by_matrix(const Matrix *m, const float *x, int64_t rows, float *out) {
  Product p = by_matrix(m, x, rows, out);
  multiply(&p);
}
