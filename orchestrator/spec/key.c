#include "spec/key.h"

#include "base/str.h"
#include "spec/spec.h"

#include <inttypes.h>

#define SECONDS(n) ((int64_t)(n)*1000)
#define MINUTES(n) SECONDS((n)*60)
#define HOURS(n)   MINUTES((n)*60)
#define MEBI(n)    ((int64_t)(n)*1024 * 1024)
#define TEBI(n)    (MEBI(n) * 1024 * 1024)

#define CLUSTER(member)  offsetof(struct spec, member)
#define ZONE(member)     offsetof(struct spec_zone, member)
#define PROVIDER(member) offsetof(struct spec_provider, member)
#define SIZE(member)     offsetof(struct spec_size, member)
#define SECRET(member)   offsetof(struct spec_secret, member)
#define TEMPLATE(member) offsetof(struct spec_template, member)
#define POOL(member)     offsetof(struct spec_pool, member)
#define GROUP(member)    offsetof(struct spec_group, member)
#define FRONTEND(member) offsetof(struct spec_frontend, member)
#define HOST(member)     offsetof(struct spec_host, member)
#define HOOK(member)     offsetof(struct spec_hook, member)

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static const struct key cluster_keys[] = {
    {.name = "state",
     .type = KEY_STATE,
     .offset = CLUSTER(state_path),
     .fallback_note = "sqlite:/var/lib/lamplighter/NAME.db",
     .later = WORDS("etcd"),
     .help =
         "Where the program keeps what it knows: instances, pinned host keys, events. The login "
         "key and the secrets it makes lie in folders beside it.",
     .example = "sqlite:/var/lib/lamplighter/shop.db"},
    {.name = "roles",
     .type = KEY_PATHS,
     .offset = CLUSTER(role_path),
     .fallback_note = "roles beside this file, then /usr/share/lamplighter/roles",
     .help = "Folders that are searched for roles, in this order, instead of the default.",
     .example = "roles ../common/roles"},
    {.name = "user",
     .type = KEY_USER,
     .offset = CLUSTER(login.user),
     .fallback = "root",
     .help = "Who to log in as on hosts that exist already. Hosts this program makes are "
             "reached as root."},
    {.name = "key",
     .type = KEY_PATH_NONE,
     .offset = CLUSTER(login.key_file),
     .fallback_note = "keys/login beside the state, made when it is not there",
     .help = "The private key (ed25519, mode 0600) to log in with; none to ask the agent only.",
     .example = "/root/.ssh/id_ed25519"},
    {.name = "agent",
     .type = KEY_YESNO,
     .offset = CLUSTER(login.use_agent),
     .fallback = "no",
     .help = "Whether the SSH agent (SSH_AUTH_SOCK) is asked for keys too."},
    {.name = "become",
     .type = KEY_WORD,
     .offset = CLUSTER(login.become),
     .fallback = "none",
     .words = WORDS("none", "sudo"),
     .help = "How a login other than root becomes root: sudo, without a password (sudo -n)."},
    {.name = "proxy-jump",
     .type = KEY_JUMP,
     .offset = CLUSTER(login.proxy_jump),
     .fallback = NULL,
     .refers = SECTION_HOST,
     .help = "The bastion that hosts are reached through: the name of a [host], whose address, "
             "user, port and key are used.",
     .example = "bastion"},
    {.name = "connect-timeout",
     .type = KEY_DURATION,
     .offset = CLUSTER(login.connect_timeout_ms),
     .fallback = "10s",
     .min = 100,
     .max = MINUTES(10),
     .help = "How long a host may take to accept a connection and a login."},
    {.name = "read-timeout",
     .type = KEY_DURATION,
     .offset = CLUSTER(login.read_timeout_ms),
     .fallback = "2min",
     .min = 500,
     .max = HOURS(4),
     .help = "How long a host may be silent while it is at work; then the link is dropped."},
    {.name = "total-timeout",
     .type = KEY_DURATION,
     .offset = CLUSTER(login.total_timeout_ms),
     .fallback = "30min",
     .min = SECONDS(1),
     .max = HOURS(24),
     .help = "How long one action on one host may take as a whole."},
    {.name = "parallel",
     .type = KEY_COUNT,
     .offset = CLUSTER(parallel),
     .fallback = "16",
     .min = 1,
     .max = 1000,
     .help = "How many actions run at a time; --parallel overrides it."},
    {.name = "max-disruption",
     .type = KEY_PERCENT,
     .offset = CLUSTER(max_disruption_percent),
     .fallback = "10%",
     .min = 1,
     .max = 100,
     .help =
         "The share of all instances of the cluster, at least one, that may be out for a change, "
         "a repair or a removal at the same time."},
};

