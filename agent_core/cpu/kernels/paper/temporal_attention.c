/* Attention over time: one query for each place and head of an image, over that place in at most 16 frames.

   Most of the time goes into reading the cache, so a place's keys and values (frames x HEAD_DIM) lie together. */

#include "paper.h"

/* Q K^T of one query over `frames` keys behind each other; lanes beyond them are 0. */
static inline __m512 scores_of(const bf16 *query, const bf16 *keys, int64_t frames) {
  __m512bh low = (__m512bh)_mm512_loadu_si512(query), high = (__m512bh)_mm512_loadu_si512(query + 32);
  float scores[MAX_FRAMES] = {0};
  for (int64_t t = 0; t < frames; t++, keys += HEAD_DIM) {
    __m512 sum = _mm512_dpbf16_ps(_mm512_setzero_ps(), low, (__m512bh)_mm512_loadu_si512(keys));
    scores[t] = _mm512_reduce_add_ps(_mm512_dpbf16_ps(sum, high, (__m512bh)_mm512_loadu_si512(keys + 32)));
  }
  return _mm512_loadu_ps(scores);
}

/* softmax(scores / 8) over the lanes in `mask` */
static inline __m512 softmax(__m512 scores, __mmask16 mask) {
  __m512 max = _mm512_set1_ps(_mm512_mask_reduce_max_ps(mask, scores));
  __m512 p = exp2_approx(_mm512_mul_ps(_mm512_sub_ps(scores, max), _mm512_set1_ps(LOG2_E / 8)));
  p = _mm512_maskz_mov_ps(mask, p);
  return _mm512_div_ps(p, _mm512_set1_ps(_mm512_reduce_add_ps(p)));
}

/* out (HEAD_DIM) = probs V, over the frames in `mask` */
static inline void weighted_sum(const float *probs, const bf16 *values, int64_t frames, __mmask16 mask, bf16 *out) {
  __m512 acc[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()};
  for (int64_t t = 0; t < frames; t++)
    if (mask >> t & 1)
      for (int k = 0; k < 4; k++)
        acc[k] = _mm512_fmadd_ps(_mm512_set1_ps(probs[t]), bf16_to_f32(values + t * HEAD_DIM + k * 16), acc[k]);
  for (int k = 0; k < 4; k++) f32_to_bf16(out + k * 16, acc[k]);
}

static void temporal_attention_task(void *job) {
  const TemporalAttention *a = job;
  int64_t begin, end;
  chunk_range(a->images * a->places, &begin, &end);
  for (int64_t i = begin; i < end; i++) {
    int64_t image = i / a->places, place = i % a->places;
    uint16_t mask = 0; /* a bit for each frame */
    for (int64_t t = 0; t < a->frames; t++) mask |= (uint16_t)((a->mask[t * a->images + image] == 0) << t);
    IAFM_ASSERT(mask && 0 <= a->frame_slot[image] && a->frame_slot[image] < a->frames && a->session[image] >= 0);
    for (int64_t head = 0; head < a->heads; head++) {
      int64_t at = ((a->session[image] * a->places + place) * a->heads + head) * a->frames * HEAD_DIM;
      bf16 *keys = a->key_cache + at, *values = a->value_cache + at;
#define NEWEST(rows) ((rows).data + image * (rows).batch_stride + head * (rows).head_stride + place * (rows).row_stride)
      memcpy(keys + a->frame_slot[image] * HEAD_DIM, NEWEST(a->key), HEAD_DIM * 2);
      memcpy(values + a->frame_slot[image] * HEAD_DIM, NEWEST(a->value), HEAD_DIM * 2);
      float probs[MAX_FRAMES];
      _mm512_storeu_ps(probs, softmax(scores_of(NEWEST(a->query), keys, a->frames), mask));
      weighted_sum(probs, values, a->frames, mask, a->out + (i * a->heads + head) * HEAD_DIM);
    }
  }
}

void iafm_temporal_attention(const TemporalAttention *a) {
  IAFM_ASSERT(0 < a->frames && a->frames <= MAX_FRAMES);
  parallel_run(temporal_attention_task, (void *)a, a->threads);
}
