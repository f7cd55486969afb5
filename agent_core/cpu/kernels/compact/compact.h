/* CPU kernels of the compact models (convolutions and decoder) in float32, for AVX2 or AVX-512.

   One thread computes one image or one session from beginning to end, and every row's numbers are summed in the same
   order however many rows there are: a session in a batch gets the very numbers that it gets alone.

   Weights (outputs, inputs) lie as panels of PANEL = 2 vectors of outputs, as in BLIS:

       panel of outputs 0 .. PANEL-1:        line k: weight[0][k] weight[1][k] ... weight[PANEL-1][k]
       panel of outputs PANEL .. 2*PANEL-1:  ...

   KV cache: (layers, 2, sessions, heads, slots, head_dim), keys then values. */

#ifndef IAFM_COMPACT_H
#define IAFM_COMPACT_H

#include <immintrin.h>

#include "../threads.h"

#ifdef __AVX512F__
#define LANES 16
#define MAX_ROWS 12 /* of a register block: 12 x 2 accumulators of 32 registers */
#else
#define LANES 8
#define MAX_ROWS 6 /* 6 x 2 accumulators of 16 registers */
#endif
#define PANEL (2 * LANES)

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t ivec __attribute__((vector_size(4 * LANES)));
typedef uint32_t uvec __attribute__((vector_size(4 * LANES)));
typedef vec unaligned_vec __attribute__((aligned(4), may_alias));

static inline vec load(const float *x) { return *(const unaligned_vec *)x; }
static inline void store(float *to, vec x) { *(unaligned_vec *)to = x; }
static inline vec broadcast(float x) { return x - (vec){0}; }
static inline vec blend(ivec mask, vec yes, vec no) { return (vec)(((ivec)yes & mask) | ((ivec)no & ~mask)); }

static inline vec max(vec a, vec b) {
#if LANES == 16
  return (vec)_mm512_max_ps((__m512)a, (__m512)b);
#else
  return (vec)_mm256_max_ps((__m256)a, (__m256)b);
#endif
}

/* Lane i is number index[i] of a, then b. */
static inline vec permute(vec a, ivec index, vec b) {
#if LANES == 16
  return (vec)_mm512_permutex2var_ps((__m512)a, (__m512i)index, (__m512)b);
#else
  __m256 from_a = _mm256_permutevar8x32_ps((__m256)a, (__m256i)index);
  return blend(index >= LANES, (vec)_mm256_permutevar8x32_ps((__m256)b, (__m256i)index), (vec)from_a);
#endif
}

static inline float sum_of(vec x) {
  float sum = 0;
  for (int i = 0; i < LANES; i++) sum += x[i];
  return sum;
}

/* e^x to the last digits of float32 (Cephes' expf); 0 below -87. */
static inline vec exponential(vec x) {
  vec magic = broadcast(12582912.0f), y = max(x, broadcast(-87.0f)); /* 1.5 * 2^23: rounds to an integer */
  vec n = y * 1.44269504f + magic; /* an integer, in its low bits */
  uvec shift = (uvec)n << 23;
  n -= magic;
  vec r = y - n * 0.693359375f + n * 2.12194440e-4f;
  vec p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  return blend(x < broadcast(-87.0f), broadcast(0), (vec)((uvec)p + shift));
}

/* LANES x LANES numbers, in place: ever larger squares change places. */
static inline void transpose(vec *r) {
#pragma GCC unroll 4
  for (int step = 1; step < LANES; step *= 2)
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i++)
      if (!(i & step)) {
        vec a = r[i], b = r[i + step];
        ivec low, high;
        for (int j = 0; j < LANES; j++) {
          low[j] = j & step ? LANES + j - step : j;
          high[j] = j & step ? LANES + j : j + step;
        }
        r[i] = permute(a, low, b);
        r[i + step] = permute(a, high, b);
      }
}

/* ---- matrix product (product.c) ---- */

enum { IDENTITY, RELU };

/* out = act(X W^T + bias + residual), by the calling thread. A row of X is `runs` runs of `run_length` numbers,
   `run_stride` apart: a plain row is one run; what a convolution kernel covers is one run for each of its lines. */
typedef struct {
  const float *x;
  int64_t row_stride, runs, run_length, run_stride; /* in numbers */
  const float *panels; /* of PANEL outputs; from one line of a panel to the next, from one panel to the next: */
  int64_t line_stride, panel_stride;
  const float *bias, *residual; /* (outputs), (rows, outputs) laid out as `out`; NULL: none */
  float *out;                   /* (rows, outputs); may be residual */
  int64_t out_stride, rows, outputs, activation; /* outputs: a multiple of PANEL */
} Product;

IAFM_EXPORT void iafm_product(const Product *p);

