/* All layers of an encoder or a decoder, one after the other. What is given stays as it is. */

#include "paper.h"

typedef struct {
  Matrix time_qkv, time_out; /* packed is nothing where there is no attention over time */
  Matrix qkv, out, feed_in, feed_out;
} Layer;

typedef struct {
  const Layer *layers;
  int64_t count, heads;
  const bf16 *x; /* (batch, rows, heads * HEAD) */
  bf16 *y;       /* the same size, or (batch, tail, heads * HEAD) */
  int64_t batch, rows, tail, threads;
  /* A decoder's cache, or nothing: (layers, 2, memories, heads, slots, HEAD) */
  bf16 *cache;
  int64_t memories, slots, used;
  const int64_t *memory, *slot; /* (batch), (batch, rows): where in it tokens stand */
  const bf16 *bias;             /* (batch, rows, used) at these distances: 0 where seen */
  int64_t bias_batch, bias_row;
  /* What an encoder remembers of earlier frames, or nothing: (layers, 2, memories, rows, heads, frames, HEAD) */
  bf16 *earlier;
  int64_t frames;
  const int64_t *frame; /* (batch): where in it each picture's frame stands */
  const bf16 *frames_bias; /* (frames, batch): 0 where seen */
  char *scratch;
} Stack;

typedef struct {
  bf16 *x, *qkv, *found; /* tokens; their queries, keys and values; what attention found */
  char *rest;
} Room;

static Room room_of(const Stack *s, char *at) {
  int64_t size = up(s->batch * s->rows * s->heads * HEAD * 2, 4096);
  Room room = {(bf16 *)at, (bf16 *)(at + size), (bf16 *)(at + 4 * size), at + 5 * size};
  return room;
}

/* Queries, keys or values of the tokens: part 0, 1 or 2 of what the matrix before attention leaves. */
static Rows part_of(const Stack *s, const Room *room, int64_t part) {
  int64_t width = s->heads * HEAD;
  Rows rows = {room->qkv + part * width, s->rows * 3 * width, HEAD, 3 * width};
  return rows;
}

static Attention attention_of(const Stack *s, const Room *room) {
  int64_t keys = s->cache ? s->used : s->rows;
  Attention a = {part_of(s, room, 0), part_of(s, room, 1), part_of(s, room, 2), s->bias, s->bias_batch, s->bias_row,
                 s->memory, room->found, s->batch, s->heads, s->rows, keys, s->threads, room->rest};
  if (!s->cache) a.memory = 0;
  return a;
}

static Linear linear_of(const Stack *s, const Room *room, const Matrix *first, const Matrix *second) {
  Linear l = {first, second, room->x, 0, room->x, s->batch * s->rows, s->threads, room->rest};
  return l;
}

int64_t stack_scratch(const Stack *s) {
  Room room = room_of(s, 0);
  Attention a = attention_of(s, &room);
  Linear l = linear_of(s, &room, &s->layers->feed_in, &s->layers->feed_out);
  int64_t one = s->threads * attention_scratch(&a), other = linear_scratch(&l);
  return (int64_t)room.rest + (one > other ? one : other);
}

typedef struct {
  const Stack *stack;
  const Room *room;
  bf16 *cache;
} Keeping;

/* New keys and values to their slots. */
static void keep_part(void *job) {
  const Keeping *k = job;
  const Stack *s = k->stack;
  int64_t width = s->heads * HEAD, size = s->memories * s->heads * s->slots * HEAD, from, to;
  split(s->batch * s->rows, &from, &to);
  for (int64_t i = from; i < to; i++)
    for (int64_t part = 0; part < 2; part++)
      for (int64_t head = 0; head < s->heads; head++)
        memcpy(k->cache + part * size + ((s->memory[i / s->rows] * s->heads + head) * s->slots + s->slot[i]) * HEAD,
               k->room->qkv + i * 3 * width + (part + 1) * width + head * HEAD, HEAD * 2);
}

static void attend_over_time(const Stack *s, const Room *room, int64_t layer) {
  int64_t width = s->heads * HEAD, size = s->memories * s->rows * width * s->frames;
  const Layer *at = s->layers + layer;
  Linear l = linear_of(s, room, &at->time_qkv, 0);
  l.out = room->qkv;
  linear(&l);
  LookBack b = {part_of(s, room, 0), part_of(s, room, 1), part_of(s, room, 2), s->earlier + 2 * layer * size,
                s->earlier + (2 * layer + 1) * size, s->frames_bias, s->memory, s->frame, room->found, s->batch, s->rows,
                s->heads, s->frames, s->threads};
  look_back(&b);
  l = linear_of(s, room, &at->time_out, 0);
  l.x = room->found;
  l.onto = room->x;
  linear(&l);
}

/* Of each batch the last rows, in place: what is computed for them alone from here on. */
static void keep_tail(Stack *s, Room *room, Attention *a) {
  int64_t width = s->heads * HEAD, before = s->rows - s->tail;
  for (int64_t b = 0; b < s->batch; b++)
    memmove(room->x + b * s->tail * width, room->x + (b * s->rows + before) * width, (size_t)(s->tail * width) * 2);
  a->query.data += before * a->query.row;
  if (a->bias) a->bias += before * a->bias_row;
  a->queries = s->rows = s->tail;
}

/* All layers. What is given stays as it is. */
void run_stack(const Stack *given) {
  Stack s = *given;
  Room room = room_of(&s, s.scratch);
  int64_t width = s.heads * HEAD;
  memcpy(room.x, s.x, (size_t)(s.batch * s.rows * width) * 2);
  for (int64_t layer = 0; layer < s.count; layer++) {
    const Layer *at = s.layers + layer;
    if (s.earlier) attend_over_time(&s, &room, layer);
    Linear l = linear_of(&s, &room, &at->qkv, 0);
    l.out = room.qkv;
    linear(&l);
    Attention a = attention_of(&s, &room);
    if (s.cache) {
      int64_t size = s.memories * s.heads * s.slots * HEAD;
      bf16 *cache = s.cache + 2 * layer * size;
      Keeping k = {&s, &room, cache};
      run(keep_part, &k, s.threads);
      Rows keys = {cache, s.heads * s.slots * HEAD, s.slots * HEAD, HEAD}, values = keys;
      values.data += size;
      a.key = keys;
      a.value = values;
    }
    if (layer == s.count - 1 && s.tail < s.rows) keep_tail(&s, &room, &a);
    attend(&a);
    l = linear_of(&s, &room, &at->out, 0);
    l.x = room.found;
    l.onto = room.x;
    linear(&l);
    l = linear_of(&s, &room, &at->feed_in, &at->feed_out);
    l.onto = room.x;
    linear(&l);
  }
  memcpy(s.y, room.x, (size_t)(s.batch * s.rows * width) * 2);
}
