#include "provider/libvirt_domain_xml.h"

#include "base/err.h"
#include "base/mem.h"
#include "provider/mark.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct mark plain_mark(void)
{
    return (struct mark){
        .cluster = (char *)"shop",
        .id = (char *)"web-1",
        .group = (char *)"web",
        .zone = (char *)"rack-a",
        .address = (char *)"10.77.1.11",
        .directory = (char *)"/var/lib/lamplighter/instances/web-1",
    };
}

static struct libvirt_domain plain_domain(const struct mark *mark)
{
    return (struct libvirt_domain){
        .mark = mark,
        .root = "/var/lib/lamplighter/instances/web-1/root",
        .init = "/sbin/init",
        .bridge = "lamp0",
        .cpus = 2,
        .memory_bytes = 512 << 20,
        .prefix_length = 16,
        .gateway = "10.77.0.1",
    };
}

static void test_a_whole_definition(void **state)
{
    (void)state;
    struct mark mark = plain_mark();
    struct libvirt_domain domain = plain_domain(&mark);
    struct str xml = STR_NULL;
    struct err e = ERR_NULL;
    assert_int_equal(libvirt_domain_xml(&domain, &xml, &e), 0);
    assert_string_equal(
        str_text(&xml),
        "<domain type='lxc'>\n"
        "  <name>shop.web-1</name>\n"
        "  <metadata>\n"
        "    <lamplighter:instance xmlns:lamplighter='urn:lamplighter:instance:1' cluster='shop' "
        "id='web-1' group='web' zone='rack-a' address='10.77.1.11' "
        "directory='/var/lib/lamplighter/instances/web-1'/>\n"
        "  </metadata>\n"
        "  <memory unit='b'>536870912</memory>\n"
        "  <vcpu>2</vcpu>\n"
        "  <cputune><period>100000</period><quota>200000</quota></cputune>\n"
        "  <os><type>exe</type><init>/sbin/init</init></os>\n"
        "  <features><privnet/></features>\n"
        "  <clock offset='utc'/>\n"
        "  <on_poweroff>destroy</on_poweroff>\n"
        "  <on_reboot>restart</on_reboot>\n"
        "  <on_crash>destroy</on_crash>\n"
        "  <devices>\n"
        "    <filesystem type='mount'>\n"
        "      <source dir='/var/lib/lamplighter/instances/web-1/root'/>\n"
        "      <target dir='/'/>\n"
        "    </filesystem>\n"
        "    <interface type='bridge'>\n"
        "      <mac address='02:6c:0a:4d:01:0b'/>\n"
        "      <source bridge='lamp0'/>\n"
        "      <ip family='ipv4' address='10.77.1.11' prefix='16'/>\n"
        "      <route family='ipv4' address='0.0.0.0' prefix='0' gateway='10.77.0.1'/>\n"
        "      <guest dev='eth0'/>\n"
        "    </interface>\n"
        "    <console type='pty'/>\n"
        "  </devices>\n"
        "</domain>\n");
    str_deinit(&xml);
}

static void test_no_gateway_no_route(void **state)
{
    (void)state;
    struct mark mark = plain_mark();
    struct libvirt_domain domain = plain_domain(&mark);
    domain.gateway = NULL;
    struct str xml = STR_NULL;
    struct err e = ERR_NULL;
    assert_int_equal(libvirt_domain_xml(&domain, &xml, &e), 0);
    assert_null(strstr(str_text(&xml), "<route"));
    str_deinit(&xml);
}

