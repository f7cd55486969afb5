/* Layer norm: rows of mean 0 and variance 1, then scaled and shifted. */

#include <math.h>

#include "compact.h"

void iafm_layer_norm(const Norm *n, const float *x, float *out, int64_t rows, int64_t width) {
  IAFM_ASSERT(width % LANES == 0);
  for (int64_t row = 0; row < rows; row++, x += width, out += width) {
    vec sum = broadcast(0), squares = broadcast(0);
    for (int64_t i = 0; i < width; i += LANES) sum += load(x + i);
    float mean = sum_of(sum) / (float)width;
    for (int64_t i = 0; i < width; i += LANES) {
      vec d = load(x + i) - mean;
      squares += d * d;
    }
    float inverse_std = 1 / sqrtf(sum_of(squares) / (float)width + 1e-5f);
    for (int64_t i = 0; i < width; i += LANES)
      store(out + i, (load(x + i) - mean) * inverse_std * load(n->weight + i) + load(n->bias + i));
  }
}
