/* What a test may ask of the emulated runtime, beside what a program may: by dlsym(). And by the
 * environment: CZHPC_EMULATED_GPUS, how many there are, or "driver" for no driver;
 * CZHPC_EMULATED_FAULT, what fails in this process, where N counts from 1: "memory:N", the N-th
 * allocation; "kernel:N", the N-th piece of work of replayed graphs, and everything after it;
 * "nccl:N", the N-th sum over ranks never ends; "remote:N", the same, and NCCL says that a rank is
 * lost; CZHPC_EMULATED_PATIENCE, the seconds that a GPU of a group waits for the others;
 * CZHPC_EMULATED_BREAK, a kernel whose first block does nothing; CZHPC_EMULATED_LIST, a file for
 * the names of the kernels that ran; CZHPC_EMULATED_EPILOGUES=none, a cublasLt without epilogues.
 */
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

/* The same of the work in the graph that was recorded last. */
CZ_EMULATED_SHOWN int cz_emulated_graph_work(const char *(*names)[], int most);

#ifdef __cplusplus
}
#endif

#endif