static const struct key zone_keys[] = {
    {.name = "addresses",
     .type = KEY_ADDRESSES,
     .offset = ZONE(address_first),
     .help =
         "Addresses for the instances made here, first to last, and the length of the "
         "network's prefix (24 when it is left out). Needed where a hypervisor makes instances; "
         "the ranges of two zones must not overlap.",
     .example = "10.77.1.10-10.77.1.99/16"},
    {.name = "gateway",
     .type = KEY_ADDRESS,
     .offset = ZONE(gateway),
     .help = "The instances' default gateway, an address of the same network outside the range. "
             "Without it they have no route out.",
     .example = "10.77.0.1"},
};

static const struct key provider_keys[] = {
    {.name = "type",
     .type = KEY_CHOICE,
     .offset = PROVIDER(type),
     .words = WORDS("libvirt", "static"),
     .later = WORDS("metal"),
     .required = true,
     .help = "libvirt makes system containers on a hypervisor; static uses the [host] sections "
             "that name this provider: hosts that answer SSH already."},
    {.name = "zone",
     .type = KEY_REFERENCE,
     .offset = PROVIDER(zone),
     .refers = SECTION_ZONE,
     .required = true,
     .help = "The zone it stands in: what fails together with it."},
    {.name = "uri",
     .type = KEY_URI,
     .offset = PROVIDER(uri),
     .fallback = "lxc:///",
     .later = WORDS("qemu", "qemu+ssh", "qemu+tls", "qemu+unix", "lxc+ssh", "lxc+tls", "lxc+unix",
                    "xen"),
     .help = "For libvirt: the hypervisor. This version makes containers on its own machine."},
    {.name = "bridge",
     .type = KEY_TEXT,
     .offset = PROVIDER(bridge),
     .max = 15,
     .help = "For libvirt: the bridge on the hypervisor that instances are attached to. Required "
             "there.",
     .example = "lamp0"},
    {.name = "images",
     .type = KEY_PATH,
     .offset = PROVIDER(image_dir),
     .fallback = "/var/lib/lamplighter/images",
     .help = "For libvirt: the folder with the images; an image is its folder NAME/root."},
    {.name = "instances",
     .type = KEY_PATH,
     .offset = PROVIDER(instance_dir),
     .fallback = "/var/lib/lamplighter/instances",
     .help = "For libvirt: the folder in which each instance has a folder for what is its own."},
};

static const struct key size_keys[] = {
    {.name = "cpus",
     .type = KEY_COUNT,
     .offset = SIZE(cpus),
     .min = 1,
     .max = 1024,
     .required = true,
     .help = "Processors."},
    {.name = "memory",
     .type = KEY_SIZE,
     .offset = SIZE(memory_bytes),
     .min = MEBI(32),
     .max = TEBI(64),
     .required = true,
     .help = "Memory.",
     .example = "512M"},
    {.name = "disk",
     .type = KEY_SIZE,
     .offset = SIZE(disk_bytes),
     .fallback = "0",
     .max = TEBI(1024),
     .help = "Disk space; 0 sets no limit. Containers under libvirt share their hypervisor's disk: "
             "none is set for them.",
     .example = "10G"},
};

static const struct key secret_keys[] = {
    {.name = "file",
     .type = KEY_PATH,
     .offset = SECRET(path),
     .fallback_note = "secrets/NAME beside the state",
     .help = "The file that holds it, one line, readable by its owner only (mode 0600).",
     .example = "/etc/lamplighter/shop-db"},
    {.name = "generate",
     .type = KEY_COUNT,
     .offset = SECRET(generate),
     .fallback_note = "the file must be there",
     .min = 12,
     .max = 256,
     .help = "Make it when the file is not there: this many random letters and digits.",
     .example = "24"},
};

