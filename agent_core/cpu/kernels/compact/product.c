/* Matrix product. A block of up to MAX_ROWS rows x PANEL outputs stays in registers over the whole inner length:

              line k of a panel:   [ outputs 0 .. LANES-1 ][ LANES .. PANEL-1 ]
       row 0: x[k], broadcast            acc 0,0                 acc 0,1
       row 1: x[k]                       acc 1,0                 acc 1,1
       ...                                                                        */

#include "compact.h"

void iafm_pack_panels(const float *weight, int64_t outputs, int64_t inputs, float *panels) {
  IAFM_ASSERT(outputs % PANEL == 0);
  for (int64_t n = 0; n < outputs; n += PANEL)
    for (int64_t k = 0; k < inputs; k++)
      for (int64_t i = 0; i < PANEL; i++) *panels++ = weight[(n + i) * inputs + k];
}

ALWAYS_INLINE void multiply_block(const Product *p, int64_t first, int64_t n, const int rows) {
  const float *x = p->x + first * p->row_stride, *line = p->panels + n / PANEL * p->panel_stride;
  vec acc[MAX_ROWS][2];
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < 2; j++) acc[i][j] = p->bias ? load(p->bias + n + j * LANES) : broadcast(0);
  int64_t row_stride = p->row_stride, line_stride = p->line_stride, run_length = p->run_length;
  for (int64_t run = 0; run < p->runs; run++, x += p->run_stride)
    for (int64_t k = 0; k < run_length; k++, line += line_stride) {
      vec left = load(line), right = load(line + LANES);
#pragma GCC unroll 12
      for (int i = 0; i < rows; i++) {
        acc[i][0] += x[i * row_stride + k] * left;
        acc[i][1] += x[i * row_stride + k] * right;
      }
    }
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < 2; j++) {
      int64_t at = (first + i) * p->out_stride + n + j * LANES;
      vec y = acc[i][j];
      if (p->residual) y += load(p->residual + at);
      store(p->out + at, p->activation == RELU ? max(y, broadcast(0)) : y);
    }
}

#define BLOCK(rows) \
  static void block_##rows(const Product *p, int64_t first, int64_t n) { multiply_block(p, first, n, rows); }
BLOCK(1) BLOCK(2) BLOCK(3) BLOCK(4) BLOCK(5) BLOCK(6)
#if MAX_ROWS == 12
BLOCK(7) BLOCK(8) BLOCK(9) BLOCK(10) BLOCK(11) BLOCK(12)
#endif
static void (*const BLOCKS[])(const Product *, int64_t, int64_t) = {
    NULL, block_1, block_2, block_3, block_4, block_5, block_6,
#if MAX_ROWS == 12
    block_7, block_8, block_9, block_10, block_11, block_12,
#endif
};

/* Blocks of about the same height: sixteen rows are two blocks of eight. */
void iafm_product(const Product *p) {
  IAFM_ASSERT(p->outputs % PANEL == 0);
  int64_t blocks = (p->rows + MAX_ROWS - 1) / MAX_ROWS;
  for (int64_t n = 0; n < p->outputs; n += PANEL)
    for (int64_t b = 0; b < blocks; b++) {
      int64_t first = p->rows * b / blocks;
      BLOCKS[p->rows * (b + 1) / blocks - first](p, first, n);
    }
}

void iafm_linear(const Matrix *m, const float *x, int64_t rows, float *out) {
  Product p = product_of(m, x, rows, out);
  iafm_product(&p);
}
