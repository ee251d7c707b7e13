/*
 * A steady load for the lab tests and the demo: load URL STOP-FILE OUT-FILE CLIENTS
 *
 * Each client is a process with connections it keeps: pages with a cookie, one after the other, and
 * every so often an upload that takes a few seconds (a POST, that no balancer may repeat). It ends
 * when STOP-FILE is there, and after 2,000,000 requests or an hour at the latest. OUT-FILE gets one
 * line: requests, failed, uploads; and before it a line for each failure, with the time and the
 * reason.
 */
#include <curl/curl.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS_MAX  64
#define REQUESTS_MAX 2000000u
#define SECONDS_MAX  3600
#define UPLOAD_EVERY 200
#define UPLOAD_SIZE  (256 * 1024)
#define UPLOAD_SPEED (96 * 1024) /* Bytes a second: one takes almost three seconds. */
#define TIMEOUT_S    30

/* Shared by all clients. */
struct counts {
    uint64_t asked[CLIENTS_MAX][2], failed[CLIENTS_MAX][2]; /* Pages, uploads. */
};

static size_t swallow(char *data, size_t size, size_t count, void *context)
{
    (void)data;
    (void)context;
    return size * count;
}

static void tell(FILE *out, const char *what, CURLcode code, long status)
{
    struct timespec now;
    struct tm parts;
    char text[32];
    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &parts);
    strftime(text, sizeof(text), "%H:%M:%S", &parts);
    fprintf(out, "failed %s.%03ld %s: %s, status %ld\n", text, now.tv_nsec / 1000000, what,
            curl_easy_strerror(code), status);
    fflush(out);
}

/* True when the page came whole; an upload ends with a redirect to it. */
static bool request(CURL *curl, const char *url, const char *upload, FILE *out)
{
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, swallow);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_COOKIEFILE, "");
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    if (upload != NULL) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, upload);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)UPLOAD_SIZE);
        curl_easy_setopt(curl, CURLOPT_MAX_SEND_SPEED_LARGE, (curl_off_t)UPLOAD_SPEED);
    }
    CURLcode code = curl_easy_perform(curl);
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_OK && (status == 200 || (upload != NULL && status == 303))) {
        return true;
    }
    tell(out, upload == NULL ? "page" : "upload", code, status);
    return false;
}

static void client(struct counts *counts, unsigned number, char **argv, bool uploads)
{
    CURL *curl = curl_easy_init();
    FILE *out = fopen(argv[3], "a");
    char *body = malloc(UPLOAD_SIZE);
    if (curl == NULL || out == NULL || body == NULL) {
        _exit(2);
    }
    static const char form[] = "name=load&text=upload&pad=";
    memset(body, 'x', UPLOAD_SIZE);
    memcpy(body, form, sizeof(form) - 1);
    time_t end = time(NULL) + SECONDS_MAX;
    for (unsigned i = 0; i < REQUESTS_MAX && access(argv[2], F_OK) != 0 && time(NULL) < end; i++) {
        bool upload = uploads && i % UPLOAD_EVERY == number * 7 % UPLOAD_EVERY;
        bool good = request(curl, argv[1], upload ? body : NULL, out);
        counts->asked[number][upload]++;
        counts->failed[number][upload] += good ? 0 : 1;
    }
    curl_easy_cleanup(curl);
    _exit(0);
}

int main(int argc, char **argv)
{
    char *end = NULL;
    unsigned long clients = argc == 6 || argc == 5 ? strtoul(argv[4], &end, 10) : 0;
    if (clients == 0 || clients > CLIENTS_MAX) {
        fprintf(stderr, "usage: load URL STOP-FILE OUT-FILE CLIENTS [uploads]\n");
        return 2;
    }
    struct counts *counts =
        mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    pid_t pids[CLIENTS_MAX];
    for (unsigned i = 0; i < clients; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            client(counts, i, argv, argc == 6);
        }
    }
    int result = 0;
    uint64_t asked[2] = {0};
    uint64_t failed[2] = {0};
    for (unsigned i = 0; i < clients; i++) {
        int status = 1;
        result |= pids[i] < 0 || waitpid(pids[i], &status, 0) < 0 || status != 0;
        for (int kind = 0; kind < 2; kind++) {
            asked[kind] += counts->asked[i][kind];
            failed[kind] += counts->failed[i][kind];
        }
    }
    FILE *out = fopen(argv[3], "a");
    if (out == NULL || result != 0) {
        return 2;
    }
    fprintf(out, "total %llu %llu %llu %llu\n", (unsigned long long)asked[0],
            (unsigned long long)failed[0], (unsigned long long)asked[1],
            (unsigned long long)failed[1]);
    return fclose(out) == 0 ? 0 : 2;
}
