/* lamplighter version: what a bug report needs first. */
#include "base/err.h"
#include "base/str.h"
#include "cli/cli.h"
#include "net/curl_library.h"
#include "provider/libvirt_library.h"

#include <curl/curl.h>
#include <jansson.h>
#include <libssh2.h>
#include <libvirt/libvirt.h>
#include <mbedtls/version.h>
#include <nettle/version.h>
#include <seccomp.h>
#include <sqlite3.h>
#include <stdio.h>

int cmd_version(const struct cli *cli)
{
    struct err no_libvirt = ERR_NULL;
    struct err no_curl = ERR_NULL;
    char libvirt[sizeof(no_libvirt.text)] = "unknown";
    unsigned long number;
    if (libvirt_library_load(&no_libvirt) != 0) {
        text_copy(libvirt, sizeof(libvirt), no_libvirt.text);
    } else if (virGetVersion(&number, NULL, NULL) == 0) {
        snprintf(libvirt, sizeof(libvirt), "%lu.%lu.%lu", number / 1000000, number / 1000 % 1000,
                 number % 1000);
    }
    char mbedtls[32];
    mbedtls_version_get_string(mbedtls);
    char nettle[32];
    snprintf(nettle, sizeof(nettle), "%d.%d", nettle_version_major(), nettle_version_minor());
    const struct scmp_version *seccomp = seccomp_version();
    char seccomp_text[32];
    snprintf(seccomp_text, sizeof(seccomp_text), "%u.%u.%u", seccomp->major, seccomp->minor,
             seccomp->micro);
    const char *curl = curl_library_load(&no_curl) == 0
                           ? curl_version_info(CURLVERSION_NOW)->version
                           : no_curl.text;
    const char *rows[][2] = {{"lamplighter", LAMPLIGHTER_VERSION},
                             {"libssh2", libssh2_version(0)},
                             {"libcurl", curl},
                             {"mbedTLS", mbedtls},
                             {"nettle", nettle},
                             {"libvirt", libvirt},
                             {"SQLite", sqlite3_libversion()},
                             {"jansson", jansson_version_str()},
                             {"libseccomp", seccomp_text}};
    json_t *object = json_object();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_object_set_new(object, rows[i][0], json_string(rows[i][1]));
        if (!cli->json) {
            printf("%-12s %s\n", rows[i][0], rows[i][1]);
        }
    }
    if (cli->json) {
        json_dumpf(object, stdout, JSON_INDENT(2));
        putchar('\n');
    }
    json_decref(object);
    return CLI_DONE;
}