static const struct key template_keys[] = {
    {.name = "image",
     .type = KEY_NAME,
     .offset = TEMPLATE(image),
     .help = "The image instances start from. Required where a hypervisor makes them.",
     .example = "debian-12"},
    {.name = "size",
     .type = KEY_REFERENCE,
     .offset = TEMPLATE(size),
     .refers = SECTION_SIZE,
     .help = "The [size] of instances. Required where a hypervisor makes them."},
    {.name = "roles",
     .type = KEY_NAMES,
     .offset = TEMPLATE(roles),
     .help = "The roles of an instance, in the order in which they are applied; what a role "
             "requires comes before it by itself.",
     .example = "base apache php app"},
    {.name = "user-data",
     .type = KEY_SCRIPT,
     .offset = TEMPLATE(user_data),
     .help = "A script that is run once, on an instance's first start.",
     .example = "@first-boot.sh"},
};

static const struct key pool_keys[] = {
    {.name = "port",
     .type = KEY_COUNT,
     .offset = POOL(port),
     .min = 1,
     .max = 65535,
     .required = true,
     .help = "The port that members serve on."},
    {.name = "check",
     .type = KEY_CHECK,
     .offset = POOL(check),
     .fallback = "GET / expect 200 every 2s fall 2 rise 2 timeout 1s",
     .help =
         "How members are checked: 'METHOD PATH', or 'TCP' to connect only; then any of: expect "
         "CODE or FIRST-LAST, every DURATION, timeout DURATION, fall COUNT, rise COUNT, "
         "port PORT, host NAME. What is left out is as in the default.",
     .example = "GET /healthz expect 200-299 every 5s"},
    {.name = "drain",
     .type = KEY_DURATION,
     .offset = POOL(drain_ms),
     .fallback = "300s",
     .max = HOURS(1),
     .help =
         "How long a member that leaves may finish what it has begun; new requests go elsewhere "
         "at once."},
    {.name = "slow-start",
     .type = KEY_DURATION,
     .offset = POOL(slow_start_ms),
     .fallback = "0",
     .max = MINUTES(15),
     .help = "How long a new member's share of the traffic grows to its full size."},
    {.name = "balance",
     .type = KEY_CHOICE,
     .offset = POOL(balance),
     .fallback = "roundrobin",
     .words = WORDS("roundrobin", "leastconn"),
     .help = "Who gets the next request: each in turn, or who has the fewest connections."},
    {.name = "sticky",
     .type = KEY_YESNO,
     .offset = POOL(sticky),
     .fallback = "no",
     .help =
         "Whether a client stays with the member that answered it first, as long as that one is "
         "up and does not leave: the balancers give it a cookie, sticky-POOL. Of a member that "
         "leaves, requests under way are finished (drain); the client's next goes to another."},
};

