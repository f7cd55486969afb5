/* Linear layers: layer norm, product, activation and residual in one pass over the rows.

   1. Prologue: every row goes through the norm (if any) and is rounded to bfloat16 or uint8 into row tiles.
   2. Product: a block of 32 rows x 32 outputs stays in accumulators over the whole inner length. Up to ROW_PANEL rows
      are multiplied by a block of 32 outputs before the next block of weights is read, so weights come from memory once.
   3. Epilogue: accumulators are scaled, biased, activated, added to the residual and rounded, while the next block is
      computed; between two matrices of an MLP the output goes straight to row tiles.

   Threads share the rows in 1 and the blocks of outputs in 2 and 3. */

#include "paper.h"

#define ROW_PANEL 224

static int64_t row_bytes(const Matrix *m) { return m->inputs * (m->dtype == BFLOAT16 ? 2 : 1); }

/* Where the parts of `scratch` lie: tiles of the input, tiles between two matrices, two blocks of accumulators a thread. */
typedef struct {
  char *input, *hidden;
  float *accumulators;
  int64_t bytes;
} Buffers;

static Buffers lay_out(const Linear *l, char *base) {
  Scratch s = {base, 0};
  int64_t rows = round_up(l->rows, BLOCK_DIM);
  Buffers b = {0};
  b.input = scratch_take(&s, round_up(rows * row_bytes(l->first), 4096));
  if (l->second) b.hidden = scratch_take(&s, round_up(rows * row_bytes(l->second), 4096));
  b.accumulators = scratch_take(&s, l->threads * 2 * BLOCK_BYTES);
  b.bytes = s.used;
  return b;
}

int64_t iafm_linear_scratch(const Linear *l) { return lay_out(l, NULL).bytes; }

void iafm_pack_matrix(const uint8_t *weight, int64_t outputs, int64_t row_bytes, uint8_t *packed) {
  IAFM_ASSERT(outputs % BLOCK_DIM == 0 && row_bytes % TILE_LINE == 0);
  for (int64_t n = 0; n < outputs; n += BLOCK_DIM)
    for (int64_t k = 0; k < row_bytes; k += TILE_LINE)
      for (int half = 0; half < BLOCK_DIM; half += TILE_DIM) {
        __m512i r[TILE_DIM]; /* 16 outputs x 64 bytes; transposed in numbers of 4 bytes */
        for (int i = 0; i < TILE_DIM; i++) r[i] = _mm512_loadu_si512(weight + (n + half + i) * row_bytes + k);
        transpose(r);
        for (int i = 0; i < TILE_DIM; i++, packed += TILE_LINE) _mm512_storeu_si512(packed, r[i]);
      }
}

/* Where byte `k` of a row lies in row tiles. */
static inline char *in_tiles(char *tiles, int64_t bytes, int64_t row, int64_t k) {
  return tiles + row / TILE_DIM * TILE_DIM * bytes + k / TILE_LINE * TILE_BYTES + row % TILE_DIM * TILE_LINE +
         k % TILE_LINE;
}

/* Round to the nearest of 0 ... 255. */
static inline void f32_to_uint8(char *to, __m512 x) {
  __m512i whole = _mm512_max_epi32(_mm512_cvtps_epi32(x), _mm512_setzero_si512());
  _mm_storeu_si128((__m128i *)to, _mm512_cvtusepi32_epi8(whole));
}

/* Mean and 1 / standard deviation of a row (inputs), in all lanes. */
static void row_moments(const Matrix *m, const bf16 *x, __m512 *mean, __m512 *inverse_std) {
  __m512 sum = _mm512_setzero_ps(), squares = sum;
  for (int64_t i = 0; i < m->inputs; i += 16) sum = _mm512_add_ps(sum, bf16_to_f32(x + i));
  *mean = _mm512_set1_ps(_mm512_reduce_add_ps(sum) / (float)m->inputs);
  for (int64_t i = 0; i < m->inputs; i += 16) {
    __m512 d = _mm512_sub_ps(bf16_to_f32(x + i), *mean);
    squares = _mm512_fmadd_ps(d, d, squares);
  }
  __m512 variance = _mm512_set1_ps(_mm512_reduce_add_ps(squares) / (float)m->inputs + m->epsilon);
  *inverse_std = _mm512_div_ps(_mm512_set1_ps(1), _mm512_sqrt_ps(variance));
}

