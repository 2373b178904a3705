/* Sets of CPUs by the kernel's numbers. A CPU is a hardware thread: a core has one, or several.
 * All of it is Local. */
#ifndef CZ_CPUS_H
#define CZ_CPUS_H

#include <stdbool.h>
#include <stddef.h>

enum { CZ_CPUS = 4096, CZ_CPUS_WORD = 8 * sizeof(unsigned long) };

/* {0} is the empty one; bits as sched_setaffinity() has them. */
typedef struct cz_cpus {
    unsigned long word[CZ_CPUS / CZ_CPUS_WORD];
} cz_cpus;

bool cz_cpus_has(const cz_cpus *set, int cpu);
void cz_cpus_add(cz_cpus *set, int cpu);
void cz_cpus_add_all(cz_cpus *set, const cz_cpus *of);
int cz_cpus_count(const cz_cpus *set);
/* The lowest one above `after`; -1: there is none. -1 begins. */
int cz_cpus_next(const cz_cpus *set, int after);
bool cz_cpus_equal(const cz_cpus *a, const cz_cpus *b);
bool cz_cpus_meet(const cz_cpus *a, const cz_cpus *b); /* they have one in common */
bool cz_cpus_within(const cz_cpus *part, const cz_cpus *whole);

/* The kernel's lists, such as "0-3,8", ended by a newline or not. false: `text` is none. */
bool cz_cpus_parse(cz_cpus *set, const char *text);
/* Such a list in a buffer of `size` bytes, which it returns; what does not fit ends in "...". */
const char *cz_cpus_print(char *text, size_t size, const cz_cpus *set);

/* What the calling thread may run on. false, with errno: the system does not say. */
bool cz_cpus_of_thread(cz_cpus *set);

#endif
