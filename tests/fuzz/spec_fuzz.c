/*
 * Any bytes as a cluster file: it loads or says why not, and nothing else happens. Built with
 * -fsanitize=fuzzer by whoever wants to search for long; a bounded number of mutations runs as a
 * unit test (tests/unit/spec/fuzz_test.c).
 */
#include "base/problem.h"
#include "spec/spec.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    int fd = memfd_create("cluster", MFD_CLOEXEC);
    char path[32];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (fd < 0 || write(fd, bytes, length) != (ssize_t)length) {
        abort();
    }
    struct problem_list problems = PROBLEM_LIST_NULL;
    struct spec *spec = NULL;
    int result = spec_load(path, &spec, &problems);
    if ((result == 0) != (problems.count == 0) || (result == 0) != (spec != NULL)) {
        abort();
    }
    for (size_t i = 0; i < problems.count; i++) {
        for (const char *p = problems.items[i].text; *p != '\0'; p++) {
            if ((unsigned char)*p < 0x20 || *p == 0x7f) {
                abort(); /* A message must not move the admin's cursor. */
            }
        }
    }
    spec_free(spec);
    problem_list_deinit(&problems);
    close(fd);
    return 0;
}
