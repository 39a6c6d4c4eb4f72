/* Computes the approximate instructions rcpps, rcpss, rsqrtps and rsqrtss, legacy and VEX, for a traced thread. */
#ifndef APPROXIMATE_H
#define APPROXIMATE_H
#include <stdint.h>
#include <sys/types.h>

/* How results are chosen: as this processor does, correctly rounded, or rounded to 12 bits, the fewest allowed. */
enum kind { NATIVE, EXACT, COARSE };

/* Executes the instruction `code` at the thread's instruction pointer and moves that behind it.
   Returns 0, or -1 if it is none of these instructions or the thread is gone. */
int approximate(pid_t thread, int memory, const uint8_t *code, enum kind kind);
#endif
