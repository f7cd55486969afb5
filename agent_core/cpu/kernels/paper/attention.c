/* Attention of many queries over many keys, in blocks of keys with an online softmax (FlashAttention, Dao et al. 2022).

   Scores are computed transposed, S^T = K Q^T: queries lie side by side in a vector, so that the maximum and the sum
   over a query's keys need no reduction across lanes, and probabilities enter the second product as they lie.

       S^T of a block (up to 128 keys), one tile of 16 queries:      P^T in the same place, pairs of keys interleaved:
         line k:      q0 q1 ... q15   (float32)                        line k/2:  q0:k q0:k+1 q1:k q1:k+1 ... (bfloat16)

       packed queries of a tile: 2 x 16 lines,                       packed values of 32 keys: 4 tiles, one for each
         line f/2:  q0:f q0:f+1 q1:f q1:f+1 ... q15:f+1                16 features: line f, k, k+1, ... k+31

       O^T of a tile: 4 tiles of 16 features x 16 queries (float32)

   Threads share the groups of up to 4 query tiles of all heads. While one head is computed, keys and values of the next
   one are prefetched. */

#include "paper.h"

#define KEY_BLOCK 128
#define QUERY_TILES 4 /* computed at once */

/* A thread's scratch memory. */
typedef struct {
  bf16 *values;   /* packed, all keys */
  uint16_t *mask; /* (query tiles, keys): a bit for each query of the tile */
  float *scores;  /* QUERY_TILES x (KEY_BLOCK x 16); probabilities take the same place */
  bf16 *queries;  /* packed, QUERY_TILES */
  bf16 *last_keys; /* 16 rows: those that do not fill a tile, zeros behind them */
  float *acc;     /* QUERY_TILES x 4 tiles, O^T */
  int64_t bytes;
} Buffers;

static Buffers lay_out(int64_t queries, int64_t keys, char *base) {
  Scratch s = {base, 0};
  int64_t padded = round_up(keys, 32);
  Buffers b;
  b.values = scratch_take(&s, padded * HEAD_DIM * 2);
  b.mask = scratch_take(&s, padded * round_up(queries, TILE_DIM) / TILE_DIM * 2);
  b.scores = scratch_take(&s, QUERY_TILES * KEY_BLOCK * TILE_DIM * 4);
  b.queries = scratch_take(&s, QUERY_TILES * HEAD_DIM * TILE_DIM * 2);
  b.last_keys = scratch_take(&s, TILE_DIM * HEAD_DIM * 2);
  b.acc = scratch_take(&s, QUERY_TILES * HEAD_DIM * TILE_DIM * 4);
  b.bytes = round_up(s.used, 4096);
  return b;
}

int64_t iafm_attention_scratch(int64_t queries, int64_t keys) { return lay_out(queries, keys, NULL).bytes; }

/* The mask (queries, keys) of a batch row as bits; padded keys are masked, padded queries attend all real keys. */
static void pack_mask(const Attention *a, const bf16 *mask, uint16_t *packed) {
  int64_t padded = round_up(a->keys, 32);
  for (int64_t tile = 0; tile * TILE_DIM < a->queries; tile++)
    for (int64_t k = 0; k < padded; k += 32) {
      uint32_t attended[TILE_DIM]; /* of each query, a bit for each of 32 keys */
      int64_t left = a->keys - k;
      __mmask32 real = left >= 32 ? 0xffffffffu : ((uint32_t)1 << left) - 1;
      for (int i = 0; i < TILE_DIM; i++) {
        int64_t query = tile * TILE_DIM + i;
        attended[i] = real;
        if (mask && query < a->queries) {
          __m512i row = _mm512_maskz_loadu_epi16(real, mask + query * a->mask_row_stride + k);
          attended[i] = _mm512_mask_testn_epi16_mask(real, row, row);
        }
      }
      __m512i all = _mm512_loadu_si512(attended);
      for (int i = 0; i < 32; i++)
        packed[tile * padded + k + i] = _mm512_test_epi32_mask(all, _mm512_set1_epi32((int)((uint32_t)1 << i)));
    }
}

