#!/bin/bash
# tests/lab/roles_test.sh: the roles on real hosts, and what may go wrong on a host in the middle.
#
# Prints one "ok"/"not ok" line a case and a last line with the counts. Needs root, a Debian 12 or 13
# and build/lamplighter; uses a lab of its own name, so a lab that is up is left alone.
# shellcheck disable=SC2016 # What is in single quotes is for the hosts.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$here/../..
lab=$top/vagrant/lab
lamplighter=${LAMPLIGHTER:-$top/build/lamplighter}
name=roles-$$
work=$(mktemp -d)
file=$work/cluster.ini
# shellcheck source=tests/lab/cases.sh
. "$here/cases.sh"
export LAB_NAME=$name
# The hosts' image; of another release than the machine's if it has been made.
image=${IMAGE:-debian-$(sed -n 's/^VERSION_ID="\(.*\)"/\1/p' /etc/os-release)}

finish() {
    end_case
    "$lab" -n "$name" down >/dev/null 2>&1 || true
    rm -rf -- "$work"
}
trap finish EXIT

inside() { "$lab" run -- "$@"; }
lamp() { inside "$lamplighter" -c "$file" "$@"; }

# on HOST SCRIPT: runs SCRIPT there; prints its output bare.
on() {
    lamp exec "$1" -- sh -c "$2" | sed "s/^$1 | \{0,1\}//"
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
answers() { says "$3" on "$1" "curl -sS -m 10 'http://127.0.0.1$2'"; }

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
image = $image
size = small
roles = base mariadb
mariadb.database = shop
mariadb.password = secret:shop-db
mariadb.bind-address = {{instance.address}}
mariadb.user-hosts = 10.77.0.0/255.255.0.0

[template web]
image = $image
size = small
roles = base apache php app
apache.docroot = /srv/shop/current/public
apache.modules = expires
php.upload-max = 64M
php.post-max = 1M
app.source = $work/app
app.name = shop
app.keep = 2
app.check-path = /healthz/php
app.database-host = {{groups.db.address}}
app.database-password = secret:shop-db

[template lb]
image = $image
size = small
roles = base haproxy
base.automatic-upgrades = yes

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
check "Apache's health does not need PHP" answers web-1 /healthz '^ok$'
check "PHP's health comes from a worker" answers web-1 /healthz/php '^pong$'
for host in db-1 web-1 lb-1; do
    check "nothing failed to start on $host" says '^0 loaded units' on "$host" 'systemctl list-units --failed --no-pager'
done
check "the balancer's admin socket is there" on lb-1 'test -S /run/haproxy/admin.sock'
check "the database has no nameless user and no root from elsewhere" says '^0$' on db-1 \
    "mariadb -BNe \"SELECT COUNT(*) FROM mysql.user WHERE User = '' OR (User = 'root' AND Host != 'localhost')\""
check "timers that the image had masked run" says '^active$' on lb-1 'systemctl is-active apt-daily.timer'
check "a form takes the largest upload" says '^post_max_size = 65600K$' on web-1 'cat /etc/php/*/fpm/conf.d/99-lamplighter.ini'
check "a module is enabled" says 'expires_module' on web-1 'apache2ctl -M 2>/dev/null'
check "the password is for root and PHP only" says '^640 root www-data$' on web-1 'stat -c "%a %U %G" /etc/shop/config.php'

# --- ten hosts' first visitors at the same moment make one table

check "the table is dropped" on db-1 'mariadb shop -e "DROP TABLE entry"'
check "forty entries at once find or make it" says '^40 201$' on web-1 '
    for i in $(seq 40); do
        curl -s -o /dev/null -w "%{http_code}\n" -d "name=n$i&text=t$i" "http://127.0.0.1/?format=json" &
    done | sort | uniq -c | sed "s/^ *//"'
check "all are there" answers web-1 '/?format=json' '"rows":40'
check "what visitors write is escaped" on web-1 '
    curl -s -o /dev/null --data-urlencode "name=<b>" --data-urlencode "text=<script>x</script>" http://127.0.0.1/
    curl -s http://127.0.0.1/ | grep -q "&lt;script&gt;x&lt;/script&gt;"'

# --- drift: plan sees it and changes nothing, apply mends it

drift() {
    on web-1 'set -e
        echo broken >/etc/apache2/sites-available/lamplighter.conf
        rm /etc/apache2/mods-enabled/headers.load
        systemctl -q disable --now "php$(basename /etc/php/8.*)-fpm"
        ln -sfn /nowhere /srv/shop/current
        chmod 644 /etc/shop/config.php'
}
still_drifted() {
    on web-1 'grep -qx broken /etc/apache2/sites-available/lamplighter.conf &&
        ! [ -e /etc/apache2/mods-enabled/headers.load ] &&
        [ "$(readlink /srv/shop/current)" = /nowhere ] &&
        [ "$(stat -c %a /etc/shop/config.php)" = 644 ]'
}
plan_keeps_secrets() {
    local secret
    secret=$(<"/var/lib/lamplighter/labs/$name/state/secrets/shop-db")
    [[ ${#secret} -eq 24 ]] && lamp plan --diff >"$work/plan" 2>&1 &&
        grep 'app: file /etc/shop/config.php' "$work/plan" && fails grep -F "$secret" "$work/plan"
}
check "a host drifts" drift
check "plan tells the drift, but no secret" plan_keeps_secrets
check "plan has changed nothing" still_drifted
check "apply mends it" applied
check "it serves again" answers web-1 '/?format=json' '"rows":41'
check "then nothing is left" nothing

# --- a new release: switched at once, old ones kept to the number

change_app() { sed -i "s/The Lamp Shop/The Lamp Shop $1/" "$work/app/src/page.php" && applied; }
check "a release is switched to" change_app 2
check "it is served at once" answers web-1 / 'The Lamp Shop 2'
check "another one" change_app 3
check "is served too" answers web-1 / 'The Lamp Shop 3 2'
use_tarball() {
    sed -i 's/The Lamp Shop 3 2/The Lamp Shop 4/' "$work/app/src/page.php"
    tar -C "$work/app" --mode=u=rwX,go=rX -czf "$work/app.tar.gz" . && sed -i 's|^app.source = .*|&.tar.gz|' "$file" && applied
}
check "a tarball does as well" use_tarball
check "and is served" answers web-1 / 'The Lamp Shop 4'
check "two are kept" says '^2$' on web-1 'ls /srv/shop/releases | wc -l'

# --- a setting that Apache does not take never replaces what works

sed -i 's/^app.keep = 2/&\napache.extra = NoSuchDirective on/' "$file"
check "apply tells what Apache said" says 'NoSuchDirective' lamp apply
check "what was there is still good" on web-1 'apache2ctl -t 2>/dev/null'
check "it serves on" answers web-1 /healthz '^ok$'
sed -i '/^apache.extra/d' "$file"
check "mended, apply goes on" applied

# --- what may be in the way on a host

check "another run takes the host's lock" on web-1 '
    rm -f /etc/apache2/mods-enabled/headers.load
    read -r up rest </proc/uptime
    echo "${up%.*}00 a test" >/run/lamplighter/lock
    setsid flock /run/lamplighter/lock sleep 8 >/dev/null 2>&1 </dev/null &'
check "apply waits for it" says 'applied' lamp apply
check "with nothing left" nothing

hold_apt='perl -e "
    use Fcntl qw(:DEFAULT :seek F_SETLK F_WRLCK);
    open(my \$f, q(>>), q(/var/lib/dpkg/lock-frontend)) or die;
    my \$l = pack(q(ssx4qqi), F_WRLCK, SEEK_SET, 0, 0, 0);
    fcntl(\$f, F_SETLK, \$l) or die;
    sleep 10" '
check "somebody holds apt's lock" on web-1 "
    apt-get -qq -y purge logrotate >/dev/null 2>&1
    setsid $hold_apt >/dev/null 2>&1 </dev/null &"
check "apt by itself gives up" says 'Could not get lock' on web-1 'apt-get -y install logrotate 2>&1'
check "apply waits for it" applied
check "and the package is there" on web-1 'dpkg -s logrotate | grep -q "^Status: install ok installed"'

check "dpkg was interrupted between unpacking and setting up" on web-1 '
    cd /tmp && apt-get -qq -y purge logrotate >/dev/null 2>&1
    apt-get -qq download logrotate socat 2>/dev/null
    dpkg --unpack logrotate_*.deb socat_*.deb >/dev/null 2>&1
    [ -n "$(dpkg --audit)" ]'
check "apply mends it" applied
check "nothing is half done" on web-1 '[ -z "$(dpkg --audit)" ]'

check "dpkg is killed in the middle" on web-1 '
    apt-get -qq -y purge logrotate >/dev/null 2>&1
    setsid sh -c "for i in \$(seq 1000); do pkill -9 -x dpkg && break; sleep 0.02; done" >/dev/null 2>&1 </dev/null &'
check "apply says so" says 'exited unexpectedly' lamp apply
check "and gets there" applied
check "all is set up" on web-1 '[ -z "$(dpkg --audit)" ] && dpkg -s logrotate | grep -q "^Status: install ok installed"'

check "the disk is full where releases go" on web-1 'mount -t tmpfs -o size=8k tmpfs /srv'
check "apply says so" says 'No space left' lamp apply
check "room is made" on web-1 'umount /srv'
check "apply goes on" applied
check "the release is whole" answers web-1 / 'The Lamp Shop 4'

check "the disk is full where a file goes" on web-1 '
    mount -t tmpfs -o size=4k tmpfs /etc/shop
    head -c 8192 /dev/zero >/etc/shop/full 2>/dev/null || true'
check "apply says so" says 'No space left|disk' lamp apply
check "no half of a file is left" on web-1 '! [ -e /etc/shop/config.php ]'
check "room is made there" on web-1 'umount /etc/shop'
check "apply goes on there" applied

check "the line drops in the middle" on web-1 '
    apt-get -qq -y purge logrotate apache2 apache2-bin >/dev/null 2>&1
    rm -rf /etc/apache2
    setsid sh -c "for i in \$(seq 1000); do pgrep -x dpkg >/dev/null && break; sleep 0.02; done; pkill -9 -f ^sshd.*notty" >/dev/null 2>&1 </dev/null &'
check "apply tells it, and goes on by itself" says 'closed the connection' lamp apply
check "it got there" nothing
check "it serves as before" answers web-1 '/?format=json' '"rows":41'
check "nothing is left to do" nothing

# --- told to restart: what runs but does not work, and what systemd has given up, are started anew

# Succeeds once CMD does, within SECONDS.
within() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [[ $SECONDS -lt $end ]] || { tail -n 20 "$work/run" && "$@" && return 1; }
        sleep 0.5
    done
}
acts() { lamp status | sed -n 's/^acting now: run on .*, pid \([0-9]*\),.*/\1/p' >"$work/pid" && [[ -s $work/pid ]]; }
run_begins() {
    sed 's|^\[group web\]|&\ncheck-command = curl -sf -m 2 http://127.0.0.1/healthz/php\ncheck-every = 2s|' "$file" >"$work/run.ini"
    inside "$lamplighter" -c "$work/run.ini" run >"$work/run" 2>&1 &
    within 60 acts
}
run_ends() {
    kill -TERM "$(<"$work/pid")"
    within 60 fails kill -0 "$(<"$work/pid")"
    says 'stopped in order' cat "$work/run"
}
# PHP stands still and systemd calls it active; Apache died too often to be started by a mere start.
broken() {
    on web-1 'set -e
        drop_in=/run/systemd/system/apache2.service.d
        mkdir -p $drop_in
        printf "[Unit]\nStartLimitIntervalSec=1h\nStartLimitBurst=3\n" >$drop_in/test.conf
        systemctl daemon-reload
        for i in $(seq 100); do
            [ "$(systemctl show -p Result --value apache2)" != start-limit-hit ] || break
            systemctl kill -s KILL apache2 2>/dev/null || true
            sleep 0.2
        done
        if systemctl start apache2; then exit 1; fi
        systemctl kill -s STOP "php$(basename /etc/php/8.*)-fpm"
        systemctl -q is-active "php$(basename /etc/php/8.*)-fpm"' && starts >"$work/starts"
}
# How often each service was started since the hosts booted.
starts() {
    on web-1 'for unit in apache2 "php$(basename /etc/php/8.*)-fpm"; do
        echo "$unit $(journalctl -q -b -u "$unit" --grep "^Started " | wc -l)"; done'
    on db-1 'echo "mariadb $(journalctl -q -b -u mariadb --grep "^Started " | wc -l)"'
}
mended() { answers web-1 /healthz/php '^pong$'; }
started_once() {
    cat "$work/starts"
    starts >"$work/starts-after" && [[ $(wc -l <"$work/starts") -eq 3 ]] &&
        diff <(awk '{ print $1, $2 + ($1 != "mariadb") }' "$work/starts") "$work/starts-after"
}
check "run begins, with a check-command" run_begins
check "one service stands still, another is given up" broken
check "it is mended" within 90 mended
check "by a restart" within 30 says 'restart *done' grep '^web-1' "$work/run"
check "each was started once, those of other hosts not" started_once
check "run ends in order" run_ends

# --- the real thing from outside, with nothing left of a run on the hosts

for host in db-1 web-1 lb-1; do
    check "no file of a run is left on $host" says '^0$' on "$host" 'find / -xdev -name "*.lamplighter-*" ! -path "/proc/*" | wc -l'
done

counts