/* Weights (outputs, inputs), outputs a multiple of PANEL, to panels. */
IAFM_EXPORT void iafm_pack_panels(const float *weight, int64_t outputs, int64_t inputs, float *panels);

typedef struct {
  const float *packed; /* panels */
  const float *bias;   /* (outputs) */
  int64_t inputs, outputs;
} Matrix;

static inline Product product_of(const Matrix *m, const float *x, int64_t rows, float *out) {
  Product p = {
      .x = x, .row_stride = m->inputs, .runs = 1, .run_length = m->inputs,
      .panels = m->packed, .line_stride = PANEL, .panel_stride = PANEL * m->inputs, .bias = m->bias,
      .out = out, .out_stride = m->outputs, .rows = rows, .outputs = m->outputs, .activation = IDENTITY,
  };
  return p;
}

/* (rows, inputs) to (rows, outputs). */
IAFM_EXPORT void iafm_linear(const Matrix *m, const float *x, int64_t rows, float *out);

/* ---- layer norm (layer_norm.c) ---- */

typedef struct {
  const float *weight, *bias; /* (width), epsilon 1e-5 */
} Norm;

IAFM_EXPORT void iafm_layer_norm(const Norm *n, const float *x, float *out, int64_t rows, int64_t width);

/* ---- attention of one session and head (attention.c) ---- */

/* softmax(Q K^T + bias) V over some slots of a cache; queries are scaled already. */
typedef struct {
  const float *query; /* (queries, head_dim), rows this far from each other: */
  int64_t query_stride;
  const float *keys, *values; /* (slots, head_dim) */
  const int32_t *slots;       /* (count): those that any query attends */
  const float *bias;          /* (queries, count rounded up to PANEL); -inf: not attended, as all beyond count */
  float *out;                 /* (queries, head_dim) */
  int64_t out_stride, queries, head_dim, count; /* head_dim: a multiple of PANEL */
  float *scratch;
} Attention;

IAFM_EXPORT int64_t iafm_attention_scratch(int64_t queries, int64_t head_dim, int64_t count); /* numbers */
IAFM_EXPORT void iafm_attention(const Attention *a);

/* ---- decoder layers (decoder.c) ---- */

IAFM_EXPORT void iafm_gelu(float *x, int64_t count); /* in place; count a multiple of the vector's length */

typedef struct {
  Norm attention_norm, mlp_norm;
  Matrix qkv, out, mlp_in, mlp_out; /* queries are scaled by their matrix */
} Layer;

typedef struct {
  const Layer *layers;
  Norm norm; /* after the last layer */
  int64_t layer_count, heads, head_dim;
  const float *x; /* (batch, tokens, heads * head_dim), not written */
  float *y;       /* (batch, last_n, heads * head_dim): the last tokens of each session */
  int64_t batch, tokens, last_n, threads;
  float *cache; /* (layers, 2, sessions, heads, slots, head_dim), the first four axes this far apart: */
  int64_t layer_stride, kv_stride, session_stride, head_stride;
  const int64_t *session, *slot; /* (batch), (batch, tokens): where the new tokens' keys and values are written */
  const int16_t *bias_index;     /* (batch, tokens, keys): column of bias_table for each slot; -1: not attended */
  int64_t keys, bias_batch_stride, bias_row_stride;
  const float *bias_table; /* (heads, bias_columns), the first column for index -1 */
  int64_t bias_columns;
  float *scratch; /* aligned to 64 bytes */
} Decoder;

IAFM_EXPORT int64_t iafm_decoder_scratch(const Decoder *d); /* numbers */
IAFM_EXPORT void iafm_decoder(const Decoder *d);

/* ---- convolutions (conv_stem.c) ---- */

/* What text does to the output of one layer, before its activation: X W^T + shift. */
typedef struct {
  int64_t layer;
  const float *shift; /* (batch, outputs), the layer's bias in it; NULL: no text */
} Conditioning;

typedef struct {
  Matrix matrix; /* inputs: kernel height x kernel width x channels */
  int64_t kernel[2], stride[2], padding, relu;
} Convolution;

typedef struct {
  const Convolution *layers;
  Norm norm; /* over the channels of the last layer's output */
  int64_t layer_count;
  Conditioning conditioning;
  const uint8_t *images; /* (batch, height, width, 3) */
  float *out;            /* (batch, height', width', channels) of the last layer */
  int64_t batch, height, width, threads;
  float *scratch; /* aligned to 64 bytes */
} ConvStem;

IAFM_EXPORT int64_t iafm_conv_stem_scratch(const ConvStem *s); /* numbers */
IAFM_EXPORT void iafm_conv_stem(const ConvStem *s);

#endif
