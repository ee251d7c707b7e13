/*
 * The contract of frontend/frontend.h against a real HAProxy, under load where the promise is that
 * no request is lost: connections of their own never fail, kept ones at most once in a row; and no
 * request reaches a target before its first passed check.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "frontend/haproxy_file.h"
#include "frontend/haproxy_member.h"
#include "frontend/haproxy_render.h"
#include "frontend/haproxy_runtime.h"
#include "frontend/haproxy_sync.h"
#include "frontend/haproxy_targets.h"
#include "frontend/haproxy_word.h"
#include "haproxy_stage.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK_MS 100
#define LONG_MS  15000

/* What most tests sync: one pool "web" and one "admin" behind /admin. */
struct setup {
    struct frontend_listener listener;
    struct frontend_route routes[2];
    struct frontend_member members[STAGE_WEBS];
    struct frontend_pool pools[2];
    struct frontend_config config;
};

static struct stage stage;
static struct setup setup;

static struct frontend_member member_of(int web)
{
    static const char *const ids[STAGE_WEBS] = {"web-1", "web-2", "web-3", "web-10"};
    return (struct frontend_member){
        .id = ids[web], .address = stage_web_address(web), .port = STAGE_WEB_PORT};
}

static void make_setup(struct setup *s)
{
    *s = (struct setup){
        .listener = {.port = STAGE_PORT},
        .routes = {{.path = "/admin", .pool = "admin"}, {.path = "/", .pool = "web"}},
    };
    for (int i = 0; i < 2; i++) {
        s->pools[i] = (struct frontend_pool){
            .name = i == 0 ? "web" : "admin",
            .check = {.method = "GET",
                      .path = "/healthz",
                      .expect_first = 200,
                      .expect_last = 299,
                      .interval_ms = CHECK_MS,
                      .timeout_ms = 500,
                      .rise = 2,
                      .fall = 2},
            .slow_start_ms = 300,
            .drain_ms = 2000,
            .members = s->members,
        };
    }
    s->config = (struct frontend_config){.name = "my-lb",
                                         .listeners = &s->listener,
                                         .listener_count = 1,
                                         .routes = s->routes,
                                         .route_count = 2,
                                         .pools = s->pools,
                                         .pool_count = 2,
                                         .idle_timeout_ms = 30000};
}

static int start(void **state)
{
    (void)state;
    stage_start(&stage);
    make_setup(&setup);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    stage_stop(&stage);
    return 0;
}

/* ---- in short ---- */

static void assert_says(const struct err *e, const char *words)
{
    if (strstr(e->text, words) == NULL) {
        fail_msg("expected '%s' in: %s", words, e->text);
    }
}

static void must(int result, const struct err *e)
{
    if (result != 0) {
        fail_msg("%s", e->text);
    }
}

static struct frontend_sync sync_now(bool check_only)
{
    struct frontend_sync sync = {.changed = false};
    struct err e = ERR_NULL;
    must(haproxy_sync(&stage.host, &setup.config, check_only, &sync, &e), &e);
    return sync;
}

static int admit_by(int web, int64_t span_ms, struct err *e)
{
    struct frontend_member member = member_of(web);
    return haproxy_admit(&stage.host, &setup.config, "web", &member, clock_now_ms() + span_ms, e);
}

static void admit(int web)
{
    struct err e = ERR_NULL;
    must(admit_by(web, LONG_MS, &e), &e);
    setup.members[setup.pools[0].member_count++] = member_of(web);
}

static int remove_by(int web, size_t minimum, struct frontend_removed *ret_removed, struct err *e)
{
    const struct frontend_removal removal = {.pool = "web",
                                             .id = member_of(web).id,
                                             .minimum = minimum,
                                             .deadline_ms = clock_now_ms() + LONG_MS};
    return haproxy_remove(&stage.host, &setup.config, &removal, ret_removed, e);
}

static int64_t remove_web(int web)
{
    struct err e = ERR_NULL;
    struct frontend_removed removed = {.refused = true};
    must(remove_by(web, 0, &removed, &e), &e);
    assert_false(removed.refused);
    size_t count = 0;
    for (size_t i = 0; i < setup.pools[0].member_count; i++) {
        if (strcmp(setup.members[i].id, member_of(web).id) != 0) {
            setup.members[count++] = setup.members[i];
        }
    }
    setup.pools[0].member_count = count;
    return removed.cut_sessions;
}

static struct frontend_target target_of(int web)
{
    struct frontend_target *targets;
    struct frontend_target found = {.state = FRONTEND_TARGET_ABSENT};
    size_t count;
    struct err e = ERR_NULL;
    must(haproxy_targets(&stage.host, &targets, &count, &e), &e);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(targets[i].pool, "web") == 0 && strcmp(targets[i].id, member_of(web).id) == 0) {
            found = targets[i];
        }
    }
    free(targets);
    return found;
}

static void await_state(int web, enum frontend_target_state state)
{
    int64_t deadline_ms = clock_now_ms() + 5000;
    while (target_of(web).state != state && clock_now_ms() < deadline_ms) {
        usleep(20000);
    }
    assert_string_equal(frontend_target_state_to_string(target_of(web).state),
                        frontend_target_state_to_string(state));
}

static bool file_lists(int web)
{
    char *text = stage_file(&stage);
    char line[64];
    snprintf(line, sizeof(line), "\n    server %s ", member_of(web).id);
    bool listed = strstr(text, line) != NULL;
    free(text);
    return listed;
}

static void assert_file_is_wanted(void)
{
    struct str wanted = STR_NULL;
    haproxy_render(&setup.config, &stage.paths, &wanted);
    char *text = stage_file(&stage);
    assert_string_equal(text, str_text(&wanted));
    free(text);
    str_deinit(&wanted);
}

