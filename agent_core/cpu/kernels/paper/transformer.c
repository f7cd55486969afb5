/* All layers of an encoder or a decoder, one after the other; between two layers tokens stay in scratch memory.

   A layer:  [x += time_out(temporal_attention(time_qkv(norm(x))))]       encoders with attention over time
             x += out(attention(qkv(norm(x))))                            keys and values by way of the cache, if any
             x += mlp_out(act(mlp_in(norm(x))))

   A decoder's last layer attends with, and multiplies, the last `last_n` tokens only. */

#include "paper.h"

typedef struct {
  bf16 *x, *qkv, *attended; /* (batch * tokens, width), three times as wide, as x */
  char *scratch;            /* of attention and of linear layers, in turn */
  int64_t bytes;            /* before it */
} Buffers;

static Buffers lay_out(const Transformer *t, char *base) {
  Scratch s = {base, 0};
  int64_t bytes = round_up(t->batch * t->tokens * t->heads * HEAD_DIM * 2, 4096);
  Buffers b;
  b.x = scratch_take(&s, bytes);
  b.qkv = scratch_take(&s, 3 * bytes);
  b.attended = scratch_take(&s, bytes);
  b.scratch = scratch_take(&s, 0);
  b.bytes = s.used;
  return b;
}

/* part 0, 1, 2: queries, keys, values in the output (batch, tokens, 3, heads, HEAD_DIM) of the matrix before attention */
static HeadRows qkv_part(const Transformer *t, const Buffers *b, int64_t part) {
  int64_t width = t->heads * HEAD_DIM;
  HeadRows rows = {b->qkv + part * width, t->tokens * 3 * width, HEAD_DIM, 3 * width};
  return rows;
}

static Linear linear_of(const Transformer *t, const Buffers *b, const Matrix *first, const Matrix *second) {
  Linear l = {.first = first, .second = second, .x = b->x, .out = b->x, .rows = t->batch * t->tokens,
              .threads = t->threads, .scratch = b->scratch};
  return l;
}

int64_t iafm_transformer_scratch(const Transformer *t) {
  Buffers b = lay_out(t, NULL);
  Linear l = linear_of(t, &b, &t->layers->mlp_in, &t->layers->mlp_out);
  int64_t attention = t->threads * iafm_attention_scratch(t->tokens, t->cache ? t->keys : t->tokens);
  int64_t linear = iafm_linear_scratch(&l);
  return b.bytes + (attention > linear ? attention : linear);
}

typedef struct {
  const Transformer *transformer;
  const Buffers *buffers;
  bf16 *cache; /* (2, sessions, heads, slots, HEAD_DIM) of one layer */
} CacheWrite;

/* New keys and values to their slots. */
static void write_cache_task(void *job) {
  const CacheWrite *w = job;
  const Transformer *t = w->transformer;
  int64_t width = t->heads * HEAD_DIM, size = t->sessions * t->heads * t->slots * HEAD_DIM, begin, end;
  chunk_range(t->batch * t->tokens, &begin, &end);
  for (int64_t i = begin; i < end; i++) {
    int64_t session = t->session[i / t->tokens], slot = t->slot[i];
    IAFM_ASSERT(0 <= session && session < t->sessions && 0 <= slot && slot < t->slots);
    for (int64_t part = 0; part < 2; part++)
      for (int64_t head = 0; head < t->heads; head++)
        memcpy(w->cache + part * size + ((session * t->heads + head) * t->slots + slot) * HEAD_DIM,
               w->buffers->qkv + i * 3 * width + (part + 1) * width + head * HEAD_DIM, HEAD_DIM * 2);
  }
}

