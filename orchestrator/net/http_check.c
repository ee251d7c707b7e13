/*
 * Targets are shared out over libcurl multi handles, SHARD_TARGETS to each: the cost of a check
 * grows with the targets of a handle. Sockets of all handles are in one epoll set; which target is
 * next is a heap by time. A target has one easy handle for its life, so that its connection is
 * kept.
 *
 * What is our own doing is no result: a check that we could not start (no descriptors, no local
 * ports), a timeout in which this process was not running itself, and whatever failed while this
 * machine has no way to the target at all (its address or its network is gone). Those are made
 * again.
 */
#include "net/http_check.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/curl_library.h"

#include <arpa/inet.h>
#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define SHARD_TARGETS 500

/* More of a body, or of headers, than this is not read. */
#define BODY_MAX   (64u * 1024)
#define HEADER_MAX (64u * 1024)

/* First checks start this far apart, as long as that fits their interval. */
#define START_STEP_MS 5

/* A kept connection is replaced after this long, so that it is noticed when none can be made. */
#define CONNECTION_AGE_S 60L

/* Woken up later than asked for by this much: what timed out meanwhile may be our own fault. */
#define STALL_MS 250

#define EVENTS_MAX 256

/* The caller's descriptor in the epoll set, in the place of a shard's index. */
#define WAKE_INDEX 0xffffffffu

struct shard {
    struct checker *checker; /* Borrowed. */
    CURLM *multi;            /* Owned. */
    size_t index;            /* In the checker. */
    int64_t timer_ms;        /* When libcurl wants to be called; INT64_MAX: not. */
    size_t target_count;
};

struct target {
    struct check_target spec; /* Its texts are owned. */
    struct shard *shard;      /* Borrowed. */
    CURL *easy;               /* Owned. */
    struct curl_slist *headers;
    struct target *next; /* In its bucket. */
    size_t heap_index;   /* HEAP_NONE while a check is under way. */
    int64_t due_ms;
    int64_t started_ms;
    enum check_health health;
    unsigned passed; /* In a row. */
    unsigned failed;
    size_t body_bytes;
    size_t header_bytes;
    bool socketless; /* No socket could be opened for this check. */
};
#define HEAP_NONE ((size_t)-1)

#define BUCKETS 1024

struct checker {
    void (*on_transition)(void *context, const struct check_transition *transition);
    void *context;
    int epoll;
    struct shard **shards; /* Owned, each: libcurl holds pointers to them. */
    size_t shard_count;
    size_t shard_capacity;
    struct target *buckets[BUCKETS]; /* By id. */
    struct target **heap;            /* Those that wait, by due_ms. */
    size_t heap_count;
    size_t heap_capacity;
    int64_t last_start_ms; /* Of the first check that was put off furthest. */
    int64_t expected_ms;   /* When we should have been at work again. */
    int64_t stalled_ms;    /* When we last were so too late. */
};

/* ---- the heap ---- */

static void heap_place(struct checker *c, size_t i, struct target *t)
{
    c->heap[i] = t;
    t->heap_index = i;
}

static void heap_up(struct checker *c, size_t i)
{
    struct target *t = c->heap[i];
    while (i > 0 && c->heap[(i - 1) / 2]->due_ms > t->due_ms) {
        heap_place(c, i, c->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    heap_place(c, i, t);
}

static void heap_down(struct checker *c, size_t i)
{
    struct target *t = c->heap[i];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= c->heap_count) {
            break;
        }
        if (child + 1 < c->heap_count && c->heap[child + 1]->due_ms < c->heap[child]->due_ms) {
            child++;
        }
        if (c->heap[child]->due_ms >= t->due_ms) {
            break;
        }
        heap_place(c, i, c->heap[child]);
        i = child;
    }
    heap_place(c, i, t);
}

static void heap_add(struct checker *c, struct target *t, int64_t due_ms)
{
    assert(t->heap_index == HEAP_NONE);
    t->due_ms = due_ms;
    size_t i = xgrow((void **)&c->heap, &c->heap_count, &c->heap_capacity, sizeof(*c->heap));
    c->heap[i] = t;
    heap_up(c, i);
}

static void heap_remove(struct checker *c, struct target *t)
{
    size_t i = t->heap_index;
    if (i == HEAP_NONE) {
        return;
    }
    t->heap_index = HEAP_NONE;
    struct target *last = c->heap[--c->heap_count];
    if (last != t) {
        heap_place(c, i, last);
        heap_up(c, i);
        heap_down(c, last->heap_index);
    }
}

