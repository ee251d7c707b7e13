/* Answers of the admin socket, as a scripted host gives them: whole, cut, refused, strange. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/err.h"
#include "frontend/haproxy_file.h"
#include "frontend/haproxy_host.h"
#include "frontend/haproxy_runtime.h"

#include <stdlib.h>
#include <string.h>

/* What the host says to the next command. */
struct script {
    const char *out, *err;
    int status;
    bool line_drops;
    struct str command, input; /* What it was asked; owned. */
};

static int run_script(void *context, const char *command, const struct str *input,
                      int64_t deadline_ms, struct haproxy_output *ret_output, struct err *e)
{
    struct script *script = context;
    (void)deadline_ms;
    str_clear(&script->command);
    str_clear(&script->input);
    str_add(&script->command, command);
    str_add(&script->input, input == NULL ? "" : str_text(input));
    if (script->line_drops) {
        return err_set(e, "the line dropped");
    }
    str_add(&ret_output->out, script->out == NULL ? "" : script->out);
    str_add(&ret_output->err, script->err == NULL ? "" : script->err);
    ret_output->status = script->status;
    return 0;
}

static struct haproxy_host host_of(struct script *script)
{
    return (struct haproxy_host){
        .run = run_script, .context = script, .paths = &haproxy_paths_debian};
}

static void script_deinit(struct script *script)
{
    str_deinit(&script->command);
    str_deinit(&script->input);
}

static void answers_are_told_apart(void **state)
{
    (void)state;
    struct script script = {.out = "New server registered.\n\n\nline 1\nline 2\n\n"};
    struct haproxy_host host = host_of(&script);
    static const char *const commands[] = {"add server a/b 1.2.3.4:5", "enable health a/b",
                                           "show x"};
    struct haproxy_answers answers = HAPROXY_ANSWERS_NULL;
    struct err e = ERR_NULL;
    bool running = false;
    assert_int_equal(haproxy_runtime_ask(&host, commands, 3, &answers, &running, &e), 0);
    assert_true(running);
    assert_int_equal(answers.count, 3);
    assert_string_equal(answers.items[0], "New server registered.");
    assert_string_equal(answers.items[1], "");
    assert_string_equal(answers.items[2], "line 1\nline 2");
    assert_string_equal(str_text(&script.input),
                        "add server a/b 1.2.3.4:5; enable health a/b; show x\n");
    /* One client at a time. */
    assert_true(text_starts(str_text(&script.command), "flock "));
    haproxy_answers_deinit(&answers);
    script_deinit(&script);
}

