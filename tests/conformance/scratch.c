#include "scratch.h"

#include "base/mem.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

char *scratch_make(void)
{
    const char *base = getenv("TMPDIR");
    char *directory = xasprintf("%s/lamplighter-test-XXXXXX", base == NULL ? "/tmp" : base);
    if (mkdtemp(directory) == NULL) {
        perror(directory);
        abort();
    }
    return directory;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st;
    (void)type;
    (void)where;
    return remove(path);
}

void scratch_remove(char *directory)
{
    if (directory != NULL) {
        nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
        free(directory);
    }
}