/* ---- libcurl's callbacks ---- */

/* What epoll keeps of a socket: which shard's, and its number. */
static uint64_t event_data(size_t shard, int fd)
{
    return (uint64_t)shard << 32 | (uint32_t)fd;
}

static size_t take_body(char *bytes, size_t size, size_t count, void *context)
{
    (void)bytes;
    struct target *t = context;
    t->body_bytes += size * count;
    return t->body_bytes > BODY_MAX ? 0 : size * count;
}

static size_t take_header(char *bytes, size_t size, size_t count, void *context)
{
    (void)bytes;
    struct target *t = context;
    t->header_bytes += size * count;
    return t->header_bytes > HEADER_MAX ? 0 : size * count;
}

/* Opens it ourselves, because libcurl does not say why it could not. */
static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)purpose;
    struct target *t = context;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    t->socketless = fd < 0;
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *known)
{
    (void)easy;
    struct shard *shard = context;
    struct epoll_event event = {.data = {.u64 = event_data(shard->index, fd)}};
    event.events = (what == CURL_POLL_IN || what == CURL_POLL_INOUT ? EPOLLIN : 0u) |
                   (what == CURL_POLL_OUT || what == CURL_POLL_INOUT ? EPOLLOUT : 0u);
    if (what == CURL_POLL_REMOVE) {
        /* It may be closed already. */
        epoll_ctl(shard->checker->epoll, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    int how = known == NULL ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    if (epoll_ctl(shard->checker->epoll, how, fd, &event) != 0) {
        epoll_ctl(shard->checker->epoll, how == EPOLL_CTL_ADD ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd,
                  &event);
    }
    curl_multi_assign(shard->multi, fd, shard);
    return 0;
}

static int set_timer(CURLM *multi, long timeout_ms, void *context)
{
    (void)multi;
    struct shard *shard = context;
    shard->timer_ms = timeout_ms < 0 ? INT64_MAX : clock_now_ms() + timeout_ms;
    return 0;
}

/* ---- shards ---- */

static void shard_free(struct shard *shard)
{
    curl_multi_cleanup(shard->multi);
    free(shard);
}

static struct shard *shard_new(struct checker *c, size_t index)
{
    struct shard *shard = xcalloc(1, sizeof(*shard));
    shard->checker = c;
    shard->index = index;
    shard->timer_ms = INT64_MAX;
    shard->multi = curl_multi_init();
    assert(shard->multi != NULL);
    curl_multi_setopt(shard->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    curl_multi_setopt(shard->multi, CURLMOPT_SOCKETDATA, shard);
    curl_multi_setopt(shard->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(shard->multi, CURLMOPT_TIMERDATA, shard);
    curl_multi_setopt(shard->multi, CURLMOPT_MAXCONNECTS, (long)SHARD_TARGETS + 16);
    curl_multi_setopt(shard->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
    return shard;
}

/* One with room, made if there is none. */
static struct shard *find_shard(struct checker *c)
{
    for (size_t i = 0; i < c->shard_count; i++) {
        if (c->shards[i]->target_count < SHARD_TARGETS) {
            return c->shards[i];
        }
    }
    size_t i = xgrow((void **)&c->shards, &c->shard_count, &c->shard_capacity, sizeof(*c->shards));
    c->shards[i] = shard_new(c, i);
    return c->shards[i];
}

/* ---- targets ---- */

static size_t bucket_of(const char *id)
{
    uint32_t hash = 2166136261u;
    for (const char *p = id; *p != '\0'; p++) {
        hash = (hash ^ (unsigned char)*p) * 16777619u;
    }
    return hash % BUCKETS;
}

static struct target **find_link(struct checker *c, const char *id, enum check_role role)
{
    struct target **link = &c->buckets[bucket_of(id)];
    while (*link != NULL && ((*link)->spec.role != role || strcmp((*link)->spec.id, id) != 0)) {
        link = &(*link)->next;
    }
    return link;
}

static bool same_spec(const struct check_target *a, const struct check_target *b)
{
    return text_equal(a->address, b->address) && a->port == b->port && a->tcp_only == b->tcp_only &&
           text_equal(a->method, b->method) && text_equal(a->path, b->path) &&
           text_equal(a->host, b->host) && a->expect_first == b->expect_first &&
           a->expect_last == b->expect_last && a->interval_ms == b->interval_ms &&
           a->timeout_ms == b->timeout_ms && a->rise == b->rise && a->fall == b->fall;
}

static void target_free(struct checker *c, struct target *t)
{
    heap_remove(c, t);
    curl_multi_remove_handle(t->shard->multi, t->easy);
    curl_easy_cleanup(t->easy);
    curl_slist_free_all(t->headers);
    t->shard->target_count--;
    free((char *)t->spec.id);
    free((char *)t->spec.address);
    free((char *)t->spec.method);
    free((char *)t->spec.path);
    free((char *)t->spec.host);
    free(t);
}

static bool is_printable_word(const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        if (*p <= 0x20 || *p > 0x7e) {
            return false;
        }
    }
    return *text != '\0';
}

static int check_spec(const struct check_target *t, struct err *e)
{
    unsigned char binary[16];
    if (t->id == NULL || *t->id == '\0') {
        return err_set(e, "check target without an id");
    }
    if (t->address == NULL || (inet_pton(AF_INET, t->address, binary) != 1 &&
                               inet_pton(AF_INET6, t->address, binary) != 1)) {
        return err_set(e, "check of %s: '%.80s' is no IP address", t->id,
                       t->address == NULL ? "" : t->address);
    }
    if (t->port == 0 || t->port > 65535 || t->interval_ms < 1 || t->timeout_ms < 1 || t->rise < 1 ||
        t->fall < 1) {
        return err_set(e, "check of %s: port, interval, timeout, rise or fall out of range", t->id);
    }
    if (t->tcp_only) {
        return 0;
    }
    if (t->path == NULL || t->path[0] != '/' || !is_printable_word(t->path) || t->method == NULL ||
        !is_printable_word(t->method) || (t->host != NULL && !is_printable_word(t->host))) {
        return err_set(e, "check of %s: method, path or host cannot be sent", t->id);
    }
    return 0;
}

static void set_http(struct target *t)
{
    curl_easy_setopt(t->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(t->easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(t->easy, CURLOPT_USERAGENT, "lamplighter");
    curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(t->easy, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(t->easy, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(t->easy, CURLOPT_MAXLIFETIME_CONN, CONNECTION_AGE_S);
    if (strcmp(t->spec.method, "HEAD") == 0) {
        curl_easy_setopt(t->easy, CURLOPT_NOBODY, 1L);
    } else if (strcmp(t->spec.method, "GET") != 0) {
        curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, t->spec.method);
    }
    if (t->spec.host != NULL) {
        char *header = xasprintf("Host: %s", t->spec.host);
        t->headers = curl_slist_append(NULL, header);
        free(header);
        curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
    }
}

static void set_easy(struct target *t)
{
    const struct check_target *spec = &t->spec;
    const char *form = strchr(spec->address, ':') == NULL ? "" : "[]";
    char *url = xasprintf("http://%.1s%s%s:%u%s", form, spec->address, *form == '\0' ? "" : "]",
                          spec->port, spec->tcp_only ? "/" : spec->path);
    curl_easy_setopt(t->easy, CURLOPT_URL, url);
    free(url);
    curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t);
    curl_easy_setopt(t->easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(t->easy, CURLOPT_OPENSOCKETDATA, t);
    curl_easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(t->easy, CURLOPT_PROTOCOLS_STR, "http");
    curl_easy_setopt(t->easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(t->easy, CURLOPT_PROXY, "");
    curl_easy_setopt(t->easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(t->easy, CURLOPT_DNS_CACHE_TIMEOUT, -1L);
    curl_easy_setopt(t->easy, CURLOPT_BUFFERSIZE, 2048L);
    curl_easy_setopt(t->easy, CURLOPT_TIMEOUT_MS, (long)spec->timeout_ms);
    curl_easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)spec->timeout_ms);
    if (spec->tcp_only) {
        curl_easy_setopt(t->easy, CURLOPT_CONNECT_ONLY, 1L);
        curl_easy_setopt(t->easy, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(t->easy, CURLOPT_FORBID_REUSE, 1L);
    } else {
        set_http(t);
    }
}

/* When a new target is first checked: soon, but not all at the same time. */
static int64_t first_due_ms(struct checker *c, const struct check_target *spec)
{
    int64_t now_ms = clock_now_ms();
    int64_t due_ms = c->last_start_ms + START_STEP_MS;
    if (due_ms < now_ms) {
        due_ms = now_ms;
    }
    if (due_ms - now_ms >= spec->interval_ms) {
        return now_ms + (due_ms - now_ms) % spec->interval_ms;
    }
    c->last_start_ms = due_ms;
    return due_ms;
}

int checker_set(struct checker *checker, const struct check_target *target, struct err *e)
{
    if (check_spec(target, e) != 0) {
        return -1;
    }
    struct target **link = find_link(checker, target->id, target->role);
    if (*link != NULL && same_spec(&(*link)->spec, target)) {
        return 0;
    }
    checker_remove(checker, target->id, target->role);
    struct target *t = xcalloc(1, sizeof(*t));
    t->spec = *target;
    t->spec.id = xstrdup(target->id);
    t->spec.address = xstrdup(target->address);
    t->spec.method = xcopy(target->method);
    t->spec.path = xcopy(target->path);
    t->spec.host = xcopy(target->host);
    t->heap_index = HEAP_NONE;
    t->shard = find_shard(checker);
    t->shard->target_count++;
    t->easy = curl_easy_init();
    assert(t->easy != NULL);
    set_easy(t);
    link = find_link(checker, target->id, target->role);
    *link = t;
    heap_add(checker, t, first_due_ms(checker, target));
    return 0;
}

void checker_remove(struct checker *checker, const char *id, enum check_role role)
{
    struct target **link = find_link(checker, id, role);
    struct target *t = *link;
    if (t != NULL) {
        *link = t->next;
        target_free(checker, t);
    }
}

/* ---- results ---- */

struct finding {
    enum check_result result;
    long detail;
    char text[96]; /* Without the count. */
};

/* What we could not do ourselves says nothing of the target. */
static bool is_ours(const struct target *t, CURLcode code, long os_error)
{
    return t->socketless || code == CURLE_OUT_OF_MEMORY || code == CURLE_FAILED_INIT ||
           (code == CURLE_COULDNT_CONNECT &&
            (os_error == ENOBUFS || os_error == ENOMEM || os_error == EADDRNOTAVAIL ||
             os_error == EAGAIN || os_error == EPERM || os_error == EACCES));
}

/*
 * Asked after a failure: does this machine have a way to ADDRESS? A datagram socket is connected
 * without a packet being sent, so what it says is of our own network, not of the target's.
 */
static bool is_cut_off(const char *address)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(9)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(9)};
    bool is_v4 = inet_pton(AF_INET, address, &v4.sin_addr) == 1;
    if (!is_v4 && inet_pton(AF_INET6, address, &v6.sin6_addr) != 1) {
        return false;
    }
    int fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return true;
    }
    int result = is_v4 ? connect(fd, (const struct sockaddr *)&v4, sizeof(v4))
                       : connect(fd, (const struct sockaddr *)&v6, sizeof(v6));
    bool cut_off = result != 0 && (errno == ENETUNREACH || errno == ENETDOWN ||
                                   errno == EHOSTUNREACH || errno == EADDRNOTAVAIL);
    close(fd);
    return cut_off;
}

static void find_status(const struct target *t, struct finding *f)
{
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &f->detail);
    const struct check_target *spec = &t->spec;
    if (f->detail >= (long)spec->expect_first && f->detail <= (long)spec->expect_last) {
        f->result = CHECK_OK;
        snprintf(f->text, sizeof(f->text), "HTTP %ld", f->detail);
        return;
    }
    f->result = CHECK_STATUS;
    if (spec->expect_first == spec->expect_last) {
        snprintf(f->text, sizeof(f->text), "HTTP %ld, expected %u", f->detail, spec->expect_first);
    } else {
        snprintf(f->text, sizeof(f->text), "HTTP %ld, expected %u-%u", f->detail,
                 spec->expect_first, spec->expect_last);
    }
}

static void find_timeout(const struct target *t, struct finding *f)
{
    curl_off_t connected_us = 0;
    curl_easy_getinfo(t->easy, CURLINFO_CONNECT_TIME_T, &connected_us);
    f->result = CHECK_TIMEOUT;
    snprintf(f->text, sizeof(f->text), "%s after %" PRId64 " ms",
             connected_us > 0 ? "no answer" : "no connection", t->spec.timeout_ms);
}

static struct finding judge(const struct target *t, CURLcode code)
{
    struct finding f = {.result = CHECK_NONE};
    long os_error = 0;
    curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &os_error);
    bool cut = code == CURLE_WRITE_ERROR && t->header_bytes <= HEADER_MAX;
    if (is_ours(t, code, os_error)) {
        return f;
    }
    if (code == CURLE_OPERATION_TIMEDOUT) {
        find_timeout(t, &f);
    } else if (code == CURLE_OK && t->spec.tcp_only) {
        f.result = CHECK_OK;
        text_copy(f.text, sizeof(f.text), "connected");
    } else if (code == CURLE_OK || cut) {
        find_status(t, &f);
    } else if (code == CURLE_COULDNT_CONNECT) {
        f.result = CHECK_REFUSED;
        snprintf(f.text, sizeof(f.text), "no connection: %s",
                 os_error == 0 ? "refused" : strerror((int)os_error));
    } else {
        f.result = CHECK_PROTOCOL;
        text_copy(f.text, sizeof(f.text), curl_easy_strerror(code));
    }
    bool answered = f.result == CHECK_OK || f.result == CHECK_STATUS;
    if (!answered && is_cut_off(t->spec.address)) {
        f.result = CHECK_NONE;
    }
    return f;
}

static void tell(struct checker *c, const struct target *t, const struct finding *f,
                 enum check_health health)
{
    struct check_transition transition = {.id = t->spec.id,
                                          .role = t->spec.role,
                                          .at_ms = clock_now_ms(),
                                          .health = health,
                                          .result = f->result,
                                          .detail = f->result == CHECK_STATUS ? f->detail : 0};
    bool good = health == CHECK_HEALTHY;
    struct str text = STR_NULL;
    str_add_printable(&text, f->text, strlen(f->text), false);
    str_addf(&text, " (%u/%u)", good ? t->passed : t->failed, good ? t->spec.rise : t->spec.fall);
    text_copy(transition.text, sizeof(transition.text), str_text(&text));
    str_deinit(&text);
    c->on_transition(c->context, &transition);
}

static void count(struct checker *c, struct target *t, const struct finding *f)
{
    bool passed = f->result == CHECK_OK;
    t->passed = passed ? t->passed + 1 : 0;
    t->failed = passed ? 0 : t->failed + 1;
    enum check_health health = t->health;
    if (passed && (t->health == CHECK_HEALTH_UNKNOWN || t->passed >= t->spec.rise)) {
        health = CHECK_HEALTHY;
    } else if (!passed && t->failed >= t->spec.fall) {
        health = CHECK_UNHEALTHY;
    }
    if (health != t->health) {
        t->health = health;
        tell(c, t, f, health);
    }
}

static void finish(struct checker *c, struct target *t, CURLcode code)
{
    curl_multi_remove_handle(t->shard->multi, t->easy);
    struct finding f = judge(t, code);
    bool stalled = f.result == CHECK_TIMEOUT && c->stalled_ms >= t->started_ms;
    int64_t now_ms = clock_now_ms();
    /* Steady: the next is an interval after this one began, not after it ended. */
    int64_t due_ms = t->started_ms + t->spec.interval_ms;
    heap_add(c, t, due_ms > now_ms ? due_ms : now_ms + 1);
    if (f.result != CHECK_NONE && !stalled) {
        count(c, t, &f);
    }
}

static void begin(struct checker *c, struct target *t, int64_t now_ms)
{
    heap_remove(c, t);
    t->started_ms = now_ms;
    t->body_bytes = 0;
    t->header_bytes = 0;
    t->socketless = false;
    CURLMcode code = curl_multi_add_handle(t->shard->multi, t->easy);
    if (code != CURLM_OK) {
        heap_add(c, t, now_ms + t->spec.interval_ms);
    }
}

static void collect(struct checker *c, struct shard *shard)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(shard->multi, &left)) != NULL) {
        if (message->msg == CURLMSG_DONE) {
            struct target *t;
            CURLcode code = message->data.result;
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&t);
            finish(c, t, code);
        }
    }
}

