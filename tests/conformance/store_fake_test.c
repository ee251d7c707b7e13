/* The store in memory, held to the contract. */
#include "fake_store.h"
#include "store_suite.h"

static void *make(void)
{
    return fake_store_new();
}

static int open_handle(void *space, struct store *ret_store, struct err *e)
{
    (void)e;
    *ret_store = fake_store_open(space);
    return 0;
}

static void damage(void *space, const char *key)
{
    fake_store_damage(space, key);
}

static void unmake(void *space)
{
    fake_store_free(space);
}

int main(void)
{
    static const struct store_suite_target target = {
        .name = "store: fake",
        .make = make,
        .open = open_handle,
        .damage = damage,
        .unmake = unmake,
    };
    return store_suite_run(&target);
}
