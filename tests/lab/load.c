/*
 * A steady load for the lab tests and the demo: load URL STOP-FILE OUT-FILE CLIENTS
 *
 * Each client is a process with connections it keeps: pages with a cookie, one after the other
 * (with a pause between, if LOAD_PAUSE_MS in the environment says so), and every so often an upload
 * that takes a few seconds (a POST, that no balancer may repeat). It ends when STOP-FILE is there,
 * and after 2,000,000 requests or an hour at the latest. OUT-FILE gets a line for each failure,
 * with the time and the reason; at the end one for each host and image that answered, as the page's
 * header says ("served web-4 web@2 812"); and last the sums ("total PAGES FAILED UPLOADS FAILED").
 * Meanwhile OUT-FILE.now has the number of requests so far.
 */
#include <curl/curl.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS_MAX  64
#define REQUESTS_MAX 2000000u
#define SECONDS_MAX  3600
#define UPLOAD_EVERY 200 /* Pages; half of it with pauses: about as often, in time. */
#define PAUSE_MAX_MS 1000
#define UPLOAD_SIZE  (256 * 1024)
#define UPLOAD_SPEED (96 * 1024) /* Bytes a second: one takes almost three seconds. */
#define TIMEOUT_S    30
#define NAME_SIZE    100
#define SERVERS_MAX  256

struct server {
    char name[NAME_SIZE]; /* "web-4 web@2" */
    uint64_t pages;
};

/* Shared by all clients: of each its own. */
struct counts {
    uint64_t asked[CLIENTS_MAX][2], failed[CLIENTS_MAX][2]; /* Pages, uploads. */
    struct server servers[CLIENTS_MAX][SERVERS_MAX];
};

static size_t swallow(char *data, size_t size, size_t count, void *context)
{
    (void)data;
    (void)context;
    return size * count;
}

/* Keeps the value of X-Served-By in CONTEXT. */
static size_t hear_header(char *data, size_t size, size_t count, void *context)
{
    static const char wanted[] = "x-served-by: ";
    size_t skip = sizeof(wanted) - 1;
    size_t length = size * count;
    if (length > skip && strncasecmp(data, wanted, skip) == 0) {
        size_t end = skip;
        while (end < length && data[end] != '\r' && data[end] != '\n') {
            end++;
        }
        snprintf(context, NAME_SIZE, "%.*s", (int)(end - skip), data + skip);
    }
    return length;
}

static void count_server(struct server *servers, const char *name)
{
    for (size_t i = 0; name[0] != '\0' && i < SERVERS_MAX; i++) {
        if (servers[i].pages == 0) {
            snprintf(servers[i].name, sizeof(servers[i].name), "%s", name);
        }
        if (strcmp(servers[i].name, name) == 0) {
            servers[i].pages++;
            return;
        }
    }
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
static bool request(CURL *curl, const char *url, const char *upload, FILE *out,
                    char ret_server[NAME_SIZE])
{
    ret_server[0] = '\0';
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, swallow);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, hear_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, ret_server);
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

static unsigned pause_ms(void)
{
    const char *text = getenv("LOAD_PAUSE_MS");
    unsigned long ms = text == NULL ? 0 : strtoul(text, NULL, 10);
    return ms < PAUSE_MAX_MS ? (unsigned)ms : PAUSE_MAX_MS;
}

static void client(struct counts *counts, unsigned number, char **argv, bool uploads)
{
    unsigned pause = pause_ms();
    unsigned upload_every = pause == 0 ? UPLOAD_EVERY : UPLOAD_EVERY / 2;
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
        bool upload = uploads && i % upload_every == number * 7 % upload_every;
        char server[NAME_SIZE];
        bool good = request(curl, argv[1], upload ? body : NULL, out, server);
        count_server(counts->servers[number], server);
        counts->asked[number][upload]++;
        counts->failed[number][upload] += good ? 0 : 1;
        usleep(pause * 1000);
    }
    curl_easy_cleanup(curl);
    _exit(0);
}

static void add_up(const struct counts *counts, size_t clients, uint64_t ret_asked[2],
                   uint64_t ret_failed[2])
{
    ret_asked[0] = ret_asked[1] = ret_failed[0] = ret_failed[1] = 0;
    for (size_t i = 0; i < clients; i++) {
        for (int kind = 0; kind < 2; kind++) {
            ret_asked[kind] += counts->asked[i][kind];
            ret_failed[kind] += counts->failed[i][kind];
        }
    }
}

static void tell_now(const struct counts *counts, size_t clients, const char *out_path)
{
    char path[4096];
    uint64_t asked[2];
    uint64_t failed[2];
    add_up(counts, clients, asked, failed);
    snprintf(path, sizeof(path), "%s.now", out_path);
    FILE *now = fopen(path, "w");
    if (now != NULL) {
        fprintf(now, "%llu\n", (unsigned long long)(asked[0] + asked[1]));
        fclose(now);
    }
}

/* The clients' counts of servers, added up in the first one's. */
static void tell_servers(struct counts *counts, size_t clients, FILE *out)
{
    struct server *sums = counts->servers[0];
    for (size_t c = 1; c < clients; c++) {
        for (size_t i = 0; i < SERVERS_MAX && counts->servers[c][i].pages > 0; i++) {
            const struct server *s = &counts->servers[c][i];
            size_t at = 0;
            while (at < SERVERS_MAX && sums[at].pages > 0 && strcmp(sums[at].name, s->name) != 0) {
                at++;
            }
            if (at < SERVERS_MAX) {
                memcpy(sums[at].name, s->name, sizeof(s->name));
                sums[at].pages += s->pages;
            }
        }
    }
    for (size_t i = 0; i < SERVERS_MAX && sums[i].pages > 0; i++) {
        fprintf(out, "served %s %llu\n", sums[i].name, (unsigned long long)sums[i].pages);
    }
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
    for (unsigned i = 0; i < clients; i++) {
        int status = 1;
        pid_t ended = 0;
        while (pids[i] > 0 && (ended = waitpid(pids[i], &status, WNOHANG)) == 0) {
            tell_now(counts, clients, argv[3]);
            usleep(200000);
        }
        result |= ended != pids[i] || status != 0;
    }
    uint64_t asked[2];
    uint64_t failed[2];
    add_up(counts, clients, asked, failed);
    FILE *out = fopen(argv[3], "a");
    if (out == NULL || result != 0) {
        return 2;
    }
    tell_servers(counts, clients, out);
    fprintf(out, "total %llu %llu %llu %llu\n", (unsigned long long)asked[0],
            (unsigned long long)failed[0], (unsigned long long)asked[1],
            (unsigned long long)failed[1]);
    return fclose(out) == 0 ? 0 : 2;
}
