/* Attention of many queries over many keys.

   Keys times queries gives scores with queries side by side (a tile: 16 keys x 16 queries), so that the largest score and
   the sum of a query's chances need no sums across, and chances go into the second product as they are. Blocks of keys
   are taken in one after the other, as in FlashAttention (Dao et al. 2022). While one head is computed, the next one's
   keys and values are called for from memory. */

#include "paper.h"

#define BLOCK 128 /* keys taken in at once */
#define MOST 4    /* tiles of queries taken in at once */

typedef struct {
  bf16 *values; /* packed: of 32 keys 4 tiles (16 features x 16 pairs of keys) */
  uint16_t *sight; /* of every tile of queries and key a bit for each query */
  float *scores; /* MOST x BLOCK x 16; chances take the same place */
  bf16 *queries; /* packed: of a tile two of (16 pairs of features x 16) */
  bf16 *last; /* the last keys, where they do not fill a tile */
  float *found; /* MOST x 4 tiles (16 features x 16 queries) */
} Scratch;

/* A thread's part of the scratch memory; with none given, the size of that part. */
static int64_t lay_out(const Attention *a, char *at, Scratch *s) {
  char *begin = at;
  int64_t keys = up(a->keys, 2 * SIDE);
  s->values = (bf16 *)at;
  at += keys * HEAD * 2;
  s->sight = (uint16_t *)at;
  at += up(keys * up(a->queries, SIDE) / SIDE * 2, 64);
  s->scores = (float *)at;
  at += MOST * BLOCK * SIDE * 4;
  s->queries = (bf16 *)at;
  at += MOST * HEAD * SIDE * 2;
  s->last = (bf16 *)at;
  at += SIDE * HEAD * 2;
  s->found = (float *)at;
  at += MOST * HEAD * SIDE * 4;
  return up(at - begin, 4096);
}

int64_t attention_scratch(const Attention *a) {
  Scratch s;
  return lay_out(a, 0, &s);
}

/* Which keys do queries see? Padded queries see all there are. */
static void note_sight(const Attention *a, const bf16 *bias, uint16_t *sight) {
  int64_t keys = up(a->keys, 2 * SIDE);
  for (int64_t tile = 0; tile * SIDE < a->queries; tile++)
    for (int64_t at = 0; at < keys; at += 32) {
      uint32_t seen[SIDE];
      int64_t left = a->keys - at;
      __mmask32 there = left >= 32 ? 0xffffffffu : ((uint32_t)1 << left) - 1;
      for (int i = 0; i < SIDE; i++) {
        int64_t query = tile * SIDE + i;
        seen[i] = there;
        if (bias && query < a->queries) {
          __m512i row = _mm512_maskz_loadu_epi16(there, bias + query * a->bias_row + at);
          seen[i] = _mm512_mask_testn_epi16_mask(there, row, row);
        }
      }
      __m512i all = _mm512_loadu_si512(seen);
      for (int i = 0; i < 32; i++)
        sight[tile * keys + at + i] = _mm512_test_epi32_mask(all, _mm512_set1_epi32((int)((uint32_t)1 << i)));
    }
}

static int sees_all(const uint16_t *sight, int64_t keys) {
  __m512i all = _mm512_set1_epi16(-1);
  for (int64_t i = 0; i < keys; i += 32) all = _mm512_and_si512(all, _mm512_loadu_si512(sight + i));
  return _mm512_cmpeq_epi16_mask(all, _mm512_set1_epi16(-1)) == 0xffffffffu;
}

static void pack_queries(const Attention *a, const bf16 *from, int64_t first, bf16 *to) {
  for (int half = 0; half < 2; half++) {
    __m512i r[SIDE];
    for (int i = 0; i < SIDE; i++)
      r[i] = first + i < a->queries ? _mm512_loadu_si512(from + (first + i) * a->query.row + 32 * half)
                                    : _mm512_setzero_si512();
    transpose(r);
    for (int i = 0; i < SIDE; i++) _mm512_store_si512(to + half * 512 + i * 32, r[i]);
  }
}