static const struct key group_keys[] = {
    {.name = "template",
     .type = KEY_REFERENCE,
     .offset = GROUP(template),
     .refers = SECTION_TEMPLATE,
     .required = true,
     .help = "What its instances are made of."},
    {.name = "min",
     .type = KEY_COUNT,
     .offset = GROUP(min),
     .max = 10000,
     .required = true,
     .help = "The fewest instances."},
    {.name = "desired",
     .type = KEY_COUNT,
     .offset = GROUP(desired),
     .fallback_note = "min",
     .max = 10000,
     .help = "How many instances there should be now."},
    {.name = "max",
     .type = KEY_COUNT,
     .offset = GROUP(max),
     .fallback_note = "desired",
     .max = 10000,
     .help = "The most instances."},
    {.name = "zones",
     .type = KEY_REFERENCES,
     .offset = GROUP(zones),
     .fallback_note = "every zone that has a provider",
     .refers = SECTION_ZONE,
     .help = "The zones its instances are spread over, evenly.",
     .example = "rack-a rack-b"},
    {.name = "pool",
     .type = KEY_REFERENCE,
     .offset = GROUP(pool),
     .refers = SECTION_POOL,
     .help = "The pool its instances are members of. Without one they take no balanced traffic."},
    {.name = "needs",
     .type = KEY_REFERENCES,
     .offset = GROUP(needs),
     .fallback_note = "the groups that its settings mention, as in {{groups.db.address}}",
     .refers = SECTION_GROUP,
     .help = "Groups that must be in service before this one is configured, beside those that its "
             "settings mention.",
     .example = "db"},
    {.name = "healthy-min",
     .type = KEY_PERCENT,
     .offset = GROUP(healthy_min_percent),
     .fallback = "90%",
     .max = 100,
     .help = "The share of the desired instances that serves at all times while instances are "
             "replaced; rounded up."},
    {.name = "healthy-max",
     .type = KEY_PERCENT,
     .offset = GROUP(healthy_max_percent),
     .fallback = "110%",
     .min = 100,
     .max = 200,
     .help = "How many instances there may be while instances are replaced, of the desired ones."},
    {.name = "grace",
     .type = KEY_DURATION,
     .offset = GROUP(grace_ms),
     .fallback = "300s",
     .max = HOURS(24),
     .help = "How long a new instance has before its health is judged."},
    {.name = "repair",
     .type = KEY_CHOICE,
     .offset = GROUP(repair),
     .words = WORDS("replace", "restart", "none"),
     .fallback_note = "replace for a group with a pool, restart for one without",
     .help =
         "What is done about an instance that is bad. replace: when restarting its services, a "
         "reboot and a power-cycle do not help, a new one takes its place. restart: it is started "
         "again, never replaced: its data or its address is worth keeping. none: it is only "
         "said."},
    {.name = "spare",
     .type = KEY_COUNT,
     .offset = GROUP(spare),
     .fallback = "0",
     .max = 10,
     .help = "How many hosts of its pool may be lost at any step of a change without breaking the "
             "healthy minimum: a step that leaves fewer to spare is refused. plan shows the proof "
             "for one."},
    {.name = "bake",
     .type = KEY_DURATION,
     .offset = GROUP(bake_ms),
     .fallback = "10s",
     .max = HOURS(24),
     .help = "How long an instance serves, new or back from a change, before it is counted on and "
             "the next one is touched."},
    {.name = "cooldown",
     .type = KEY_DURATION,
     .offset = GROUP(cooldown_ms),
     .fallback = "300s",
     .max = HOURS(24),
     .help = "After its size changed, how long the group changes nothing by itself for balance or "
             "age. Repair and orders do not wait for it."},
    {.name = "termination-policy",
     .type = KEY_CHOICE,
     .offset = GROUP(termination),
     .fallback = "oldest-template",
     .words = WORDS("oldest-template", "oldest", "newest"),
     .help =
         "Who leaves first, of the zone with most, when there is one too many: one that differs "
         "from its template, the oldest, or the newest."},
    {.name = "max-lifetime",
     .type = KEY_DURATION,
     .offset = GROUP(max_lifetime_ms),
     .fallback_note = "no limit",
     .min = HOURS(1),
     .max = HOURS(24 * 365 * 10),
     .help = "Instances older than this are replaced, one at a time, when the group is at rest."},
    {.name = "breaker",
     .type = KEY_PERCENT,
     .offset = GROUP(breaker_percent),
     .fallback = "34%",
     .min = 1,
     .max = 100,
     .help =
         "The share of the group, or of a zone, that may be bad at once (at least one instance) "
         "before nothing destructive is done any more. 100% turns the breaker off."},
    {.name = "check-command",
     .type = KEY_LINE,
     .offset = GROUP(check_command),
     .max = 4096,
     .help = "A command that is run on each host as root, over SSH, by sh: exit status 0 means "
             "healthy. Beside the pool's check, not in its place.",
     .example = "test -e /srv/data/mounted"},
    {.name = "check-every",
     .type = KEY_DURATION,
     .offset = GROUP(check_every_ms),
     .fallback = "30s",
     .min = SECONDS(1),
     .max = HOURS(24),
     .help = "How often the check-command is run."},
    {.name = "check-timeout",
     .type = KEY_DURATION,
     .offset = GROUP(check_timeout_ms),
     .fallback = "10s",
     .min = 100,
     .max = MINUTES(10),
     .help = "How long the check-command may take; longer means unhealthy. Left out, it is no "
             "longer than check-every."},
};

/* Defaults and limits of lifecycle hooks are those of AWS:
   https://docs.aws.amazon.com/autoscaling/ec2/userguide/lifecycle-hooks.html */
