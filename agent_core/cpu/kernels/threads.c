/* Which threads? Those of the library that called us. */

#include "threads.h"

void (*run_parts)(Part, void *, unsigned, unsigned);
int (*part_number)(void), (*part_count)(void);

void begin(void *run, void *number, void *count) {
  run_parts = (void (*)(Part, void *, unsigned, unsigned))run;
  part_number = (int (*)(void))number;
  part_count = (int (*)(void))count;
}
