/* Tile products with AMX: eight registers of 16 lines x 64 bytes.

   iafm_tile_matmul                     iafm_tile_scores                iafm_tile_values
             tmm6   tmm7   (W)          tmm4,5 = 16 keys (features      tmm4    = 32 probabilities x 16 queries
     tmm4    tmm0   tmm1                         0-31, 32-63)           tmm5-7  = 16 features x 32 keys
     tmm5    tmm2   tmm3                tmm6,7 = packed queries         tmm0-3  = 16 features x 16 queries, four parts
     (A)       (C)                      tmm0-3 = scores of four tiles
*/

#include "paper.h"

#if defined(__AMX_TILE__) || defined(IAFM_EMULATE_AMX)

#ifdef IAFM_EMULATE_AMX
#include "amx_emulation.h"
#endif

/* The operand of LDTILECFG, 64 bytes: all eight registers hold 16 lines of 64 bytes. */
void iafm_tiles_begin(void) {
  struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t line_bytes[16];
    uint8_t lines[16];
  } config;
  memset(&config, 0, sizeof config);
  config.palette = 1;
  for (int i = 0; i < 8; i++) {
    config.line_bytes[i] = TILE_LINE;
    config.lines[i] = TILE_DIM;
  }
  _tile_loadconfig(&config);
}

void iafm_tiles_end(void) { _tile_release(); }

#define MATMUL(name, dot_product)                                                            \
  static void name(const TileProduct *p) {                                                   \
    const uint8_t *packed = p->packed;                                                       \
    _tile_zero(0);                                                                           \
    _tile_zero(1);                                                                           \
    _tile_zero(2);                                                                           \
    _tile_zero(3);                                                                           \
    for (int64_t k = 0; k < p->row_bytes; k += TILE_LINE, packed += 2 * TILE_BYTES) {        \
      _tile_loadd(4, p->a + k * TILE_DIM, TILE_LINE);                                        \
      _tile_loadd(6, packed, TILE_LINE);                                                     \
      dot_product(0, 4, 6);                                                                  \
      _tile_loadd(7, packed + TILE_BYTES, TILE_LINE);                                        \
      dot_product(1, 4, 7);                                                                  \
      _tile_loadd(5, p->a + (p->row_bytes + k) * TILE_DIM, TILE_LINE);                       \
      dot_product(2, 5, 6);                                                                  \
      dot_product(3, 5, 7);                                                                  \
      for (int64_t line = p->prefetch_first * TILE_LINE; line < 2 * TILE_BYTES;              \
           line += p->prefetch_step * TILE_LINE)                                             \
        _mm_prefetch((const char *)packed + p->row_bytes * BLOCK_DIM + line, _MM_HINT_T1);   \
    }                                                                                        \
    _tile_stored(0, p->c, TILE_LINE);                                                        \
    _tile_stored(1, p->c + 256, TILE_LINE);                                                  \
    _tile_stored(2, p->c + 512, TILE_LINE);                                                  \
    _tile_stored(3, p->c + 768, TILE_LINE);                                                  \
  }
MATMUL(matmul_bfloat16, _tile_dpbf16ps)
MATMUL(matmul_uint8, _tile_dpbusd)

void iafm_tile_matmul(const TileProduct *p) {
  IAFM_ASSERT(0 < p->rows && p->rows <= BLOCK_DIM && p->prefetch_step > 0);
  if (p->dtype == BFLOAT16)
    matmul_bfloat16(p);
  else
    matmul_uint8(p);
}

void iafm_tile_scores(const bf16 *keys, int64_t row_stride, const bf16 *queries, int64_t tiles, float *scores,
                      int64_t tile_stride) {
  _tile_loadd(4, keys, 2 * row_stride);
  _tile_loadd(5, keys + 32, 2 * row_stride);
#define FIRST_HALF(tile, query)                                  \
  if (tiles > tile) {                                            \
    _tile_zero(tile);                                            \
    _tile_loadd(query, queries + tile * TILE_BYTES, TILE_LINE);  \
    _tile_dpbf16ps(tile, 4, query);                              \
  }
#define SECOND_HALF(tile, query)                                                 \
  if (tiles > tile) {                                                            \
    _tile_loadd(query, queries + tile * TILE_BYTES + TILE_BYTES / 2, TILE_LINE); \
    _tile_dpbf16ps(tile, 5, query);                                              \
  }
#define STORE_SCORES(tile) \
  if (tiles > tile) _tile_stored(tile, scores + tile * tile_stride, TILE_LINE);
  FIRST_HALF(0, 6) FIRST_HALF(1, 7) FIRST_HALF(2, 6) FIRST_HALF(3, 7)
  SECOND_HALF(0, 6) SECOND_HALF(1, 7) SECOND_HALF(2, 6) SECOND_HALF(3, 7)
  STORE_SCORES(0) STORE_SCORES(1) STORE_SCORES(2) STORE_SCORES(3)
}

void iafm_tile_values(const bf16 *values, const bf16 *probs, int64_t keys, float *acc) {
  _tile_loadd(0, acc, TILE_LINE);
  _tile_loadd(1, acc + 256, TILE_LINE);
  _tile_loadd(2, acc + 512, TILE_LINE);
  _tile_loadd(3, acc + 768, TILE_LINE);
  for (int64_t i = 0; i < keys; i += 32) {
    _tile_loadd(4, probs + i * TILE_DIM, TILE_LINE);
    _tile_loadd(5, values + i * HEAD_DIM, TILE_LINE);
    _tile_dpbf16ps(0, 5, 4);
    _tile_loadd(6, values + i * HEAD_DIM + 512, TILE_LINE);
    _tile_dpbf16ps(1, 6, 4);
    _tile_loadd(7, values + i * HEAD_DIM + 1024, TILE_LINE);
    _tile_dpbf16ps(2, 7, 4);
    _tile_loadd(5, values + i * HEAD_DIM + 1536, TILE_LINE);
    _tile_dpbf16ps(3, 5, 4);
  }
  _tile_stored(0, acc, TILE_LINE);
  _tile_stored(1, acc + 256, TILE_LINE);
  _tile_stored(2, acc + 512, TILE_LINE);
  _tile_stored(3, acc + 768, TILE_LINE);
}

#endif
