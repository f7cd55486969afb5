/* CPU kernels of the paper's transformers (CLIP ViT encoder, OPT decoder) in bfloat16 and int8, for AVX-512 or AMX.

   Heads have 64 numbers. Activations are bfloat16, accumulators float32 (int32 for int8 products). Everything that is
   multiplied lies in memory as tiles of 16 lines x 64 bytes, the shape that AMX loads into one register; without AMX the
   same tiles are read by AVX-512 dot-product instructions (VDPBF16PS, VPDPBUSD).

   Activations A (rows x K bytes), "row tiles": tile after tile along K, then the next 16 rows.

       A:  tile(rows 0-15, k 0-63)  tile(rows 0-15, k 64-127) ... tile(rows 16-31, k 0-63) ...
       one tile (1024 bytes), line i, 64 bytes:   row i:  k, k+1, ... k+63

   Weights W (outputs x K bytes), "packed": blocks of 32 outputs; inside a block along K, two tiles at a time. A tile's
   line holds four bytes of K (two bfloat16 or four int8) of 16 outputs side by side, which one dot-product instruction
   takes (VNNI layout).

       W:  block of outputs 0-31                                              block of outputs 32-63 ...
           tile(n 0-15, k 0-63) tile(n 16-31, k 0-63) tile(n 0-15, k 64-127) ...
       one tile, line i:   n: k+4i..k+4i+3 | n+1: k+4i..k+4i+3 | ... | n+15: k+4i..k+4i+3

   Accumulators C (32 rows x 32 outputs), 2 x 2 tiles of 16 x 16 numbers of 32 bits:

       C:  tile(rows 0-15, n 0-15)  tile(rows 0-15, n 16-31)  tile(rows 16-31, n 0-15)  tile(rows 16-31, n 16-31)

   KV cache of the decoder:      (layers, 2, sessions, heads, slots, HEAD_DIM), keys then values
   KV cache of the time axis:    (layers, 2, sessions, places, heads, frames, HEAD_DIM), keys then values */

#ifndef IAFM_PAPER_H
#define IAFM_PAPER_H

#include <immintrin.h>

#include "../threads.h"

#define HEAD_DIM 64
#define TILE_DIM 16     /* lines of a tile, and its numbers of 32 bits in a line */
#define TILE_LINE 64    /* bytes */
#define TILE_BYTES 1024
#define BLOCK_DIM 32    /* rows and outputs of a block of 2 x 2 tiles */
#define BLOCK_BYTES 4096
#define MAX_FRAMES 16   /* of temporal attention: one vector of float32 */

typedef uint16_t bf16;

/* ---- attention (attention.c) ---- */

typedef struct {
  const bf16 *data; /* (batch, heads, rows, HEAD_DIM) */
  int64_t batch_stride, head_stride, row_stride; /* in numbers */
} HeadRows;

/* softmax(Q K^T / 8 + mask) V. Every query attends at least one key. */
typedef struct {
  HeadRows query, key, value;
  const bf16 *mask; /* (batch, queries, keys): 0 attended, anything else not; NULL: all attended */
  int64_t mask_batch_stride, mask_row_stride;
  const int64_t *session; /* (batch): the batch index of its keys and values; NULL: the same as the query's */
  bf16 *out;              /* (batch, queries, heads, HEAD_DIM) */
  int64_t batch, heads, queries, keys, threads;
  char *scratch; /* aligned to 64 bytes */
} Attention;

IAFM_EXPORT int64_t iafm_attention_scratch(int64_t queries, int64_t keys); /* bytes for each thread */
IAFM_EXPORT void iafm_attention(const Attention *a);

/* ---- attention over time (temporal_attention.c) ---- */

/* Each place of an image attends the same place in up to MAX_FRAMES frames. The newest keys and values are written to
   the cache first. */
typedef struct {
  HeadRows query, key, value; /* of the newest frame (images, heads, places, HEAD_DIM) */
  bf16 *key_cache, *value_cache; /* (sessions, places, heads, frames, HEAD_DIM) */
  const bf16 *mask; /* (frames, images): 0 attended, anything else not */
  const int64_t *session, *frame_slot; /* (images): its cache, and the newest frame's slot there */
  bf16 *out; /* (images, places, heads, HEAD_DIM) */
  int64_t images, places, heads, frames, threads;
} TemporalAttention;

IAFM_EXPORT void iafm_temporal_attention(const TemporalAttention *a);

/* ---- linear layers (linear.c) ---- */

enum { BFLOAT16, UINT8 };       /* Matrix.dtype: bfloat16 x bfloat16, or uint8 activations x int8 weights */
enum { RELU, SILU };            /* Matrix.activation, between the two matrices of an MLP */

typedef struct {
  const uint8_t *packed;     /* (outputs, inputs), see iafm_pack_matrix */
  const float *scale, *bias; /* (outputs): output = product * scale + bias */
  const float *norm_weight, *norm_bias; /* (inputs): a layer norm before the product; NULL: none */
  float epsilon;                        /* of that norm */
  float requant_scale, zero_point; /* of uint8 outputs between two matrices: round(y * requant_scale + zero_point) */
  int64_t dtype, activation, inputs, outputs;
} Matrix;