/* One row (inputs) through the norm, or as it is, to row tiles. */
static void pack_row(const Matrix *m, const bf16 *x, char *tiles, int64_t row) {
  int64_t bytes = row_bytes(m);
  __m512 mean = _mm512_setzero_ps(), inverse_std = mean;
  if (m->norm_weight) row_moments(m, x, &mean, &inverse_std);
  for (int64_t i = 0; i < m->inputs; i += 16) {
    __m512 y = bf16_to_f32(x + i);
    if (m->norm_weight) {
      y = _mm512_mul_ps(_mm512_sub_ps(y, mean), inverse_std);
      y = _mm512_fmadd_ps(y, _mm512_loadu_ps(m->norm_weight + i), _mm512_loadu_ps(m->norm_bias + i));
    }
    if (m->dtype == BFLOAT16)
      f32_to_bf16((bf16 *)in_tiles(tiles, bytes, row, 2 * i), y);
    else
      f32_to_uint8(in_tiles(tiles, bytes, row, i), y);
  }
}

static void prologue_task(void *job) {
  const Linear *l = job;
  char *tiles = lay_out(l, l->scratch).input;
  int64_t begin, end;
  chunk_range(l->rows, &begin, &end);
  for (int64_t row = begin; row < end; row++) pack_row(l->first, l->x + row * l->first->inputs, tiles, row);
}

/* ---- epilogue: what becomes of a block's accumulators; a loop without branches inside for each case ---- */

enum { STORE, ADD_RESIDUAL, TO_RELU, TO_SILU, EPILOGUES };

ALWAYS_INLINE __m512 activate(__m512 y, int epilogue) {
  if (epilogue == TO_RELU) return _mm512_max_ps(y, _mm512_setzero_ps());
  __m512 exp_minus_y = exp2_approx(_mm512_mul_ps(y, _mm512_set1_ps(-LOG2_E)));
  return _mm512_mul_ps(y, _mm512_rcp14_ps(_mm512_add_ps(exp_minus_y, _mm512_set1_ps(1))));
}

/* Rows `row` ..., outputs `n` ... n + 31, to `out` or to the row tiles `hidden`. */
ALWAYS_INLINE void finish_block(const Linear *l, const Matrix *m, int64_t row, int64_t n, const float *c, char *hidden,
                                int is_float, int epilogue) {
  __m512 requant_scale = _mm512_set1_ps(m->requant_scale), zero_point = _mm512_set1_ps(m->zero_point);
  __m512 scale[2], bias[2];
  for (int half = 0; half < 2; half++) {
    scale[half] = _mm512_loadu_ps(m->scale + n + half * TILE_DIM);
    bias[half] = _mm512_loadu_ps(m->bias + n + half * TILE_DIM);
  }
  for (int64_t i = 0; i < BLOCK_DIM && row + i < l->rows; i++) {
    const float *line = c + i / TILE_DIM * 512 + i % TILE_DIM * TILE_DIM; /* 512: two tiles of numbers */
    int64_t at = (row + i) * m->outputs + n;
    __m512 y[2];
    for (int half = 0; half < 2; half++, line += 256) {
      y[half] = is_float ? _mm512_load_ps(line) : _mm512_cvtepi32_ps(_mm512_load_si512(line));
      y[half] = _mm512_fmadd_ps(y[half], scale[half], bias[half]);
      if (epilogue == ADD_RESIDUAL) y[half] = _mm512_add_ps(y[half], bf16_to_f32(l->residual + at + half * TILE_DIM));
      if (epilogue == TO_RELU || epilogue == TO_SILU) y[half] = activate(y[half], epilogue);
    }
    __m512i both = (__m512i)_mm512_cvtne2ps_pbh(y[1], y[0]);
    if (epilogue == STORE || epilogue == ADD_RESIDUAL) {
      _mm512_storeu_si512(l->out + at, both);
    } else if (is_float) {
      _mm512_storeu_si512(in_tiles(hidden, 2 * m->outputs, row + i, 2 * n), both);
    } else {
      for (int half = 0; half < 2; half++)
        f32_to_uint8(in_tiles(hidden, m->outputs, row + i, n + half * TILE_DIM),
                     _mm512_fmadd_ps(y[half], requant_scale, zero_point));
    }
  }
}

typedef void (*Epilogue)(const Linear *, const Matrix *, int64_t, int64_t, const float *, char *);
#define EPILOGUE(is_float, epilogue)                                                                     \
  static void finish_##is_float##_##epilogue(const Linear *l, const Matrix *m, int64_t row, int64_t n,   \
                                             const float *c, char *hidden) {                             \
    finish_block(l, m, row, n, c, hidden, is_float, epilogue);                                           \
  }