static void assert_no_loss(void)
{
    stage_load_stop(&stage);
    if (stage.load->fresh_failed + stage.load->kept_failed > 0) {
        fail_msg("%d fresh and %d kept requests failed of %d and %d, the last: %s",
                 stage.load->fresh_failed, stage.load->kept_failed, stage.load->fresh_ok,
                 stage.load->kept_ok, stage.load->failure);
    }
    assert_true(stage.load->fresh_ok > 20);
    assert_true(stage.load->kept_ok > 20);
    for (int i = 0; i < STAGE_WEBS; i++) {
        assert_int_equal(stage.webs[i].before_check, 0);
    }
}

/* ---- sync ---- */

static void sync_starts_haproxy_once(void **state)
{
    (void)state;
    struct frontend_sync sync = sync_now(true);
    assert_true(sync.changed && sync.reloaded);
    assert_false(stage_haproxy_runs(&stage));
    sync = sync_now(false);
    assert_true(sync.changed && sync.reloaded);
    assert_file_is_wanted();
    sync = sync_now(false);
    assert_false(sync.changed || sync.reloaded);
    sync = sync_now(true);
    assert_false(sync.changed || sync.reloaded);
    assert_int_equal(stage_get("GET", "/", NULL, 0), 503);
}

static void routes_end_at_a_path_boundary(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int status;
    } cases[] = {
        {"/", 200},        {"/administrator", 200}, {"/admin", 503},      {"/admin/x?y=1", 503},
        {"/admin?x", 503}, {"/x/admin/", 200},      {"/-/balancer", 200},
    };
    sync_now(false);
    admit(0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int status = stage_get("GET", cases[i].path, NULL, 0);
        if (status != cases[i].status) {
            fail_msg("%s: %d, expected %d", cases[i].path, status, cases[i].status);
        }
    }
    setup.config.route_count = 1; /* Only /admin. */
    assert_true(sync_now(false).reloaded);
    assert_int_equal(stage_get("GET", "/", NULL, 0), 404);
}

/* A file that says what is wanted while the process does not run it: cut off before the reload. */
static void sync_sees_a_process_that_lags_behind_the_file(void **state)
{
    (void)state;
    sync_now(false);
    setup.config.idle_timeout_ms = 40000;
    struct str wanted = STR_NULL;
    haproxy_render(&setup.config, &stage.paths, &wanted);
    stage_write_file(&stage, str_text(&wanted));
    str_deinit(&wanted);
    struct frontend_sync sync = sync_now(false);
    assert_true(sync.changed && sync.reloaded);
    sync = sync_now(false);
    assert_false(sync.changed || sync.reloaded);
}

static void sync_mends_a_file_without_reload(void **state)
{
    (void)state;
    sync_now(false);
    stage_write_file(&stage, "# Somebody was here.\n");
    struct frontend_sync sync = sync_now(true);
    assert_true(sync.changed && !sync.reloaded);
    sync = sync_now(false);
    assert_true(sync.changed && !sync.reloaded);
    assert_file_is_wanted();
}

static void a_reload_under_load_loses_nothing_and_changes_no_state(void **state)
{
    (void)state;
    sync_now(false);
    for (int i = 0; i < STAGE_WEBS; i++) {
        admit(i);
    }
    /* web-3 fails its checks and everything else; web-10 drains. */
    stage.webs[2].check_status = 500;
    await_state(2, FRONTEND_TARGET_DOWN);
    stage.webs[2].page_status = 500;
    free(stage_ask(&stage, "set server web/web-10 state drain"));
    stage_load_start(&stage);
    usleep(200000);
    int pages[2] = {stage.webs[2].pages, stage.webs[3].pages};
    for (int i = 0; i < 3; i++) {
        setup.config.idle_timeout_ms += 1000;
        assert_true(sync_now(false).reloaded);
        assert_int_equal(target_of(0).state, FRONTEND_TARGET_UP);
        assert_int_equal(target_of(1).state, FRONTEND_TARGET_UP);
        assert_int_equal(target_of(2).state, FRONTEND_TARGET_DOWN);
        assert_int_equal(target_of(3).state, FRONTEND_TARGET_DRAINING);
        assert_file_is_wanted();
    }
    assert_no_loss();
    assert_int_equal(stage.webs[2].pages, pages[0]);
    assert_int_equal(stage.webs[3].pages, pages[1]);
    /* The one that was down comes back by itself. */
    stage.webs[2].check_status = 200;
    await_state(2, FRONTEND_TARGET_UP);
}

static void a_reload_keeps_members_the_configuration_does_not_know(void **state)
{
    (void)state;
    sync_now(false);
    admit(0);
    setup.pools[0].member_count = 0; /* As after a death between admission and its record. */
    setup.config.idle_timeout_ms = 45000;
    assert_true(sync_now(false).reloaded);
    await_state(0, FRONTEND_TARGET_UP);
    assert_int_equal(stage_get("GET", "/", NULL, 0), 200);
}

/* Somebody listens there: valid to `haproxy -c`, not to bind(). */
static void a_port_that_is_taken_costs_no_request(void **state)
{
    (void)state;
    sync_now(false);
    admit(0);
    char *before = stage_file(&stage);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(STAGE_PORT + 1)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 1), 0);
    const struct frontend_listener two[2] = {{.port = STAGE_PORT}, {.port = STAGE_PORT + 1}};
    setup.config.listeners = two;
    setup.config.listener_count = 2;
    stage_load_start(&stage);
    usleep(300000);
    struct frontend_sync sync;
    struct err e = ERR_NULL;
    assert_int_equal(haproxy_sync(&stage.host, &setup.config, false, &sync, &e), -1);
    assert_says(&e, "port 8001: another program of the host listens there");
    assert_no_loss();
    char *after = stage_file(&stage);
    assert_string_equal(before, after);
    free(before);
    free(after);
    close(fd);
    assert_true(sync_now(false).reloaded);
    assert_int_equal(target_of(0).state, FRONTEND_TARGET_UP);
}

