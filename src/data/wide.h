/* A function compiled also for wider registers, the form taken when the program is loaded.
 * Products and sums stay apart (-std=c11), so all forms give the same bits. Sanitizers start
 * after the choice would be made. */
#ifndef CZ_WIDE_H
#define CZ_WIDE_H

#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__SANITIZE_THREAD__) &&              \
    !defined(__SANITIZE_ADDRESS__) && !defined(__clang__)
#define CZ_WIDE __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CZ_WIDE
#endif

#endif