EPILOGUE(0, STORE) EPILOGUE(0, ADD_RESIDUAL) EPILOGUE(0, TO_RELU) EPILOGUE(0, TO_SILU)
EPILOGUE(1, STORE) EPILOGUE(1, ADD_RESIDUAL) EPILOGUE(1, TO_RELU) EPILOGUE(1, TO_SILU)
static const Epilogue FINISH[2][EPILOGUES] = {
    {finish_0_STORE, finish_0_ADD_RESIDUAL, finish_0_TO_RELU, finish_0_TO_SILU},
    {finish_1_STORE, finish_1_ADD_RESIDUAL, finish_1_TO_RELU, finish_1_TO_SILU}};

/* This thread's share of a matrix's outputs for all rows: to the row tiles `hidden`, or out where that is NULL. */
static void multiply(const Linear *l, const Matrix *m, const char *tiles, char *hidden, float *accumulators) {
  int64_t bytes = row_bytes(m), padded = round_up(l->rows, BLOCK_DIM), begin, end, count = 0;
  int64_t last_row = 0, last_n = 0;
  float *blocks = accumulators + iafm_thread_index() * 2 * BLOCK_DIM * BLOCK_DIM;
  int epilogue = hidden ? (m->activation == RELU ? TO_RELU : TO_SILU) : l->residual ? ADD_RESIDUAL : STORE;
  Epilogue finish = FINISH[m->dtype == BFLOAT16][epilogue];
  chunk_range(m->outputs / BLOCK_DIM, &begin, &end);
  iafm_tiles_begin();
  for (int64_t top = 0; top < padded; top += ROW_PANEL) {
    int64_t bottom = padded - top < ROW_PANEL ? padded : top + ROW_PANEL;
    for (int64_t n = begin * BLOCK_DIM; n < end * BLOCK_DIM; n += BLOCK_DIM)
      for (int64_t row = top; row < bottom; row += BLOCK_DIM, count++) {
        int64_t rows = l->rows - row < BLOCK_DIM ? l->rows - row : BLOCK_DIM;
        for (int64_t i = 0; !hidden && i < rows; i++) __builtin_prefetch(l->out + (row + i) * m->outputs + n, 1);
        float *c = blocks + count % 2 * BLOCK_DIM * BLOCK_DIM;
        TileProduct p = {m->dtype, bytes, rows, (row - top) / BLOCK_DIM, (bottom - top) / BLOCK_DIM,
                         tiles + row * bytes, m->packed + n * bytes, c};
        iafm_tile_matmul(&p);
        if (count) finish(l, m, last_row, last_n, blocks + (count + 1) % 2 * BLOCK_DIM * BLOCK_DIM, hidden);
        last_row = row;
        last_n = n;
      }
  }
  if (count) finish(l, m, last_row, last_n, blocks + (count + 1) % 2 * BLOCK_DIM * BLOCK_DIM, hidden);
  iafm_tiles_end();
}

static void first_task(void *job) {
  const Linear *l = job;
  Buffers b = lay_out(l, l->scratch);
  multiply(l, l->first, b.input, b.hidden, b.accumulators);
}

static void second_task(void *job) {
  const Linear *l = job;
  Buffers b = lay_out(l, l->scratch);
  multiply(l, l->second, b.hidden, NULL, b.accumulators);
}

static void check(const Matrix *m) {
  (void)m;
  IAFM_ASSERT(m->packed && m->scale && m->bias && !m->norm_weight == !m->norm_bias);
  IAFM_ASSERT(m->dtype == BFLOAT16 || m->dtype == UINT8);
  IAFM_ASSERT(m->activation == RELU || m->activation == SILU);
  IAFM_ASSERT(m->outputs % BLOCK_DIM == 0 && row_bytes(m) % TILE_LINE == 0);
}

void iafm_linear(const Linear *l) {
  check(l->first);
  if (l->second) {
    check(l->second);
    IAFM_ASSERT(l->second->inputs == l->first->outputs && l->second->dtype == l->first->dtype);
  }
  IAFM_ASSERT((uintptr_t)l->scratch % 64 == 0);
  parallel_run(prologue_task, (void *)l, l->threads);
  parallel_run(first_task, (void *)l, l->threads);
  if (l->second) parallel_run(second_task, (void *)l, l->threads);
}