/* What `haproxy -c` cannot see, and so ends the process. */
static void a_failed_reload_is_rolled_back(void **state)
{
    (void)state;
    sync_now(false);
    admit(0);
    char *before = stage_file(&stage);
    stage.paths.chroot = "/nonexistent/lamplighter";
    struct frontend_sync sync;
    struct err e = ERR_NULL;
    assert_int_equal(haproxy_sync(&stage.host, &setup.config, false, &sync, &e), -1);
    assert_says(&e, "rolled back: HAProxy did not take it: ");
    assert_says(&e, "annot chroot");
    char *after = stage_file(&stage);
    assert_string_equal(before, after);
    free(before);
    free(after);
    await_state(0, FRONTEND_TARGET_UP);
    assert_int_equal(stage_get("GET", "/", NULL, 0), 200);
    stage.paths.chroot = haproxy_paths_debian.chroot;
    assert_false(sync_now(false).changed);
}

static void a_restart_of_haproxy_brings_back_its_members(void **state)
{
    (void)state;
    sync_now(false);
    admit(0);
    admit(1);
    stage_kill_haproxy(&stage);
    struct frontend_target *targets;
    size_t count;
    struct err e = ERR_NULL;
    must(haproxy_targets(&stage.host, &targets, &count, &e), &e);
    assert_int_equal(count, 0);
    free(targets);
    /* As systemd starts it: from the file. */
    struct haproxy_output output = HAPROXY_OUTPUT_NULL;
    must(
        haproxy_host_script(&stage.host, stage.reload, NULL, clock_now_ms() + LONG_MS, &output, &e),
        &e);
    haproxy_output_deinit(&output);
    await_state(0, FRONTEND_TARGET_UP);
    await_state(1, FRONTEND_TARGET_UP);
    assert_false(sync_now(false).changed);
}

static void sync_starts_a_stopped_haproxy_with_its_members(void **state)
{
    (void)state;
    sync_now(false);
    admit(0);
    admit(1);
    stage_kill_haproxy(&stage);
    /* One has died meanwhile; a third was never let in by this HAProxy. */
    stage.webs[1].check_status = 500;
    stage.webs[0].checked = false;
    setup.members[setup.pools[0].member_count++] = member_of(2);
    struct frontend_sync sync = sync_now(false);
    assert_true(sync.changed && sync.reloaded);
    assert_int_equal(target_of(0).state, FRONTEND_TARGET_UP);
    assert_int_equal(target_of(2).state, FRONTEND_TARGET_ABSENT);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(stage_get("GET", "/", NULL, 0), 200);
    }
    assert_int_equal(stage.webs[1].pages, 0);
    assert_int_equal(stage.webs[0].before_check, 0);
    stage.webs[1].check_status = 200;
    await_state(1, FRONTEND_TARGET_UP);
    assert_file_is_wanted();
}

/* ---- admission ---- */

static void a_target_gets_nothing_before_its_first_passed_check(void **state)
{
    (void)state;
    sync_now(false);
    admit(0);
    stage_load_start(&stage);
    stage.webs[1].check_status = 500;
    pid_t healer = fork();
    if (healer == 0) {
        usleep(1200000);
        stage.webs[1].check_status = 200;
        _exit(0);
    }
    admit(1);
    assert_int_equal(target_of(1).state, FRONTEND_TARGET_UP);
    assert_true(file_lists(1));
    usleep(800000);
    assert_true(stage.webs[1].pages > 0);
    assert_no_loss();
    assert_file_is_wanted();
}

static void a_target_that_fails_its_checks_is_not_let_in(void **state)
{
    (void)state;
    sync_now(false);
    admit(0);
    char *before = stage_file(&stage);
    stage.webs[1].check_status = 500;
    struct err e = ERR_NULL;
    assert_int_equal(admit_by(1, 3500, &e), -1);
    assert_says(&e, "admit web-2 to pool web");
    assert_says(&e, "L7STS/500");
    assert_int_equal(target_of(1).state, FRONTEND_TARGET_ABSENT);
    char *after = stage_file(&stage);
    assert_string_equal(before, after);
    free(before);
    free(after);
    assert_int_equal(stage.webs[1].pages, 0);
}

static void admission_and_removal_again_change_nothing(void **state)
{
    (void)state;
    sync_now(false);
    admit(0);
    struct err e = ERR_NULL;
    int64_t begin_ms = clock_now_ms();
    must(admit_by(0, LONG_MS, &e), &e);
    assert_true(clock_now_ms() - begin_ms < 1000);
    assert_int_equal(remove_web(0), 0);
    assert_int_equal(remove_web(0), 0);
    assert_int_equal(remove_web(1), 0);
    assert_file_is_wanted();
}

static void a_pool_that_haproxy_does_not_have_is_told(void **state)
{
    (void)state;
    setup.config.pool_count = 1;
    setup.config.routes = &setup.routes[1];
    setup.config.route_count = 1;
    sync_now(false);
    setup.config.pool_count = 2;
    struct err e = ERR_NULL;
    struct frontend_member member = member_of(0);
    assert_int_equal(
        haproxy_admit(&stage.host, &setup.config, "admin", &member, clock_now_ms() + LONG_MS, &e),
        -1);
    assert_says(&e, "No such backend");
}

static void a_moved_pool_moves_one_by_one(void **state)
{
    (void)state;
    sync_now(false);
    admit(0);
    admit(1);
    stage_load_start(&stage);
    setup.members[0].port++;
    setup.members[1].port++;
    assert_true(sync_now(true).changed);
    struct frontend_sync sync = sync_now(false);
    assert_true(sync.changed && !sync.reloaded);
    assert_no_loss();
    assert_string_equal(target_of(0).address, "127.0.0.11:8082");
    assert_string_equal(target_of(1).address, "127.0.0.12:8082");
    assert_int_equal(target_of(0).state, FRONTEND_TARGET_UP);
    assert_file_is_wanted();
}

/* ---- removal ---- */

static int slow_status(int pipe_end)
{
    int status = -1;
    assert_int_equal(read(pipe_end, &status, sizeof(status)), (ssize_t)sizeof(status));
    close(pipe_end);
    return status;
}