static const struct key hook_keys[] = {
    {.name = "group",
     .type = KEY_REFERENCE,
     .offset = HOOK(group),
     .refers = SECTION_GROUP,
     .required = true,
     .help = "The group whose instances wait for it."},
    {.name = "on",
     .type = KEY_CHOICE,
     .offset = HOOK(on),
     .words = WORDS("launch", "terminate"),
     .required = true,
     .help = "launch: a new instance is configured, and takes no traffic before the hook has ended "
             "(pending:wait). terminate: it takes no traffic any more, and is ended after the hook "
             "(terminating:wait)."},
    {.name = "where",
     .type = KEY_CHOICE,
     .offset = HOOK(where),
     .words = WORDS("controller", "host"),
     .fallback = "controller",
     .help = "Where the command runs. On a host that is dead it cannot, and is left out; on one that "
             "is to be ended and that nobody has reached for 5 minutes, too."},
    {.name = "run",
     .type = KEY_LINE,
     .offset = HOOK(command),
     .max = 4096,
     .required = true,
     .help = "The command, as words, without a shell: for one, write sh -c '...'. Exit status 0 "
             "means go on. It finds LAMPLIGHTER_INSTANCE, _GROUP, _ADDRESS, _ZONE, _CLUSTER and "
             "_TRANSITION in its environment, and may be run again when a controller was cut "
             "off.",
     .example = "/etc/lamplighter/hooks/register"},
    {.name = "heartbeat",
     .type = KEY_DURATION,
     .offset = HOOK(heartbeat_ms),
     .fallback = "3600s",
     .min = SECONDS(1),
     .max = HOURS(2),
     .help = "How long it may be silent; a line of its output is a heartbeat. Left out, it is no "
             "longer than the limit."},
    {.name = "limit",
     .type = KEY_DURATION,
     .offset = HOOK(limit_ms),
     .fallback = "48h",
     .min = SECONDS(1),
     .max = HOURS(48),
     .help = "How long it may take as a whole, at most 100 heartbeats. Left out, it is no longer "
             "than those."},
    {.name = "default",
     .type = KEY_CHOICE,
     .offset = HOOK(result),
     .words = WORDS("continue", "abandon"),
     .fallback = "abandon",
     .help =
         "What happens when it fails or its time is over. abandon ends a new instance; one that "
         "is leaving leaves either way."},
};

static const struct key frontend_keys[] = {
    {.name = "group",
     .type = KEY_REFERENCE,
     .offset = FRONTEND(group),
     .refers = SECTION_GROUP,
     .required = true,
     .help = "The group whose instances run HAProxy for it (role haproxy)."},
    {.name = "listen",
     .type = KEY_LISTEN,
     .offset = FRONTEND(listeners),
     .later = WORDS("https", "tcp", "tls"),
     .required = true,
     .repeated = true,
     .help = "What it listens on.",
     .example = "http:80"},
    {.name = "route",
     .type = KEY_ROUTE,
     .offset = FRONTEND(routes),
     .refers = SECTION_POOL,
     .required = true,
     .repeated = true,
     .help = "Which pool answers for paths that begin so; the longest that fits wins.",
     .example = "/ -> web"},
    {.name = "idle-timeout",
     .type = KEY_DURATION,
     .offset = FRONTEND(idle_timeout_ms),
     .fallback = "60s",
     .min = SECONDS(1),
     .max = SECONDS(4000),
     .help = "How long a connection may be silent before it is closed."},
};

static const struct key host_keys[] = {
    {.name = "provider",
     .type = KEY_REFERENCE,
     .offset = HOST(provider),
     .refers = SECTION_PROVIDER,
     .help = "The static provider it belongs to. A host without one is a bastion: others are "
             "reached through it (proxy-jump), and it is never given to a group."},
    {.name = "group",
     .type = KEY_REFERENCE,
     .offset = HOST(group),
     .fallback_note = "any group of its zone",
     .refers = SECTION_GROUP,
     .help = "The group it is reserved for."},
    {.name = "address",
     .type = KEY_HOST_NAME,
     .offset = HOST(address),
     .required = true,
     .help = "Where it answers: IPv4, IPv6 or a name.",
     .example = "10.0.7.21"},
    {.name = "port",
     .type = KEY_COUNT,
     .offset = HOST(port),
     .fallback = "22",
     .min = 1,
     .max = 65535,
     .help = "The port of its SSH server."},
    {.name = "host-key",
     .type = KEY_HOST_KEY,
     .offset = HOST(host_key),
     .required = true,
     .help = "Its ed25519 host key, or the key's fingerprint; no other is accepted. On the host: "
             "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub",
     .example = "SHA256:0bUT8Mqt8kX1CjJiCDUNrQ6wOqwGW1y4HgMOaxWq6Fw"},
    {.name = "user",
     .type = KEY_USER,
     .offset = HOST(user),
     .fallback_note = "the cluster's",
     .help = "Who to log in as."},
    {.name = "proxy-jump",
     .type = KEY_JUMP,
     .offset = HOST(proxy_jump),
     .fallback_note = "the cluster's",
     .refers = SECTION_HOST,
     .help = "The bastion it is reached through: the name of a [host]; none to go there directly."},
};