static void what_is_no_answer_is_told(void **state)
{
    (void)state;
    static const struct {
        struct script script;
        bool running, fault;
        const char *says;
    } cases[] = {
        {{.out = ""}, true, true, "ends in the middle"},
        {{.out = "# pxname,svname\nweb,web-"}, true, true, "ends in the middle"},
        {{.status = 1, .err = "socat[7] E connect(..): Connection refused\n"},
         false,
         false,
         "Connection refused"},
        {{.status = 1, .err = "socat[7] E connect(..): No such file or directory\n"},
         false,
         false,
         "No such file"},
        {{.status = 69, .err = "flock: failed to execute socat: No such file or directory\n"},
         true,
         true,
         "failed to execute socat"},
        {{.status = 1, .err = "a password is required\x1b[2J\n"}, true, true, "password"},
        {{.line_drops = true}, true, true, "the line dropped"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct script script = cases[i].script;
        struct haproxy_host host = host_of(&script);
        static const char *const commands[] = {"show info"};
        struct haproxy_answers answers = HAPROXY_ANSWERS_NULL;
        struct err e = ERR_NULL;
        bool running = true;
        int result = haproxy_runtime_ask(&host, commands, 1, &answers, &running, &e);
        assert_int_equal(result, cases[i].fault ? -1 : 0);
        assert_int_equal(running, cases[i].running);
        assert_int_equal(answers.count, 0);
        if (strstr(e.text, cases[i].says) == NULL || strchr(e.text, '\x1b') != NULL) {
            fail_msg("case %zu: %s", i, e.text);
        }
        script_deinit(&script);
    }
}

static void an_answer_is_checked_to_the_letter(void **state)
{
    (void)state;
    static const struct {
        const char *out;
        int result;
        const char *says;
    } cases[] = {
        /* HAProxy 2.6 leaves out the empty line here. */
        {"Server deleted.\n", 0, ""},
        {"Server deleted.\n\n", 0, ""},
        {"Server deleted?\n\n", -1, "refuses 'del server web/web-1': Server deleted?"},
        {"No such server.\n", -1, "No such server."},
        {"\n", -1, "refuses"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct script script = {.out = cases[i].out};
        struct haproxy_host host = host_of(&script);
        struct err e = ERR_NULL;
        assert_int_equal(
            haproxy_runtime_tell(&host, "Server deleted.", &e, "del server %s/%s", "web", "web-1"),
            cases[i].result);
        assert_non_null(strstr(e.text, cases[i].says));
        assert_int_equal(haproxy_runtime_tell(&host, NULL, &e, "del server a/b; show x"), 0);
        script_deinit(&script);
    }
}

static const char servers_header[] =
    "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state\n";

/* One line of `show stat` in another order of columns than HAProxy's, and its state. */
static void states_are_read_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *status, *check, *code, *words;
        int admin;
        enum frontend_target_state state;
        const char *text;
    } cases[] = {
        {"UP", "L7OK", "200", "", 0, FRONTEND_TARGET_UP, "L7OK/200 in 3 ms"},
        {"UP 1/2", "* L7STS", "500", "Internal Server Error", 0, FRONTEND_TARGET_UP,
         "L7STS/500 in 3 ms: Internal Server Error"},
        {"UP", "INI", "", "", 0, FRONTEND_TARGET_INITIAL, "not checked yet in 3 ms"},
        {"DOWN", "L4CON", "", "\"Connection refused, or \"\"so\"\"\"", 0, FRONTEND_TARGET_DOWN,
         "L4CON in 3 ms: Connection refused, or \"so\""},
        {"DOWN 1/2", "L7OK", "200", "", 0, FRONTEND_TARGET_DOWN, "L7OK/200 in 3 ms"},
        {"DRAIN", "L7OK", "200", "", 8, FRONTEND_TARGET_DRAINING, "L7OK/200 in 3 ms"},
        {"DRAIN 1/2", "INI", "", "", 8, FRONTEND_TARGET_INITIAL, "not checked yet in 3 ms"},
        /* Draining and failing: only the other page tells. */
        {"DOWN", "L7STS", "500", "", 8, FRONTEND_TARGET_DRAINING, "L7STS/500 in 3 ms"},
        {"MAINT", "L7OK", "200", "", 1, FRONTEND_TARGET_MAINTENANCE, "L7OK/200 in 3 ms"},
        /* Configured as disabled once, long since ready. */
        {"UP", "L4OK", "", "", 4, FRONTEND_TARGET_UP, "L4OK in 3 ms"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct haproxy_state s = HAPROXY_STATE_NULL;
        struct err e = ERR_NULL;
        struct str stat = STR_NULL;
        struct str servers = STR_NULL;
        str_addf(&stat,
                 "# svname,new,status,pxname,scur,qcur,lastchg,addr,check_status,check_code,"
                 "check_duration,last_chk,\nweb-1,x,%s,web,3,4,17,10.0.0.1:80,%s,%s,3,%s,\n",
                 cases[i].status, cases[i].check, cases[i].code, cases[i].words);
        str_addf(&servers, "%s3 web 1 web-1 10.0.0.1 2 %d\n3 db 1 web-1 10.0.0.1 2 8\n",
                 servers_header, cases[i].admin);
        if (haproxy_parse_stat(str_text(&stat), &s, &e) != 0 ||
            haproxy_parse_servers(str_text(&servers), &s, &e) != 0) {
            fail_msg("case %zu: %s", i, e.text);
        }
        const struct haproxy_view *view = haproxy_state_find(&s, "web", "web-1");
        assert_non_null(view);
        assert_string_equal(frontend_target_state_to_string(haproxy_view_state(view)),
                            frontend_target_state_to_string(cases[i].state));
        assert_string_equal(view->check, cases[i].text);
        assert_string_equal(view->address, "10.0.0.1:80");
        assert_int_equal(view->sessions, 7);
        assert_int_equal(view->since_s, 17);
        /* A HAProxy that counts no traffic has none. */
        assert_int_equal(view->tries, 0);
        assert_null(haproxy_state_find(&s, "db", "web-1"));
        haproxy_state_deinit(&s);
        str_deinit(&stat);
        str_deinit(&servers);
    }
}

/* As HAProxy 2.6.12 said it, after requests to one that answers, one with status 500, one that is
   not there, one that closes without an answer, one that is too slow, one that breaks off. */
static const char traffic[] =
    "# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eresp,wr"
    "etr,wredis,status,weight,act,bck,chkfail,chkdown,lastchg,downtime,qlimit,pid,iid,sid"
    ",throttle,lbtot,tracked,type,rate,rate_lim,rate_max,check_status,check_code,check_du"
    "ration,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,hanafail,req_rate,req"
    "_rate_max,req_tot,cli_abrt,srv_abrt,comp_in,comp_out,comp_byp,comp_rsp,lastsess,last"
    "_chk,last_agt,qtime,ctime,rtime,ttime,agent_status,agent_code,agent_duration,check_d"
    "esc,agent_desc,check_rise,check_fall,check_health,agent_rise,agent_fall,agent_health"
    ",addr,cookie,mode,algo,conn_rate,conn_rate_max,conn_tot,intercepted,dcon,dses,wrew,c"
    "onnect,reuse,cache_lookups,cache_hits,srv_icur,src_ilim,qtime_max,ctime_max,rtime_ma"
    "x,ttime_max,eint,idle_conn_cur,safe_conn_cur,used_conn_cur,need_conn_est,uweight,agg"
    "_server_status,agg_server_check_status,agg_check_status,-,ssl_sess,ssl_reused_sess,s"
    "sl_failed_handshake,h2_headers_rcvd,h2_data_rcvd,h2_settings_rcvd,h2_rst_stream_rcvd"
    ",h2_goaway_rcvd,h2_detected_conn_protocol_errors,h2_detected_strm_protocol_errors,h2"
    "_rst_stream_resp,h2_goaway_resp,h2_open_connections,h2_backend_open_streams,h2_total"
    "_connections,h2_backend_total_streams,h1_open_connections,h1_open_streams,h1_total_c"
    "onnections,h1_total_streams,h1_bytes_in,h1_bytes_out,h1_spliced_bytes_in,h1_spliced_"
    "bytes_out,\n"
    "b,good,0,0,0,1,,7,698,1231,,0,,0,0,0,0,no check,1,1,0,,,7,,,1,3,1,,7,,2,1,,1,,,,0,6,"
    "0,0,1,0,,,,7,0,0,,,,,0,,,0,0,2,2,,,,,,,,,,,,127.0.0.1:18081,,http,,,,,,,,0,1,6,,,0,,"
    "0,0,6,6,0,0,0,0,1,1,,,,-,0,0,0,,,,,,,,,,,,,,,,,,,,,,\n"
    "b,bad500,0,0,0,1,,6,554,810,,0,,0,0,0,0,no check,1,1,0,,,7,,,1,3,2,,6,,2,1,,1,,,,0,0"
    ",0,0,6,0,,,,6,0,0,,,,,1,,,0,0,2,2,,,,,,,,,,,,127.0.0.1:18082,,http,,,,,,,,0,1,5,,,1,"
    ",0,0,4,4,0,0,1,0,1,1,,,,-,0,0,0,,,,,,,,,,,,,,,,,,,,,,\n"
    "b,dead,0,0,0,1,,6,0,0,,0,,0,0,0,6,no check,1,1,0,,,7,,,1,3,3,,6,,2,1,,1,,,,0,0,0,0,0"
    ",0,,,,0,0,0,,,,,1,,,0,0,0,0,,,,,,,,,,,,127.0.0.1:18083,,http,,,,,,,,0,6,0,,,0,,0,0,0"
    ",0,0,0,0,0,1,1,,,,-,0,0,0,,,,,,,,,,,,,,,,,,,,,,\n"
    "b,closes,0,0,0,1,,6,144,209,,0,,0,1,5,5,no check,1,1,0,,,7,,,1,3,4,,6,,2,1,,1,,,,0,0"
    ",0,0,0,0,,,,0,0,0,,,,,1,,,0,0,0,0,,,,,,,,,,,,127.0.0.1:18084,,http,,,,,,,,0,6,0,,,0,"
    ",0,0,0,0,0,0,0,0,1,1,,,,-,0,0,0,,,,,,,,,,,,,,,,,,,,,,\n"
    "b,slow,0,0,0,1,,6,554,1188,,0,,0,6,0,0,no check,1,1,0,,,7,,,1,3,5,,6,,2,1,,1,,,,0,0,"
    "0,0,0,0,,,,0,0,0,,,,,1,,,0,0,0,0,,,,,,,,,,,,127.0.0.1:18085,,http,,,,,,,,0,6,0,,,0,,"
    "0,0,0,0,0,0,0,0,1,1,,,,-,0,0,0,,,,,,,,,,,,,,,,,,,,,,\n"
    "b,aborts,0,0,0,1,,6,554,810,,0,,0,3,0,0,no check,1,1,0,,,7,,,1,3,2,,6,,2,1,,1,,,,0,3"
    ",0,0,0,0,,,,3,0,3,,,,,1,,,0,0,2,2,,,,,,,,,,,,127.0.0.1:18082,,http,,,,,,,,0,1,5,,,1,"
    ",0,0,4,4,0,0,1,0,1,1,,,,-,0,0,0,,,,,,,,,,,,,,,,,,,,,,\n";

static void traffic_is_counted(void **state)
{
    (void)state;
    static const struct {
        const char *id;
        int64_t tries, failed, response_ms;
    } cases[] = {
        {"good", 7, 1, 2},   {"bad500", 6, 6, 2}, {"dead", 6, 6, 0},
        {"closes", 6, 6, 0}, {"slow", 6, 6, 0},   {"aborts", 3, 3, 2},
    };
    struct haproxy_state s = HAPROXY_STATE_NULL;
    struct err e = ERR_NULL;
    if (haproxy_parse_stat(traffic, &s, &e) != 0) {
        fail_msg("%s", e.text);
    }
    assert_int_equal(s.count, sizeof(cases) / sizeof(cases[0]));
    for (size_t i = 0; i < s.count; i++) {
        assert_string_equal(s.views[i].id, cases[i].id);
        assert_int_equal(s.views[i].tries, cases[i].tries);
        assert_int_equal(s.views[i].failed, cases[i].failed);
        assert_int_equal(s.views[i].response_ms, cases[i].response_ms);
    }
    haproxy_state_deinit(&s);
}

static void strange_statistics_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "expected a header"},
        {"Unknown command.\n", "expected a header, got 'Unknown command."},
        {"# pxname,svname\nweb,web-1\n", "no field 'qcur'"},
        {"# svname,status,pxname,scur,qcur,lastchg,addr,check_status,check_code,check_duration,"
         "last_chk\nweb-1,UP\n",
         "too few fields"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct haproxy_state s = HAPROXY_STATE_NULL;
        struct err e = ERR_NULL;
        assert_int_equal(haproxy_parse_stat(cases[i].text, &s, &e), -1);
        if (strstr(e.text, cases[i].says) == NULL) {
            fail_msg("case %zu: %s", i, e.text);
        }
        haproxy_state_deinit(&s);
    }
}