/* A request under way, of a client that holds COOKIE; its status comes down the pipe. */
static int ask_slowly_with(const struct stage_cookie *cookie)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    if (fork() == 0) {
        struct stage_cookie held = *cookie;
        int status = stage_visit(&held, "/slow", NULL, 0);
        if (write(ends[1], &status, sizeof(status)) < 0) {
            _exit(1);
        }
        _exit(0);
    }
    close(ends[1]);
    /* Web 0 has it; on a busy machine that takes its time. */
    for (int i = 0; i < LONG_MS / 20 && target_of(0).sessions == 0; i++) {
        usleep(20000);
    }
    return ends[0];
}

static int ask_slowly(void)
{
    return ask_slowly_with(&(struct stage_cookie){""});
}

static void removal_under_load_loses_nothing(void **state)
{
    (void)state;
    sync_now(false);
    admit(0);
    admit(1);
    /* The one that leaves has a request under way. */
    stage.webs[0].slow_ms = 1000;
    free(stage_ask(&stage, "set server web/web-2 state drain"));
    int slow = ask_slowly();
    free(stage_ask(&stage, "set server web/web-2 state ready"));
    stage_load_start(&stage);
    assert_int_equal(remove_web(0), 0);
    assert_int_equal(slow_status(slow), 200);
    assert_int_equal(target_of(0).state, FRONTEND_TARGET_ABSENT);
    int pages = stage.webs[0].pages;
    usleep(300000);
    assert_int_equal(stage.webs[0].pages, pages);
    assert_no_loss();
    assert_file_is_wanted();
}

static void removal_cuts_what_outlasts_the_drain_time(void **state)
{
    (void)state;
    sync_now(false);
    admit(0);
    stage.webs[0].slow_ms = 9000;
    setup.pools[0].drain_ms = 700;
    int slow = ask_slowly();
    int64_t begin_ms = clock_now_ms();
    assert_int_equal(remove_web(0), 1);
    assert_true(clock_now_ms() - begin_ms >= 700);
    assert_true(clock_now_ms() - begin_ms < 6000);
    assert_int_not_equal(slow_status(slow), 200);
    assert_int_equal(target_of(0).state, FRONTEND_TARGET_ABSENT);
}

/* What was seen while something was waited for. */
struct seen {
    int draining; /* Looks in which web-1 drained, */
    int down;     /* and those of them in which web-2 was down. */
    int initial;  /* Looks in which web-3 was not checked yet. */
};

static void see(void *context, const struct frontend_target *targets, size_t count)
{
    struct seen *seen = context;
    const struct frontend_target *of[3] = {NULL, NULL, NULL};
    for (size_t i = 0; i < count; i++) {
        for (int web = 0; web < 3; web++) {
            of[web] = strcmp(targets[i].id, member_of(web).id) == 0 ? &targets[i] : of[web];
        }
    }
    bool draining = of[0] != NULL && of[0]->state == FRONTEND_TARGET_DRAINING;
    seen->draining += draining ? 1 : 0;
    seen->down += draining && of[1] != NULL && of[1]->state == FRONTEND_TARGET_DOWN ? 1 : 0;
    seen->initial += of[2] != NULL && of[2]->state != FRONTEND_TARGET_UP ? 1 : 0;
}

/* A drain may take minutes: what becomes of the others meanwhile is told. */
static void who_waits_looks(void **state)
{
    (void)state;
    struct seen seen = {.draining = 0};
    sync_now(false);
    admit(0);
    admit(1);
    stage.webs[0].slow_ms = 1500;
    int slow = ask_slowly();
    stage.webs[1].check_status = 500;
    stage.host.on_look = see;
    stage.host.look_context = &seen;
    assert_int_equal(remove_web(0), 0);
    assert_int_equal(slow_status(slow), 200);
    assert_true(seen.draining > 1);
    assert_true(seen.down > 0);
    assert_int_equal(seen.initial, 0);
    admit(2);
    assert_true(seen.initial > 0);
    stage.host.on_look = NULL;
}

static void a_dead_target_can_be_removed(void **state)
{
    (void)state;
    sync_now(false);
    admit(0);
    admit(1);
    stage.webs[0].check_status = 0;
    await_state(0, FRONTEND_TARGET_DOWN);
    assert_int_equal(remove_web(0), 0);
    assert_int_equal(stage_get("GET", "/", NULL, 0), 200);
}

static void assert_stays(int web, size_t minimum, size_t left_up)
{
    struct frontend_removed removed = {.refused = false};
    struct err e = ERR_NULL;
    char *before = stage_file(&stage);
    must(remove_by(web, minimum, &removed, &e), &e);
    assert_true(removed.refused);
    assert_int_equal(removed.left_up, left_up);
    char *after = stage_file(&stage);
    assert_string_equal(before, after);
    free(before);
    free(after);
    assert_int_equal(target_of(web).state, FRONTEND_TARGET_UP);
}

static void removal_leaves_the_minimum_up(void **state)
{
    (void)state;
    struct frontend_removed removed = {.refused = true};
    struct err e = ERR_NULL;
    sync_now(false);
    for (int i = 0; i < STAGE_WEBS; i++) {
        admit(i);
    }
    stage_load_start(&stage);
    must(remove_by(3, 3, &removed, &e), &e);
    assert_false(removed.refused);
    assert_int_equal(removed.left_up, 3);
    setup.pools[0].member_count--;
    assert_stays(0, 3, 2);
    /* What drains takes nothing new. */
    free(stage_ask(&stage, "set server web/web-2 state drain"));
    assert_stays(0, 2, 1);
    /* It has changed since whoever asks has looked. */
    stage.webs[2].check_status = 500;
    await_state(2, FRONTEND_TARGET_DOWN);
    assert_stays(0, 1, 0);
    /* One that takes no traffic makes it no worse. */
    must(remove_by(2, 2, &removed, &e), &e);
    assert_false(removed.refused);
    assert_int_equal(target_of(2).state, FRONTEND_TARGET_ABSENT);
    free(stage_ask(&stage, "set server web/web-2 state ready"));
    await_state(1, FRONTEND_TARGET_UP);
    must(remove_by(0, 1, &removed, &e), &e);
    assert_false(removed.refused);
    must(remove_by(0, 1, &removed, &e), &e); /* Gone already. */
    assert_false(removed.refused);
    assert_stays(1, 1, 0);
    assert_no_loss();
}