static void attend_over_time(const Transformer *t, const Buffers *b, int64_t layer) {
  int64_t size = t->sessions * t->tokens * t->heads * t->frames * HEAD_DIM;
  const Layer *at = t->layers + layer;
  Linear l = linear_of(t, b, &at->time_qkv, NULL);
  l.out = b->qkv;
  iafm_linear(&l);
  TemporalAttention a = {
      .query = qkv_part(t, b, 0), .key = qkv_part(t, b, 1), .value = qkv_part(t, b, 2),
      .key_cache = t->frame_cache + 2 * layer * size, .value_cache = t->frame_cache + (2 * layer + 1) * size,
      .mask = t->frame_mask, .session = t->session, .frame_slot = t->frame_slot, .out = b->attended,
      .images = t->batch, .places = t->tokens, .heads = t->heads, .frames = t->frames, .threads = t->threads,
  };
  iafm_temporal_attention(&a);
  l = linear_of(t, b, &at->time_out, NULL);
  l.x = b->attended;
  l.residual = b->x;
  iafm_linear(&l);
}

static Attention attention_of(const Transformer *t, const Buffers *b) {
  Attention a = {
      .query = qkv_part(t, b, 0), .key = qkv_part(t, b, 1), .value = qkv_part(t, b, 2),
      .out = b->attended, .batch = t->batch, .heads = t->heads, .queries = t->tokens, .keys = t->tokens,
      .threads = t->threads, .scratch = b->scratch,
  };
  return a;
}

/* Attention by way of the cache: new keys and values are written there, then all are read from it. */
static void attend_to_cache(const Transformer *t, const Buffers *b, int64_t layer, Attention *a) {
  int64_t size = t->sessions * t->heads * t->slots * HEAD_DIM;
  CacheWrite w = {t, b, t->cache + 2 * layer * size};
  parallel_run(write_cache_task, &w, t->threads);
  HeadRows keys = {w.cache, t->heads * t->slots * HEAD_DIM, t->slots * HEAD_DIM, HEAD_DIM}, values = keys;
  values.data += size;
  a->key = keys;
  a->value = values;
  a->keys = t->keys;
  a->session = t->session;
  a->mask = t->mask;
  a->mask_batch_stride = t->mask_batch_stride;
  a->mask_row_stride = t->mask_row_stride;
}

/* From here on only the last tokens of each batch row are computed, moved together in place. */
static void drop_all_but_last(Transformer *t, Buffers *b, Attention *a) {
  int64_t width = t->heads * HEAD_DIM, dropped = t->tokens - t->last_n;
  for (int64_t i = 0; i < t->batch; i++)
    memmove(b->x + i * t->last_n * width, b->x + (i * t->tokens + dropped) * width,
            (size_t)(t->last_n * width) * 2);
  a->query.data += dropped * a->query.row_stride;
  if (a->mask) a->mask += dropped * a->mask_row_stride;
  a->queries = t->tokens = t->last_n;
}

static void run_layer(Transformer *t, Buffers *b, int64_t layer) {
  const Layer *at = t->layers + layer;
  if (t->frame_cache) attend_over_time(t, b, layer);
  Linear l = linear_of(t, b, &at->qkv, NULL);
  l.out = b->qkv;
  iafm_linear(&l);
  Attention a = attention_of(t, b);
  if (t->cache) attend_to_cache(t, b, layer, &a);
  if (layer == t->layer_count - 1 && t->last_n < t->tokens) drop_all_but_last(t, b, &a);
  iafm_attention(&a);
  l = linear_of(t, b, &at->out, NULL);
  l.x = b->attended;
  l.residual = b->x;
  iafm_linear(&l);
  l = linear_of(t, b, &at->mlp_in, &at->mlp_out);
  l.residual = b->x;
  iafm_linear(&l);
}

void iafm_transformer(const Transformer *given) {
  Transformer t = *given;
  Buffers b = lay_out(&t, t.scratch);
  int64_t width = t.heads * HEAD_DIM;
  IAFM_ASSERT(t.layer_count > 0 && t.batch > 0 && 0 < t.last_n && t.last_n <= t.tokens);
  IAFM_ASSERT(!t.cache || (t.session && t.slot && t.mask && 0 < t.keys && t.keys <= t.slots));
  memcpy(b.x, t.x, (size_t)(t.batch * t.tokens * width) * 2);
  for (int64_t layer = 0; layer < t.layer_count; layer++) run_layer(&t, &b, layer);
  memcpy(t.y, b.x, (size_t)(t.batch * t.tokens * width) * 2);
}
