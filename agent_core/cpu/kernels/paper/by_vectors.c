/* Products where the processor has no matrix tiles but multiplies in vectors: AVX-512 with bfloat16 and VNNI.

   A few rows' outcomes stay in registers over the whole inner length; four bytes of a row are multiplied with a line of a
   tile at once. */

#ifndef __AMX_TILE__
#include "paper.h"

#define TALL 8 /* rows computed at once where outcomes are 2 x 16 wide; twice as many where they are 16 */

typedef struct {
  const char *rows;
  int64_t row, row_step; /* bytes from one row to the next, from 64 bytes of them to the next ones */
  const char *lines;
  int64_t column, line_step; /* from one tile to that beside it, from one tile to that below it */
  int64_t steps;             /* of 64 bytes */
  char *to;
  int64_t to_row, to_column;
  int64_t skip, of, ahead; /* lines that are called for, so far behind those that are read; 0: none */
} Block;

/* Written out, since compilers copy what they add to from one register to another. */
static inline void multiply_add(__m512i *sum, __m512i x, __m512i line, int64_t kind) {
  if (kind == BFLOAT16)
    __asm__("vdpbf16ps %2, %1, %0" : "+v"(*sum) : "v"(x), "v"(line));
  else
    __asm__("vpdpbusd %2, %1, %0" : "+v"(*sum) : "v"(x), "v"(line));
}

static inline __attribute__((always_inline)) void block(const Block *p, int64_t kind, int onto, const int tall,
                                                        const int columns) {
  __m512i sum[2 * TALL][2];
#define EACH \
  _Pragma("GCC unroll 16") for (int i = 0; i < tall; i++) _Pragma("GCC unroll 2") for (int j = 0; j < columns; j++)
  EACH sum[i][j] = onto ? _mm512_loadu_si512(p->to + i * p->to_row + j * p->to_column) : _mm512_setzero_si512();
  const char *rows = p->rows, *lines = p->lines;
  int64_t row = p->row, column = p->column;
  for (int64_t step = 0; step < p->steps; step++, rows += p->row_step, lines += p->line_step) {
    for (int64_t line = p->skip; p->ahead && line < 2 * TILE; line += p->of)
      _mm_prefetch(lines + p->ahead + line, _MM_HINT_T1);
    for (int k = 0; k < 64; k += 4) {
      __m512i line[2];
      line[0] = _mm512_loadu_si512(lines + k * SIDE);
      line[1] = columns > 1 ? _mm512_loadu_si512(lines + k * SIDE + column) : line[0];
#pragma GCC unroll 16
      for (int i = 0; i < tall; i++) {
        int32_t four;
        memcpy(&four, rows + i * row + k, 4);
        __m512i x = _mm512_set1_epi32(four);
        multiply_add(&sum[i][0], x, line[0], kind);
        if (columns > 1) multiply_add(&sum[i][1], x, line[1], kind);
      }
    }
  }
  EACH _mm512_storeu_si512(p->to + i * p->to_row + j * p->to_column, sum[i][j]);
}

#define ROWS(tall)                                                                     \
  static void bfloat16_##tall(const Block *p) { block(p, BFLOAT16, 0, tall, 2); }      \
  static void uint8_##tall(const Block *p) { block(p, UINT8, 0, tall, 2); }
ROWS(1) ROWS(2) ROWS(3) ROWS(4) ROWS(5) ROWS(6) ROWS(7) ROWS(8)
#define ALL(kind) {kind##_1, kind##_2, kind##_3, kind##_4, kind##_5, kind##_6, kind##_7, kind##_8}
static void (*const BLOCKS[2][TALL])(const Block *) = {ALL(bfloat16), ALL(uint8)};

void begin_products(void) {}
void end_products(void) {}

void multiply_rows(const Products *p) {
  for (int64_t row = 0; row < p->count; row += TALL) {
    int64_t tile = row / SIDE, within = row % SIDE, tall = p->count - row < TALL ? p->count - row : TALL;
    Block b = {p->rows + tile * SIDE * p->bytes + within * 64, 64, TILE, (const char *)p->matrix, TILE, 2 * TILE,
               p->bytes / 64, (char *)(p->to + tile * 512 + within * SIDE), 64, TILE,
               p->skip * 64, p->of * 64, row ? 0 : p->bytes * PAIR};
    BLOCKS[p->kind][tall - 1](&b);
  }
}

void multiply_keys(const bf16 *keys, int64_t row, const bf16 *queries, int64_t tiles, float *scores, int64_t apart) {
  Block b = {(const char *)keys, 2 * row, 64, (const char *)queries, 2 * TILE, TILE, 2, (char *)scores, 64, 4 * apart,
             0, 0, 0};
  for (; tiles > 1; tiles -= 2, b.lines += 4 * TILE, b.to += 8 * apart)
    for (int half = 0; half < 2; half++) {
      Block of = b;
      of.rows += half * TALL * of.row;
      of.to += half * TALL * of.to_row;
      block(&of, BFLOAT16, 0, TALL, 2);
    }
  if (tiles) block(&b, BFLOAT16, 0, SIDE, 1);
}

void multiply_values(const bf16 *values, const bf16 *chances, int64_t keys, float *found) {
  for (int64_t part = 0; part < 4; part++) {
    Block b = {(const char *)values + part * TILE, 64, 4 * TILE, (const char *)chances, 0, TILE, keys / 32,
               (char *)found + part * TILE, 64, 0, 0, 0, 0};
    block(&b, BFLOAT16, 1, SIDE, 1);
  }
}

#endif
