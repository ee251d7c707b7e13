#!/bin/bash
# tests/lab/service_test.sh: the controller as a service of a real systemd: installed on one host, with
# the drop-in for hosts that are there already, it keeps another: started, reloaded, killed, stopped,
# and all its hardening in force. One case a line, the counts last. Needs root.
set -euo pipefail
test_name=service
# shellcheck source=tests/lab/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=tests/lab/lib_host.sh
. "$here/lib_host.sh"
keeper=10.77.1.11 # Where the controller runs.
kept=10.77.2.21
root=$home/instances/keeper/root

# at_keeper CMD...: shell text that is run there.
at_keeper() { on "$keeper" "$*"; }
status() { at_keeper 'lamplighter -c /etc/lamplighter/cluster.ini status'; }
until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        if [[ $SECONDS -ge $end ]]; then
            "$@" || true
            at_keeper 'systemctl status lamplighter --no-pager -l -n 25' || true
            return 1
        fi
        sleep 0.5
    done
}
main_pid() { at_keeper 'systemctl show -p MainPID --value lamplighter'; }
property() { at_keeper "systemctl show -p $1 --value lamplighter"; }
serves() { status >"$work/said" && grep -q 'group plain.* 1 serving' "$work/said"; }
acts() { status >"$work/said" && grep -q "^acting now: run on .*, pid $1," "$work/said"; }
said_in_journal() { at_keeper "journalctl -q -u lamplighter --no-pager | grep -e '$1'"; }
page_is() { [[ $(on "$kept" cat /srv/page) == "$1" ]]; }

