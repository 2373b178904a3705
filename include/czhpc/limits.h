/* What the system lets this process have. `root` is where /proc and /sys are looked for: "", or a
 * folder of tests. All of it is Local. */
#ifndef CZ_LIMITS_H
#define CZ_LIMITS_H

/* CPUs' worth of time that the control groups of this process have, version 1 or 2; INFINITY: no
 * limit is found. */
double cz_cpu_quota(const char *root);

/* Bytes that are free on this node, or to the control groups that this process is in, version 2: a
 * batch system limits a job by one. INFINITY: nothing is told. */
double cz_memory_left(const char *root);

#endif