/* Values of up to 32 keys, zeros behind them. */
static void pack_values(const bf16 *from, int64_t row, int64_t keys, bf16 *to) {
  const __m512i low = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37, 5,
                                       36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
  const __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
  __m512i pairs[4][SIDE];
  for (int i = 0; i < SIDE; i++)
    for (int half = 0; half < 2; half++) {
      const bf16 *at = from + 2 * i * row + 32 * half;
      __m512i x = 2 * i < keys ? _mm512_loadu_si512(at) : _mm512_setzero_si512();
      __m512i y = 2 * i + 1 < keys ? _mm512_loadu_si512(at + row) : _mm512_setzero_si512();
      pairs[2 * half][i] = _mm512_permutex2var_epi16(x, low, y);
      pairs[2 * half + 1][i] = _mm512_permutex2var_epi16(x, high, y);
    }
  for (int part = 0; part < 4; part++) {
    transpose(pairs[part]);
    for (int i = 0; i < SIDE; i++) _mm512_store_si512(to + part * 512 + i * 32, pairs[part][i]);
  }
}

/* Scores of up to BLOCK keys for some tiles of queries. */
static void score_keys(const bf16 *from, int64_t row, int64_t keys, int64_t tiles, const Scratch *s) {
  for (int64_t i = 0; i < up(keys, 2 * SIDE); i += SIDE) {
    const bf16 *key = from + i * row;
    int64_t far = row;
    if (i + SIDE > keys) {
      memset(s->last, 0, TILE * 2);
      for (int64_t k = i; k < keys; k++) memcpy(s->last + (k - i) * HEAD, from + k * row, HEAD * 2);
      key = s->last;
      far = HEAD;
    }
    multiply_keys(key, far, s->queries, tiles, s->scores + i * SIDE, BLOCK * SIDE);
  }
}

typedef struct {
  const char *at, *end;
} Ahead;

static inline void call_for(Ahead *ahead) {
  if (ahead->at < ahead->end) {
    _mm_prefetch(ahead->at, _MM_HINT_T1);
    ahead->at += 64;
  }
}

typedef struct {
  __m512 largest, sum;
} Chances;

/* Scores of a block become chances of bfloat16 in the same place; what earlier blocks found is to be multiplied by
   what is given back. `sight` of nothing: all keys are seen. */
static inline __m512 weigh(float *scores, const uint16_t *sight, int64_t keys, Chances *c, Ahead *ahead) {
  const __m512i by_turns = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                            21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  const __m512 scale = _mm512_set1_ps(LOG2_E / 8); /* 8: root of HEAD */
  __m512 even = c->largest, odd = even;
  for (int64_t i = 0; i < keys; i += 2) {
    __m512 x = _mm512_load_ps(scores + i * SIDE), y = _mm512_load_ps(scores + i * SIDE + SIDE);
    even = sight ? _mm512_mask_max_ps(even, sight[i], even, x) : _mm512_max_ps(even, x);
    odd = sight ? _mm512_mask_max_ps(odd, sight[i + 1], odd, y) : _mm512_max_ps(odd, y);
  }
  __m512 largest = _mm512_max_ps(even, odd);
  __m512 keep = power_of_two(_mm512_mul_ps(_mm512_sub_ps(c->largest, largest), scale));
  __m512 less = _mm512_sub_ps(_mm512_setzero_ps(), _mm512_mul_ps(largest, scale));
  even = _mm512_mul_ps(c->sum, keep);
  odd = _mm512_setzero_ps();
  bf16 *to = (bf16 *)scores;
  for (int64_t i = 0; i < keys; i += 2) {
    __m512 x = power_of_two(_mm512_fmadd_ps(_mm512_load_ps(scores + i * SIDE), scale, less));
    __m512 y = power_of_two(_mm512_fmadd_ps(_mm512_load_ps(scores + i * SIDE + SIDE), scale, less));
    if (sight) {
      x = _mm512_maskz_mov_ps(sight[i], x);
      y = _mm512_maskz_mov_ps(sight[i + 1], y);
    }
    even = _mm512_add_ps(even, x);
    odd = _mm512_add_ps(odd, y);
    _mm512_store_si512(to + i * SIDE, _mm512_permutexvar_epi16(by_turns, (__m512i)_mm512_cvtne2ps_pbh(y, x)));
    call_for(ahead);
  }
  c->largest = largest;
  c->sum = _mm512_add_ps(even, odd);
  return keep;
}

/* (features x queries) of one tile, divided by the sum of chances, as rows of the outcome. */
static void leave(const float *found, __m512 sum, bf16 *to, int64_t row, int64_t queries) {
  __m512 share = _mm512_div_ps(_mm512_set1_ps(1), sum);
  for (int part = 0; part < 4; part++) {
    __m512i r[SIDE];
    for (int i = 0; i < SIDE; i++)
      r[i] = (__m512i)_mm512_mul_ps(_mm512_load_ps(found + part * 256 + i * SIDE), share);
    transpose(r);
    for (int i = 0; i < SIDE && i < queries; i++) narrow(to + i * row + part * SIDE, (__m512)r[i]);
  }
}

