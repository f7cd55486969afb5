/* Tile products with AVX-512: VDPBF16PS (bfloat16) and VPDPBUSD (uint8 x int8).

   A line of a weight tile (four bytes of K of 16 outputs) is multiplied by four bytes of a row, broadcast to all lanes.
   Accumulators of up to 8 rows x 32 outputs, or 16 rows x 16, stay in registers over the whole inner length:

             lines:  [ n 0-15 ][ n 16-31 ]      2 registers
       row 0, k..k+3   acc 0,0   acc 0,1        16 registers of accumulators
       ...
       row 7, k..k+3   acc 7,0   acc 7,1        1 register for the broadcast */

#include "paper.h"

#if !defined(__AMX_TILE__) && !defined(IAFM_EMULATE_AMX)

#define MAX_ROWS 8 /* of a register block 32 outputs wide; twice as many where it is 16 wide */

typedef struct {
  const char *rows;
  int64_t row_stride, row_step; /* bytes from one row to the next, and from 64 bytes of K to the next ones */
  const char *lines;
  int64_t column_stride, line_step; /* bytes to the tile beside it, and to the tile of the next 64 bytes of K */
  int64_t steps;                    /* of 64 bytes of K */
  char *out;
  int64_t out_row_stride, out_column_stride; /* bytes */
  int64_t prefetch_first, prefetch_step, prefetch_ahead; /* bytes; ahead of 0: none */
} RegisterBlock;

/* Inline assembly, since compilers copy the accumulator from one register to another around the intrinsic. */
static inline void multiply_add(__m512i *acc, __m512i x, __m512i line, int64_t dtype) {
  if (dtype == BFLOAT16)
    __asm__("vdpbf16ps %2, %1, %0" : "+v"(*acc) : "v"(x), "v"(line));
  else
    __asm__("vpdpbusd %2, %1, %0" : "+v"(*acc) : "v"(x), "v"(line));
}

ALWAYS_INLINE void multiply_block(const RegisterBlock *p, int64_t dtype, int accumulate, const int rows,
                                  const int columns) {
  __m512i acc[2 * MAX_ROWS][2];
#define EACH \
  _Pragma("GCC unroll 16") for (int i = 0; i < rows; i++) _Pragma("GCC unroll 2") for (int j = 0; j < columns; j++)
#define OUT(i, j) (p->out + (i) * p->out_row_stride + (j) * p->out_column_stride)
  EACH acc[i][j] = accumulate ? _mm512_loadu_si512(OUT(i, j)) : _mm512_setzero_si512();
  const char *x = p->rows, *lines = p->lines;
  int64_t row_stride = p->row_stride, column_stride = p->column_stride;
  for (int64_t step = 0; step < p->steps; step++, x += p->row_step, lines += p->line_step) {
    for (int64_t line = p->prefetch_first; p->prefetch_ahead && line < 2 * TILE_BYTES; line += p->prefetch_step)
      _mm_prefetch(lines + p->prefetch_ahead + line, _MM_HINT_T1);
    for (int k = 0; k < TILE_LINE; k += 4) {
      __m512i line[2];
      line[0] = _mm512_loadu_si512(lines + k * TILE_DIM);
      line[1] = columns > 1 ? _mm512_loadu_si512(lines + k * TILE_DIM + column_stride) : line[0];
#pragma GCC unroll 16
      for (int i = 0; i < rows; i++) {
        int32_t four;
        memcpy(&four, x + i * row_stride + k, 4);
        __m512i broadcast = _mm512_set1_epi32(four);
        multiply_add(&acc[i][0], broadcast, line[0], dtype);
        if (columns > 1) multiply_add(&acc[i][1], broadcast, line[1], dtype);
      }
    }
  }
  EACH _mm512_storeu_si512(OUT(i, j), acc[i][j]);
}

#define ROWS(n)                                                                                      \
  static void bfloat16_##n(const RegisterBlock *p) { multiply_block(p, BFLOAT16, 0, n, 2); }         \
  static void uint8_##n(const RegisterBlock *p) { multiply_block(p, UINT8, 0, n, 2); }
ROWS(1) ROWS(2) ROWS(3) ROWS(4) ROWS(5) ROWS(6) ROWS(7) ROWS(8)
#define ALL(dtype) {dtype##_1, dtype##_2, dtype##_3, dtype##_4, dtype##_5, dtype##_6, dtype##_7, dtype##_8}
static void (*const BLOCKS[2][MAX_ROWS])(const RegisterBlock *) = {ALL(bfloat16), ALL(uint8)};

void iafm_tiles_begin(void) {}
void iafm_tiles_end(void) {}

void iafm_tile_matmul(const TileProduct *p) {
  IAFM_ASSERT(0 < p->rows && p->rows <= BLOCK_DIM && p->prefetch_step > 0);
  for (int64_t row = 0; row < p->rows; row += MAX_ROWS) {
    int64_t tile = row / TILE_DIM, line = row % TILE_DIM, rows = p->rows - row < MAX_ROWS ? p->rows - row : MAX_ROWS;
    RegisterBlock b = {
        .rows = p->a + tile * TILE_DIM * p->row_bytes + line * TILE_LINE,
        .row_stride = TILE_LINE, .row_step = TILE_BYTES,
        .lines = (const char *)p->packed,
        .column_stride = TILE_BYTES, .line_step = 2 * TILE_BYTES,
        .steps = p->row_bytes / TILE_LINE,
        .out = (char *)(p->c + tile * 512 + line * TILE_DIM),
        .out_row_stride = TILE_LINE, .out_column_stride = TILE_BYTES,
        .prefetch_first = p->prefetch_first * TILE_LINE, .prefetch_step = p->prefetch_step * TILE_LINE,
        .prefetch_ahead = row ? 0 : p->row_bytes * BLOCK_DIM,
    };
    BLOCKS[p->dtype][rows - 1](&b);
  }
}

void iafm_tile_scores(const bf16 *keys, int64_t row_stride, const bf16 *queries, int64_t tiles, float *scores,
                      int64_t tile_stride) {
  RegisterBlock b = {
      .rows = (const char *)keys, .row_stride = 2 * row_stride, .row_step = TILE_LINE,
      .lines = (const char *)queries, .column_stride = 2 * TILE_BYTES, .line_step = TILE_BYTES, .steps = 2,
      .out = (char *)scores, .out_row_stride = TILE_LINE, .out_column_stride = 4 * tile_stride,
  };
  for (; tiles > 1; tiles -= 2, b.lines += 4 * TILE_BYTES, b.out += 8 * tile_stride)
    for (int half = 0; half < 2; half++) {
      RegisterBlock h = b;
      h.rows += half * MAX_ROWS * h.row_stride;
      h.out += half * MAX_ROWS * h.out_row_stride;
      multiply_block(&h, BFLOAT16, 0, MAX_ROWS, 2);
    }
  if (tiles) multiply_block(&b, BFLOAT16, 0, TILE_DIM, 1);
}

void iafm_tile_values(const bf16 *values, const bf16 *probs, int64_t keys, float *acc) {
  for (int64_t part = 0; part < 4; part++) {
    RegisterBlock b = {
        .rows = (const char *)values + part * TILE_BYTES, .row_stride = TILE_LINE, .row_step = 4 * TILE_BYTES,
        .lines = (const char *)probs, .line_step = TILE_BYTES, .steps = keys / 32,
        .out = (char *)acc + part * TILE_BYTES, .out_row_stride = TILE_LINE,
    };
    multiply_block(&b, BFLOAT16, 1, TILE_DIM, 1);
  }
}

#endif
