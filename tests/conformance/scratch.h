/* A directory of a test's own (mode 0700, below TMPDIR or /tmp), removed with all that is in it. */
#ifndef CONFORMANCE_SCRATCH_H
#define CONFORMANCE_SCRATCH_H

/* Aborts when it cannot be made. The caller hands the path to scratch_remove(). */
char *scratch_make(void);
/* Removes and frees. NULL is fine. */
void scratch_remove(char *directory);

#endif
