/* What both kernel libraries share: visibility, debug assertions, scratch memory, the ABI table.

   Symbols are hidden unless marked IAFM_EXPORT; every symbol with external linkage begins with iafm_. A build with
   -DIAFM_DEBUG checks indices and sizes, prints the failed condition and aborts. */

#ifndef IAFM_H
#define IAFM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define IAFM_EXPORT __attribute__((visibility("default")))

#ifdef IAFM_DEBUG
#include <stdio.h>
#include <stdlib.h>
#define IAFM_ASSERT(condition)                                                      \
  do {                                                                              \
    if (!(condition)) {                                                             \
      fprintf(stderr, "%s:%d: assertion failed: %s\n", __FILE__, __LINE__, #condition); \
      abort();                                                                      \
    }                                                                               \
  } while (0)
#else
#define IAFM_ASSERT(condition) ((void)0)
#endif

#define ALWAYS_INLINE static inline __attribute__((always_inline))

static inline int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

/* ---- scratch memory ---- */

/* A bump allocator. Without a base it only counts, so one function both sizes a buffer and lays it out. */
typedef struct {
  char *base; /* aligned to 64 bytes, or NULL */
  int64_t used;
} Scratch;

static inline void *scratch_take(Scratch *s, int64_t bytes) {
  void *at = s->base ? s->base + s->used : NULL;
  s->used += round_up(bytes, 64);
  return at;
}

/* ---- the ABI table (abi.c of each library) ---- */

#define IAFM_ABI_VERSION 2 /* raised with every change of a struct's or a function's meaning; abi.py has the same */

/* One field of a struct, or with no field's name the struct itself. The table ends with a row of NULL. */
typedef struct {
  const char *structure, *field;
  int64_t offset, size;
} AbiField;

#define ABI_STRUCT(type) {#type, NULL, 0, sizeof(type)}
#define ABI_FIELD(type, field) {#type, #field, offsetof(type, field), sizeof(((type *)0)->field)}

IAFM_EXPORT int64_t iafm_abi_version(void);
IAFM_EXPORT const AbiField *iafm_abi_fields(void);

#endif
