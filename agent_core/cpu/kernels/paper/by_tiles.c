/* Products where the processor multiplies tiles itself: AMX. */

#ifdef __AMX_TILE__
#include "paper.h"

void begin_products(void) {
  struct {
    uint8_t palette, start, reserved[14];
    uint16_t bytes[16];
    uint8_t rows[16];
  } t;
  memset(&t, 0, sizeof t);
  t.palette = 1;
  for (int i = 0; i < 8; i++) {
    t.bytes[i] = 64;
    t.rows[i] = SIDE;
  }
  _tile_loadconfig(&t);
}

void end_products(void) { _tile_release(); }

#define MULTIPLY(name, product)                                                     \
  static void name(const Products *p) {                                             \
    const uint8_t *tiles = p->matrix;                                               \
    _tile_zero(0);                                                                  \
    _tile_zero(1);                                                                  \
    _tile_zero(2);                                                                  \
    _tile_zero(3);                                                                  \
    for (int64_t k = 0; k < p->bytes; k += 64, tiles += 2 * TILE) {                 \
      _tile_loadd(4, p->rows + k * SIDE, 64);                                       \
      _tile_loadd(6, tiles, 64);                                                    \
      product(0, 4, 6);                                                             \
      _tile_loadd(7, tiles + TILE, 64);                                             \
      product(1, 4, 7);                                                             \
      _tile_loadd(5, p->rows + (p->bytes + k) * SIDE, 64);                          \
      product(2, 5, 6);                                                             \
      product(3, 5, 7);                                                             \
      for (int64_t line = p->skip * 64; line < 2 * TILE; line += p->of * 64)        \
        _mm_prefetch((const char *)tiles + p->bytes * PAIR + line, _MM_HINT_T1);    \
    }                                                                               \
    _tile_stored(0, p->to, 64);                                                     \
    _tile_stored(1, p->to + 256, 64);                                               \
    _tile_stored(2, p->to + 512, 64);                                               \
    _tile_stored(3, p->to + 768, 64);                                               \
  }
MULTIPLY(multiply_bfloat16, _tile_dpbf16ps)
MULTIPLY(multiply_uint8, _tile_dpbusd)

void multiply_rows(const Products *p) {
  if (p->kind == BFLOAT16)
    multiply_bfloat16(p);
  else
    multiply_uint8(p);
}

void multiply_keys(const bf16 *keys, int64_t row, const bf16 *queries, int64_t tiles, float *scores, int64_t apart) {
  _tile_loadd(4, keys, 2 * row);
  _tile_loadd(5, keys + 32, 2 * row);
#define FIRST(tile, room)                          \
  if (tiles > tile) {                              \
    _tile_zero(tile);                              \
    _tile_loadd(room, queries + tile * TILE, 64);  \
    _tile_dpbf16ps(tile, 4, room);                 \
  }
#define SECOND(tile, room)                                   \
  if (tiles > tile) {                                        \
    _tile_loadd(room, queries + tile * TILE + TILE / 2, 64); \
    _tile_dpbf16ps(tile, 5, room);                           \
  }
#define LEAVE(tile) \
  if (tiles > tile) _tile_stored(tile, scores + tile * apart, 64);
  FIRST(0, 6) FIRST(1, 7) FIRST(2, 6) FIRST(3, 7)
  SECOND(0, 6) SECOND(1, 7) SECOND(2, 6) SECOND(3, 7)
  LEAVE(0) LEAVE(1) LEAVE(2) LEAVE(3)
}

void multiply_values(const bf16 *values, const bf16 *chances, int64_t keys, float *found) {
  _tile_loadd(0, found, 64);
  _tile_loadd(1, found + 256, 64);
  _tile_loadd(2, found + 512, 64);
  _tile_loadd(3, found + 768, 64);
  for (int64_t i = 0; i < keys; i += 32) {
    _tile_loadd(4, chances + i * SIDE, 64);
    _tile_loadd(5, values + i * HEAD, 64);
    _tile_dpbf16ps(0, 5, 4);
    _tile_loadd(6, values + i * HEAD + 512, 64);
    _tile_dpbf16ps(1, 6, 4);
    _tile_loadd(7, values + i * HEAD + 1024, 64);
    _tile_dpbf16ps(2, 7, 4);
    _tile_loadd(5, values + i * HEAD + 1536, 64);
    _tile_dpbf16ps(3, 5, 4);
  }
  _tile_stored(0, found, 64);
  _tile_stored(1, found + 256, 64);
  _tile_stored(2, found + 512, 64);
  _tile_stored(3, found + 768, 64);
}

#endif