#define KEYS(table) .keys = (table), .key_count = sizeof(table) / sizeof((table)[0])

const struct section_kind section_kinds[] = {
    [SECTION_CLUSTER] = {.id = SECTION_CLUSTER,
                         .name = "cluster",
                         .help =
                             "The cluster, once in the file: its name, where its state is kept, "
                             "how its hosts are reached.",
                         .settings = true,
                         KEYS(cluster_keys),
                         .later = WORDS("firewall", "witness", "pause")},
    [SECTION_ZONE] = {.id = SECTION_ZONE,
                      .name = "zone",
                      .help = "What fails together: a rack, a room, a hypervisor.",
                      KEYS(zone_keys),
                      .later = WORDS("network", "nameserver")},
    [SECTION_PROVIDER] = {.id = SECTION_PROVIDER,
                          .name = "provider",
                          .help = "What makes instances.",
                          KEYS(provider_keys),
                          .later = WORDS("network", "secret")},
    [SECTION_SIZE] = {.id = SECTION_SIZE,
                      .name = "size",
                      .help = "How much of a machine an instance gets.",
                      KEYS(size_keys)},
    [SECTION_SECRET] = {.id = SECTION_SECRET,
                        .name = "secret",
                        .help = "A value that is never shown. A setting uses it as secret:NAME.",
                        KEYS(secret_keys)},
    [SECTION_TEMPLATE] = {.id = SECTION_TEMPLATE,
                          .name = "template",
                          .help = "What an instance is made of. Roles and settings are changed "
                                  "in place; image, size and user-data are fixed when an instance "
                                  "is made, and changed with `group refresh`.",
                          .settings = true,
                          KEYS(template_keys),
                          .later = WORDS("firewall", "key", "network")},
    [SECTION_POOL] = {.id = SECTION_POOL,
                      .name = "pool",
                      .help = "Who receives traffic, and how their health is checked.",
                      KEYS(pool_keys),
                      .later = WORDS("weight", "fail-open")},
    [SECTION_GROUP] = {.id = SECTION_GROUP,
                       .name = "group",
                       .help = "Instances of one kind: how many, where, of what.",
                       .settings = true,
                       KEYS(group_keys),
                       .later = WORDS("warm-pool", "protect", "firewall", "suspend", "checkpoints",
                                      "stateful")},
    [SECTION_FRONTEND] = {.id = SECTION_FRONTEND,
                          .name = "frontend",
                          .help = "A load balancer: HAProxy on the instances of a group.",
                          KEYS(frontend_keys),
                          .later =
                              WORDS("vip", "certificate", "redirect", "access-log", "firewall")},
    [SECTION_HOST] = {.id = SECTION_HOST,
                      .name = "host",
                      .help = "A host that exists already and answers SSH.",
                      KEYS(host_keys),
                      .later = WORDS("bmc", "mac")},
    [SECTION_HOOK] = {.id = SECTION_HOOK,
                      .name = "hook",
                      .help =
                          "A lifecycle hook: a command that an instance waits for when it comes "
                          "or goes.",
                      KEYS(hook_keys)},
};
const size_t section_kind_count = sizeof(section_kinds) / sizeof(section_kinds[0]);

const char *const section_later[] = {"network", "machine",   "firewall", "schedule",    "policy",
                                     "key",     "image",     "vip",      "certificate", "backup",
                                     "alarm",   "warm-pool", "drill",    "token",       NULL};

const struct section_kind *section_kind_find(const char *name)
{
    for (size_t i = 0; i < section_kind_count; i++) {
        if (text_equal(section_kinds[i].name, name)) {
            return &section_kinds[i];
        }
    }
    return NULL;
}

size_t section_kind_key(const struct section_kind *kind, const char *name)
{
    size_t i = 0;
    while (i < kind->key_count && !text_equal(kind->keys[i].name, name)) {
        i++;
    }
    return i;
}

