/* AMX in plain C, for tests of amx.c on processors without it: -DIAFM_EMULATE_AMX.

   Eight registers a thread, of 16 lines x 64 bytes. Semantics from Intel's Software Developer's Manual, volume 2:
   TDPBF16PS treats denormal inputs and results as zero, and rounds to nearest even; here denormals are kept. */

#ifndef IAFM_AMX_EMULATION_H
#define IAFM_AMX_EMULATION_H

#include "paper.h"

typedef union {
  uint8_t u8[TILE_DIM][64];
  int8_t i8[TILE_DIM][64];
  bf16 half[TILE_DIM][32];
  float f32[TILE_DIM][16];
  int32_t i32[TILE_DIM][16];
} EmulatedTile;

static __thread EmulatedTile emulated_tiles[8];
static __thread int emulated_is_configured;

static inline void emulated_loadconfig(const void *config) {
  emulated_is_configured = *(const uint8_t *)config == 1;
  memset(emulated_tiles, 0, sizeof emulated_tiles);
}

static inline void emulated_load(int tile, const void *from, int64_t stride) {
  IAFM_ASSERT(emulated_is_configured);
  for (int i = 0; i < TILE_DIM; i++) memcpy(emulated_tiles[tile].u8[i], (const char *)from + i * stride, 64);
}

static inline void emulated_store(int tile, void *to, int64_t stride) {
  IAFM_ASSERT(emulated_is_configured);
  for (int i = 0; i < TILE_DIM; i++) memcpy((char *)to + i * stride, emulated_tiles[tile].u8[i], 64);
}

/* The products touch nothing but registers, and most of a test's time is spent in them. */
#define REGISTERS_ONLY static __attribute__((no_sanitize("address"), no_sanitize("undefined")))

REGISTERS_ONLY float emulated_f32(bf16 x) {
  uint32_t bits = (uint32_t)x << 16;
  float y;
  memcpy(&y, &bits, 4);
  return y;
}

/* c (16 x 16 float32) += a (16 x 32 bfloat16) b (32 x 16 bfloat16, pairs of lines interleaved) */
REGISTERS_ONLY void emulated_dpbf16ps(int c, int a, int b) {
  float left[TILE_DIM][32], right[TILE_DIM][32];
  for (int i = 0; i < TILE_DIM; i++)
    for (int j = 0; j < 32; j++) {
      left[i][j] = emulated_f32(emulated_tiles[a].half[i][j]);
      right[i][j] = emulated_f32(emulated_tiles[b].half[i][j]);
    }
  for (int m = 0; m < TILE_DIM; m++)
    for (int k = 0; k < TILE_DIM; k++)
      for (int n = 0; n < TILE_DIM; n++)
        emulated_tiles[c].f32[m][n] += left[m][2 * k] * right[k][2 * n] + left[m][2 * k + 1] * right[k][2 * n + 1];
}

/* c (16 x 16 int32) += a (16 x 64 uint8) b (64 x 16 int8, four lines interleaved) */
REGISTERS_ONLY void emulated_dpbusd(int c, int a, int b) {
  EmulatedTile *t = emulated_tiles;
  for (int m = 0; m < TILE_DIM; m++)
    for (int k = 0; k < TILE_DIM; k++)
      for (int n = 0; n < TILE_DIM; n++)
        for (int i = 0; i < 4; i++)
          t[c].i32[m][n] += (int32_t)t[a].u8[m][4 * k + i] * (int32_t)t[b].i8[k][4 * n + i];
}

#undef _tile_loadconfig
#undef _tile_release
#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbf16ps
#undef _tile_dpbusd
#define _tile_loadconfig(config) emulated_loadconfig(config)
#define _tile_release() (emulated_is_configured = 0)
#define _tile_zero(tile) memset(&emulated_tiles[tile], 0, sizeof(EmulatedTile))
#define _tile_loadd(tile, from, stride) emulated_load(tile, from, stride)
#define _tile_stored(tile, to, stride) emulated_store(tile, to, stride)
#define _tile_dpbf16ps(c, a, b) emulated_dpbf16ps(c, a, b)
#define _tile_dpbusd(c, a, b) emulated_dpbusd(c, a, b)

#endif