static int attends_all(const uint16_t *mask, int64_t keys) {
  __m512i all = _mm512_set1_epi16(-1);
  for (int64_t i = 0; i < keys; i += 32) all = _mm512_and_si512(all, _mm512_loadu_si512(mask + i));
  return _mm512_cmpeq_epi16_mask(all, _mm512_set1_epi16(-1)) == 0xffffffffu;
}

/* One tile of queries from row `first` on; zeros behind the last one. */
static void pack_queries(const Attention *a, const bf16 *query, int64_t first, bf16 *packed) {
  for (int half = 0; half < 2; half++) {
    __m512i r[TILE_DIM];
    for (int i = 0; i < TILE_DIM; i++)
      r[i] = first + i < a->queries ? _mm512_loadu_si512(query + (first + i) * a->query.row_stride + 32 * half)
                                    : _mm512_setzero_si512();
    transpose(r);
    for (int i = 0; i < TILE_DIM; i++) _mm512_store_si512(packed + half * 512 + i * 32, r[i]);
  }
}

/* Values of up to 32 keys; zeros behind the last one. */
static void pack_values(const bf16 *value, int64_t row_stride, int64_t keys, bf16 *packed) {
  const __m512i low = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37, 5,
                                       36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
  const __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
  __m512i pairs[4][TILE_DIM]; /* of 16 features: pairs of keys, feature by feature */
  for (int i = 0; i < TILE_DIM; i++)
    for (int half = 0; half < 2; half++) {
      const bf16 *at = value + 2 * i * row_stride + 32 * half;
      __m512i x = 2 * i < keys ? _mm512_loadu_si512(at) : _mm512_setzero_si512();
      __m512i y = 2 * i + 1 < keys ? _mm512_loadu_si512(at + row_stride) : _mm512_setzero_si512();
      pairs[2 * half][i] = _mm512_permutex2var_epi16(x, low, y);
      pairs[2 * half + 1][i] = _mm512_permutex2var_epi16(x, high, y);
    }
  for (int part = 0; part < 4; part++) {
    transpose(pairs[part]);
    for (int i = 0; i < TILE_DIM; i++) _mm512_store_si512(packed + part * 512 + i * 32, pairs[part][i]);
  }
}

/* S^T of up to KEY_BLOCK keys for some tiles of queries. */
static void score_block(const bf16 *key, int64_t row_stride, int64_t keys, int64_t tiles, const Buffers *b) {
  for (int64_t i = 0; i < round_up(keys, 32); i += TILE_DIM) {
    const bf16 *rows = key + i * row_stride;
    int64_t stride = row_stride;
    if (i + TILE_DIM > keys) {
      memset(b->last_keys, 0, TILE_DIM * HEAD_DIM * 2);
      for (int64_t k = i; k < keys; k++) memcpy(b->last_keys + (k - i) * HEAD_DIM, key + k * row_stride, HEAD_DIM * 2);
      rows = b->last_keys;
      stride = HEAD_DIM;
    }
    iafm_tile_scores(rows, stride, b->queries, tiles, b->scores + i * TILE_DIM, KEY_BLOCK * TILE_DIM);
  }
}

typedef struct {
  const char *at, *end;
} Prefetch;

static inline void prefetch(Prefetch *p) {
  if (p->at < p->end) {
    _mm_prefetch(p->at, _MM_HINT_T1);
    p->at += 64;
  }
}

typedef struct {
  __m512 max, sum; /* of 16 queries, over the keys so far */
} SoftmaxState;

/* Scores of a block of keys to probabilities of bfloat16 in the same place. Returns the factor for what earlier blocks
   have added to O^T. `mask` of NULL: all keys are attended. */
