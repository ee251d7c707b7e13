/*
 * A steady load for the lab tests and the demo:
 * load URL STOP-FILE OUT-FILE CLIENTS [uploads [SECONDS]] [sticky]
 *
 * Each client is a process with connections it keeps: pages, one after the other (with a pause
 * between, if LOAD_PAUSE_MS in the environment says so), and with `uploads` every so often one that
 * takes three seconds (a POST, that no balancer may repeat). With SECONDS an upload takes so long,
 * and there are as many clients more that upload and ask for a page in turn. It ends when STOP-FILE
 * is there, and after 2,000,000 requests or an hour at the latest. OUT-FILE gets a line for each
 * failure, with the time and the reason; at the end one for each host and image that answered, as
 * the page's header says ("served web-4 web@2 812"); and last the sums ("total PAGES FAILED UPLOADS
 * FAILED"). Meanwhile OUT-FILE.now has the number of requests so far. With `sticky` clients keep
 * their cookies, else each request is a new visitor's; and each time that one is answered by
 * another host than the time before is a line ("moved MILLISECONDS web-1 web-4").
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
#define UPLOAD_S     3
#define TIMEOUT_S    30 /* Of what comes after an upload, too. */
#define NAME_SIZE    100
#define SERVERS_MAX  256

struct options {
    const char *url, *stop_path, *out_path;
    unsigned clients;
    bool uploads, sticky;
    unsigned upload_s; /* 0: not said. */
    unsigned pause_ms; /* After each request. */
};

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

/* True when the page came whole; an upload (of UPLOAD_SIZE bytes) ends with a redirect to it. */
static bool request(CURL *curl, const struct options *options, const char *upload, FILE *out,
                    char ret_server[NAME_SIZE])
{
    long upload_s = options->upload_s == 0 ? UPLOAD_S : (long)options->upload_s;
    ret_server[0] = '\0';
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, options->url);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, swallow);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, hear_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, ret_server);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)TIMEOUT_S);
    if (options->sticky) {
        curl_easy_setopt(curl, CURLOPT_COOKIEFILE, "");
    }
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    if (upload != NULL) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, upload);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)UPLOAD_SIZE);
        curl_easy_setopt(curl, CURLOPT_MAX_SEND_SPEED_LARGE, (curl_off_t)(UPLOAD_SIZE / upload_s));
        curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, 16L * 1024);
        curl_easy_setopt(curl, CURLOPT_TIMEOUT, upload_s + TIMEOUT_S);
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

/* SERVER is a host and its image; the host is compared. LAST is who answered before, or empty. */
static void note_move(const char *server, char last[NAME_SIZE], FILE *out)
{
    char host[NAME_SIZE];
    snprintf(host, sizeof(host), "%.*s", (int)strcspn(server, " "), server);
    if (host[0] != '\0' && last[0] != '\0' && strcmp(host, last) != 0) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        fprintf(out, "moved %lld %s %s\n",
                (long long)now.tv_sec * 1000 + (long long)now.tv_nsec / 1000000, last, host);
        fflush(out);
    }
    if (host[0] != '\0') {
        memcpy(last, host, NAME_SIZE);
    }
}

/* Whether request I of client NUMBER is an upload. */
static bool is_upload(const struct options *options, unsigned number, unsigned i)
{
    if (options->upload_s > 0) {
        return number >= options->clients && i % 2 == 1;
    }
    unsigned every = options->pause_ms == 0 ? UPLOAD_EVERY : UPLOAD_EVERY / 2;
    return options->uploads && i % every == number * 7 % every;
}

static void client(struct counts *counts, unsigned number, const struct options *options)
{
    CURL *curl = curl_easy_init();
    FILE *out = fopen(options->out_path, "a");
    char *body = malloc(UPLOAD_SIZE);
    if (curl == NULL || out == NULL || body == NULL) {
        _exit(2);
    }
    static const char form[] = "name=load&text=upload&pad=";
    memset(body, 'x', UPLOAD_SIZE);
    memcpy(body, form, sizeof(form) - 1);
    time_t end = time(NULL) + SECONDS_MAX;
    char last[NAME_SIZE] = "";
    for (unsigned i = 0;
         i < REQUESTS_MAX && access(options->stop_path, F_OK) != 0 && time(NULL) < end; i++) {
        bool upload = is_upload(options, number, i);
        char server[NAME_SIZE];
        bool good = request(curl, options, upload ? body : NULL, out, server);
        count_server(counts->servers[number], server);
        if (options->sticky) {
            note_move(server, last, out);
        }
        counts->asked[number][upload]++;
        counts->failed[number][upload] += good ? 0 : 1;
        usleep(options->pause_ms * 1000);
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

static bool take_number(const char *text, unsigned long max, unsigned *ret_number)
{
    char *end = NULL;
    unsigned long number = strtoul(text, &end, 10);
    if (number == 0 || number > max || *end != '\0') {
        return false;
    }
    *ret_number = (unsigned)number;
    return true;
}

static bool take_options(int argc, char **argv, struct options *ret_options)
{
    struct options o = {.url = argv[1], .pause_ms = pause_ms()};
    if (argc < 5 || !take_number(argv[4], CLIENTS_MAX, &o.clients)) {
        return false;
    }
    o.stop_path = argv[2];
    o.out_path = argv[3];
    int i = 5;
    if (i < argc && strcmp(argv[i], "uploads") == 0) {
        o.uploads = true;
        i++;
        i += i < argc && take_number(argv[i], SECONDS_MAX, &o.upload_s) ? 1 : 0;
    }
    if (i < argc && strcmp(argv[i], "sticky") == 0) {
        o.sticky = true;
        i++;
    }
    *ret_options = o;
    return i == argc && (o.upload_s == 0 || o.clients * 2 <= CLIENTS_MAX);
}

int main(int argc, char **argv)
{
    struct options options;
    if (!take_options(argc, argv, &options)) {
        fprintf(stderr,
                "usage: load URL STOP-FILE OUT-FILE CLIENTS [uploads [SECONDS]] [sticky]\n");
        return 2;
    }
    unsigned clients = options.upload_s == 0 ? options.clients : options.clients * 2;
    struct counts *counts =
        mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    pid_t pids[CLIENTS_MAX];
    for (unsigned i = 0; i < clients; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            client(counts, i, &options);
        }
    }
    int result = 0;
    for (unsigned i = 0; i < clients; i++) {
        int status = 1;
        pid_t ended = 0;
        while (pids[i] > 0 && (ended = waitpid(pids[i], &status, WNOHANG)) == 0) {
            tell_now(counts, clients, options.out_path);
            usleep(200000);
        }
        result |= ended != pids[i] || status != 0;
    }
    uint64_t asked[2];
    uint64_t failed[2];
    add_up(counts, clients, asked, failed);
    FILE *out = fopen(options.out_path, "a");
    if (out == NULL || result != 0) {
        return 2;
    }
    tell_servers(counts, clients, out);
    fprintf(out, "total %llu %llu %llu %llu\n", (unsigned long long)asked[0],
            (unsigned long long)failed[0], (unsigned long long)asked[1],
            (unsigned long long)failed[1]);
    return fclose(out) == 0 ? 0 : 2;
}