/* ---- the loop ---- */

static int64_t next_wake_ms(const struct checker *c, int64_t deadline_ms)
{
    int64_t wake_ms = deadline_ms;
    if (c->heap_count > 0 && c->heap[0]->due_ms < wake_ms) {
        wake_ms = c->heap[0]->due_ms;
    }
    for (size_t i = 0; i < c->shard_count; i++) {
        wake_ms = c->shards[i]->timer_ms < wake_ms ? c->shards[i]->timer_ms : wake_ms;
    }
    return wake_ms;
}

static void start_due(struct checker *c)
{
    int64_t now_ms = clock_now_ms();
    while (c->heap_count > 0 && c->heap[0]->due_ms <= now_ms) {
        begin(c, c->heap[0], now_ms);
    }
}

static void call_timers(struct checker *c)
{
    int64_t now_ms = clock_now_ms();
    for (size_t i = 0; i < c->shard_count; i++) {
        struct shard *shard = c->shards[i];
        if (shard->timer_ms <= now_ms) {
            int running;
            shard->timer_ms = INT64_MAX;
            curl_multi_socket_action(shard->multi, CURL_SOCKET_TIMEOUT, 0, &running);
            collect(c, shard);
        }
    }
}

static void take_event(struct checker *c, const struct epoll_event *event, bool *ret_woken)
{
    size_t index = (size_t)(event->data.u64 >> 32);
    if (index == WAKE_INDEX) {
        *ret_woken = true;
        return;
    }
    struct shard *shard = c->shards[index];
    int what = ((event->events & EPOLLIN) != 0 ? CURL_CSELECT_IN : 0) |
               ((event->events & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0) |
               ((event->events & (EPOLLERR | EPOLLHUP)) != 0 ? CURL_CSELECT_ERR : 0);
    int running;
    curl_multi_socket_action(shard->multi, (int)(uint32_t)event->data.u64, what, &running);
    collect(c, shard);
}

/* Between two runs as well as in a wait: stopped, starved, or the machine was suspended. */
static void note_stall(struct checker *c)
{
    int64_t now_ms = clock_now_ms();
    if (now_ms > c->expected_ms + STALL_MS) {
        c->stalled_ms = now_ms;
    }
    c->expected_ms = now_ms;
}

/* One wait; -1 with errno set when epoll fails. */
static int wait_once(struct checker *c, int64_t deadline_ms, bool *ret_woken)
{
    struct epoll_event events[EVENTS_MAX];
    int64_t wake_ms = next_wake_ms(c, deadline_ms);
    int64_t span_ms = wake_ms - clock_now_ms();
    span_ms = span_ms < 0 ? 0 : span_ms > 60000 ? 60000 : span_ms;
    c->expected_ms = clock_now_ms() + span_ms;
    int count = epoll_wait(c->epoll, events, EVENTS_MAX, (int)span_ms);
    if (count < 0 && errno != EINTR) {
        return -1;
    }
    note_stall(c);
    for (int i = 0; i < count; i++) {
        take_event(c, &events[i], ret_woken);
    }
    return 0;
}

int checker_run(struct checker *checker, int wake_fd, int64_t deadline_ms, struct err *e)
{
    struct epoll_event event = {.events = EPOLLIN,
                                .data = {.u64 = event_data(WAKE_INDEX, wake_fd)}};
    if (wake_fd >= 0 && epoll_ctl(checker->epoll, EPOLL_CTL_ADD, wake_fd, &event) != 0) {
        return err_errno(e, errno, "health checks: watch for requests");
    }
    bool woken = false;
    int result = 0;
    do {
        note_stall(checker);
        start_due(checker);
        call_timers(checker);
        if (wait_once(checker, deadline_ms, &woken) != 0) {
            result = err_errno(e, errno, "health checks: wait");
        }
    } while (result == 0 && !woken && clock_now_ms() < deadline_ms);
    if (wake_fd >= 0) {
        epoll_ctl(checker->epoll, EPOLL_CTL_DEL, wake_fd, NULL);
    }
    return result;
}

int checker_new(struct checker **ret_checker,
                void (*on_transition)(void *context, const struct check_transition *transition),
                void *context, struct err *e)
{
    if (curl_library_load(e) != 0) {
        return err_wrap(e, "health checks");
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return err_set(e, "health checks: libcurl does not start");
    }
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0) {
        return err_errno(e, errno, "health checks: epoll");
    }
    struct checker *c = xcalloc(1, sizeof(*c));
    c->on_transition = on_transition;
    c->context = context;
    c->epoll = epoll;
    c->stalled_ms = INT64_MIN;
    c->expected_ms = clock_now_ms();
    c->last_start_ms = INT64_MIN + START_STEP_MS;
    *ret_checker = c;
    return 0;
}

void checker_free(struct checker *checker)
{
    if (checker == NULL) {
        return;
    }
    for (size_t i = 0; i < BUCKETS; i++) {
        while (checker->buckets[i] != NULL) {
            const struct check_target *spec = &checker->buckets[i]->spec;
            checker_remove(checker, spec->id, spec->role);
        }
    }
    for (size_t i = 0; i < checker->shard_count; i++) {
        shard_free(checker->shards[i]);
    }
    free(checker->shards);
    free(checker->heap);
    close(checker->epoll);
    free(checker);
}
