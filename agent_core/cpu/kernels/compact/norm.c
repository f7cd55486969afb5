/* Rows of mean 0 and variance 1, then scaled and shifted. */

#include <math.h>

#include "compact.h"

void norm(const Norm *n, const float *x, float *to, int64_t rows, int64_t width) {
  for (int64_t row = 0; row < rows; row++, x += width, to += width) {
    vector sum = all(0), apart = all(0);
    for (int64_t i = 0; i < width; i += LANES) sum += load(x + i);
    float mean = sum_of(sum) / (float)width;
    for (int64_t i = 0; i < width; i += LANES) {
      vector d = load(x + i) - mean;
      apart += d * d;
    }
    float scale = 1 / sqrtf(sum_of(apart) / (float)width + 1e-5f);
    for (int64_t i = 0; i < width; i += LANES)
      store(to + i, (load(x + i) - mean) * scale * load(n->weight + i) + load(n->bias + i));
  }
}
