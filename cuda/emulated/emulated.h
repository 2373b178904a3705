/* What a test may ask of the emulated runtime, beside what a program may: by dlsym(). */
#ifndef CZ_EMULATED_H
#define CZ_EMULATED_H

#ifdef __cplusplus
extern "C" {
#endif
#define CZ_EMULATED_SHOWN __attribute__((visibility("default")))

/* The names of the runtime's calls since cz_emulated_forget_calls(), in order, the first `most` of
 * them; returns how many there were. Work of a stream goes by what it is: kernel, memcpy, memset,
 * product, allreduce. */
CZ_EMULATED_SHOWN int cz_emulated_calls(const char *(*names)[], int most);
CZ_EMULATED_SHOWN void cz_emulated_forget_calls(void);

#ifdef __cplusplus
}
#endif

#endif