static inline __m512 online_softmax(float *scores, const uint16_t *mask, int64_t keys, SoftmaxState *state,
                                    Prefetch *next) {
  const __m512i interleave = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                              21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  const __m512 scale = _mm512_set1_ps(LOG2_E / 8); /* 8: root of HEAD_DIM */
  __m512 even = state->max, odd = even;
  for (int64_t i = 0; i < keys; i += 2) {
    __m512 x = _mm512_load_ps(scores + i * TILE_DIM), y = _mm512_load_ps(scores + i * TILE_DIM + TILE_DIM);
    even = mask ? _mm512_mask_max_ps(even, mask[i], even, x) : _mm512_max_ps(even, x);
    odd = mask ? _mm512_mask_max_ps(odd, mask[i + 1], odd, y) : _mm512_max_ps(odd, y);
  }
  __m512 max = _mm512_max_ps(even, odd);
  __m512 correction = exp2_approx(_mm512_mul_ps(_mm512_sub_ps(state->max, max), scale));
  __m512 minus_max = _mm512_sub_ps(_mm512_setzero_ps(), _mm512_mul_ps(max, scale));
  even = _mm512_mul_ps(state->sum, correction);
  odd = _mm512_setzero_ps();
  bf16 *probs = (bf16 *)scores;
  for (int64_t i = 0; i < keys; i += 2) {
    __m512 x = exp2_approx(_mm512_fmadd_ps(_mm512_load_ps(scores + i * TILE_DIM), scale, minus_max));
    __m512 y = exp2_approx(_mm512_fmadd_ps(_mm512_load_ps(scores + i * TILE_DIM + TILE_DIM), scale, minus_max));
    if (mask) {
      x = _mm512_maskz_mov_ps(mask[i], x);
      y = _mm512_maskz_mov_ps(mask[i + 1], y);
    }
    even = _mm512_add_ps(even, x);
    odd = _mm512_add_ps(odd, y);
    _mm512_store_si512(probs + i * TILE_DIM, _mm512_permutexvar_epi16(interleave, (__m512i)_mm512_cvtne2ps_pbh(y, x)));
    prefetch(next);
  }
  state->max = max;
  state->sum = _mm512_add_ps(even, odd);
  return correction;
}

/* O^T of one tile, divided by the sums of probabilities, to the first `queries` rows of the output. */
static void store_output(const float *acc, __m512 sum, bf16 *out, int64_t row_stride, int64_t queries) {
  __m512 inverse = _mm512_div_ps(_mm512_set1_ps(1), sum);
  for (int part = 0; part < 4; part++) {
    __m512i r[TILE_DIM];
    for (int i = 0; i < TILE_DIM; i++)
      r[i] = (__m512i)_mm512_mul_ps(_mm512_load_ps(acc + part * 256 + i * TILE_DIM), inverse);
    transpose(r);
    for (int i = 0; i < TILE_DIM && i < queries; i++) f32_to_bf16(out + i * row_stride + part * TILE_DIM, (__m512)r[i]);
  }
}

/* Keys or values of one batch row and head. */
static const bf16 *rows_of(const HeadRows *rows, const Attention *a, int64_t batch, int64_t head) {
  return rows->data + (a->session ? a->session[batch] : batch) * rows->batch_stride + head * rows->head_stride;
}

