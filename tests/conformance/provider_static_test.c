/* Hosts that exist already: nothing is made, nothing is ended. */
#include "conformance/provider_suite.h"

int main(void)
{
    struct provider_suite suite = {
        .ops = &provider_static,
        .config = {.cluster = "suite", .name = "static", .zone = "rack-a"},
        .instance = {.image = "none", .login_key = "ssh-ed25519 AAAA login"},
        .addresses = {"10.77.1.1", "10.77.1.2", "10.77.1.3"},
        .makes_nothing = true,
    };
    return provider_suite_run(&suite);
}
