/* Fork-join parallelism on the OpenMP runtime that torch has loaded, so that two thread pools never compete. */

#ifndef IAFM_THREADS_H
#define IAFM_THREADS_H

#include "iafm.h"

typedef void (*Task)(void *job);
extern void (*iafm_parallel)(Task, void *job, unsigned threads, unsigned flags); /* GOMP_parallel */
extern int (*iafm_thread_index)(void), (*iafm_thread_count)(void); /* omp_get_thread_num, omp_get_num_threads */

/* Once after loading: the addresses of the three functions above in torch's library. */
IAFM_EXPORT void iafm_init_threads(void *parallel, void *thread_index, void *thread_count);

/* This thread's share [begin, end) of `total` items. OpenMP may start fewer threads than were asked for, so the share
   is computed inside the team. */
static inline void chunk_range(int64_t total, int64_t *begin, int64_t *end) {
  int64_t index = iafm_thread_index(), count = iafm_thread_count();
  IAFM_ASSERT(0 <= index && index < count);
  *begin = total * index / count;
  *end = total * (index + 1) / count;
}

/* Run `task` on all threads and wait. A single thread is the caller itself: a team of one would end the pool's other
   threads, which torch needs again at once. */
static inline void parallel_run(Task task, void *job, int64_t threads) {
  if (threads > 1)
    iafm_parallel(task, job, (unsigned)threads, 0);
  else
    task(job);
}

#endif