/* Put into every place that takes text, this must not add an element or an attribute anywhere. */
static void test_every_value_is_escaped(void **state)
{
    (void)state;
    static char hostile[] = "x'/><evil a=\"1\">&amp;]]>%";
    static const char escaped[] = "x&#39;/&gt;&lt;evil a=&#34;1&#34;&gt;&amp;amp;]]&gt;%";
    struct {
        const char *name;
        size_t place; /* 0..4 members of the mark, then of the domain. */
    } cases[] = {{"cluster", 0}, {"id", 1},   {"group", 2},  {"zone", 3},   {"directory", 4},
                 {"root", 5},    {"init", 6}, {"bridge", 7}, {"gateway", 8}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct mark mark = plain_mark();
        struct libvirt_domain domain = plain_domain(&mark);
        switch (cases[i].place) {
        case 0: mark.cluster = hostile; break;
        case 1: mark.id = hostile; break;
        case 2: mark.group = hostile; break;
        case 3: mark.zone = hostile; break;
        case 4: mark.directory = hostile; break;
        case 5: domain.root = hostile; break;
        case 6: domain.init = hostile; break;
        case 7: domain.bridge = hostile; break;
        default: domain.gateway = hostile; break;
        }
        struct str xml = STR_NULL;
        struct err e = ERR_NULL;
        assert_int_equal(libvirt_domain_xml(&domain, &xml, &e), 0);
        assert_null(strstr(str_text(&xml), "<evil"));
        assert_null(strstr(str_text(&xml), "x'/"));
        if (strstr(str_text(&xml), escaped) == NULL) {
            fail_msg("%s: not there in its escaped form", cases[i].name);
        }
        str_deinit(&xml);
    }
}

static void test_what_xml_cannot_hold_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"a\nb", "a\tb", "a\x01", "\x7f", "\x1b[2J"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct mark mark = plain_mark();
        struct libvirt_domain domain = plain_domain(&mark);
        domain.bridge = bad[i];
        struct str xml = STR_NULL;
        struct err e = ERR_NULL;
        assert_int_equal(libvirt_domain_xml(&domain, &xml, &e), -1);
        assert_non_null(strstr(e.text, "control character"));
        str_deinit(&xml);
    }
    struct mark mark = plain_mark();
    mark.address = (char *)"10.77.1";
    struct libvirt_domain domain = plain_domain(&mark);
    struct str xml = STR_NULL;
    struct err e = ERR_NULL;
    assert_int_equal(libvirt_domain_xml(&domain, &xml, &e), -1);
    assert_non_null(strstr(e.text, "'10.77.1' is not an IPv4 address"));
    str_deinit(&xml);
}

static void test_names(void **state)
{
    (void)state;
    char *name = NULL;
    struct err e = ERR_NULL;
    assert_int_equal(libvirt_domain_name("shop", "web-1", &name, &e), 0);
    assert_string_equal(name, "shop.web-1");
    free(name);
    char long_name[65];
    memset(long_name, 'a', 64);
    long_name[64] = '\0';
    assert_int_equal(libvirt_domain_name("shop", long_name, &name, &e), -1);
    assert_non_null(strstr(e.text, "63"));
    long_name[63] = '\0';
    assert_int_equal(libvirt_domain_name("a", long_name, &name, &e), 0);
    free(name);
    assert_int_equal(libvirt_domain_name(long_name, "web-1", &name, &e), 0);
    free(name);
    assert_int_equal(libvirt_domain_name(long_name, "web-1234567890123", &name, &e), -1);
    assert_non_null(strstr(e.text, "80"));
}

static void assert_mark(const struct mark *mark, const struct mark *wanted)
{
    assert_string_equal(mark->cluster, wanted->cluster);
    assert_string_equal(mark->id, wanted->id);
    assert_string_equal(mark->group, wanted->group);
    assert_string_equal(mark->zone, wanted->zone);
    assert_string_equal(mark->address, wanted->address);
    assert_string_equal(mark->directory, wanted->directory);
}

static void test_the_mark_comes_back(void **state)
{
    (void)state;
    static const char *const directories[] = {"/srv/plain", "/srv/a b", "/srv/<&>'\"", "/srv/&amp;",
                                              "/srv/\xc3\xa4"};
    for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++) {
        struct mark mark = plain_mark();
        mark.directory = (char *)(uintptr_t)directories[i];
        struct libvirt_domain domain = plain_domain(&mark);
        struct str xml = STR_NULL;
        struct err e = ERR_NULL;
        assert_int_equal(libvirt_domain_xml(&domain, &xml, &e), 0);
        struct mark read = MARK_NULL;
        const char *element = strstr(str_text(&xml), "<lamplighter:instance");
        assert_int_equal(libvirt_mark_parse(element, &read, &e), 0);
        assert_mark(&read, &mark);
        mark_deinit(&read);
        str_deinit(&xml);
    }
}