/* y = W x, or the MLP y = W2 act(W1 x), with the norm before and the residual after it in the same passes. */
typedef struct {
  const Matrix *first, *second; /* second: NULL, or the second matrix of an MLP */
  const bf16 *x, *residual;     /* (rows, inputs), (rows, outputs); residual: NULL, or added to the output */
  bf16 *out;                    /* (rows, outputs); may be x or residual */
  int64_t rows, threads;
  char *scratch; /* aligned to 64 bytes */
} Linear;

/* Weights (outputs, row_bytes) to packed; outputs a multiple of 32, row_bytes of 64. */
IAFM_EXPORT void iafm_pack_matrix(const uint8_t *weight, int64_t outputs, int64_t row_bytes, uint8_t *packed);
IAFM_EXPORT int64_t iafm_linear_scratch(const Linear *l); /* bytes for all threads */
IAFM_EXPORT void iafm_linear(const Linear *l);

/* ---- all layers of an encoder or a decoder (transformer.c) ---- */

typedef struct {
  Matrix time_qkv, time_out; /* packed is NULL where there is no attention over time */
  Matrix qkv, out, mlp_in, mlp_out;
} Layer;

typedef struct {
  const Layer *layers;
  int64_t layer_count, heads;
  const bf16 *x; /* (batch, tokens, heads * HEAD_DIM), not written */
  bf16 *y;       /* (batch, last_n, heads * HEAD_DIM): the last tokens of each batch row */
  int64_t batch, tokens, last_n, threads;
  /* decoder: its KV cache, or NULL */
  bf16 *cache;
  int64_t sessions, slots, keys;  /* keys: the first slots, those that are attended */
  const int64_t *session, *slot;  /* (batch), (batch, tokens): where the new tokens' keys and values are written */
  const bf16 *mask;               /* (batch, tokens, keys): 0 attended, anything else not */
  int64_t mask_batch_stride, mask_row_stride;
  /* encoder with attention over time: its KV cache, or NULL; `session` tells whose */
  bf16 *frame_cache;
  int64_t frames;
  const int64_t *frame_slot; /* (batch) */
  const bf16 *frame_mask;    /* (frames, batch): 0 attended, anything else not */
  char *scratch;             /* aligned to 64 bytes */
} Transformer;

IAFM_EXPORT int64_t iafm_transformer_scratch(const Transformer *t); /* bytes */
IAFM_EXPORT void iafm_transformer(const Transformer *t);

/* ---- tile products (amx.c with AMX, avx512.c with AVX-512) ---- */

/* By each thread before its first and after its last product. */
void iafm_tiles_begin(void);
void iafm_tiles_end(void);

/* C (2 x 2 tiles) = 32 rows of A x 32 outputs of W over `row_bytes`. Of the 32 rows the first `rows` are wanted; the
   others may hold anything, and so may their outputs. Prefetches of the next block's weights are shared out over the
   blocks of one panel of rows: each fetches the lines `prefetch_first`, and then every `prefetch_step`-th. */
typedef struct {
  int64_t dtype, row_bytes, rows, prefetch_first, prefetch_step;
  const char *a;
  const uint8_t *packed;
  float *c;
} TileProduct;

void iafm_tile_matmul(const TileProduct *p);

/* S^T = K Q^T of 16 keys (row_stride apart) and `tiles` tiles of 16 packed queries; one tile of scores (16 keys x 16
   queries) each, `tile_stride` numbers apart. */
void iafm_tile_scores(const bf16 *keys, int64_t row_stride, const bf16 *queries, int64_t tiles, float *scores,
                      int64_t tile_stride);

/* O^T (4 tiles of 16 features x 16 queries) += V^T P^T of packed values and the probabilities of one tile of queries;
   keys in steps of 32. */
void iafm_tile_values(const bf16 *values, const bf16 *probs, int64_t keys, float *acc);

/* ---- numbers ---- */

static inline __m512 bf16_to_f32(const bf16 *x) {
  return (__m512)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)x)), 16);
}

static inline void f32_to_bf16(bf16 *to, __m512 x) {
  _mm256_storeu_si256((__m256i *)to, (__m256i)_mm512_cvtneps_pbh(x));
}

/* 2^x with a relative error of 1e-4, a fortieth of what bfloat16 keeps; 0 for very negative x. */
static inline __m512 exp2_approx(__m512 x) {
  __m512 fraction = _mm512_reduce_ps(x, 1); /* x - floor(x) */
  __m512 p = _mm512_fmadd_ps(_mm512_set1_ps(0.0790199f), fraction, _mm512_set1_ps(0.2241264f));
  p = _mm512_fmadd_ps(p, fraction, _mm512_set1_ps(0.6968386f));
  p = _mm512_fmadd_ps(p, fraction, _mm512_set1_ps(0.9999253f));
  return _mm512_scalef_ps(p, x);
}

#define LOG2_E 1.44269504f

/* 16 x 16 numbers of 32 bits. */
static inline void transpose(__m512i *r) {
  __m512i t[TILE_DIM];
  for (int i = 0; i < 8; i++) {
    t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  }
  for (int i = 0; i < TILE_DIM; i += 4) {
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
