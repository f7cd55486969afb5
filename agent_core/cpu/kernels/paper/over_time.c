/* Attention over time: one query for each place and head of a picture, over that place in a few frames. Reading the memory
   is most of it. */

#include "paper.h"

static void look_back_part(void *job) {
  const LookBack *l = job;
  int64_t from, to;
  split(l->pictures * l->places, &from, &to);
  for (int64_t i = from; i < to; i++) {
    int64_t picture = i / l->places, place = i % l->places;
    uint16_t seen = 0;
    for (int64_t t = 0; t < l->frames; t++) seen |= (uint16_t)((l->bias[t * l->pictures + picture] == 0) << t);
    for (int64_t head = 0; head < l->heads; head++) {
      int64_t room = ((l->row[picture] * l->places + place) * l->heads + head) * l->frames * HEAD;
      bf16 *keys = l->keys + room, *values = l->values + room;
#define ROW(rows) ((rows).data + picture * (rows).batch + head * (rows).head + place * (rows).row)
      memcpy(keys + l->frame[picture] * HEAD, ROW(l->key), HEAD * 2);
      memcpy(values + l->frame[picture] * HEAD, ROW(l->value), HEAD * 2);
      const bf16 *query = ROW(l->query);
      __m512bh q0 = (__m512bh)_mm512_loadu_si512(query), q1 = (__m512bh)_mm512_loadu_si512(query + 32);
      float score[MOST_FRAMES] = {0};
      for (int64_t t = 0; t < l->frames; t++) {
        __m512 sum = _mm512_dpbf16_ps(_mm512_setzero_ps(), q0, (__m512bh)_mm512_loadu_si512(keys + t * HEAD));
        score[t] = _mm512_reduce_add_ps(_mm512_dpbf16_ps(sum, q1, (__m512bh)_mm512_loadu_si512(keys + t * HEAD + 32)));
      }
      __m512 all = _mm512_loadu_ps(score), largest = _mm512_set1_ps(_mm512_mask_reduce_max_ps(seen, all));
      all = power_of_two(_mm512_mul_ps(_mm512_sub_ps(all, largest), _mm512_set1_ps(LOG2_E / 8)));
      all = _mm512_maskz_mov_ps(seen, all);
      _mm512_storeu_ps(score, _mm512_div_ps(all, _mm512_set1_ps(_mm512_reduce_add_ps(all))));
      __m512 found[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()};
      for (int64_t t = 0; t < l->frames; t++)
        if (seen >> t & 1)
          for (int k = 0; k < 4; k++)
            found[k] = _mm512_fmadd_ps(_mm512_set1_ps(score[t]), wide(values + t * HEAD + k * 16), found[k]);
      for (int k = 0; k < 4; k++) narrow(l->out + (i * l->heads + head) * HEAD + k * 16, found[k]);
    }
  }
}

void look_back(LookBack *l) { run(look_back_part, l, l->threads); }

