/*
 * One mistake at a time: every message that a cluster file can earn, word for word. The files lie
 * in a folder of the test's own, which is the current one while it runs.
 */
#include "base/problem.h"
#include "base/str.h"
#include "conformance/scratch.h"
#include "core/world.h"
#include "spec/spec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define CLUSTER "[cluster c]\nstate = sqlite:s/c.db\n"
#define ZONES   "[zone a]\naddresses = 10.0.0.10-10.0.0.19\n[zone b]\n"
#define PROVIDERS                                                                                  \
    "[provider pa]\ntype = libvirt\nzone = a\nbridge = br0\n"                                      \
    "[provider pb]\ntype = static\nzone = b\n"
#define TEMPLATE                                                                                   \
    "[size s]\ncpus = 1\nmemory = 64M\n"                                                           \
    "[template t]\nimage = i\nsize = s\nroles = base app\n"
#define BASE ZONES PROVIDERS TEMPLATE
#define KEY  "SHA256:0bUT8Mqt8kX1CjJiCDUNrQ6wOqwGW1y4HgMOaxWq6Fw"

struct mistake {
    const char *name;
    const char *text; /* Of x.ini. */
    const char *said; /* All of it; DIR stands for the folder. */
};

static const struct mistake mistakes[] = {
    {"no cluster", "[zone a]\n", "x.ini: no [cluster NAME] section: the cluster needs a name\n"},
    {"two clusters",
     CLUSTER "[cluster d]\n"
             "parallel = x\n",
     "x.ini:3: [cluster d]: there is [cluster c] at x.ini:1 already; a file describes one cluster\n"
     "x.ini:4: [cluster d] parallel: expected a whole number from 1 to 1000, got 'x'\n"},
    {"cluster without a name", "[cluster]\n",
     "x.ini:1: [cluster]: expected a name, as in [cluster my-cluster]\n"},
    {"empty file", "", "x.ini: no [cluster NAME] section: the cluster needs a name\n"},
    {"name with a capital", CLUSTER "[zone Rack]\n",
     "x.ini:3: [zone Rack]: expected a name of at most 63 letters a-z, digits and hyphens, a "
     "hyphen not first\n"},
    {"name too long",
     CLUSTER "[zone aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]\n",
     "x.ini:3: [zone aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]: expected a "
     "name of at most 63 letters a-z, digits and hyphens, a hyphen not first\n"},
    {"section without a near name", CLUSTER "[xyzzyplugh a]\n",
     "x.ini:3: unknown section [xyzzyplugh a]; 'lamplighter help config' lists all\n"},
    {"section of a later version",
     CLUSTER "[schedule night]\n"
             "cron = 0 3 * * *\n",
     "x.ini:3: [schedule night] is not yet known to this version\n"},
    {"empty header",
     CLUSTER "[]\n"
             "a = b\n",
     "x.ini:3: unknown section []; 'lamplighter help config' lists all\n"},
    {"key before any section", "parallel = 4\n" CLUSTER,
     "x.ini:1: parallel: stands before the first [section]; only include does\n"},
    {"what names an unknown section is not told",
     CLUSTER BASE "[grop web]\n"
                  "template = t\n"
                  "min = 1\n"
                  "[frontend f]\n"
                  "group = web\n"
                  "listen = http:80\n"
                  "route = / -> w\n"
                  "[pool w]\n"
                  "port = 80\n",
     "x.ini:20: unknown section [grop web]; did you mean [group web]?\n"},
    {"key of another section",
     CLUSTER "[zone a]\n"
             "bridge = br0\n",
     "x.ini:4: [zone a] bridge: unknown key; it belongs to [provider]\n"},
    {"key of a later version",
     CLUSTER BASE "[group g]\n"
                  "template = t\n"
                  "min = 1\n"
                  "zones = a\n"
                  "warm-pool = 2\n",
     "x.ini:24: [group g] warm-pool: not yet known to this version\n"},
    {"key that resembles none",
     CLUSTER "[zone a]\n"
             "xyzzy = 1\n",
     "x.ini:4: [zone a] xyzzy: unknown key; 'lamplighter help config zone' lists all\n"},
    {"near key is not missing as well",
     CLUSTER "[size s]\n"
             "cpu = 1\n"
             "memory = 64M\n",
     "x.ini:4: [size s] cpu: unknown key; did you mean 'cpus'?\n"},
    {"include in a section", CLUSTER "include = x\n",
     "x.ini:3: [cluster c] include: stands before the first section of a file\n"},
    {"setting in a pool",
     CLUSTER "[pool p]\n"
             "port = 80\n"
             "apache.port = 80\n",
     "x.ini:5: [pool p] apache.port: settings of roles stand in [cluster], [template] or "
     "[group]\n"},
    {"setting without a variable", CLUSTER "apache. = 1\n",
     "x.ini:3: [cluster c] apache.: expected ROLE.VARIABLE, both of letters a-z, digits and "
     "hyphens\n"},
    {"setting twice",
     CLUSTER "a.b = 1\n"
             "a.b = 2\n",
     "x.ini:4: [cluster c] a.b: stands twice, first at x.ini:3\n"},
    {"required keys", CLUSTER "[provider p]\n",
     "x.ini:3: [provider p] type: missing; expected libvirt or static\n"
     "x.ini:3: [provider p] zone: missing; expected the name of a [zone]\n"},
    {"empty value", CLUSTER "parallel =\n",
     "x.ini:3: [cluster c] parallel: expected a whole number from 1 to 1000, got nothing\n"},
    {"number out of range", CLUSTER "parallel = 0\n",
     "x.ini:3: [cluster c] parallel: expected a whole number from 1 to 1000, got '0'\n"},
    {"number with a comment", CLUSTER "parallel = 8 # eight\n",
     "x.ini:3: [cluster c] parallel: expected a whole number from 1 to 1000, got '8 # eight'; a "
     "comment after a value begins with ' ;'\n"},
    {"value that goes on",
     CLUSTER "parallel = 8\n"
             "   agent = yes\n",
     "x.ini:3: [cluster c] parallel: expected a whole number from 1 to 1000, got '8 agent = yes'; "
     "a line that is indented deeper than its key belongs to the value before it\n"},
    {"duration without unit",
     CLUSTER "[pool p]\n"
             "port = 80\n"
             "drain = 30\n",
     "x.ini:5: [pool p] drain: expected a duration with its unit (ms, s, min, h), from 0 to 1h, "
     "got '30'; did you mean '30s'?\n"},
    {"duration too long",
     CLUSTER "[pool p]\n"
             "port = 80\n"
             "drain = 2h\n",
     "x.ini:5: [pool p] drain: expected a duration with its unit (ms, s, min, h), from 0 to 1h, "
     "got '2h'\n"},
    {"sticky by a cookie's name",
     CLUSTER "[pool p]\n"
             "port = 80\n"
             "sticky = SERVERID\n",
     "x.ini:5: [pool p] sticky: expected yes or no, got 'SERVERID'; did you mean 'no'?\n"},
    {"repair of another kind",
     CLUSTER BASE "[group g]\n"
                  "template = t\n"
                  "min = 1\n"
                  "zones = a\n"
                  "repair = restat\n",
     "x.ini:24: [group g] repair: expected replace, restart or none, got 'restat'; did you mean "
     "'restart'?\n"},
    {"termination policy of another kind",
     CLUSTER BASE "[group g]\n"
                  "template = t\n"
                  "min = 1\n"
                  "zones = a\n"
                  "termination-policy = oldest-templates\n",
     "x.ini:24: [group g] termination-policy: expected oldest-template, oldest or newest, got "
     "'oldest-templates'; did you mean 'oldest-template'?\n"},
    {"lifetime too short",
     CLUSTER BASE "[group g]\n"
                  "template = t\n"
                  "min = 1\n"
                  "zones = a\n"
                  "max-lifetime = 59min\n",
     "x.ini:24: [group g] max-lifetime: expected a duration with its unit (ms, s, min, h), from 1h "
     "to 87600h, got '59min'\n"},
    {"breaker of nothing",
     CLUSTER BASE "[group g]\n"
                  "template = t\n"
                  "min = 1\n"
                  "zones = a\n"
                  "breaker = 0%\n",
     "x.ini:24: [group g] breaker: expected a percentage from 1% to 100%, got '0%'\n"},
    {"too many to spare",
     CLUSTER BASE "[group g]\n"
                  "template = t\n"
                  "min = 1\n"
                  "zones = a\n"
                  "spare = 11\n",
     "x.ini:24: [group g] spare: expected a whole number from 0 to 10, got '11'\n"},
    {"spare without a pool",
     CLUSTER BASE "[group g]\n"
                  "template = t\n"
                  "min = 1\n"
                  "zones = a\n"
                  "spare = 1\n",
     "x.ini:24: [group g] spare: counts the members of a pool, but there is none\n"},
    {"no room to spare",
     CLUSTER BASE "[group g]\n"
                  "template = t\n"
                  "min = 1\n"
                  "zones = a\n"
                  "pool = p\n"
                  "spare = 1\n"
                  "max = 2\n"
                  "[pool p]\n"
                  "port = 80\n",
     "x.ini:25: [group g] spare: no step could ever be taken: with one instance out there must be "
     "1 (healthy-min of desired) and 1 to spare, but there are never more than 2; raise max\n"},
    {"times of no check-command",
     CLUSTER BASE "[group g]\n"
                  "template = t\n"
                  "min = 1\n"
                  "zones = a\n"
                  "check-every = 1min\n"
                  "check-timeout = 1s\n",
     "x.ini:24: [group g] check-every: goes with check-command only\n"
     "x.ini:25: [group g] check-timeout: goes with check-command only\n"},
    {"check-command longer than its interval",
     CLUSTER BASE "[group g]\n"
                  "template = t\n"
                  "min = 1\n"
                  "zones = a\n"
                  "check-command = true\n"
                  "check-every = 5s\n"
                  "check-timeout = 6s\n",
     "x.ini:26: [group g] check-timeout: longer than the time between two checks (check-every)\n"},
    {"check-command over two lines",
     CLUSTER BASE "[group g]\n"
                  "template = t\n"
                  "min = 1\n"
                  "zones = a\n"
                  "check-command = true\n"
                  "    and more\n",
     "x.ini:24: [group g] check-command: expected one line of at most 4096 characters, got 'true "
     "and more'; a line that is indented deeper than its key belongs to the value before it\n"},
    {"check-command of nothing",
     CLUSTER BASE "[group g]\n"
                  "template = t\n"
                  "min = 1\n"
                  "zones = a\n"
                  "check-command =\n",
     "x.ini:24: [group g] check-command: expected one line of at most 4096 characters, got "
     "nothing\n"},
    {"max-disruption of nothing", CLUSTER "max-disruption = 0%\n",
     "x.ini:3: [cluster c] max-disruption: expected a percentage from 1% to 100%, got '0%'\n"},
    {"hook without keys",
     CLUSTER BASE "[group g]\n"
                  "template = t\n"
                  "min = 1\n"
                  "zones = a\n"
                  "[hook h]\n",
     "x.ini:24: [hook h] group: missing; expected the name of a [group]\n"
     "x.ini:24: [hook h] on: missing; expected launch or terminate\n"
     "x.ini:24: [hook h] run: missing; expected one line of at most 4096 characters\n"},
    {"hook of no group",
     CLUSTER BASE "[group g]\n"
                  "template = t\n"
                  "min = 1\n"
                  "zones = a\n"
                  "[hook h]\n"
                  "group = f\n"
                  "on = launch\n"
                  "run = true\n",
     "x.ini:25: [hook h] group: expected the name of a [group], got 'f'; did you mean 'g'?\n"},
    {"second hook on the same",
     CLUSTER BASE "[group g]\n"
                  "template = t\n"
                  "min = 1\n"
                  "zones = a\n"
                  "[hook h]\n"
                  "group = g\n"
                  "on = launch\n"
                  "run = true\n"
                  "[hook i]\n"
                  "group = g\n"
                  "on = launch\n"
                  "run = true\n",
     "x.ini:30: [hook i] on: group g has [hook h] at x.ini:24 for this already; it can have one "
     "for each of launch and terminate\n"},
    {"hook whose transition is unknown does not count",
     CLUSTER BASE "[group g]\n"
                  "template = t\n"
                  "min = 1\n"
                  "zones = a\n"
                  "[hook h]\n"
                  "group = g\n"
                  "on = launhc\n"
                  "run = true\n"
                  "[hook i]\n"
                  "group = g\n"
                  "on = launch\n"
                  "run = true\n",
     "x.ini:26: [hook h] on: expected launch or terminate, got 'launhc'; did you mean 'launch'?\n"},
    {"hook with an open quote",
     CLUSTER BASE "[group g]\n"
                  "template = t\n"
                  "min = 1\n"
                  "zones = a\n"
                  "[hook h]\n"
                  "group = g\n"
                  "on = launch\n"
                  "run = sh -c 'true\n",
     "x.ini:27: [hook h] run: the command ends inside a quote\n"},
    {"hook of an empty command",
     CLUSTER BASE "[group g]\n"
                  "template = t\n"
                  "min = 1\n"
                  "zones = a\n"
                  "[hook h]\n"
                  "group = g\n"
                  "on = launch\n"
                  "run = @blank\n",
     "x.ini:27: [hook h] run: expected one line of at most 4096 characters, got ' '\n"},
    {"heartbeat longer than the limit",
     CLUSTER BASE "[group g]\n"
                  "template = t\n"
                  "min = 1\n"
                  "zones = a\n"
                  "[hook h]\n"
                  "group = g\n"
                  "on = launch\n"
                  "run = true\n"
                  "limit = 1min\n"
                  "heartbeat = 2min\n",
     "x.ini:29: [hook h] heartbeat: longer than the limit of the whole\n"},
    {"limit of more than 100 heartbeats",
     CLUSTER BASE "[group g]\n"
                  "template = t\n"
                  "min = 1\n"
                  "zones = a\n"
                  "[hook h]\n"
                  "group = g\n"
                  "on = launch\n"
                  "run = true\n"
                  "heartbeat = 1s\n"
                  "limit = 101s\n",
     "x.ini:29: [hook h] limit: longer than 100 heartbeats; raise heartbeat\n"},
    {"heartbeat longer than those of AWS",
     CLUSTER BASE "[group g]\n"
                  "template = t\n"
                  "min = 1\n"
                  "zones = a\n"
                  "[hook h]\n"
                  "group = g\n"
                  "on = launch\n"
                  "run = true\n"
                  "heartbeat = 3h\n",
     "x.ini:28: [hook h] heartbeat: expected a duration with its unit (ms, s, min, h), from 1s to "
     "2h, got '3h'\n"},
    {"hook that waits elsewhere",
     CLUSTER BASE "[group g]\n"
                  "template = t\n"
                  "min = 1\n"
                  "zones = a\n"
                  "[hook h]\n"
                  "group = g\n"
                  "on = launch\n"
                  "run = true\n"
                  "where = hosts\n",
     "x.ini:28: [hook h] where: expected controller or host, got 'hosts'; did you mean 'host'?\n"},
    {"hook with a setting",
     CLUSTER BASE "[group g]\n"
                  "template = t\n"
                  "min = 1\n"
                  "zones = a\n"
                  "[hook h]\n"
                  "group = g\n"
                  "on = launch\n"
                  "run = true\n"
                  "a.b = 1\n",
     "x.ini:28: [hook h] a.b: settings of roles stand in [cluster], [template] or [group]\n"},
    {"percent without sign",
     CLUSTER BASE "[group g]\n"
                  "template = t\n"
                  "min = 1\n"
                  "zones = a\n"
                  "healthy-min = 90\n",
     "x.ini:24: [group g] healthy-min: expected a percentage from 0% to 100%, got '90'; did you "
     "mean '90%'?\n"},
    {"size without unit",
     CLUSTER "[size s]\n"
             "cpus = 1\n"
             "memory = 512\n",
     "x.ini:5: [size s] memory: expected a size with its unit (K, M, G, T), from 32M to 64T, got "
     "'512'; did you mean '512M'?\n"},
    {"size too large for a number",
     CLUSTER "[size s]\n"
             "cpus = 1\n"
             "memory = 9999999999999T\n",
     "x.ini:5: [size s] memory: expected a size with its unit (K, M, G, T), from 32M to 64T, got "
     "'9999999999999T'\n"},
    {"yes in other words", CLUSTER "agent = true\n",
     "x.ini:3: [cluster c] agent: expected yes or no, got 'true'; did you mean 'yes'?\n"},
    {"choice", CLUSTER "become = sudoo\n",
     "x.ini:3: [cluster c] become: expected none or sudo, got 'sudoo'; did you mean 'sudo'?\n"},
    {"provider of a later version",
     CLUSTER "[zone a]\n"
             "[provider p]\n"
             "type = metal\n"
             "zone = a\n",
     "x.ini:5: [provider p] type: 'metal' is not yet known to this version\n"},
    {"uri of a later version",
     CLUSTER ZONES "[provider p]\n"
                   "type = libvirt\n"
                   "zone = a\n"
                   "bridge = br0\n"
                   "uri = qemu+ssh://kvm/system\n",
     "x.ini:10: [provider p] uri: 'qemu+ssh://kvm/system' is not yet known to this version\n"},
    {"state of a later version",
     "[cluster c]\n"
     "state = etcd:https://e1\n",
     "x.ini:2: [cluster c] state: 'etcd:https://e1' is not yet known to this version\n"},
    {"state without its kind",
     "[cluster c]\n"
     "state = /var/x.db\n",
     "x.ini:2: [cluster c] state: expected sqlite:PATH, got '/var/x.db'; did you mean "
     "'sqlite:/var/x.db'?\n"},
    {"home in a path", CLUSTER "key = ~/.ssh/id\n",
     "x.ini:3: [cluster c] key: '~' is not expanded; write the whole path instead of "
     "'~/.ssh/id'\n"},
    {"name of an image",
     CLUSTER "[template t]\n"
             "image = ../x\n",
     "x.ini:4: [template t] image: expected a name of letters a-z, digits and hyphens, got "
     "'../x'\n"},
    {"user", CLUSTER "user = Root\n",
     "x.ini:3: [cluster c] user: expected the name of a user, got 'Root'\n"},
    {"gateway",
     CLUSTER "[zone a]\n"
             "addresses = 10.0.0.10-10.0.0.19\n"
             "gateway = 10.0.0.300\n",
     "x.ini:5: [zone a] gateway: expected an IPv4 address, got '10.0.0.300'\n"},
    {"addresses",
     CLUSTER "[zone a]\n"
             "addresses = 10.0.0.10\n",
     "x.ini:4: [zone a] addresses: expected FIRST-LAST[/PREFIX] such as 10.77.1.10-10.77.1.99/16, "
     "got '10.0.0.10'\n"},
    {"addresses of two networks",
     CLUSTER "[zone a]\n"
             "addresses = 10.0.0.10-10.0.1.19/24\n",
     "x.ini:4: [zone a] addresses: expected addresses of one network, got "
     "'10.0.0.10-10.0.1.19/24'; with a prefix of 24 it is 10.0.0.0-10.0.0.255\n"},
    {"addresses with the broadcast",
     CLUSTER "[zone a]\n"
             "addresses = 10.0.0.10-10.0.0.255\n",
     "x.ini:4: [zone a] addresses: 10.0.0.0 and 10.0.0.255 are the network's own, not for hosts "
     "(prefix 24)\n"},
    {"user-data without @",
     CLUSTER "[template t]\n"
             "user-data = files/first.sh\n",
     "x.ini:4: [template t] user-data: expected @FILE or a script that begins with #!, got "
     "'files/first.sh'; did you mean '@files/first.sh'?\n"},
    {"file that is no script",
     CLUSTER "[template t]\n"
             "user-data = @plain.txt\n",
     "x.ini:4: [template t] user-data: @plain.txt: expected a script: its first line begins with "
     "#!\n"},
    {"file that has a NUL", CLUSTER "app.x = @nul\n",
     "x.ini:3: [cluster c] app.x: DIR/nul: not a text file, it has a NUL byte\n"},
    {"folder as a file", CLUSTER "app.x = @s\n",
     "x.ini:3: [cluster c] app.x: DIR/s: not a regular file\n"},
    {"check: method",
     CLUSTER "[pool p]\n"
             "port = 80\n"
             "check = POST /\n",
     "x.ini:5: [pool p] check: expected GET, HEAD, OPTIONS or TCP first, got 'POST'\n"},
    {"check: path",
     CLUSTER "[pool p]\n"
             "port = 80\n"
             "check = GET healthz\n",
     "x.ini:5: [pool p] check: after 'GET' expected a path such as /healthz, got 'healthz'\n"},
    {"check: path with quotes",
     CLUSTER "[pool p]\n"
             "port = 80\n"
             "check = GET /\"x\n",
     "x.ini:5: [pool p] check: after 'GET' expected a path such as /healthz, got '/\"x'\n"},
    {"check: nothing after a word",
     CLUSTER "[pool p]\n"
             "port = 80\n"
             "check = GET / every\n",
     "x.ini:5: [pool p] check: nothing stands after 'every'\n"},
    {"check: twice",
     CLUSTER "[pool p]\n"
             "port = 80\n"
             "check = GET / fall 2 fall 3\n",
     "x.ini:5: [pool p] check: 'fall' stands twice\n"},
    {"check: codes",
     CLUSTER "[pool p]\n"
             "port = 80\n"
             "check = GET / expect 2xx\n",
     "x.ini:5: [pool p] check: after 'expect' expected a status code or a range such as 200-399, "
     "got '2xx'\n"},
    {"check: TCP asks nothing",
     CLUSTER "[pool p]\n"
             "port = 80\n"
             "check = TCP expect 200\n",
     "x.ini:5: [pool p] check: 'expect' does not go with TCP: nothing is asked\n"},
    {"check: timeout too long",
     CLUSTER "[pool p]\n"
             "port = 80\n"
             "check = GET / every 1s timeout 2s\n",
     "x.ini:5: [pool p] check: the timeout (2000 ms) is longer than the time between two checks "
     "(1000 ms)\n"},
    {"host name with digits only",
     CLUSTER BASE "[host h]\n"
                  "provider = pb\n"
                  "address = 10.0.0.300\n"
                  "host-key = " KEY "\n",
     "x.ini:22: [host h] address: expected an IPv4 or IPv6 address or a host's name, got "
     "'10.0.0.300'\n"},
    {"host key of another kind",
     CLUSTER BASE "[host h]\n"
                  "provider = pb\n"
                  "address = h\n"
                  "host-key = ssh-rsa AAAAB3NzaC1yc2E\n",
     "x.ini:23: [host h] host-key: expected the host's ed25519 key, got 'ssh-rsa "
     "AAAAB3NzaC1yc2E...'\n"},
    {"host key from ssh-keyscan",
     CLUSTER BASE "[host h]\n"
                  "provider = pb\n"
                  "address = h\n"
                  "host-key = h ssh-ed25519 "
                  "AAAAC3NzaC1lZDI1NTE5AAAAIG1cnpWq0H2ITc0pLUB9OkGdrL3ZLw0M6rKcHoWEAWxK\n",
     "x.ini:23: [host h] host-key: expected SHA256:FINGERPRINT or ssh-ed25519 KEY, got 'h "
     "ssh-ed25519 AAAAC3NzaC1lZDI1...'; leave out what stands before 'ssh-ed25519'\n"},
    {"host key cut short",
     CLUSTER BASE "[host h]\n"
                  "provider = pb\n"
                  "address = h\n"
                  "host-key = ssh-ed25519 AAAAC3NzaC1lZDI1NTE5\n",
     "x.ini:23: [host h] host-key: expected SHA256:FINGERPRINT or ssh-ed25519 KEY, got "
     "'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5'\n"},
    {"dangling, near",
     CLUSTER ZONES PROVIDERS "[size small]\n"
                             "cpus = 1\n"
                             "memory = 64M\n"
                             "[template t]\n"
                             "size = smal\n",
     "x.ini:17: [template t] size: expected the name of a [size], got 'smal'; did you mean "
     "'small'?\n"},
    {"dangling, none there",
     CLUSTER "[template t]\n"
             "size = s\n",
     "x.ini:4: [template t] size: expected the name of a [size], got 's'; the file has no "
     "[size]\n"},
    {"dangling, others there",
     CLUSTER "[size little]\n"
             "cpus = 1\n"
             "memory = 64M\n"
             "[template t]\n"
             "size = xx\n",
     "x.ini:7: [template t] size: expected the name of a [size], got 'xx'; there is little\n"},
    {"zone twice",
     CLUSTER BASE "[group g]\n"
                  "template = t\n"
                  "min = 1\n"
                  "zones = a a\n",
     "x.ini:23: [group g] zones: 'a' stands twice\n"},
    {"secret that is not there",
     CLUSTER "app.password = secret:db\n"
             "[secret bd]\n"
             "generate = 24\n",
     "x.ini:3: [cluster c] app.password: expected the name of a [secret], got 'db'; did you mean "
     "'bd'?\n"},
    {"group that a setting mentions",
     CLUSTER "app.host = {{ groups.dbb.address }}\n" BASE "[group db]\n"
             "template = t\n"
             "min = 1\n"
             "zones = a\n",
     "x.ini:3: [cluster c] app.host: expected the name of a [group], got 'dbb'; did you mean "
     "'db'?\n"},
    {"jump by address", CLUSTER "proxy-jump = root@10.0.0.1:22\n",
     "x.ini:3: [cluster c] proxy-jump: expected the name of a [host], which has address, user and "
     "host-key, got 'root@10.0.0.1:22'\n"},
    {"min over desired",
     CLUSTER BASE "[group g]\n"
                  "template = t\n"
                  "min = 2\n"
                  "desired = 1\n"
                  "zones = a\n",
     "x.ini:23: [group g] desired: 1 is less than min (2)\n"},
    {"desired over max",
     CLUSTER BASE "[group g]\n"
                  "template = t\n"
                  "min = 2\n"
                  "desired = 3\n"
                  "max = 2\n"
                  "zones = a\n",
     "x.ini:24: [group g] max: 2 is less than desired (3)\n"},
    {"min over max",
     CLUSTER BASE "[group g]\n"
                  "template = t\n"
                  "min = 3\n"
                  "max = 2\n"
                  "zones = a\n",
     "x.ini:23: [group g] max: 2 is less than min (3)\n"},
    {"never replaced",
     CLUSTER BASE "[group g]\n"
                  "template = t\n"
                  "min = 1\n"
                  "zones = a\n"
                  "healthy-min = 100%\n"
                  "healthy-max = 100%\n",
     "x.ini:25: [group g] healthy-max: with healthy-min and healthy-max both 100% no instance "
     "could ever be replaced; raise healthy-max to launch before terminating\n"},
    {"group with a long name",
     CLUSTER BASE "[group gggggggggggggggggggggggggggggggggggggggggggggggggggggggggg]\n"
                  "template = t\n"
                  "min = 1\n"
                  "zones = a\n",
     "x.ini:20: [group gggggggggggggggggggggggggggggggggggggggggggggggggggggggggg]: the name is "
     "longer than 57 letters: NAME-1 is to be a host's name\n"},
    {"zone without a provider",
     CLUSTER BASE "[zone d]\n"
                  "[group g]\n"
                  "template = t\n"
                  "min = 1\n"
                  "zones = a d\n",
     "x.ini:24: [group g] zones: nothing makes instances in zone d: no [provider] names it\n"},
    {"no provider at all",
     CLUSTER "[zone a]\n"
             "[template t]\n"
             "[group g]\n"
             "template = t\n"
             "min = 1\n",
     "x.ini:5: [group g] zones: no [provider] makes instances in any zone\n"},
    {"two zones overlap", CLUSTER ZONES "addresses = 10.0.0.19-10.0.0.29\n",
     "x.ini:6: [zone b] addresses: overlaps with the addresses of zone a\n"},
    {"gateway among the addresses",
     CLUSTER "[zone a]\n"
             "addresses = 10.0.0.10-10.0.0.19\n"
             "gateway = 10.0.0.12\n",
     "x.ini:5: [zone a] gateway: lies among the addresses for instances\n"},
    {"gateway without addresses",
     CLUSTER "[zone a]\n"
             "gateway = 10.0.0.1\n",
     "x.ini:4: [zone a] gateway: a gateway is for instances, but there are no addresses for "
     "them\n"},
    {"zone too small",
     CLUSTER BASE "[group g]\n"
                  "template = t\n"
                  "min = 1\n"
                  "max = 11\n"
                  "zones = a\n",
     "x.ini:4: [zone a] addresses: 10 addresses, but the groups of this zone may come to 11 "
     "instances (max)\n"},
    {"zone too small for two groups",
     CLUSTER BASE "[group g]\n"
                  "template = t\n"
                  "min = 5\n"
                  "zones = a\n"
                  "[group h]\n"
                  "template = t\n"
                  "min = 6\n"
                  "zones = a\n",
     "x.ini:4: [zone a] addresses: 10 addresses, but the groups of this zone may come to 11 "
     "instances (max)\n"},
    {"hypervisor in a zone without addresses",
     CLUSTER "[zone a]\n"
             "[provider p]\n"
             "type = libvirt\n"
             "zone = a\n"
             "bridge = br0\n",
     "x.ini:3: [zone a] addresses: missing; provider p makes instances here\n"},
    {"hypervisor without a bridge",
     CLUSTER ZONES "[provider p]\n"
                   "type = libvirt\n"
                   "zone = a\n",
     "x.ini:6: [provider p] bridge: missing; instances of type libvirt are attached to it\n"},
    {"two hypervisors in a zone",
     CLUSTER BASE "[provider pc]\n"
                  "type = libvirt\n"
                  "zone = a\n"
                  "bridge = br0\n",
     "x.ini:22: [provider pc] zone: a has provider pa already; a second one of type libvirt is not "
     "yet known to this version\n"},
    {"static with a bridge",
     CLUSTER "[zone a]\n"
             "[provider p]\n"
             "type = static\n"
             "zone = a\n"
             "bridge = br0\n",
     "x.ini:7: [provider p] bridge: goes with type = libvirt only\n"},
    {"hypervisor and no key",
     CLUSTER "key = none\n"
             "agent = yes\n" ZONES PROVIDERS,
     "x.ini:9: [provider pa] type: hosts made by libvirt are reached with a key, but [cluster c] "
     "has key = none\n"},
    {"no key and no agent", CLUSTER "key = none\n",
     "x.ini:3: [cluster c] key: with key = none nobody can log in; set agent = yes\n"},
    {"template without image and size",
     CLUSTER ZONES PROVIDERS "[template t]\n"
                             "[group g]\n"
                             "template = t\n"
                             "min = 1\n"
                             "zones = a\n",
     "x.ini:13: [template t] image: missing; group g has instances made by libvirt in zone a\n"
     "x.ini:13: [template t] size: missing; group g has instances made by libvirt in zone a\n"},
    {"needs itself",
     CLUSTER BASE "[group g]\n"
                  "template = t\n"
                  "min = 1\n"
                  "zones = a\n"
                  "needs = g\n",
     "x.ini:24: [group g] needs: the group cannot need itself\n"},
    {"needs in a circle",
     CLUSTER BASE "[group g]\n"
                  "template = t\n"
                  "min = 1\n"
                  "zones = a\n"
                  "needs = h\n"
                  "[group h]\n"
                  "template = t\n"
                  "min = 1\n"
                  "zones = a\n"
                  "x.y = {{#groups.g.members}}{{id}}{{/groups.g.members}}\n",
     "x.ini:24: [group g] needs: a circle, none of them could ever be first: g needs h needs g\n"},
    {"route to a pool that nobody feeds",
     CLUSTER BASE "[pool p]\n"
                  "port = 80\n"
                  "[group lb]\n"
                  "template = t\n"
                  "min = 1\n"
                  "zones = a\n"
                  "[frontend f]\n"
                  "group = lb\n"
                  "listen = http:80\n"
                  "route = / -> p\n",
     "x.ini:29: [frontend f] route: nothing serves in pool p: no [group] has it as its pool\n"},
    {"balancer in a pool",
     CLUSTER BASE "[pool p]\n"
                  "port = 80\n"
                  "[group lb]\n"
                  "template = t\n"
                  "min = 1\n"
                  "zones = a\n"
                  "pool = p\n"
                  "[frontend f]\n"
                  "group = lb\n"
                  "listen = http:80\n"
                  "route = / -> p\n",
     "x.ini:28: [frontend f] group: group lb is in pool p: a balancer cannot be one of those it "
     "balances\n"},
    {"two listeners, one port",
     CLUSTER BASE "[pool p]\n"
                  "port = 80\n"
                  "[group w]\n"
                  "template = t\n"
                  "min = 1\n"
                  "zones = a\n"
                  "pool = p\n"
                  "[group lb]\n"
                  "template = t\n"
                  "min = 1\n"
                  "zones = a\n"
                  "[frontend f]\n"
                  "group = lb\n"
                  "listen = http:80\n"
                  "listen = http:80\n"
                  "route = / -> p\n"
                  "[frontend g]\n"
                  "group = lb\n"
                  "listen = http:80\n"
                  "listen = http:22\n"
                  "route = / -> p\n"
                  "route = / -> p\n",
     "x.ini:34: [frontend f] listen: frontend f listens on this port of the same hosts already\n"
     "x.ini:38: [frontend g] listen: frontend f listens on this port of the same hosts already\n"
     "x.ini:39: [frontend g] listen: port 22 is the SSH server's\n"
     "x.ini:41: [frontend g] route: there is a route for / already\n"},
    {"host of a hypervisor",
     CLUSTER BASE "[host h]\n"
                  "provider = pa\n"
                  "address = h\n"
                  "host-key = " KEY "\n",
     "x.ini:21: [host h] provider: pa makes its hosts itself; expected a provider with type = "
     "static\n"},
    {"host that nothing uses",
     CLUSTER BASE "[host h]\n"
                  "address = h\n"
                  "host-key = " KEY "\n",
     "x.ini:20: [host h] provider: missing; only a bastion has none, and no proxy-jump names this "
     "host\n"},
    {"bastion in a group",
     CLUSTER "proxy-jump = h\n" BASE "[group g]\n"
             "template = t\n"
             "min = 1\n"
             "zones = a\n"
             "[host h]\n"
             "address = h\n"
             "group = g\n"
             "host-key = " KEY "\n",
     "x.ini:27: [host h] group: a host without a provider is a bastion, not a member of a group\n"},
    {"two hosts, one address",
     CLUSTER BASE "[host h]\n"
                  "provider = pb\n"
                  "address = h\n"
                  "host-key = " KEY "\n"
                  "[host i]\n"
                  "provider = pb\n"
                  "address = h\n"
                  "host-key = " KEY "\n",
     "x.ini:26: [host i] address: [host h] has the same address and port\n"},
    {"host reserved for a group elsewhere",
     CLUSTER BASE "[group g]\n"
                  "template = t\n"
                  "min = 1\n"
                  "zones = a\n"
                  "[host h]\n"
                  "provider = pb\n"
                  "group = g\n"
                  "address = h\n"
                  "host-key = " KEY "\n",
     "x.ini:26: [host h] group: the host is in zone b, which is not one of group g\n"},
    {"jumps in a circle",
     CLUSTER BASE "[host h]\n"
                  "provider = pb\n"
                  "address = h\n"
                  "proxy-jump = i\n"
                  "host-key = " KEY "\n"
                  "[host i]\n"
                  "provider = pb\n"
                  "address = i\n"
                  "proxy-jump = h\n"
                  "host-key = " KEY "\n",
     "x.ini:23: [host h] proxy-jump: the way to this host goes through itself\n"},
    {"not enough hosts",
     CLUSTER BASE "[group g]\n"
                  "template = t\n"
                  "min = 2\n"
                  "zones = b\n"
                  "[host h]\n"
                  "provider = pb\n"
                  "address = h\n"
                  "host-key = " KEY "\n",
     "x.ini:20: [group g] max: 2, but only 1 [host]s in its zones are for this group\n"},
    {"not enough hosts for two groups",
     CLUSTER BASE "[group g]\n"
                  "template = t\n"
                  "min = 1\n"
                  "zones = b\n"
                  "[group h]\n"
                  "template = t\n"
                  "min = 1\n"
                  "zones = b\n"
                  "[host h]\n"
                  "provider = pb\n"
                  "address = h\n"
                  "host-key = " KEY "\n",
     "x.ini:24: [group h] max: 1, but the groups before it need the same [host]s: 2 wanted, 1 "
     "there\n"},
    {"key file that is not there", CLUSTER "key = keys/none\n",
     "x.ini:3: [cluster c] key: DIR/keys/none: No such file or directory; make it with ssh-keygen "
     "-t ed25519\n"},
    {"key file that others can read", CLUSTER "key = open\n",
     "x.ini:3: [cluster c] key: DIR/open: others can read it (mode 0644); chmod 600 it\n"},
    {"secret file that others can read",
     CLUSTER "[secret s]\n"
             "file = open\n",
     "x.ini:4: [secret s] file: DIR/open: others can read it (mode 0644); chmod 600 it\n"},
    {"secret file that is not there",
     CLUSTER "[secret s]\n"
             "file = none\n",
     "x.ini:4: [secret s] file: DIR/none: No such file or directory; write the secret there, or "
     "set generate = 24 to have it made\n"},
    {"empty secret file",
     CLUSTER "[secret s]\n"
             "file = empty\n",
     "x.ini:4: [secret s] file: DIR/empty: empty\n"},
    {"role folder that is not there", CLUSTER "roles = s no-folder\n",
     "x.ini:3: [cluster c] roles: DIR/no-folder: no such folder\n"},
    {"no hint about what cannot be", CLUSTER "host-key = x\n",
     "x.ini:3: [cluster c] host-key: unknown key; it belongs to [host]\n"},
    {"control character", CLUSTER "user = ro\033[31mot\n",
     "x.ini:3: a control character at column 10: expected UTF-8 text\n"},
    /* 0 has no unit, so none is proposed. */
    {"nothing where there must be something",
     CLUSTER "connect-timeout = 0\n"
             "[size s]\ncpus = 1\nmemory = 0\n",
     "x.ini:3: [cluster c] connect-timeout: expected a duration with its unit (ms, s, min, h), "
     "from "
     "100ms to 10min, got '0'\n"
     "x.ini:6: [size s] memory: expected a size with its unit (K, M, G, T), from 32M to 64T, got "
     "'0'\n"},
};

