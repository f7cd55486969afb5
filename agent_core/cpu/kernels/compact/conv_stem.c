/* Convolutions over an image, then a layer norm; each image by one thread. Text may shift one layer's output.

   Feature maps are (height, width, channels) with a border of zeros around them (the padding), so that what a kernel
   covers is a few runs of numbers, and the next place is a stride further: a convolution is one matrix product for each
   line of its output.

       0 0 0 0 0 0
       0 a b c d 0     kernel 3 x 3 at (0, 0): runs  0 0 0 | 0 a b | 0 e f
       0 e f g h 0     stride 1, next place:   runs  0 0 0 | a b c | e f g
       0 0 0 0 0 0                                                            */

#include "compact.h"

typedef struct {
  int64_t height, width, channels, padding;
} Shape;

/* Numbers of one line, and of the whole map, rounded up so that the next one begins at a line of memory. */
static int64_t line_of(Shape s) { return (s.width + 2 * s.padding) * s.channels; }
static int64_t size_of(Shape s) { return round_up((s.height + 2 * s.padding) * line_of(s), 16); }

/* The first number inside the border. */
static float *interior(float *map, Shape s) { return map + s.padding * (line_of(s) + s.channels); }

/* The input of layer `i`; with i the number of layers the output of the last one. */
static Shape shape_of(const ConvStem *s, int64_t i) {
  Shape shape = {s->height, s->width, 3, s->layers->padding};
  for (const Convolution *c = s->layers; c < s->layers + i; c++) {
    shape.height = (shape.height + 2 * c->padding - c->kernel[0]) / c->stride[0] + 1;
    shape.width = (shape.width + 2 * c->padding - c->kernel[1]) / c->stride[1] + 1;
    shape.channels = c->matrix.outputs;
    shape.padding = c + 1 < s->layers + s->layer_count ? c[1].padding : 0;
  }
  return shape;
}

/* Of one thread: the input of every layer. */
static int64_t thread_scratch(const ConvStem *s) {
  int64_t size = 0;
  for (int64_t i = 0; i < s->layer_count; i++) size += size_of(shape_of(s, i));
  return size;
}

int64_t iafm_conv_stem_scratch(const ConvStem *s) { return s->threads * thread_scratch(s); }

static void clear_border(float *map, Shape s) {
  int64_t line = line_of(s), edge = s.padding * s.channels;
  memset(map, 0, (size_t)(s.padding * line) * 4);
  memset(map + (s.height + s.padding) * line, 0, (size_t)(s.padding * line) * 4);
  for (int64_t y = s.padding; y < s.height + s.padding; y++) {
    memset(map + y * line, 0, (size_t)edge * 4);
    memset(map + (y + 1) * line - edge, 0, (size_t)edge * 4);
  }
}

/* An image's bytes to -1 ... 1. */
static void load_image(const uint8_t *image, float *map, Shape s) {
  int64_t numbers = s.width * s.channels, line = line_of(s);
  float *to = interior(map, s);
  for (int64_t y = 0; y < s.height; y++, to += line, image += numbers)
    for (int64_t i = 0; i < numbers; i++) to[i] = (float)image[i] * (2.0f / 255) - 1.0f;
}

/* Layer `i` of image `n`. */
static void convolve(const ConvStem *s, int64_t i, int64_t n, const float *from, float *to) {
  const Convolution *c = s->layers + i;
  const Conditioning *text = &s->conditioning;
  Shape in = shape_of(s, i), out = shape_of(s, i + 1);
  Product p = product_of(&c->matrix, from, out.width, interior(to, out));
  int64_t line = line_of(in);
  p.row_stride = c->stride[1] * in.channels;
  p.runs = c->kernel[0];
  p.run_length = c->kernel[1] * in.channels;
  p.run_stride = line;
  p.activation = c->relu ? RELU : IDENTITY;
  if (text->shift && i == text->layer) p.bias = text->shift + n * out.channels;
  IAFM_ASSERT(c->matrix.inputs == p.runs * p.run_length && out.height > 0 && out.width > 0);
  for (int64_t y = 0; y < out.height; y++, p.x += c->stride[0] * line, p.out += line_of(out)) iafm_product(&p);
}

static void conv_stem_task(void *job) {
  const ConvStem *s = job;
  float *scratch = s->scratch + iafm_thread_index() * thread_scratch(s), *map = scratch;
  Shape out = shape_of(s, s->layer_count);
  int64_t begin, end, numbers = out.height * out.width * out.channels;
  chunk_range(s->batch, &begin, &end);
  for (int64_t i = 0; i < s->layer_count && begin < end; map += size_of(shape_of(s, i)), i++)
    clear_border(map, shape_of(s, i));
  for (int64_t n = begin; n < end; n++) {
    map = scratch;
    load_image(s->images + n * s->height * s->width * 3, map, shape_of(s, 0));
    for (int64_t i = 0; i < s->layer_count; i++) {
      float *from = map;
      map = i + 1 < s->layer_count ? from + size_of(shape_of(s, i)) : s->out + n * numbers;
      convolve(s, i, n, from, map);
    }
    iafm_layer_norm(&s->norm, map, map, out.height * out.width, out.channels);
  }
}

void iafm_conv_stem(const ConvStem *s) {
  IAFM_ASSERT(s->layer_count > 0 && s->batch > 0 && (uintptr_t)s->scratch % 64 == 0);
  parallel_run(conv_stem_task, (void *)s, s->batch > 1 ? s->threads : 1);
}
