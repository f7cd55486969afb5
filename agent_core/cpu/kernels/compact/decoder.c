/* All layers of a compact model's decoder against its KV cache.

   Each thread takes some of the sessions from the first layer to the last, so that none waits for another in between;
   up to MAX_SESSIONS at a time, whose numbers stay in its cache while weights are read once for all of them.

   A layer:  x += out(attention(qkv(norm(x))))   with a bias by age of the slot
             x += mlp_out(gelu(mlp_in(norm(x))))

   The last layer attends with, and multiplies, the last `last_n` tokens only. */

#include "compact.h"

#define MAX_SESSIONS 4

/* A thread's scratch memory; (n) sessions at a time. */
typedef struct {
  float *x, *normed;    /* (n, tokens, width) */
  float *qkv;           /* (n, tokens, 3 * width) */
  float *attended;      /* (n, tokens, width) */
  float *hidden;        /* (n, tokens, 4 * width) */
  float *bias;          /* (n, heads, tokens, attended slots rounded up to PANEL) */
  float *attention;     /* scratch of one head */
  int32_t *slots;       /* (n, keys): those that any of a session's tokens attends, `count` of them */
  int64_t numbers;      /* of all */
  int64_t count[MAX_SESSIONS];
} Buffers;

static int64_t sessions_at_once(const Decoder *d) {
  int64_t each = (d->batch + d->threads - 1) / d->threads;
  return each < MAX_SESSIONS ? each : MAX_SESSIONS;
}

static int64_t padded_keys(const Decoder *d) { return round_up(d->keys, PANEL); }

static Buffers lay_out(const Decoder *d, float *base) {
  Scratch s = {(char *)base, 0};
  int64_t n = sessions_at_once(d), size = 4 * n * d->tokens * d->heads * d->head_dim;
  Buffers b = {0};
  b.x = scratch_take(&s, size);
  b.normed = scratch_take(&s, size);
  b.qkv = scratch_take(&s, 3 * size);
  b.attended = scratch_take(&s, size);
  b.hidden = scratch_take(&s, 4 * size);
  b.bias = scratch_take(&s, 4 * n * d->heads * d->tokens * padded_keys(d));
  b.attention = scratch_take(&s, 4 * iafm_attention_scratch(d->tokens, d->head_dim, d->keys));
  b.slots = scratch_take(&s, 4 * n * padded_keys(d));
  b.numbers = round_up(s.used, 4096) / 4;
  return b;
}

int64_t iafm_decoder_scratch(const Decoder *d) { return d->threads * lay_out(d, NULL).numbers; }

/* x times the normal distribution's integral up to x; erf by Abramowitz and Stegun's 7.1.26, to 2e-7. */
void iafm_gelu(float *x, int64_t count) {
  for (int64_t i = 0; i < count; i += LANES) {
    vec y = load(x + i), z = max(y, -y) * 0.70710678f, t = 1.0f / (1.0f + 0.3275911f * z);
    vec p = t * 1.061405429f - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = (p * t + 0.254829592f) * t;
    vec tail = 0.5f * p * exponential(-z * z); /* the integral beyond |y| */
    store(x + i, y * blend(y > broadcast(0), 1.0f - tail, tail));
  }
}

/* The bias indices of token `row` of a session, (keys). */
static const int16_t *bias_row(const Decoder *d, int64_t session, int64_t row) {
  return d->bias_index + session * d->bias_batch_stride + row * d->bias_row_stride;
}

/* Slots that any token of a session attends; returns how many. */
static int64_t attended_slots(const Decoder *d, int64_t session, int32_t *slots) {
  int64_t count = 0;
  memset(slots, 0, (size_t)d->keys * 4);
  for (int64_t row = 0; row < d->tokens; row++) {
    const int16_t *index = bias_row(d, session, row);
    for (int64_t k = 0; k < d->keys; k++) slots[k] |= index[k] >= 0;
  }
  for (int64_t k = 0; k < d->keys; k++)
    if (slots[k]) slots[count++] = (int32_t)k;
  return count;
}

/* What is added to scores, the same for all layers. */
static void gather_bias(const Decoder *d, Buffers *b, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i++) {
    int32_t *slots = b->slots + (i - begin) * padded_keys(d);
    int64_t count = b->count[i - begin] = attended_slots(d, i, slots);
    float *out = b->bias + (i - begin) * d->heads * d->tokens * padded_keys(d);
    IAFM_ASSERT(count > 0);
    for (int64_t head = 0; head < d->heads; head++) {
      const float *table = d->bias_table + head * d->bias_columns + 1;
      for (int64_t row = 0; row < d->tokens; row++) {
        const int16_t *index = bias_row(d, i, row);
        for (int64_t k = 0; k < count; k++) {
          IAFM_ASSERT(-1 <= index[slots[k]] && index[slots[k]] < d->bias_columns - 1);
          *out++ = table[index[slots[k]]];
        }
        for (int64_t k = count; k < round_up(count, PANEL); k++) *out++ = table[-1];
      }
    }
  }
}

