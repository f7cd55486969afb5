/* Attention of one session's new tokens to its cache, for one head.

   Attended slots are few and scattered, so their keys are gathered into panels, and their values behind each other:
   both products are then plain matrix products.

       keys    panels of PANEL slots:  line h: k[slot 0][h] k[slot 1][h] ...
       values  (count, head_dim), read as panels of PANEL features, line by line
       probs   (queries, count rounded up to PANEL) */

#include "compact.h"

typedef struct {
  float *keys, *values, *probs;
  int64_t numbers;
} Buffers;

static Buffers lay_out(int64_t queries, int64_t head_dim, int64_t count, float *base) {
  Scratch s = {(char *)base, 0};
  int64_t padded = round_up(count, PANEL);
  Buffers b;
  b.keys = scratch_take(&s, head_dim * padded * 4);
  b.values = scratch_take(&s, head_dim * padded * 4);
  b.probs = scratch_take(&s, queries * padded * 4);
  b.numbers = s.used / 4;
  return b;
}

int64_t iafm_attention_scratch(int64_t queries, int64_t head_dim, int64_t count) {
  return lay_out(queries, head_dim, count, NULL).numbers;
}

/* What stores of vectors may alias stays in local variables, so that it is not read again at every step. */
static void gather(const Attention *a, const Buffers *b) {
  const float *keys = a->keys, *values = a->values;
  const int32_t *slots = a->slots;
  float *panels = b->keys, *gathered = b->values;
  int64_t head_dim = a->head_dim, count = a->count, padded = round_up(count, PANEL);
  for (int64_t n = 0; n < padded; n += LANES)
    for (int64_t h = 0; h < head_dim; h += LANES) {
      float *panel = panels + n / PANEL * PANEL * head_dim + h * PANEL + n % PANEL;
      vec r[LANES]; /* slots x features, then features x slots */
      for (int64_t i = 0; i < LANES; i++)
        r[i] = n + i < count ? load(keys + slots[n + i] * head_dim + h) : broadcast(0);
      transpose(r);
      for (int64_t i = 0; i < LANES; i++) store(panel + i * PANEL, r[i]);
    }
  for (int64_t k = 0; k < count; k++)
    for (int64_t h = 0; h < head_dim; h += LANES)
      store(gathered + k * head_dim + h, load(values + slots[k] * head_dim + h));
}

/* In place; length a multiple of LANES. */
static void softmax(float *scores, int64_t length) {
  vec highest = load(scores), sum = broadcast(0);
  for (int64_t i = LANES; i < length; i += LANES) highest = max(highest, load(scores + i));
  float top = highest[0];
  for (int i = 1; i < LANES; i++) top = highest[i] > top ? highest[i] : top;
  for (int64_t i = 0; i < length; i += LANES) {
    vec y = exponential(load(scores + i) - top);
    sum += y;
    store(scores + i, y);
  }
  float scale = 1 / sum_of(sum);
  for (int64_t i = 0; i < length; i += LANES) store(scores + i, load(scores + i) * scale);
}

void iafm_attention(const Attention *a) {
  IAFM_ASSERT(a->count > 0 && a->head_dim % PANEL == 0);
  Buffers b = lay_out(a->queries, a->head_dim, a->count, a->scratch);
  int64_t padded = round_up(a->count, PANEL);
  gather(a, &b);
  Product scores = {
      .x = a->query, .row_stride = a->query_stride, .runs = 1, .run_length = a->head_dim,
      .panels = b.keys, .line_stride = PANEL, .panel_stride = PANEL * a->head_dim, .residual = a->bias,
      .out = b.probs, .out_stride = padded, .rows = a->queries, .outputs = padded, .activation = IDENTITY,
  };
  iafm_product(&scores);
  for (int64_t i = 0; i < a->queries; i++) softmax(b.probs + i * padded, padded);
  Product weighted = {
      .x = b.probs, .row_stride = padded, .runs = 1, .run_length = a->count,
      .panels = b.values, .line_stride = a->head_dim, .panel_stride = PANEL,
      .out = a->out, .out_stride = a->out_stride, .rows = a->queries, .outputs = a->head_dim, .activation = IDENTITY,
  };
  iafm_product(&weighted);
}