/* The largest of UNITS (largest first, the last one is 1) that divides NUMBER. */
static void add_with_unit(struct str *text, int64_t number, const int64_t *units,
                          const char *const *names)
{
    size_t i = 0;
    while (units[i] > 1 && (number < units[i] || number % units[i] != 0)) {
        i++;
    }
    str_addf(text, "%" PRId64 "%s", number / units[i], names[i]);
}

void key_add_number(const struct key *key, int64_t number, struct str *text)
{
    static const int64_t milliseconds[] = {HOURS(1), MINUTES(1), SECONDS(1), 1};
    static const char *const durations[] = {"h", "min", "s", "ms"};
    static const int64_t bytes[] = {TEBI(1), MEBI(1024), MEBI(1), 1024, 1};
    static const char *const sizes[] = {"T", "G", "M", "K", ""};
    if (number == 0 && key->type != KEY_PERCENT) {
        str_add_char(text, '0');
    } else if (key->type == KEY_DURATION) {
        add_with_unit(text, number, milliseconds, durations);
    } else if (key->type == KEY_SIZE) {
        add_with_unit(text, number, bytes, sizes);
    } else {
        str_addf(text, "%" PRId64 "%s", number, key->type == KEY_PERCENT ? "%" : "");
    }
}

static void add_range(const struct key *key, const char *what, struct str *text)
{
    str_addf(text, "%s from ", what);
    key_add_number(key, key->min, text);
    str_add(text, " to ");
    key_add_number(key, key->max, text);
}

static void add_words(const struct key *key, struct str *text)
{
    for (size_t i = 0; key->words[i] != NULL; i++) {
        str_addf(text, "%s%s",
                 i == 0                      ? ""
                 : key->words[i + 1] == NULL ? " or "
                                             : ", ",
                 key->words[i]);
    }
}

void key_add_expected(const struct key *key, struct str *text)
{
    switch (key->type) {
    case KEY_COUNT: add_range(key, "a whole number", text); break;
    case KEY_PERCENT: add_range(key, "a percentage", text); break;
    case KEY_SIZE: add_range(key, "a size with its unit (K, M, G, T),", text); break;
    case KEY_DURATION: add_range(key, "a duration with its unit (ms, s, min, h),", text); break;
    case KEY_YESNO: str_add(text, "yes or no"); break;
    case KEY_CHOICE:
    case KEY_WORD: add_words(key, text); break;
    case KEY_TEXT: str_addf(text, "one word of at most %" PRId64 " characters", key->max); break;
    case KEY_LINE: str_addf(text, "one line of at most %" PRId64 " characters", key->max); break;
    case KEY_NAME: str_add(text, "a name of letters a-z, digits and hyphens"); break;
    case KEY_USER: str_add(text, "the name of a user"); break;
    case KEY_URI: str_add(text, "lxc:///"); break;
    case KEY_PATH: str_add(text, "a path"); break;
    case KEY_PATH_NONE: str_add(text, "a path or none"); break;
    case KEY_PATHS: str_add(text, "paths separated by spaces"); break;
    case KEY_STATE: str_add(text, "sqlite:PATH"); break;
    case KEY_NAMES: str_add(text, "names separated by spaces"); break;
    case KEY_SCRIPT: str_add(text, "@FILE or a script that begins with #!"); break;
    case KEY_REFERENCE:
        str_addf(text, "the name of a [%s]", section_kinds[key->refers].name);
        break;
    case KEY_REFERENCES:
        str_addf(text, "names of [%s] sections separated by spaces",
                 section_kinds[key->refers].name);
        break;
    case KEY_JUMP: str_add(text, "the name of a [host] or none"); break;
    case KEY_ADDRESS: str_add(text, "an IPv4 address"); break;
    case KEY_ADDRESSES: str_add(text, "FIRST-LAST[/PREFIX], IPv4 addresses of one network"); break;
    case KEY_HOST_NAME: str_add(text, "an IPv4 or IPv6 address or a host's name"); break;
    case KEY_HOST_KEY: str_add(text, "SHA256:FINGERPRINT or ssh-ed25519 KEY"); break;
    case KEY_CHECK: str_add(text, "a check line"); break;
    case KEY_LISTEN: str_add(text, "http:PORT"); break;
    case KEY_ROUTE: str_add(text, "PATH -> POOL"); break;
    }
}