/* ---- sticky ---- */

#define COOKIE_KEY "abcdefghijklmnopqrstuvwxyz012345"

/* Syncs a sticky pool, and lets in the first COUNT webs. */
static void make_sticky(int count)
{
    setup.pools[0].cookie_key = COOKIE_KEY;
    sync_now(false);
    for (int i = 0; i < count; i++) {
        admit(i);
    }
    usleep(400000); /* The slow start. */
}

/* A client that WEB answered, and that holds its cookie. */
static struct stage_cookie client_of(int web)
{
    char wanted[16];
    char body[16] = "";
    struct stage_cookie cookie = {""};
    snprintf(wanted, sizeof(wanted), "web-%d", web + 1);
    for (int i = 0; i < 200 && strcmp(body, wanted) != 0; i++) {
        cookie.text[0] = '\0';
        assert_int_equal(stage_visit(&cookie, "/", body, sizeof(body)), 200);
    }
    assert_string_equal(body, wanted);
    assert_true(strncmp(cookie.text, "sticky-web=", 11) == 0 && strlen(cookie.text) == 11 + 16);
    return cookie;
}

/* All that a client asks goes to WEB, and it is given no other cookie. */
static void assert_stays_with(const struct stage_cookie *cookie, int web)
{
    char wanted[16];
    snprintf(wanted, sizeof(wanted), "web-%d", web + 1);
    for (int i = 0; i < 12; i++) {
        char body[16] = "";
        struct stage_cookie held = *cookie;
        assert_int_equal(stage_visit(&held, "/", body, sizeof(body)), 200);
        assert_string_equal(body, wanted);
        assert_string_equal(held.text, cookie->text);
    }
}

/* Over all that changes nothing about their target: another comes, a reload, a restart. */
static void sticky_clients_stay_with_their_target(void **state)
{
    (void)state;
    make_sticky(2);
    struct stage_cookie clients[2] = {client_of(0), client_of(1)};
    assert_string_not_equal(clients[0].text, clients[1].text);
    admit(2);
    for (int round = 0; round < 3; round++) {
        assert_stays_with(&clients[0], 0);
        assert_stays_with(&clients[1], 1);
        if (round == 0) {
            setup.config.idle_timeout_ms += 1000;
            assert_true(sync_now(false).reloaded);
        } else if (round == 1) {
            stage_kill_haproxy(&stage);
            sync_now(false);
        }
    }
    struct stage_cookie third = client_of(2);
    assert_stays_with(&third, 2);
    /* Without a cookie, each in turn. */
    stage_load_start(&stage);
    usleep(500000);
    assert_no_loss();
    assert_true(stage.load->moved > 10);
    assert_file_is_wanted();
}

/* A client that never stops asking; what is under way is finished, and nothing is waited for. */
static void sticky_clients_move_when_their_target_leaves(void **state)
{
    (void)state;
    make_sticky(3);
    setup.pools[0].drain_ms = 12000;
    struct stage_cookie client = client_of(0);
    struct stage_cookie other = client_of(1);
    stage.webs[0].slow_ms = 2500;
    int slow = ask_slowly_with(&client);
    stage_load_start_sticky(&stage, &client);
    usleep(300000);
    assert_int_equal(stage.load->moved, 0);
    int pages = stage.webs[0].pages;
    int64_t begin_ms = clock_now_ms();
    assert_int_equal(remove_web(0), 0);
    assert_in_range(clock_now_ms() - begin_ms, 1000, 8000);
    /* It moved at once, not when the drain ended. */
    assert_in_range(stage.webs[0].pages - pages, 0, 60);
    assert_int_equal(slow_status(slow), 200);
    assert_int_equal(target_of(0).state, FRONTEND_TARGET_ABSENT);
    usleep(300000);
    assert_no_loss();
    assert_int_equal(stage.load->moved, 1);
    assert_stays_with(&other, 1);
    assert_file_is_wanted();
}

static void a_sticky_removal_cuts_what_outlasts_the_drain_time(void **state)
{
    (void)state;
    make_sticky(1); /* No other that could be asked again. */
    setup.pools[0].drain_ms = 1500;
    struct stage_cookie client = client_of(0);
    stage.webs[0].slow_ms = 12000;
    int slow = ask_slowly_with(&client);
    int64_t begin_ms = clock_now_ms();
    assert_int_equal(remove_web(0), 1);
    assert_in_range(clock_now_ms() - begin_ms, 1500, 9000);
    assert_int_not_equal(slow_status(slow), 200);
    /* Again, when it was cut off in the middle: what is under way is not cut at once. */
    setup.pools[0].drain_ms = 12000;
    admit(0);
    usleep(400000);
    client = client_of(0);
    stage.webs[0].slow_ms = 2000;
    slow = ask_slowly_with(&client);
    free(stage_ask(&stage, "set server web/web-1 state maint"));
    assert_int_equal(remove_web(0), 0);
    assert_int_equal(slow_status(slow), 200);
}

/* Its address, and so its cookie, is that of the one that left: clients of that one still ask. */
static void a_sticky_target_gets_nothing_before_its_first_passed_check(void **state)
{
    (void)state;
    make_sticky(2);
    struct stage_cookie client = client_of(1);
    remove_web(1);
    stage.webs[1].checked = false;
    stage.webs[1].check_status = 500;
    stage.webs[1].page_status = 500;
    pid_t healer = fork();
    if (healer == 0) {
        usleep(1500000);
        stage.webs[1].page_status = 200;
        stage.webs[1].check_status = 200;
        _exit(0);
    }
    pid_t visitor = fork();
    if (visitor == 0) {
        /* Always with the old cookie, whatever it is given. */
        int bad = 0;
        for (int64_t until_ms = clock_now_ms() + 1400; clock_now_ms() < until_ms;) {
            struct stage_cookie held = client;
            bad += stage_visit(&held, "/", NULL, 0) == 200 ? 0 : 1;
        }
        _exit(bad == 0 ? 0 : 1);
    }
    admit(1);
    int status = -1;
    assert_int_equal(waitpid(visitor, &status, 0), visitor);
    assert_int_equal(status, 0);
    assert_int_equal(waitpid(healer, NULL, 0), healer);
    assert_int_equal(stage.webs[1].before_check, 0);
    assert_true(stage.webs[1].checks > 0);
    assert_int_equal(target_of(1).state, FRONTEND_TARGET_UP);
    assert_stays_with(&client, 1);
}