static char folder[512];

static void write_file(const char *name, const char *bytes, size_t length, mode_t mode)
{
    FILE *out = fopen(name, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, length, out), length);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(chmod(name, mode), 0);
}

/* What spec_load() says of TEXT, with DIR for the folder's name; the caller frees it. */
static char *load(const char *text)
{
    struct problem_list problems = PROBLEM_LIST_NULL;
    struct spec *spec = NULL;
    write_file("x.ini", text, strlen(text), 0600);
    int result = spec_load("x.ini", &spec, &problems);
    char *said = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&said, &length);
    problem_list_print(&problems, out);
    fclose(out);
    assert_int_equal(result, problems.count == 0 ? 0 : -1);
    spec_free(spec);
    problem_list_deinit(&problems);

    struct str short_form = STR_NULL;
    const char *at = said;
    const char *found;
    while ((found = strstr(at, folder)) != NULL) {
        str_add_bytes(&short_form, at, (size_t)(found - at));
        str_add(&short_form, "DIR");
        at = found + strlen(folder);
    }
    str_add(&short_form, at);
    free(said);
    return str_take(&short_form);
}

_Static_assert(SPEC_ZONES_MAX == WORLD_ZONES_MAX, "what the core counts on is what files keep to");

static void test_too_many_zones(void **state)
{
    (void)state;
    struct str text = STR_NULL;
    str_add(&text, CLUSTER);
    for (int i = 1; i <= SPEC_ZONES_MAX; i++) {
        str_addf(&text, "[zone z%d]\n", i);
    }
    char *said = load(str_text(&text));
    assert_string_equal(said, "");
    free(said);
    str_add(&text, "[zone y]\n[zone x]\n");
    said = load(str_text(&text));
    assert_string_equal(said, "x.ini:259: [zone y]: a cluster has at most 256 zones\n");
    free(said);
    str_deinit(&text);
}

