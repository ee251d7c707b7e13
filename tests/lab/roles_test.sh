#!/bin/bash
# tests/lab/roles_test.sh: the roles on real hosts, and what may go wrong on a host in the middle.
#
# Prints one "ok"/"not ok" line a case and a last line with the counts. Needs root, a Debian 12 or 13
# and build/lamplighter; uses a lab of its own name, so a lab that is up is left alone.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$here/../..
lab=$top/vagrant/lab
lamplighter=${LAMPLIGHTER:-$top/build/lamplighter}
name=roles-$$
work=$(mktemp -d)
file=$work/cluster.ini
passed=0 failed=0
export LAB_NAME=$name

finish() {
    "$lab" -n "$name" down >/dev/null 2>&1 || true
    rm -rf -- "$work"
}
trap finish EXIT

ok() { passed=$((passed + 1)) && printf 'ok %d - %s\n' $((passed + failed)) "$1"; }
not_ok() {
    failed=$((failed + 1))
    printf 'not ok %d - %s\n' $((passed + failed)) "$1"
    sed 's/^/#   /' "$work/out" | tail -n 30
}

# check TEXT CMD...: passes when CMD succeeds; what it says is shown when it does not.
check() {
    local text=$1
    shift
    if "$@" >"$work/out" 2>&1; then ok "$text"; else not_ok "$text"; fi
}

inside() { "$lab" run -- "$@"; }
lamp() { inside "$lamplighter" -c "$file" "$@"; }

# on HOST SCRIPT: runs SCRIPT there, its output bare.
on() {
    local host=$1
    shift
    lamp exec "$host" -- "$@" | sed "s/^$host[:|] \{0,1\}//"
}

# says PATTERN CMD...: CMD ends as it may, and what it says has PATTERN in it.
says() {
    local pattern=$1 said
    shift
    said=$("$@" 2>&1) || true
    printf '%s\n' "$said"
    grep -qE -- "$pattern" <<<"$said"
}

fails() {
    if "$@"; then return 1; fi
}

applied() { lamp apply; }
nothing() { says 'nothing to change' lamp apply; }

# answers HOST PATH PATTERN: what Apache there answers has PATTERN in it.
answers() { says "$3" on "$1" curl -sS -m 10 "http://127.0.0.1$2"; }

cat >"$file" <<INI
[cluster roles]
state = sqlite:/var/lib/lamplighter/labs/$name/state/roles.db
roles = $top/roles

[zone rack-a]
addresses = 10.77.1.10-10.77.1.99/16
gateway = 10.77.0.1

[provider lxc]
type = libvirt
uri = lxc:///
zone = rack-a
bridge = lamp0
images = ${LAMP_CACHE:-/var/cache/lamplighter}/images
instances = /var/lib/lamplighter/labs/$name/instances

[size small]
cpus = 1
memory = 512M

[secret shop-db]
generate = 24

[template db]
image = debian-$(sed -n 's/^VERSION_ID="\(.*\)"/\1/p' /etc/os-release)
size = small
roles = base mariadb
mariadb.database = shop
mariadb.password = secret:shop-db
mariadb.bind-address = {{instance.address}}
mariadb.user-hosts = 10.77.0.0/255.255.0.0

[template web]
image = debian-$(sed -n 's/^VERSION_ID="\(.*\)"/\1/p' /etc/os-release)
size = small
roles = base apache php app
apache.docroot = /srv/shop/current/public
app.source = $work/app
app.name = shop
app.keep = 2
app.check-path = /healthz/php
app.database-host = {{groups.db.address}}
app.database-password = secret:shop-db

[template lb]
image = debian-$(sed -n 's/^VERSION_ID="\(.*\)"/\1/p' /etc/os-release)
size = small
roles = base haproxy

[group db]
template = db
min = 1

[group web]
template = web
min = 1

[group lb]
template = lb
min = 1
INI
cp -R -- "$top/vagrant/shop/app" "$work/app"

"$lab" up >"$work/up" 2>&1 || { cat "$work/up"; exit 1; }

# --- the wanted state

check "three hosts are made and configured" applied
check "the second apply finds nothing to do" nothing
check "the page comes with a query" answers web-1 '/?format=json' '"rows":0'
check "liveness does not need PHP" answers web-1 /healthz '^ok$'
check "readiness comes from a PHP worker" answers web-1 /healthz/php '^pong$'
check "nothing failed to start" says '^0 loaded units' on web-1 systemctl list-units --failed --no-pager
check "the admin socket is where the program looks for it" on lb-1 test -S /run/haproxy/admin.sock

# --- drift: a check sees it and changes nothing, apply mends it

drift() {
    on web-1 sh -c 'echo broken >/etc/apache2/sites-available/lamplighter.conf; rm /etc/apache2/mods-enabled/headers.load; systemctl disable --now php*-fpm; chmod 644 /etc/shop/config.php'
}
still_drifted() {
    on web-1 sh -c 'grep -qx broken /etc/apache2/sites-available/lamplighter.conf && ! [ -e /etc/apache2/mods-enabled/headers.load ] && ! systemctl -q is-active "php*-fpm" && [ "$(stat -c %a /etc/shop/config.php)" = 644 ]'
}
check "a host drifts" drift
check "plan tells the drift" says 'web-1' lamp plan --diff
check "no secret is in a diff" fails grep -q "password' => '[^']" "$work/out"
check "plan has changed nothing" still_drifted
check "apply mends it" applied
check "and it serves again" answers web-1 '/?format=json' '"rows":0'
check "then nothing is left" nothing

# --- a new release: switched, old ones kept to the number

releases() { says "^$1\$" on web-1 sh -c 'ls /srv/shop/releases | wc -l'; }
change_app() { sed -i "s/The Lamp Shop/The Lamp Shop $1/" "$work/app/src/page.php" && lamp apply; }
check "a release is switched to" change_app 2
check "the new page is served at once" answers web-1 / 'The Lamp Shop 2'
check "another one" change_app 3
check "is served too" answers web-1 / 'The Lamp Shop 2 3'
check "two are kept" releases 2

# --- a broken setting is refused before it replaces what works

break_setting() { sed -i 's/^app.keep = 2/&\napache.extra = NoSuchDirective on/' "$file"; }
mend_setting() { sed -i '/^apache.extra/d' "$file"; }
check "a broken configuration is made" break_setting
check "apply tells what Apache said" says 'NoSuchDirective' lamp apply
check "Apache's own files are still good" on web-1 apache2ctl -t
check "it serves on" answers web-1 /healthz '^ok$'
mend_setting
check "mended, apply goes on" applied

# --- locks

host_lock() {
    on web-1 sh -c 'read -r up rest </proc/uptime; echo "${up%.*}00 a test" >/run/lamplighter/lock; setsid flock /run/lamplighter/lock sleep 20 >/dev/null 2>&1 </dev/null & sleep 0.5'
}
check "another run holds the host's lock" host_lock
on web-1 rm -f /etc/apache2/mods-enabled/headers.load
check "apply waits for it, or names who has it" says 'a test|applied' lamp apply
sleep 5
check "and comes through in the end" applied
check "with nothing left" nothing

apt_lock() {
    on web-1 sh -c 'apt-get -y -q purge less >/dev/null; cat >/tmp/hold.pl; setsid perl /tmp/hold.pl </dev/null >/dev/null 2>&1 & sleep 0.5' <<'PERL'
PERL
}
check "apply again after all" nothing

printf '%d passed, %d failed\n' "$passed" "$failed"
[[ $failed -eq 0 ]]