/* What is down is put back in drain after a reload, where HAProxy would send it who holds its
 * cookie. */
static void a_reload_sends_nobody_to_a_sticky_target_that_is_down(void **state)
{
    (void)state;
    make_sticky(2);
    struct stage_cookie client = client_of(1);
    stage.webs[1].check_status = 500;
    await_state(1, FRONTEND_TARGET_DOWN);
    stage.webs[1].page_status = 500;
    int pages = stage.webs[1].pages;
    pid_t visitor = fork();
    if (visitor == 0) {
        while (!stage.load->stop) {
            struct stage_cookie held = client;
            stage_visit(&held, "/", NULL, 0);
        }
        _exit(0);
    }
    for (int i = 0; i < 10; i++) {
        setup.config.idle_timeout_ms += 1000;
        assert_true(sync_now(false).reloaded);
        assert_int_equal(target_of(1).state, FRONTEND_TARGET_DOWN);
    }
    stage.load->stop = true;
    assert_int_equal(waitpid(visitor, NULL, 0), visitor);
    assert_int_equal(stage.webs[1].pages, pages);
    stage.webs[1].page_status = 200;
    stage.webs[1].check_status = 200;
    await_state(1, FRONTEND_TARGET_UP);
    assert_stays_with(&client, 1);
}

static void every_interruption_in_a_sticky_pool_is_mended(void **state)
{
    (void)state;
    make_sticky(2);
    struct stage_cookie client = client_of(1);
    struct stage_cookie other = client_of(0);
    stage_load_start_sticky(&stage, &other);
    bool done = false;
    int drops = 0;
    for (int commands = 0; !done && commands < 40; commands++) {
        struct err e = ERR_NULL;
        struct frontend_removed removed;
        stage.runs_left = commands;
        done = remove_by(1, 1, &removed, &e) == 0;
        stage.runs_left = -1;
        remove_web(1);
        stage.webs[1].checked = false;
        stage.runs_left = commands;
        done = admit_by(1, LONG_MS, &e) == 0 && done;
        stage.runs_left = -1;
        admit(1);
        assert_int_equal(target_of(1).state, FRONTEND_TARGET_UP);
        assert_stays_with(&client, 1);
        drops += done ? 0 : 1;
    }
    assert_true(done);
    assert_true(drops >= 6);
    assert_no_loss();
    assert_int_equal(stage.load->moved, 0);
    assert_file_is_wanted();
}

/* ---- looking ---- */

static void a_look_is_one_exchange(void **state)
{
    (void)state;
    struct frontend_target *targets;
    size_t count;
    struct err e = ERR_NULL;
    sync_now(false);
    admit(0);
    admit(1);
    stage.webs[1].check_status = 500;
    await_state(1, FRONTEND_TARGET_DOWN);
    stage.webs[0].slow_ms = 1500;
    int slow = ask_slowly();
    stage.runs_left = 1;
    must(haproxy_targets(&stage.host, &targets, &count, &e), &e);
    assert_int_equal(stage.runs_left, 0);
    stage.runs_left = -1;
    assert_int_equal(count, 2);
    assert_string_equal(targets[0].id, "web-1");
    assert_int_equal(targets[0].state, FRONTEND_TARGET_UP);
    assert_int_equal(targets[0].sessions, 1);
    assert_int_equal(targets[1].state, FRONTEND_TARGET_DOWN);
    /* On a busy machine a check may have timed out meanwhile; the next says it again. */
    for (int i = 0; i < 100 && (strncmp(targets[0].check, "L7OK/200", 8) != 0 ||
                                strncmp(targets[1].check, "L7STS/500", 9) != 0);
         i++) {
        free(targets);
        targets = NULL;
        usleep(50000);
        must(haproxy_targets(&stage.host, &targets, &count, &e), &e);
    }
    assert_true(strncmp(targets[0].check, "L7OK/200", 8) == 0);
    assert_true(strncmp(targets[1].check, "L7STS/500", 9) == 0);
    free(targets);
    assert_int_equal(slow_status(slow), 200);
}

/* Both are in their pool, and no check that fails takes one out. */
static void both_serve_whatever_fails(void)
{
    sync_now(false);
    setup.pools[0].check.fall = 100;
    setup.config.idle_timeout_ms = 31000;
    sync_now(false);
    admit(0);
    admit(1);
    usleep(400000); /* The slow start. */
}

/* Until the first target had its share of them: on a busy machine the other may still have all. */
static void ask_until_more_failed_than(int64_t failed, const char *method, int status)
{
    for (int i = 0; i < 500 && target_of(0).failed <= failed; i++) {
        int is = stage_get(method, "/", NULL, 0);
        assert_true(status == 0 || is == status);
    }
    assert_true(target_of(0).failed > failed);
}