static void complaints_are_found_among_the_rest(void **state)
{
    (void)state;
    static const struct {
        const char *text, *complaint;
    } cases[] = {
        {"[NOTICE]   (1) : haproxy version is 2.6.12\n"
         "[ALERT]    (1) : config : parsing [x:2] : unknown keyword 'y' in 'global' section\n"
         "[ALERT]    (1) : config : Error(s) found in configuration file : x\n"
         "[ALERT]    (1) : config : Fatal errors found in configuration.\n",
         "config : parsing [x:2] : unknown keyword 'y' in 'global' section"},
        {"[ALERT]    (1) : backend 'web' has no server available!\n"
         "[ALERT]    (9) : [haproxy.main()] Cannot chroot(/x).\n"
         "[ALERT]    (1) : Current worker (9) exited with code 1 (Exit)\n"
         "[ALERT]    (1) : exit-on-failure: killing every processes with SIGTERM\n",
         "[haproxy.main()] Cannot chroot(/x)."},
        {"sh: haproxy: not found\n", "sh: haproxy: not found"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct str text = STR_NULL;
        struct str complaint = STR_NULL;
        str_add(&text, cases[i].text);
        haproxy_add_complaint(&complaint, &text);
        assert_string_equal(str_text(&complaint), cases[i].complaint);
        str_deinit(&text);
        str_deinit(&complaint);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_told_apart),
        cmocka_unit_test(what_is_no_answer_is_told),
        cmocka_unit_test(an_answer_is_checked_to_the_letter),
        cmocka_unit_test(states_are_read_by_name),
        cmocka_unit_test(traffic_is_counted),
        cmocka_unit_test(strange_statistics_are_told),
        cmocka_unit_test(complaints_are_found_among_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
