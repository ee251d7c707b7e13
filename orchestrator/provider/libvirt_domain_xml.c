#include "provider/libvirt_domain_xml.h"

#include "base/err.h"
#include "base/mem.h"
#include "provider/mark.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int libvirt_domain_name(const char *cluster, const char *id, char **ret_name, struct err *e)
{
    if (strlen(id) > LIBVIRT_ID_MAX) {
        return err_set(e, "'%s' is longer than a host's name can be (%d): shorten the group's name",
                       id, LIBVIRT_ID_MAX);
    }
    size_t length = strlen(cluster) + 1 + strlen(id);
    if (length > LIBVIRT_NAME_MAX) {
        return err_set(e,
                       "'%s.%s' is %zu letters, and libvirt takes %d: shorten the cluster's or the "
                       "group's name",
                       cluster, id, length, LIBVIRT_NAME_MAX);
    }
    *ret_name = xasprintf("%s.%s", cluster, id);
    return 0;
}

/* Adds VALUE as the content of a single-quoted attribute or of an element. */
static int add_value(struct str *xml, const char *value, struct err *e)
{
    for (const char *c = value; *c != '\0'; c++) {
        switch (*c) {
        case '&': str_add(xml, "&amp;"); break;
        case '<': str_add(xml, "&lt;"); break;
        case '>': str_add(xml, "&gt;"); break;
        case '\'': str_add(xml, "&#39;"); break;
        case '"': str_add(xml, "&#34;"); break;
        default:
            if ((unsigned char)*c < 0x20 || *c == 0x7f) {
                return err_set(e, "'%s' has a control character", value);
            }
            str_add_char(xml, *c);
        }
    }
    return 0;
}

/*
 * Adds TEMPLATE with each "%" replaced by the next of VALUES, escaped: so that no value gets into
 * the XML any other way.
 */
static int add(struct str *xml, const char *template, const char *const *values, struct err *e)
{
    for (; *template != '\0'; template ++) {
        if (*template != '%') {
            str_add_char(xml, *template);
        } else if (add_value(xml, *values++, e) < 0) {
            return -1;
        }
    }
    return 0;
}

#define ADD(xml, e, template, ...) add(xml, template, (const char *const[]){__VA_ARGS__}, e)

/* The namespace's prefix must be there for libvirt to keep the element. */
static int add_mark(struct str *xml, const struct mark *mark, struct err *e)
{
    struct mark copy = *mark;
    str_add(xml,
            "  <metadata>\n    <lamplighter:instance xmlns:lamplighter='" LIBVIRT_MARK_URI "'");
    const char *name;
    for (unsigned i = 0; (name = mark_member_name(i)) != NULL; i++) {
        if (ADD(xml, e, " %='%'", name, *mark_member(&copy, name)) < 0) {
            return -1;
        }
    }
    str_add(xml, "/>\n  </metadata>\n");
    return 0;
}

/*
 * The same hardware address for the same address, always: a host that takes over an address of one
 * that was just removed is reached at once, without waiting for its neighbours to forget.
 */
static int mac_of(const char *address, char ret_mac[18], struct err *e)
{
    unsigned char bytes[4];
    if (inet_pton(AF_INET, address, bytes) != 1) {
        return err_set(e, "address '%s' is not an IPv4 address", address);
    }
    snprintf(ret_mac, 18, "02:6c:%02x:%02x:%02x:%02x", bytes[0], bytes[1], bytes[2], bytes[3]);
    return 0;
}

static int add_interface(struct str *xml, const struct libvirt_domain *domain, struct err *e)
{
    char mac[18];
    char prefix[16];
    snprintf(prefix, sizeof(prefix), "%u", domain->prefix_length);
    if (mac_of(domain->mark->address, mac, e) < 0 ||
        ADD(xml, e,
            "    <interface type='bridge'>\n"
            "      <mac address='%'/>\n"
            "      <source bridge='%'/>\n"
            "      <ip family='ipv4' address='%' prefix='%'/>\n",
            mac, domain->bridge, domain->mark->address, prefix) < 0) {
        return -1;
    }
    if (domain->gateway != NULL &&
        ADD(xml, e, "      <route family='ipv4' address='0.0.0.0' prefix='0' gateway='%'/>\n",
            domain->gateway) < 0) {
        return -1;
    }
    str_add(xml, "      <guest dev='eth0'/>\n    </interface>\n");
    return 0;
}

/* A container has no processors of its own: its share of time is what CPUS of them would give. */
static int add_size(struct str *xml, const struct libvirt_domain *domain, struct err *e)
{
    char memory[24];
    char cpus[16];
    char quota[24];
    snprintf(memory, sizeof(memory), "%lld", (long long)domain->memory_bytes);
    snprintf(cpus, sizeof(cpus), "%u", domain->cpus);
    snprintf(quota, sizeof(quota), "%llu", domain->cpus * 100000ULL);
    return ADD(xml, e,
               "  <memory unit='b'>%</memory>\n"
               "  <vcpu>%</vcpu>\n"
               "  <cputune><period>100000</period><quota>%</quota></cputune>\n",
               memory, cpus, quota);
}