/* What it counts of each, by what it really did. */
static void what_targets_do_is_counted(void **state)
{
    (void)state;
    both_serve_whatever_fails();
    assert_int_equal(target_of(0).tries, 0);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(stage_get("GET", "/", NULL, 0), 200);
    }
    struct frontend_target first = target_of(0);
    struct frontend_target second = target_of(1);
    assert_int_equal(first.tries + second.tries, 10);
    assert_int_equal(first.failed + second.failed, 0);
    /* An error of its own is told to the client. */
    stage.webs[0].page_status = 500;
    ask_until_more_failed_than(0, "GET", 0);
    struct frontend_target broken = target_of(0);
    assert_int_equal(broken.failed, broken.tries - first.tries);
    /* One that another target makes good is not. */
    stage.webs[0].page_status = 0;
    ask_until_more_failed_than(broken.failed, "GET", 200);
    struct frontend_target mute = target_of(0);
    assert_int_equal(mute.failed - broken.failed, mute.tries - broken.tries);
    ask_until_more_failed_than(mute.failed, "POST", 0);
    assert_int_equal(target_of(1).failed, 0);
    /* A reload begins anew. */
    stage.webs[0].page_status = 200;
    setup.config.idle_timeout_ms = 32000;
    assert_true(sync_now(false).reloaded);
    assert_int_equal(target_of(0).tries, 0);
    assert_int_equal(target_of(0).failed, 0);
    stage.webs[1].slow_ms = stage.webs[0].slow_ms = 200;
    await_state(0, FRONTEND_TARGET_UP);
    await_state(1, FRONTEND_TARGET_UP);
    assert_int_equal(stage_get("GET", "/slow", NULL, 0), 200);
    assert_in_range(target_of(0).response_ms + target_of(1).response_ms, 150, LONG_MS);
}

/* ---- who acts ---- */

static void assert_too_old(int result, struct err *e)
{
    assert_int_equal(result, -1);
    assert_says(e, "a newer controller (epoch 4) has this host; ours is 3 (S18)");
    assert_null(strchr(e->text, '\n'));
    *e = ERR_NULL;
}

static void a_lower_epoch_changes_nothing(void **state)
{
    (void)state;
    struct frontend_removed removed;
    struct frontend_sync sync;
    struct err e = ERR_NULL;
    sync_now(false);
    admit(0);
    stage.host.epoch = 4;
    admit(1);
    setup.config.idle_timeout_ms = 41000;
    assert_true(sync_now(false).reloaded);
    char *before = stage_file(&stage);
    stage.host.epoch = 3;
    assert_too_old(remove_by(0, 1, &removed, &e), &e);
    assert_too_old(admit_by(2, LONG_MS, &e), &e);
    setup.members[0].port++;
    assert_too_old(haproxy_sync(&stage.host, &setup.config, false, &sync, &e), &e);
    setup.members[0].port--;
    setup.config.idle_timeout_ms = 42000;
    assert_too_old(haproxy_sync(&stage.host, &setup.config, false, &sync, &e), &e);
    /* To look and to compare is no effect. */
    assert_true(sync_now(true).reloaded);
    assert_int_equal(target_of(0).state, FRONTEND_TARGET_UP);
    assert_int_equal(target_of(1).state, FRONTEND_TARGET_UP);
    assert_int_equal(target_of(2).state, FRONTEND_TARGET_ABSENT);
    char *after = stage_file(&stage);
    assert_string_equal(before, after);
    free(before);
    free(after);
    stage.host.epoch = 5;
    assert_true(sync_now(false).reloaded);
    assert_int_equal(remove_web(0), 0);
    char *path = xasprintf("%s/epoch", stage.state);
    struct str epoch = STR_NULL;
    must(str_read_file(&epoch, path, 64, &e), &e);
    assert_string_equal(str_text(&epoch), "5\n");
    str_deinit(&epoch);
    free(path);
}

/* ---- the line drops after any number of commands ---- */

static void every_interruption_is_mended_by_a_repetition(void **state)
{
    (void)state;
    sync_now(false);
    admit(0);
    stage_load_start(&stage);
    bool done = false;
    int drops = 0;
    for (int commands = 0; !done && commands < 40; commands++) {
        struct err e = ERR_NULL;
        stage.webs[1].checked = false;
        stage.runs_left = commands;
        done = admit_by(1, LONG_MS, &e) == 0;
        stage.runs_left = -1;
        must(admit_by(1, LONG_MS, &e), &e);
        assert_int_equal(target_of(1).state, FRONTEND_TARGET_UP);
        assert_true(file_lists(1));
        drops += done ? 0 : 1;
        struct frontend_removed removed;
        stage.runs_left = commands;
        struct err removal = ERR_NULL;
        done = remove_by(1, 1, &removed, &removal) == 0 && done;
        stage.runs_left = -1;
        remove_web(1);
        assert_int_equal(target_of(1).state, FRONTEND_TARGET_ABSENT);
        assert_false(file_lists(1));
    }
    assert_true(done);
    assert_true(drops >= 6);
    assert_no_loss();
    assert_file_is_wanted();
}

static void interrupt_reloads(void)
{
    stage.webs[1].check_status = 500;
    await_state(1, FRONTEND_TARGET_DOWN);
    stage.webs[1].page_status = 500;
    int pages = stage.webs[1].pages;
    stage_load_start(&stage);
    bool done = false;
    for (int commands = 0; !done && commands < 40; commands++) {
        struct frontend_sync sync;
        struct err e = ERR_NULL;
        setup.config.idle_timeout_ms += 1000;
        stage.runs_left = commands;
        done = haproxy_sync(&stage.host, &setup.config, false, &sync, &e) == 0;
        stage.runs_left = -1;
        sync_now(false);
        assert_file_is_wanted();
        assert_false(sync_now(true).changed);
        assert_int_equal(target_of(0).state, FRONTEND_TARGET_UP);
    }
    assert_true(done);
    assert_no_loss();
    assert_int_equal(stage.webs[1].pages, pages);
}

static void every_interruption_of_a_reload_is_mended(void **state)
{
    (void)state;
    sync_now(false);
    admit(0);
    admit(1);
    interrupt_reloads();
}

static void every_interruption_of_a_sticky_reload_is_mended(void **state)
{
    (void)state;
    make_sticky(2);
    struct stage_cookie client = client_of(1);
    interrupt_reloads();
    stage.webs[1].page_status = 200;
    stage.webs[1].check_status = 200;
    struct err e = ERR_NULL;
    must(admit_by(1, LONG_MS, &e), &e); /* Where it was left in maintenance. */
    await_state(1, FRONTEND_TARGET_UP);
    assert_stays_with(&client, 1);
}