/* New keys and values of session `i` (the thread's `local` one) to their slots in `cache`, one layer's. */
static void write_cache(const Decoder *d, const Buffers *b, float *cache, int64_t i, int64_t local) {
  int64_t width = d->heads * d->head_dim;
  for (int64_t row = 0; row < d->tokens; row++) {
    int64_t slot = d->slot[i * d->tokens + row];
    IAFM_ASSERT(0 <= slot && (slot + 1) * d->head_dim <= d->head_stride);
    for (int64_t part = 0; part < 2; part++)
      for (int64_t head = 0; head < d->heads; head++)
        memcpy(cache + part * d->kv_stride + head * d->head_stride + slot * d->head_dim,
               b->qkv + (local * d->tokens + row) * 3 * width + (part + 1) * width + head * d->head_dim,
               (size_t)d->head_dim * 4);
  }
}

/* All heads of one session, tokens from `first` on. */
static void attend(const Decoder *d, const Buffers *b, const float *cache, int64_t local, int64_t first) {
  int64_t width = d->heads * d->head_dim, queries = d->tokens - first, padded = round_up(b->count[local], PANEL);
  for (int64_t head = 0; head < d->heads; head++) {
    Attention a = {
        .query = b->qkv + (local * d->tokens + first) * 3 * width + head * d->head_dim, .query_stride = 3 * width,
        .keys = cache + head * d->head_stride, .values = cache + d->kv_stride + head * d->head_stride,
        .slots = b->slots + local * padded_keys(d),
        .bias = b->bias + local * d->heads * d->tokens * padded_keys(d) + (head * d->tokens + first) * padded,
        .out = b->attended + local * queries * width + head * d->head_dim, .out_stride = width,
        .queries = queries, .head_dim = d->head_dim, .count = b->count[local], .scratch = b->attention,
    };
    iafm_attention(&a);
  }
}

/* Attention of one layer for sessions `begin` up to `end`; returns how many tokens go on. */
static int64_t attention_block(const Decoder *d, Buffers *b, int64_t layer, int64_t begin, int64_t end) {
  const Layer *at = d->layers + layer;
  int64_t width = d->heads * d->head_dim, tokens = (end - begin) * d->tokens;
  int64_t first = layer == d->layer_count - 1 ? d->tokens - d->last_n : 0;
  iafm_layer_norm(&at->attention_norm, b->x, b->normed, tokens, width);
  iafm_linear(&at->qkv, b->normed, tokens, b->qkv);
  for (int64_t i = begin; i < end; i++) {
    IAFM_ASSERT(0 <= d->session[i] && (d->session[i] + 1) * d->session_stride <= d->kv_stride);
    float *cache = d->cache + layer * d->layer_stride + d->session[i] * d->session_stride;
    write_cache(d, b, cache, i, i - begin);
    attend(d, b, cache, i - begin, first);
    if (first) /* from here on only the last tokens are computed */
      memmove(b->x + (i - begin) * d->last_n * width, b->x + ((i - begin) * d->tokens + first) * width,
              (size_t)(d->last_n * width) * 4);
  }
  if (first) tokens = (end - begin) * d->last_n;
  Product p = product_of(&at->out, b->attended, tokens, b->x);
  p.residual = b->x;
  iafm_product(&p);
  return tokens;
}

static void mlp_block(const Layer *at, const Buffers *b, int64_t tokens, int64_t width) {
  iafm_layer_norm(&at->mlp_norm, b->x, b->normed, tokens, width);
  iafm_linear(&at->mlp_in, b->normed, tokens, b->hidden);
  iafm_gelu(b->hidden, tokens * at->mlp_in.outputs);
  Product p = product_of(&at->mlp_out, b->hidden, tokens, b->x);
  p.residual = b->x;
  iafm_product(&p);
}

/* Sessions `begin` up to `end`, all layers. */
static void run_sessions(const Decoder *d, Buffers *b, int64_t begin, int64_t end) {
  int64_t width = d->heads * d->head_dim, tokens = (end - begin) * d->tokens;
  memcpy(b->x, d->x + begin * d->tokens * width, (size_t)(tokens * width) * 4);
  gather_bias(d, b, begin, end);
  for (int64_t layer = 0; layer < d->layer_count; layer++) {
    tokens = attention_block(d, b, layer, begin, end);
    mlp_block(d->layers + layer, b, tokens, width);
  }
  iafm_layer_norm(&d->norm, b->x, d->y + begin * d->last_n * width, tokens, width);
}

static void decoder_task(void *job) {
  const Decoder *d = job;
  int64_t begin, end, step = sessions_at_once(d);
  Buffers b = lay_out(d, d->scratch + iafm_thread_index() * lay_out(d, NULL).numbers);
  chunk_range(d->batch, &begin, &end);
  for (; begin < end; begin += step) run_sessions(d, &b, begin, end - begin < step ? end : begin + step);
}

/* A session alone is computed by the calling thread: waking another one costs more than it computes. */
void iafm_decoder(const Decoder *d) {
  IAFM_ASSERT(d->layer_count > 0 && d->batch > 0 && 0 < d->last_n && d->last_n <= d->tokens);
  IAFM_ASSERT(d->head_dim % PANEL == 0 && d->keys * d->head_dim <= d->head_stride && (uintptr_t)d->scratch % 64 == 0);
  parallel_run(decoder_task, (void *)d, d->batch > 1 ? d->threads : 1);
}
