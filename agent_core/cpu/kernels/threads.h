/* Work is split over the threads that torch has (its own OpenMP), so that they do not compete with others. */

#ifndef IAFM_THREADS_H
#define IAFM_THREADS_H

#include <stdint.h>

typedef void (*Part)(void *);
extern void (*run_parts)(Part, void *, unsigned, unsigned); /* GOMP_parallel */
extern int (*part_number)(void), (*part_count)(void);       /* omp_get_thread_num, omp_get_num_threads */

static inline int64_t up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/* A thread's stretch of the work. There may be fewer threads than were asked for. */
static inline void split(int64_t all, int64_t *from, int64_t *to) {
  int64_t me = part_number(), parts = part_count();
  *from = all * me / parts;
  *to = all * (me + 1) / parts;
}

/* By all threads, or without any others: a smaller team would end threads that torch needs again at once. */
static inline void run(Part part, void *job, int64_t threads) {
  if (threads > 1)
    run_parts(part, job, (unsigned)threads, 0);
  else
    part(job);
}

#endif
