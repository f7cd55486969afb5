/* All layers of a compact model's decoder against its cache. Each thread has some of the players, from the first layer to
   the last, so that none waits for another in between. */

#include "compact.h"

typedef struct {
  Norm norm, feed_norm;
  Matrix qkv, out, feed_in, feed_out; /* queries are scaled by their matrix */
} Layer;

typedef struct {
  const Layer *layers;
  Norm norm;                  /* after the last */
  int64_t count, heads, size; /* of a head */
  const float *x;             /* (batch, rows, heads * size) */
  float *y;                   /* (batch, tail, heads * size) */
  int64_t batch, rows, tail, threads;
  float *cache; /* (layers, 2, memories, heads, slots, size), at these distances but for the last */
  int64_t layer, part, memory, head;
  const int64_t *row, *slot;  /* (batch), (batch, rows): where in it tokens stand */
  const int16_t *column;      /* (batch, rows, used): which bias each slot has for a token; -1 where it is not seen */
  int64_t used, column_batch, column_row;
  const float *table; /* (heads, columns), from column -1 on */
  int64_t columns;
  float *scratch;
} Layers;

#define MOST 4 /* players that a thread computes at once: their numbers stay near it, and weights are read seldom */

/* A thread's room. `seen`: the slots that any of a player's tokens sees, `count` of them. */
typedef struct {
  float *x, *normed, *qkv, *found, *feed, *bias, *keys, *values, *scores;
  int32_t *seen;
  int64_t count[MOST];
} Room;

static int64_t players(const Layers *s) {
  int64_t each = (s->batch + s->threads - 1) / s->threads;
  return each < MOST ? each : MOST;
}

static int64_t slots(const Layers *s) { return up(s->used, WIDE); }

static int64_t room_of(const Layers *s, float *at, Room *room) {
  int64_t width = s->heads * s->size, tokens = players(s) * s->rows * width;
  float *begin = at;
  room->x = at;
  room->normed = at += tokens;
  room->qkv = at += tokens;
  room->found = at += 3 * tokens;
  room->feed = at += tokens;
  room->bias = at += 4 * tokens;
  room->keys = at += players(s) * s->heads * s->rows * slots(s);
  room->values = at += s->size * slots(s);
  room->scores = at += s->size * slots(s);
  at += s->rows * slots(s);
  room->seen = (int32_t *)at;
  at += players(s) * slots(s);
  return up(at - begin, 1024);
}

int64_t layers_scratch(const Layers *s) {
  Room room;
  return s->threads * room_of(s, 0, &room);
}

/* x times the share of a normal distribution below it; Abramowitz and Stegun's 7.1.26, to 2e-7. */
static void gelu(float *x, int64_t count) {
  for (int64_t i = 0; i < count; i += LANES) {
    vector y = load(x + i), z = larger(y, -y) * 0.70710678f, t = 1.0f / (1.0f + 0.3275911f * z);
    vector p = t * 1.061405429f - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = (p * t + 0.254829592f) * t;
    vector beyond = 0.5f * p * exponential(-z * z); /* the share beyond |y| */
    store(x + i, y * choose(y > all(0), 1.0f - beyond, beyond));
  }
}

static int64_t find_seen(const Layers *s, int64_t player, int32_t *seen) {
  int64_t count = 0;
  memset(seen, 0, (size_t)s->used * 4);
  for (int64_t row = 0; row < s->rows; row++) {
    const int16_t *column = s->column + player * s->column_batch + row * s->column_row;
    for (int64_t k = 0; k < s->used; k++) seen[k] |= column[k] >= 0;
  }
  for (int64_t k = 0; k < s->used; k++)
    if (seen[k]) seen[count++] = (int32_t)k;
  return count;
}

/* What is added to attention, the same for all layers: for each player (heads, rows, what is seen). */
static void spread_bias(const Layers *s, Room *room, int64_t from, int64_t to) {
  for (int64_t b = from; b < to; b++) {
    int32_t *seen = room->seen + (b - from) * slots(s);
    int64_t count = room->count[b - from] = find_seen(s, b, seen);
    float *out = room->bias + (b - from) * s->heads * s->rows * slots(s);
    for (int64_t head = 0; head < s->heads; head++) {
      const float *table = s->table + head * s->columns + 1;
      for (int64_t row = 0; row < s->rows; row++) {
        const int16_t *column = s->column + b * s->column_batch + row * s->column_row;
        for (int64_t k = 0; k < count; k++) *out++ = table[column[seen[k]]];
        for (int64_t k = count; k < up(count, WIDE); k++) *out++ = table[-1];
      }
    }
  }
}