int libvirt_domain_xml(const struct libvirt_domain *domain, struct str *ret_xml, struct err *e)
{
    char *name = NULL;
    if (libvirt_domain_name(domain->mark->cluster, domain->mark->id, &name, e) < 0) {
        return -1;
    }
    int result = ADD(ret_xml, e, "<domain type='lxc'>\n  <name>%</name>\n", name) < 0 ||
                         add_mark(ret_xml, domain->mark, e) < 0 ||
                         add_size(ret_xml, domain, e) < 0 ||
                         ADD(ret_xml, e,
                             "  <os><type>exe</type><init>%</init></os>\n"
                             "  <features><privnet/></features>\n"
                             "  <clock offset='utc'/>\n"
                             "  <on_poweroff>destroy</on_poweroff>\n"
                             "  <on_reboot>restart</on_reboot>\n"
                             "  <on_crash>destroy</on_crash>\n"
                             "  <devices>\n"
                             "    <filesystem type='mount'>\n"
                             "      <source dir='%'/>\n"
                             "      <target dir='/'/>\n"
                             "    </filesystem>\n",
                             domain->init, domain->root) < 0 ||
                         add_interface(ret_xml, domain, e) < 0
                     ? -1
                     : 0;
    if (result == 0) {
        str_add(ret_xml, "    <console type='pty'/>\n  </devices>\n</domain>\n");
    }
    free(name);
    return result;
}

/* The character that the reference at TEXT ("&amp;" ...) stands for; 0 when it is none we know. */
static char reference(const char *text, size_t *ret_length)
{
    static const struct {
        const char *text;
        char c;
    } references[] = {
        {"&amp;", '&'},   {"&lt;", '<'},   {"&gt;", '>'},  {"&quot;", '"'},
        {"&apos;", '\''}, {"&#39;", '\''}, {"&#34;", '"'},
    };
    for (size_t i = 0; i < sizeof(references) / sizeof(references[0]); i++) {
        if (text_starts(text, references[i].text)) {
            *ret_length = strlen(references[i].text);
            return references[i].c;
        }
    }
    return 0;
}

/* The quoted value at *AT, which is moved behind it. NULL when there is none that is whole. */
static char *parse_value(const char **at)
{
    const char quote = **at;
    if (quote != '"' && quote != '\'') {
        return NULL;
    }
    struct str value = STR_NULL;
    const char *c = *at + 1;
    while (*c != '\0' && *c != quote && *c != '<') {
        size_t length = 1;
        char plain = *c == '&' ? reference(c, &length) : *c;
        if (plain == 0) {
            break;
        }
        str_add_char(&value, plain);
        c += length;
    }
    if (*c != quote) {
        str_deinit(&value);
        return NULL;
    }
    *at = c + 1;
    return str_take(&value);
}

static void skip_space(const char **at)
{
    *at += strspn(*at, " \t\r\n");
}

static size_t name_length(const char *text)
{
    size_t length = 0;
    while (isalnum((unsigned char)text[length]) ||
           (text[length] != '\0' && strchr(":-_.", text[length]) != NULL)) {
        length++;
    }
    return length;
}

/* One "NAME='VALUE'"; attributes of a later version and namespace declarations are passed over. */
static bool parse_attribute(const char **at, struct mark *mark)
{
    size_t length = name_length(*at);
    char *name = xstrndup(*at, length);
    *at += length;
    skip_space(at);
    bool whole = length > 0 && **at == '=';
    char *value = NULL;
    if (whole) {
        (*at)++;
        skip_space(at);
        value = parse_value(at);
    }
    char **member = value == NULL ? NULL : mark_member(mark, name);
    if (member != NULL && *member == NULL) {
        *member = value;
    } else {
        whole = whole && value != NULL && member == NULL; /* Twice the same is not XML. */
        free(value);
    }
    free(name);
    return whole;
}

/* "<instance", with or without a prefix. */
static bool parse_start(const char **at)
{
    skip_space(at);
    if (**at != '<') {
        return false;
    }
    size_t length = name_length(*at + 1);
    char *name = xstrndup(*at + 1, length);
    const char *colon = strchr(name, ':');
    bool ours = text_equal(colon == NULL ? name : colon + 1, "instance");
    free(name);
    *at += 1 + length;
    return ours;
}

int libvirt_mark_parse(const char *xml, struct mark *ret_mark, struct err *e)
{
    struct mark mark = MARK_NULL;
    bool good = parse_start(&xml);
    while (good) {
        size_t space = strspn(xml, " \t\r\n");
        xml += space;
        if (*xml == '/' || *xml == '>') {
            break;
        }
        good = space > 0 && parse_attribute(&xml, &mark);
    }
    good = good && (text_starts(xml, "/>") || *xml == '>');
    if (!good) {
        mark_deinit(&mark);
        return err_set(e, "the metadata is not an instance element of ours");
    }
    if (mark_check_whole(&mark, e) < 0) {
        mark_deinit(&mark);
        return -1;
    }
    *ret_mark = mark;
    return 0;
}
