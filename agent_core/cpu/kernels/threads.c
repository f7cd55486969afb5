/* Entry points of torch's OpenMP runtime, handed in once after loading. */

#include "threads.h"

void (*iafm_parallel)(Task, void *, unsigned, unsigned);
int (*iafm_thread_index)(void), (*iafm_thread_count)(void);

void iafm_init_threads(void *parallel, void *thread_index, void *thread_count) {
  iafm_parallel = (void (*)(Task, void *, unsigned, unsigned))parallel;
  iafm_thread_index = (int (*)(void))thread_index;
  iafm_thread_count = (int (*)(void))thread_count;
}