/* The keys that are seen as stripes, and the values behind each other. */
static void gather(const Layers *s, const float *keys, const int32_t *seen, int64_t count, const Room *room) {
  for (int64_t n = 0; n < up(count, WIDE); n += LANES)
    for (int64_t h = 0; h < s->size; h += LANES) {
      float *place = room->keys + n / WIDE * WIDE * s->size + h * WIDE + n % WIDE;
      vector r[LANES];
      for (int64_t i = 0; i < LANES; i++) r[i] = n + i < count ? load(keys + seen[n + i] * s->size + h) : all(0);
      transpose(r);
      for (int64_t i = 0; i < LANES; i++) store(place + i * WIDE, r[i]);
    }
  for (int64_t k = 0; k < count; k++)
    for (int64_t h = 0; h < s->size; h += LANES)
      store(room->values + k * s->size + h, load(keys + s->part + seen[k] * s->size + h));
}

/* Scores to shares that come to one. */
static void shares(float *scores, int64_t length) {
  vector most = load(scores), sum = all(0);
  for (int64_t i = LANES; i < length; i += LANES) most = larger(most, load(scores + i));
  float top = most[0];
  for (int i = 1; i < LANES; i++) top = most[i] > top ? most[i] : top;
  for (int64_t i = 0; i < length; i += LANES) {
    vector y = exponential(load(scores + i) - top);
    sum += y;
    store(scores + i, y);
  }
  float scale = 1 / sum_of(sum);
  for (int64_t i = 0; i < length; i += LANES) store(scores + i, load(scores + i) * scale);
}

/* One player's tokens, from row `first` on, for one head. */
static void attend(const Layers *s, const Room *room, const float *keys, int64_t player, int64_t head, int64_t first) {
  int64_t width = s->heads * s->size, rows = s->rows - first, count = room->count[player], length = up(count, WIDE);
  gather(s, keys, room->seen + player * slots(s), count, room);
  Product p = {room->qkv + (player * s->rows + first) * 3 * width + head * s->size,
               3 * width, 1, s->size, 0, room->keys, WIDE, WIDE * s->size, 0,
               room->bias + player * s->heads * s->rows * slots(s) + (head * s->rows + first) * length,
               room->scores, length, rows, length, AS_IT_IS};
  multiply(&p);
  for (int64_t row = 0; row < rows; row++) shares(room->scores + row * length, length);
  Product q = {room->scores, length, 1, count, 0, room->values, s->size, WIDE, 0, 0,
               room->found + player * rows * width + head * s->size, width, rows, s->size, AS_IT_IS};
  multiply(&q);
}

/* Players `from` up to `to`. */
static void all_layers(const Layers *s, Room room, int64_t from, int64_t to) {
  int64_t width = s->heads * s->size, rows = s->rows, tokens = (to - from) * rows;
  memcpy(room.x, s->x + from * rows * width, (size_t)(tokens * width) * 4);
  spread_bias(s, &room, from, to);
  for (int64_t layer = 0; layer < s->count; layer++) {
    const Layer *at = s->layers + layer;
    norm(&at->norm, room.x, room.normed, tokens, width);
    Product p = by_matrix(&at->qkv, room.normed, tokens, room.qkv);
    multiply(&p);
    int64_t first = layer == s->count - 1 ? s->rows - s->tail : 0;
    for (int64_t b = from; b < to; b++) {
      float *memory = s->cache + layer * s->layer + s->row[b] * s->memory;
      for (int64_t i = 0; i < rows; i++)
        for (int64_t part = 0; part < 2; part++)
          for (int64_t head = 0; head < s->heads; head++)
            memcpy(memory + part * s->part + head * s->head + s->slot[b * rows + i] * s->size,
                   room.qkv + ((b - from) * rows + i) * 3 * width + (part + 1) * width + head * s->size, (size_t)s->size * 4);
      for (int64_t head = 0; head < s->heads; head++)
        attend(s, &room, memory + head * s->head, b - from, head, first);
      if (first) /* from here on only the last tokens are computed */
        memmove(room.x + (b - from) * s->tail * width, room.x + ((b - from) * rows + first) * width,
                (size_t)(s->tail * width) * 4);
    }
    if (first) tokens = (to - from) * s->tail;
    p = by_matrix(&at->out, room.found, tokens, room.x);
    p.onto = room.x;
    multiply(&p);
    norm(&at->feed_norm, room.x, room.normed, tokens, width);
    p = by_matrix(&at->feed_in, room.normed, tokens, room.feed);
    multiply(&p);
    gelu(room.feed, tokens * at->feed_in.outer);
    p = by_matrix(&at->feed_out, room.feed, tokens, room.x);
    p.onto = room.x;
    multiply(&p);
  }
  norm(&s->norm, room.x, s->y + from * s->tail * width, tokens, width);
}

static void layers_part(void *job) {
  const Layers *s = job;
  Room room;
  int64_t from, to, size = room_of(s, 0, &room), most = players(s);
  room_of(s, s->scratch + part_number() * size, &room);
  split(s->batch, &from, &to);
  for (; from < to; from += most) all_layers(s, room, from, to - from < most ? to : from + most);
}

void run_layers(const Layers *s) {
  run(layers_part, (void *)s, s->batch > 1 ? s->threads : 1);
}