two_hosts() {
    make_host keeper "$keeper"
    make_host kept "$kept"
    on "$keeper" true
    on "$kept" true
}
put_cluster() {
    mkdir -p "$work/tree/etc/lamplighter/roles/plain" "$work/tree/root/.ssh"
    cat >"$work/tree/etc/lamplighter/roles/plain/role.ini" <<'ROLE'
[role]
description = a page

[var word]
type = word
default = none

[file page]
path = /srv/page
content = {{word}}
ROLE
    cat >"$work/tree/etc/lamplighter/cluster.ini" <<INI
[cluster kept]
state = sqlite:/var/lib/lamplighter/kept.db
roles = /etc/lamplighter/roles
key = /root/.ssh/login

[zone rack-b]

[provider racks]
type = static
zone = rack-b

[host kept]
provider = racks
address = $kept
host-key = $(sed -n "s/^$kept //p" "$work/known")

[template plain]
roles = plain
plain.word = first

[pool plain]
port = 22
check = TCP every 500ms timeout 500ms fall 2 rise 1

[group plain]
template = plain
min = 1
desired = 1
healthy-min = 0%
pool = plain

[hook hello]
group = plain
on = launch
run = sh -c 'echo "\$LAMPLIGHTER_INSTANCE" >>/var/lib/lamplighter/hooked'
INI
    install -m 600 "$work/key" "$work/tree/root/.ssh/login"
}
# This machine's libraries go with it: it is of the hosts' release.
put_libraries() {
    local curl path
    curl=$(ldconfig -p | awk '/^\tlibcurl\.so\.4 / && !n++ { print $NF }')
    { echo "x => $curl" && ldd "$program" "$curl"; } | awk '$2 == "=>" && $3 ~ /^\// { print $3 }' | sort -u |
        while read -r path; do
            if ! inside test -e "$root$path"; then
                install -D "$path" "$work/tree/usr/lib/${path#*/lib/}"
            fi
        done
}
installed() {
    make --no-print-directory -s -C "$top" install DESTDIR="$work/tree"
    install -D -m 644 "$top/orchestrator/lamplighter-static.conf" \
        "$work/tree/etc/systemd/system/lamplighter.service.d/static.conf"
    put_cluster
    put_libraries
    inside cp -R "$work/tree/." "$root/"
    inside chmod 700 "$root/root/.ssh"
    at_keeper 'ldconfig && systemctl daemon-reload && lamplighter -c /etc/lamplighter/cluster.ini check'
}
verified() {
    at_keeper 'systemd-analyze verify lamplighter.service' >"$work/said" 2>&1
    [[ ! -s $work/said ]] || { cat "$work/said" && return 1; }
    # 0 (nothing may be done) to 10, as systemd counts.
    at_keeper 'systemd-analyze security --no-pager lamplighter.service' >"$work/security" || true
    tail -n 1 "$work/security" | sed 's/^[^O]*/measured: /'
    at_keeper 'systemd-analyze security --no-pager --threshold=45 lamplighter.service' >/dev/null
}
started() {
    at_keeper 'systemctl enable -q --now lamplighter'
    until_true 60 serves
    page_is first
    [[ $(at_keeper "stat -c '%a %U' /var/lib/lamplighter") == '700 root' ]]
    [[ $(at_keeper cat /var/lib/lamplighter/hooked) == plain-1 ]]
}
# What the kernel says of each process: no new privileges, a filter, no capability but the drop-in's
# (CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, KILL, SETPCAP).
hardened() {
    local pid bound new_privileges filter
    pid=$(main_pid)
    at_keeper "cat /sys/fs/cgroup/system.slice/lamplighter.service/cgroup.procs 2>/dev/null ||
        cat /sys/fs/cgroup/systemd/system.slice/lamplighter.service/cgroup.procs" >"$work/pids"
    grep -x "$pid" "$work/pids"
    [[ $(wc -l <"$work/pids") -ge 3 ]] # The controller, its spawner, the prober.
    at_keeper "for pid in $(xargs <"$work/pids"); do
        sed -n 's/^\(CapBnd\|NoNewPrivs\|Seccomp\):[[:space:]]*//p' /proc/\$pid/status | xargs; done" >"$work/said"
    cat "$work/said"
    [[ $(wc -l <"$work/said") -eq $(wc -l <"$work/pids") ]]
    while read -r bound new_privileges filter; do
        [[ $((16#$bound & ~16#12f)) -eq 0 && $new_privileges == 1 && $filter == 2 ]]
    done <"$work/said"
    at_keeper "nsenter -t $pid -m -- sh -c '! touch /usr/x && ! touch /etc/x && ! touch /root/x && touch /var/lib/lamplighter/x'"
}
# edit SED: the cluster file is changed, and taken over.
edit() { at_keeper "sed -i '$1' /etc/lamplighter/cluster.ini && systemctl reload lamplighter"; }
refusal_is_in_the_journal() {
    edit 's/^plain.word = .*/plain.word = second/; s/^healthy-min = .*/healthy-min = 100%/'
    until_true 20 said_in_journal 'plain-1 *refused.*(S1)'
    page_is first
}
reloaded() {
    edit 's/^healthy-min = .*/healthy-min = 0%/'
    until_true 60 page_is second
    # A broken file is refused, and the old one goes on.
    at_keeper "cp /etc/lamplighter/cluster.ini /root/good && echo nonsense >>/etc/lamplighter/cluster.ini && systemctl reload lamplighter"
    until_true 20 said_in_journal 'not taken over'
    at_keeper 'cp /root/good /etc/lamplighter/cluster.ini && systemctl is-active lamplighter'
}
killed() {
    local before after
    before=$(main_pid)
    on "$kept" rm /srv/page
    at_keeper "kill -9 $before"
    until_true 60 restarted "$before"
    after=$(main_pid)
    [[ $(property NRestarts) -eq 1 ]]
    until_true 60 acts "$after"
    until_true 60 serves
    at_keeper 'lamplighter -c /etc/lamplighter/cluster.ini events --verify'
}
restarted() {
    local now
    now=$(main_pid)
    [[ $now -ne 0 && $now -ne $1 ]]
}
stopped() {
    at_keeper 'systemctl stop lamplighter'
    said_in_journal 'stopped in order'
    [[ $(property Result) == success && $(property ActiveState) == inactive ]]
    at_keeper '! pgrep -x lamplighter'
}
# The unit alone, as it is for every provider.
without_drop_in() {
    at_keeper 'rm /etc/systemd/system/lamplighter.service.d/static.conf && systemctl daemon-reload && systemctl start lamplighter'
    until_true 60 acts "$(main_pid)"
    until_true 60 serves
    stopped
}

ssh-keygen -q -t ed25519 -N '' -f "$work/key"
umask 022
make_lab
check 'two hosts with a systemd of their own' two_hosts
check 'make install: program, unit, drop-in' installed
check 'systemd-analyze: nothing to say, little exposed' verified
check 'start: its host comes into service, its hook has run' started
check 'the hardening is in force for each process' hardened
check 'reload: what the new file would break is in the journal' refusal_is_in_the_journal
check 'reload: a changed file is taken over, a broken one refused' reloaded
check 'killed with -9: started again, goes on' killed
check 'stop: in order, nothing left' stopped
check 'the unit without the drop-in runs too' without_drop_in
check 'lab down: nothing is left' down_leaves_nothing
counts