#define REST " group=\"web\" zone=\"rack-a\" address=\"10.77.1.11\" directory=\"/srv/x\""

static void test_what_libvirt_writes_is_read(void **state)
{
    (void)state;
    static const char *const good[] = {
        "<instance cluster=\"shop\" id=\"web-1\"" REST "/>",
        "<instance cluster=\"shop\" id=\"web-1\"" REST "></instance>",
        "\n  <l:instance xmlns:l='urn:lamplighter:instance:1' cluster='shop' id='web-1'" REST "/>",
        "<instance\n  cluster = \"shop\"\n  id=\"web-1\" later=\"&lt;new&gt;\"" REST " />",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct mark read = MARK_NULL;
        struct err e = ERR_NULL;
        if (libvirt_mark_parse(good[i], &read, &e) < 0) {
            fail_msg("%s: %s", good[i], e.text);
        }
        assert_string_equal(read.cluster, "shop");
        assert_string_equal(read.id, "web-1");
        assert_string_equal(read.directory, "/srv/x");
        mark_deinit(&read);
    }
}

static void test_what_is_not_ours_is_not_read(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "instance",
        "<",
        "<instance",
        "<instance>",
        "<instances cluster=\"shop\" id=\"web-1\"" REST "/>",
        "<other cluster=\"shop\" id=\"web-1\"" REST "/>",
        "<instance id=\"web-1\"" REST "/>",
        "<instance cluster=\"shop\" id=\"web-1\"" REST,
        "<instance cluster=\"shop\" cluster=\"two\" id=\"web-1\"" REST "/>",
        "<instance cluster=\"shop\"id=\"web-1\"" REST "/>",
        "<instance cluster=\"sh<op\" id=\"web-1\"" REST "/>",
        "<instance cluster=\"sh&evil;op\" id=\"web-1\"" REST "/>",
        "<instance cluster=\"sh&#0;op\" id=\"web-1\"" REST "/>",
        "<instance cluster=shop id=\"web-1\"" REST "/>",
        "<instance cluster id=\"web-1\"" REST "/>",
        "<instance =\"x\" cluster=\"shop\" id=\"web-1\"" REST "/>",
        "<instance cluster=\"shop\" id=\"web-1\"" REST "/",
        "<instance cluster=\"shop\" id=\"web-1\"" REST " later=\"",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct mark read = MARK_NULL;
        struct err e = ERR_NULL;
        if (libvirt_mark_parse(bad[i], &read, &e) == 0) {
            fail_msg("taken for ours: %s", bad[i]);
        }
        assert_true(e.text[0] != '\0');
        assert_null(read.cluster);
    }
}

/* Cut off at any place it is refused, not misread. */
static void test_any_part_of_it_is_refused(void **state)
{
    (void)state;
    static const char whole[] = "<instance cluster=\"sh&amp;op\" id=\"web-1\"" REST "/>";
    for (size_t length = 0; length < sizeof(whole) - 2; length++) {
        char *part = xstrndup(whole, length);
        struct mark read = MARK_NULL;
        assert_int_equal(libvirt_mark_parse(part, &read, NULL), -1);
        free(part);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_whole_definition),
        cmocka_unit_test(test_no_gateway_no_route),
        cmocka_unit_test(test_every_value_is_escaped),
        cmocka_unit_test(test_what_xml_cannot_hold_is_refused),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_the_mark_comes_back),
        cmocka_unit_test(test_what_libvirt_writes_is_read),
        cmocka_unit_test(test_what_is_not_ours_is_not_read),
        cmocka_unit_test(test_any_part_of_it_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