/* Tiles `first` ... of queries of one head. Values and mask are packed already. */
static void attend_tiles(const Attention *a, const Buffers *b, int64_t batch, int64_t head, int64_t first,
                         int64_t tiles, Prefetch *next) {
  int64_t padded = round_up(a->keys, 32);
  const bf16 *key = rows_of(&a->key, a, batch, head);
  const bf16 *query = a->query.data + batch * a->query.batch_stride + head * a->query.head_stride;
  SoftmaxState state[QUERY_TILES];
  for (int64_t t = 0; t < tiles; t++) {
    pack_queries(a, query, (first + t) * TILE_DIM, b->queries + t * HEAD_DIM * TILE_DIM);
    state[t].max = _mm512_set1_ps(-1e30f);
    state[t].sum = _mm512_setzero_ps();
  }
  memset(b->acc, 0, (size_t)tiles * HEAD_DIM * TILE_DIM * 4);
  for (int64_t at = 0; at < a->keys; at += KEY_BLOCK) {
    int64_t keys = a->keys - at < KEY_BLOCK ? a->keys - at : KEY_BLOCK, even = round_up(keys, 32);
    score_block(key + at * a->key.row_stride, a->key.row_stride, keys, tiles, b);
    for (int64_t t = 0; t < tiles; t++) {
      float *scores = b->scores + t * KEY_BLOCK * TILE_DIM, *acc = b->acc + t * HEAD_DIM * TILE_DIM;
      const uint16_t *mask = b->mask + (first + t) * padded + at;
      Prefetch *fetch = next + (next->at == next->end); /* keys first, then values */
      __m512 correction = online_softmax(scores, attends_all(mask, even) ? NULL : mask, even, state + t, fetch);
      for (int i = 0; at && i < HEAD_DIM; i++)
        _mm512_store_ps(acc + i * TILE_DIM, _mm512_mul_ps(_mm512_load_ps(acc + i * TILE_DIM), correction));
    }
    for (int64_t t = 0; t < tiles; t++)
      iafm_tile_values(b->values + at * HEAD_DIM, (bf16 *)(b->scores + t * KEY_BLOCK * TILE_DIM), even,
                       b->acc + t * HEAD_DIM * TILE_DIM);
  }
  int64_t row_stride = a->heads * HEAD_DIM;
  for (int64_t t = 0; t < tiles; t++) {
    int64_t row = (first + t) * TILE_DIM;
    store_output(b->acc + t * HEAD_DIM * TILE_DIM, state[t].sum,
                 a->out + (batch * a->queries + row) * row_stride + head * HEAD_DIM, row_stride, a->queries - row);
  }
}

/* All keys or values of a head (counted over the batch), where they lie close together. */
static Prefetch prefetch_head(const HeadRows *rows, const Attention *a, int64_t head) {
  Prefetch none = {NULL, NULL};
  if (head >= a->batch * a->heads || rows->row_stride != HEAD_DIM) return none;
  const char *at = (const char *)rows_of(rows, a, head / a->heads, head % a->heads);
  Prefetch all = {at, at + a->keys * HEAD_DIM * 2};
  return all;
}

/* Work items are groups of query tiles, head by head. */
static void attention_task(void *job) {
  const Attention *a = job;
  Buffers b = lay_out(a->queries, a->keys,
                      a->scratch + iafm_thread_index() * iafm_attention_scratch(a->queries, a->keys));
  int64_t tiles = round_up(a->queries, TILE_DIM) / TILE_DIM, groups = (tiles + QUERY_TILES - 1) / QUERY_TILES;
  int64_t packed_head = -1, packed_batch = -1, begin, end;
  Prefetch next[2];
  chunk_range(a->batch * a->heads * groups, &begin, &end);
  iafm_tiles_begin();
  for (int64_t i = begin; i < end; i++) {
    int64_t group = i % groups, batch = i / groups / a->heads, head = i / groups % a->heads;
    if (packed_batch != batch) pack_mask(a, a->mask ? a->mask + batch * a->mask_batch_stride : NULL, b.mask);
    if (packed_head != i / groups) {
      const bf16 *value = rows_of(&a->value, a, batch, head);
      for (int64_t k = 0; k < a->keys; k += 32)
        pack_values(value + k * a->value.row_stride, a->value.row_stride, a->keys - k, b.values + k * HEAD_DIM);
      int64_t following = (i / groups + 1) * groups < end ? i / groups + 1 : a->batch * a->heads;
      next[0] = prefetch_head(&a->key, a, following);
      next[1] = prefetch_head(&a->value, a, following);
    }
    packed_batch = batch;
    packed_head = i / groups;
    int64_t first = tiles * group / groups;
    attend_tiles(a, &b, batch, head, first, tiles * (group + 1) / groups - first, next);
  }
  iafm_tiles_end();
}

void iafm_attention(const Attention *a) {
  IAFM_ASSERT(a->batch > 0 && a->queries > 0 && a->keys > 0 && (uintptr_t)a->scratch % 64 == 0);
  parallel_run(attention_task, (void *)a, a->threads);
}
