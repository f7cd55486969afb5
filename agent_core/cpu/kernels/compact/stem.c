/* Pictures become cells: convolutions over pixels, each picture by one thread.

   Rows of a picture lie with a border of zeros around them, so that what a kernel covers is a few runs of numbers, as far
   from the next place's as its stride: rows times a matrix. */

#include "compact.h"

typedef struct {
  Matrix matrix; /* inner: rows of the kernel, columns, channels */
  int64_t kernel[2], stride[2], border, relu;
} Convolution;

typedef struct {
  const Convolution *layers;
  Norm norm; /* of what the last layer leaves, place by place */
  int64_t count;
  const uint8_t *pictures; /* (pictures, height, width, 3) */
  float *cells;            /* (pictures, what the last layer leaves) */
  int64_t number, height, width, threads;
  float *scratch;
} Stem;

typedef struct {
  int64_t height, width, channels, border;
} Grid;

static int64_t line_of(Grid g) { return (g.width + 2 * g.border) * g.channels; }

/* Rounded up to whole lines of memory, as is each thread's room. */
static int64_t size_of(Grid g) { return up((g.height + 2 * g.border) * line_of(g), LANES); }

static float *inside(float *grid, Grid g) { return grid + g.border * (line_of(g) + g.channels); }

/* What layer `i` is given, or after the last one what it leaves. */
static Grid grid_of(const Stem *s, int64_t i) {
  Grid g = {s->height, s->width, 3, s->layers->border};
  for (const Convolution *c = s->layers; c < s->layers + i; c++) {
    g.height = (g.height + 2 * c->border - c->kernel[0]) / c->stride[0] + 1;
    g.width = (g.width + 2 * c->border - c->kernel[1]) / c->stride[1] + 1;
    g.channels = c->matrix.outer;
    g.border = c + 1 < s->layers + s->count ? c[1].border : 0;
  }
  return g;
}

static int64_t room_of(const Stem *s) {
  int64_t size = 0;
  for (int64_t i = 0; i < s->count; i++) size += size_of(grid_of(s, i));
  return size;
}

int64_t stem_scratch(const Stem *s) { return s->threads * room_of(s); }

static void clear_border(float *grid, Grid g) {
  int64_t line = line_of(g), edge = g.border * g.channels;
  memset(grid, 0, (size_t)(g.border * line) * 4);
  memset(grid + (g.height + g.border) * line, 0, (size_t)(g.border * line) * 4);
  for (int64_t y = g.border; y < g.height + g.border; y++) {
    memset(grid + y * line, 0, (size_t)edge * 4);
    memset(grid + (y + 1) * line - edge, 0, (size_t)edge * 4);
  }
}

/* Bytes to -1 … 1. */
static void take(const uint8_t *picture, float *grid, Grid g) {
  int64_t numbers = g.width * g.channels, line = line_of(g);
  float *to = inside(grid, g);
  for (int64_t y = 0; y < g.height; y++, to += line, picture += numbers)
    for (int64_t i = 0; i < numbers; i++) to[i] = (float)picture[i] * (2.0f / 255) - 1.0f;
}

static void convolve(const Convolution *c, const float *from, Grid in, float *to, Grid out) {
  Product p = by_matrix(&c->matrix, from, out.width, inside(to, out));
  int64_t line = line_of(in);
  p.row = c->stride[1] * in.channels;
  p.runs = c->kernel[0];
  p.run = c->kernel[1] * in.channels;
  p.skip = line;
  p.after = c->relu ? RELU : AS_IT_IS;
  for (int64_t y = 0; y < out.height; y++, p.x += c->stride[0] * line, p.out += line_of(out)) multiply(&p);
}

static void stem_part(void *job) {
  const Stem *s = job;
  float *room = s->scratch + part_number() * room_of(s), *at = room;
  int64_t from, to, cells = size_of(grid_of(s, s->count));
  split(s->number, &from, &to);
  for (int64_t i = 0; i < s->count && from < to; at += size_of(grid_of(s, i)), i++) clear_border(at, grid_of(s, i));
  for (int64_t n = from; n < to; n++) {
    at = room;
    take(s->pictures + n * s->height * s->width * 3, at, grid_of(s, 0));
    for (int64_t i = 0; i < s->count; i++) {
      float *before = at;
      at = i + 1 < s->count ? before + size_of(grid_of(s, i)) : s->cells + n * cells;
      convolve(s->layers + i, before, grid_of(s, i), at, grid_of(s, i + 1));
    }
    Grid out = grid_of(s, s->count);
    norm(&s->norm, at, at, out.height * out.width, out.channels);
  }
}

void run_stem(const Stem *s) {
  run(stem_part, (void *)s, s->number > 1 ? s->threads : 1);
}
