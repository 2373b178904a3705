#include "czhpc/cpus.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool cz_cpus_has(const cz_cpus *set, int cpu)
{
    return set->word[cpu / CZ_CPUS_WORD] >> cpu % CZ_CPUS_WORD & 1;
}

void cz_cpus_add(cz_cpus *set, int cpu)
{
    set->word[cpu / CZ_CPUS_WORD] |= 1UL << cpu % CZ_CPUS_WORD;
}

void cz_cpus_add_all(cz_cpus *set, const cz_cpus *of)
{
    for (int i = 0; i < CZ_CPUS / CZ_CPUS_WORD; i++) set->word[i] |= of->word[i];
}

int cz_cpus_count(const cz_cpus *set)
{
    int count = 0;
    for (int cpu = 0; cpu < CZ_CPUS; cpu++) count += cz_cpus_has(set, cpu);
    return count;
}

int cz_cpus_next(const cz_cpus *set, int after)
{
    for (int cpu = after + 1; cpu < CZ_CPUS; cpu++)
        if (cz_cpus_has(set, cpu)) return cpu;
    return -1;
}

bool cz_cpus_equal(const cz_cpus *a, const cz_cpus *b) { return memcmp(a, b, sizeof *a) == 0; }

bool cz_cpus_meet(const cz_cpus *a, const cz_cpus *b)
{
    for (int i = 0; i < CZ_CPUS / CZ_CPUS_WORD; i++)
        if (a->word[i] & b->word[i]) return true;
    return false;
}

bool cz_cpus_within(const cz_cpus *part, const cz_cpus *whole)
{
    for (int i = 0; i < CZ_CPUS / CZ_CPUS_WORD; i++)
        if (part->word[i] & ~whole->word[i]) return false;
    return true;
}

/* A number of a CPU; NULL: there is none. */
static const char *take_number(int *cpu, const char *text)
{
    char *end;
    long number = strtol(text, &end, 10);
    if (*text < '0' || *text > '9' || number >= CZ_CPUS) return NULL;
    *cpu = (int)number;
    return end;
}

bool cz_cpus_parse(cz_cpus *set, const char *text)
{
    *set = (cz_cpus){0};
    for (;; text++) {
        int first, last;
        if (!(text = take_number(&first, text))) return false;
        last = first;
        if (*text == '-' && !(text = take_number(&last, text + 1))) return false;
        if (last < first) return false;
        for (int cpu = first; cpu <= last; cpu++) cz_cpus_add(set, cpu);
        if (*text == 0 || *text == '\n') return true;
        if (*text != ',') return false;
    }
}

const char *cz_cpus_print(char *text, size_t size, const cz_cpus *set)
{
    size_t used = 0;
    text[0] = 0;
    for (int first = -1, last = -1; (first = cz_cpus_next(set, last)) >= 0;) {
        last = first;
        while (last + 1 < CZ_CPUS && cz_cpus_has(set, last + 1)) last++;
        char range[32];
        int length = snprintf(range, sizeof range, last > first ? "%s%d-%d" : "%s%d",
                              used ? "," : "", first, last);
        if (used + (size_t)length + 4 > size) {
            snprintf(text + used, size - used, "...");
            break;
        }
        memcpy(text + used, range, (size_t)length + 1);
        used += (size_t)length;
    }
    return text;
}

bool cz_cpus_of_thread(cz_cpus *set)
{
    *set = (cz_cpus){0};
    return sched_getaffinity(0, sizeof *set, (cpu_set_t *)(void *)set->word) == 0;
}