static const bf16 *rows_of(const Rows *rows, const Attention *a, int64_t batch, int64_t head) {
  return rows->data + (a->memory ? a->memory[batch] : batch) * rows->batch + head * rows->head;
}

/* Some tiles of queries of one head. */
static void attend_tiles(const Attention *a, const Scratch *s, int64_t batch, int64_t head, int64_t first, int64_t tiles,
                         Ahead *ahead) {
  int64_t padded = up(a->keys, 2 * SIDE);
  const bf16 *key = rows_of(&a->key, a, batch, head);
  const bf16 *query = a->query.data + batch * a->query.batch + head * a->query.head;
  Chances chances[MOST];
  for (int64_t t = 0; t < tiles; t++) {
    pack_queries(a, query, (first + t) * SIDE, s->queries + t * 1024);
    chances[t].largest = _mm512_set1_ps(-1e30f);
    chances[t].sum = _mm512_setzero_ps();
  }
  memset(s->found, 0, (size_t)tiles * HEAD * SIDE * 4);
  for (int64_t at = 0; at < a->keys; at += BLOCK) {
    int64_t keys = a->keys - at < BLOCK ? a->keys - at : BLOCK, even = up(keys, 2 * SIDE);
    score_keys(key + at * a->key.row, a->key.row, keys, tiles, s);
    for (int64_t t = 0; t < tiles; t++) {
      float *scores = s->scores + t * BLOCK * SIDE, *found = s->found + t * HEAD * SIDE;
      const uint16_t *sight = s->sight + (first + t) * padded + at;
      __m512 keep = weigh(scores, sees_all(sight, even) ? 0 : sight, even, chances + t, ahead + (ahead->at == ahead->end));
      for (int i = 0; at && i < HEAD; i++)
        _mm512_store_ps(found + i * SIDE, _mm512_mul_ps(_mm512_load_ps(found + i * SIDE), keep));
    }
    for (int64_t t = 0; t < tiles; t++)
      multiply_values(s->values + at * HEAD, (bf16 *)(s->scores + t * BLOCK * SIDE), even, s->found + t * HEAD * SIDE);
  }
  int64_t row = a->heads * HEAD;
  for (int64_t t = 0; t < tiles; t++) {
    int64_t at = (first + t) * SIDE;
    leave(s->found + t * HEAD * SIDE, chances[t].sum, a->out + (batch * a->queries + at) * row + head * HEAD, row,
          a->queries - at);
  }
}

/* Keys or values of a head that comes next, where they lie close together. */
static Ahead rows_ahead(const Rows *rows, const Attention *a, int64_t head) {
  Ahead none = {0, 0};
  if (head >= a->batch * a->heads || rows->row != HEAD) return none;
  const char *at = (const char *)rows_of(rows, a, head / a->heads, head % a->heads);
  Ahead all = {at, at + a->keys * HEAD * 2};
  return all;
}

/* Work is a list of groups of queries, head by head; a thread has a stretch of it. */
static void attend_part(void *job) {
  const Attention *a = job;
  Scratch s;
  lay_out(a, a->scratch + part_number() * attention_scratch(a), &s);
  int64_t all = up(a->queries, SIDE) / SIDE, groups = (all + MOST - 1) / MOST, heads = a->batch * a->heads;
  int64_t packed = -1, noted = -1, from, to;
  Ahead ahead[2];
  split(heads * groups, &from, &to);
  begin_products();
  for (int64_t i = from; i < to; i++) {
    int64_t group = i % groups, batch = i / groups / a->heads, head = i / groups % a->heads;
    if (noted != batch) note_sight(a, a->bias ? a->bias + batch * a->bias_batch : 0, s.sight);
    if (packed != i / groups) {
      const bf16 *value = rows_of(&a->value, a, batch, head);
      for (int64_t k = 0; k < a->keys; k += 32)
        pack_values(value + k * a->value.row, a->value.row, a->keys - k, s.values + k * HEAD);
      int64_t next = (i / groups + 1) * groups < to ? i / groups + 1 : a->batch * a->heads;
      ahead[0] = rows_ahead(&a->key, a, next);
      ahead[1] = rows_ahead(&a->value, a, next);
    }
    noted = batch;
    packed = i / groups;
    int64_t first = all * group / groups;
    attend_tiles(a, &s, batch, head, first, all * (group + 1) / groups - first, ahead);
  }
  end_products();
}

void attend(Attention *a) { run(attend_part, a, a->threads); }