/* ---- what is rendered, in action ---- */

static void only_what_may_be_repeated_is(void **state)
{
    (void)state;
    both_serve_whatever_fails();
    stage.webs[0].page_status = 0;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(stage_get("GET", "/", NULL, 0), 200);
    }
    int before = stage.webs[0].posts + stage.webs[1].posts;
    int failed = 0;
    for (int i = 0; i < 10; i++) {
        failed += stage_get("POST", "/", NULL, 0) == 200 ? 0 : 1;
    }
    assert_true(failed > 0);
    assert_int_equal(stage.webs[0].posts + stage.webs[1].posts - before, 10);
}

/* Every word goes through the real parser and comes back as the body of an answer. */
static void words_survive_haproxys_parser(void **state)
{
    (void)state;
    static const char *const words[] = {
        "plain", "two words", "it's",        "''",          "\"quoted\"", "$HOME",     "${HOME}",
        "a#b",   "# c",       "back\\slash", "\\n",         "\\",         "%[src]",    "100%",
        "%%",    "a;b",       "{ x }",       "-f",          " leading",   "trailing ", "(x),y",
        "`id`",  "!@&*|<>?~", "'\\''",       "a'b\"c\\d$e", "x y 'z' #",  "[::1]:8",   "=",
    };
    size_t count = sizeof(words) / sizeof(words[0]);
    struct str text = STR_NULL;
    str_addf(&text,
             "global\n    stats socket %s mode 600 level admin\ndefaults\n    mode http\n"
             "    timeout connect 1s\n    timeout client 5s\n    timeout server 5s\n"
             "frontend f\n    bind *:%d\n",
             stage.socket_path, STAGE_PORT);
    for (size_t i = 0; i < count; i++) {
        for (int format = 0; format < 2; format++) {
            str_addf(&text, "    http-request return status 200 content-type text/plain %s ",
                     format == 0 ? "string" : "lf-string");
            (format == 0 ? haproxy_add_word : haproxy_add_format_word)(&text, words[i]);
            str_addf(&text, " if { path /%d/%zu }\n", format, i);
        }
    }
    struct err e = ERR_NULL;
    must(haproxy_file_check(&stage.host, &text, &e), &e);
    stage_write_file(&stage, str_text(&text));
    str_deinit(&text);
    struct haproxy_output output = HAPROXY_OUTPUT_NULL;
    must(
        haproxy_host_script(&stage.host, stage.reload, NULL, clock_now_ms() + LONG_MS, &output, &e),
        &e);
    haproxy_output_deinit(&output);
    usleep(300000);
    for (size_t i = 0; i < count; i++) {
        for (int format = 0; format < 2; format++) {
            char path[32];
            char body[256] = "";
            snprintf(path, sizeof(path), "/%d/%zu", format, i);
            assert_int_equal(stage_get("GET", path, body, sizeof(body)), 200);
            assert_string_equal(body, words[i]);
        }
    }
}

static void a_bad_file_is_refused_with_haproxys_words(void **state)
{
    (void)state;
    struct str text = STR_NULL;
    struct err e = ERR_NULL;
    str_add(&text, "global\n    nonsense here\n");
    assert_int_equal(haproxy_file_check(&stage.host, &text, &e), -1);
    assert_says(&e, "haproxy -c refuses");
    assert_says(&e, "unknown keyword 'nonsense'");
    char *file = stage_file(&stage);
    assert_string_equal(file, "");
    free(file);
    str_deinit(&text);
}

int main(void)
{
#define STAGED(test) cmocka_unit_test_setup_teardown(test, start, stop)
    static const struct CMUnitTest tests[] = {
        STAGED(sync_starts_haproxy_once),
        STAGED(routes_end_at_a_path_boundary),
        STAGED(sync_sees_a_process_that_lags_behind_the_file),
        STAGED(sync_mends_a_file_without_reload),
        STAGED(a_reload_under_load_loses_nothing_and_changes_no_state),
        STAGED(a_reload_keeps_members_the_configuration_does_not_know),
        STAGED(a_port_that_is_taken_costs_no_request),
        STAGED(a_failed_reload_is_rolled_back),
        STAGED(a_restart_of_haproxy_brings_back_its_members),
        STAGED(sync_starts_a_stopped_haproxy_with_its_members),
        STAGED(a_target_gets_nothing_before_its_first_passed_check),
        STAGED(a_target_that_fails_its_checks_is_not_let_in),
        STAGED(admission_and_removal_again_change_nothing),
        STAGED(a_pool_that_haproxy_does_not_have_is_told),
        STAGED(a_moved_pool_moves_one_by_one),
        STAGED(removal_under_load_loses_nothing),
        STAGED(removal_cuts_what_outlasts_the_drain_time),
        STAGED(who_waits_looks),
        STAGED(a_dead_target_can_be_removed),
        STAGED(removal_leaves_the_minimum_up),
        STAGED(sticky_clients_stay_with_their_target),
        STAGED(sticky_clients_move_when_their_target_leaves),
        STAGED(a_sticky_removal_cuts_what_outlasts_the_drain_time),
        STAGED(a_sticky_target_gets_nothing_before_its_first_passed_check),
        STAGED(a_reload_sends_nobody_to_a_sticky_target_that_is_down),
        STAGED(every_interruption_in_a_sticky_pool_is_mended),
        STAGED(a_look_is_one_exchange),
        STAGED(what_targets_do_is_counted),
        STAGED(a_lower_epoch_changes_nothing),
        STAGED(every_interruption_is_mended_by_a_repetition),
        STAGED(every_interruption_of_a_reload_is_mended),
        STAGED(every_interruption_of_a_sticky_reload_is_mended),
        STAGED(only_what_may_be_repeated_is),
        STAGED(words_survive_haproxys_parser),
        STAGED(a_bad_file_is_refused_with_haproxys_words),
    };
    signal(SIGPIPE, SIG_IGN); /* As in the program. */
    if (!stage_possible()) {
        print_message("[  SKIPPED ] haproxy\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