static void test_mistakes(void **state)
{
    (void)state;
    size_t different = 0;
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        char *said = load(mistakes[i].text);
        if (!text_equal(said, mistakes[i].said)) {
            print_error("%s:\n  said   %s  wanted %s\n", mistakes[i].name, said, mistakes[i].said);
            different++;
        }
        free(said);
    }
    assert_int_equal(different, 0);
}

/* What looks unusual but is right. */
static const char *const rights[] = {
    CLUSTER,
    CLUSTER BASE,
    CLUSTER "key = none\nagent = yes\n",
    CLUSTER "app.text = @plain.txt\napp.at = @@home\n",
    CLUSTER "[secret s]\ngenerate = 12\n",
    CLUSTER "[secret s]\nfile = private\n",
    CLUSTER BASE "[group g]\ntemplate = t\nmin = 0\nzones = a\nhealthy-min = 100%\n"
                 "healthy-max = 100%\n",
    /* A group may mention itself: its members know each other. */
    CLUSTER BASE "[group g]\ntemplate = t\nmin = 1\nzones = a\n"
                 "x.y = {{#groups.g.members}}{{address}}{{/groups.g.members}}\n",
    /* What is in a comment of a template is not a mention. */
    CLUSTER BASE "[group g]\ntemplate = t\nmin = 1\nzones = a\nx.y = {{! groups.nobody.x }}\n",
    /* Two static groups, each with a host of its own. */
    CLUSTER BASE
    "[group g]\ntemplate = t\nmin = 1\nzones = b\n[group h]\ntemplate = t\nmin = 1\nzones = b\n"
    "[host i]\nprovider = pb\naddress = i\nhost-key = " KEY "\n"
    "[host j]\nprovider = pb\naddress = j\ngroup = h\nhost-key = " KEY "\n",
    /* The same address behind two ports is two hosts. */
    CLUSTER BASE "[host i]\nprovider = pb\naddress = i\nhost-key = " KEY "\n"
                 "[host j]\nprovider = pb\naddress = i\nport = 2222\nhost-key = " KEY "\n",
    /* One hook for each of launch and terminate, and the same for another group. */
    CLUSTER BASE "[group g]\ntemplate = t\nmin = 1\nzones = a\n"
                 "[group h]\ntemplate = t\nmin = 1\nzones = a\n"
                 "[hook a]\ngroup = g\non = launch\nrun = true\n"
                 "[hook b]\ngroup = g\non = terminate\nrun = sh -c 'true; false'\n"
                 "[hook c]\ngroup = h\non = launch\nrun = true\n",
    /* Just room enough to spare one. */
    CLUSTER BASE "[group g]\ntemplate = t\nmin = 1\nzones = a\npool = p\nmax = 3\nspare = 1\n"
                 "[pool p]\nport = 80\n",
    /* Ranges that touch do not overlap. */
    CLUSTER "[zone a]\naddresses = 10.0.0.10-10.0.0.19\n[zone b]\naddresses = "
            "10.0.0.20-10.0.0.29\n",
};

static void test_rights(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rights) / sizeof(rights[0]); i++) {
        char *said = load(rights[i]);
        assert_string_equal(said, "");
        free(said);
    }
}

static int set_up(void **state)
{
    *state = scratch_make();
    if (chdir(*state) != 0 || getcwd(folder, sizeof(folder)) == NULL || mkdir("s", 0700) != 0) {
        return -1;
    }
    write_file("blank", " \n", 2, 0644);
    write_file("plain.txt", "echo hi\n", 8, 0644);
    write_file("nul", "a\0b", 3, 0644);
    write_file("open", "x\n", 2, 0644);
    write_file("private", "x\n", 2, 0600);
    write_file("empty", "", 0, 0600);
    return 0;
}

static int tear_down(void **state)
{
    int result = chdir("/");
    scratch_remove(*state);
    return result;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_too_many_zones),
        cmocka_unit_test(test_rights),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
