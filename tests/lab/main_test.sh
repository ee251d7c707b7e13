#!/bin/bash
# tests/lab/main_test.sh: the main job on real hosts: from nothing to a served site, killed at many
# moments, changed, broken, mended, shrunk. One case a line, the counts last. Needs root.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
lab=$top/vagrant/lab
program=${LAMPLIGHTER:-$top/build/lamplighter}
name=main-$$
export LAB_NAME=$name
home=/var/lib/lamplighter/labs/$name
shop=$home/shop
file=$shop/cluster.ini
site=http://10.77.0.10
work=$(mktemp -d)
number=0 passed=0 failed=0

finish() {
    touch "$work/stop"
    if [[ -n ${LAMP_KEEP:-} ]]; then
        printf '# kept: LAB_NAME=%s vagrant/lab down\n' "$name"
        return
    fi
    "$lab" down >/dev/null 2>&1 || true
    rm -rf -- "$work"
}
trap finish EXIT

ok() { number=$((number + 1)) && passed=$((passed + 1)) && printf 'ok %d - %s\n' "$number" "$1"; }
not_ok() { number=$((number + 1)) && failed=$((failed + 1)) && printf 'not ok %d - %s\n' "$number" "$1"; }

# check TEXT CMD...: the case passes when CMD succeeds; what CMD says is shown when it does not.
check() {
    local text=$1 status=0
    shift
    set +e
    (
        set -e
        "$@"
    ) >"$work/out" 2>&1
    status=$?
    set -e
    if [[ $status -eq 0 ]]; then ok "$text"; else
        not_ok "$text"
        tail -n 30 "$work/out" | sed 's/^/#   /'
    fi
}

inside() { "$lab" run -- "$@"; }
lamplighter() { inside "$program" -c "$file" "$@"; }
# with STATUS CMD...: CMD must end with STATUS.
with() {
    local wanted=$1 got=0
    shift
    "$@" || got=$?
    [[ $got -eq $wanted ]] || {
        echo "exit status $got, wanted $wanted"
        return 1
    }
}
says() { grep -q -e "$1" "$work/said" || { cat "$work/said" && echo "does not say: $1" && return 1; }; }
silent_on() { ! grep -q -e "$1" "$work/said" || { cat "$work/said" && echo "says: $1" && return 1; }; }
set_key() { sed -i "/^\[$1\]/,/^\[/ s|^$2 = .*|$2 = $3|" "$file"; }
domains() { inside virsh -q -c lxc:/// list --name | grep -c . || true; }
servers() { lamplighter exec lb-1 -- "echo 'show stat' | socat - UNIX-CONNECT:/run/haproxy/admin.sock" | grep -c ',web-'; }
# field JSON-KEY: its values, one a line, of a JSON text on standard input.
field() { sed -n "s/.*\"$1\": *\"\{0,1\}\([^\",}]*\)\"\{0,1\}.*/\1/p"; }

put_shop() {
    mkdir -p "$home/state"
    cp -r "$top/vagrant/shop" "$shop"
    sed -i "s|labs/lab/|labs/$name/|; s|^roles = ../../roles|roles = $top/roles|" "$file"
    # Faster judgement than the demo's: these tests wait for checks often.
    set_key 'pool web' check 'GET /healthz/php expect 200 every 1s fall 2 rise 1 timeout 1s'
    set_key 'pool web' drain 5s
    # What only a template engine would touch must arrive as it is.
    printf '#!/bin/sh\necho "{{as it is}}" "$(hostname)" >>/root/first\n' >"$shop/first.sh"
    sed -i 's|^roles = base haproxy|roles = base haproxy\nuser-data = @first.sh|' "$file"
}

# --- before anything is there --------------------------------------------------------------------

good_file() {
    lamplighter check >"$work/said"
    says 'well-formed'
}
plan_of_nothing() {
    lamplighter plan --json >"$work/plan.json"
    [[ $(field action <"$work/plan.json" | sort | uniq -c | awk '{ printf "%s%s ", $2, $1 }') == \
        'admit3 configure5 launch5 sync1 ' ]] || { cat "$work/plan.json" && return 1; }
    [[ $(domains) -eq 0 ]]
    # The script can be read before anything is trusted to it.
    lamplighter role show web-2 >"$work/said"
    sh -n "$work/said"
}
status_of_nothing() {
    lamplighter status >"$work/said"
    says 'group web *0 of 3'
}

# --- killed at many moments, then whole ----------------------------------------------------------

# Sudden death at growing distances from the start; each time the next apply goes on.
killed_applies() {
    local after pid
    for after in 0.3 0.4 0.5 0.6 0.7 0.9 1.5 3 6 10; do
        "$lab" run -- "$program" -c "$file" apply >"$work/killed" 2>&1 &
        pid=$!
        sleep "$after"
        kill_tree "$pid"
        wait "$pid" 2>/dev/null || true
    done
    true
}
# The program itself, not the shell that entered the lab for it.
kill_tree() {
    local child
    for child in $(pgrep -P "$1" || true); do kill_tree "$child"; done
    kill -9 "$1" 2>/dev/null || true
}
applied() {
    lamplighter apply >"$work/said" 2>&1 || { cat "$work/said" && return 1; }
    says 'applied'
}
nothing_doubled() {
    [[ $(domains) -eq 5 ]]
    [[ $(servers) -eq 3 ]]
    [[ $(lamplighter status --json | field id | sort | tr '\n' ' ') == 'db-1 lb-1 web-1 web-2 web-3 ' ]]
    lamplighter events --verify
}
user_data_ran_once() {
    lamplighter exec lb-1 -- cat /root/first >"$work/said"
    [[ $(cat "$work/said") == 'lb-1 | {{as it is}} lb-1' ]] || { cat "$work/said" && return 1; }
}
# All three answer: the one that came last, still in its slow start, after more visits than the others.
serves() {
    local n
    : >"$work/hosts"
    for n in $(seq 1 300); do
        inside curl -sf -m 5 "$site/?format=json" | field host >>"$work/hosts"
        if [[ $n -ge 30 && $(grep web- "$work/hosts" | sort -u | wc -l) -eq 3 ]]; then return; fi
    done
    sort "$work/hosts" | uniq -c
    return 1
}
writes() {
    local before after
    before=$(inside curl -sf -m 5 "$site/?format=json" | field rows)
    inside curl -sf -m 5 -o /dev/null -d 'name=test&text=one' "$site/"
    after=$(inside curl -sf -m 5 "$site/?format=json" | field rows)
    [[ $after -eq $((before + 1)) ]]
}
nothing_to_change() {
    lamplighter plan >"$work/said"
    says 'nothing to change'
    lamplighter apply >"$work/said"
    says 'nothing to change'
}
# HAProxy may still be counting checks when an apply has ended: at most 15 s.
all_serving() {
    for _ in $(seq 1 15); do
        lamplighter status >"$work/said"
        grep -q 'group web *3 of 3 instances, 3 serving' "$work/said" && return
        sleep 1
    done
    says 'group web *3 of 3 instances, 3 serving'
}

# --- commands ------------------------------------------------------------------------------------

exec_prefixes() {
    lamplighter exec web -- hostname >"$work/said"
    says '^web-1 *| web-1$'
    says '^web-3 *| web-3$'
    with 7 lamplighter exec all -- sh -c 'test "$(hostname)" != web-2 || exit 7'
    with 1 lamplighter exec nobody -- true 2>"$work/said"
    says "no group or host 'nobody'"
}
exec_is_data() {
    lamplighter exec web-1 -- printf '\033[31mred\007\n' >"$work/said"
    silent_on "$(printf '\033')"
    says 'red'
}
role_show_has_no_secret() {
    lamplighter role show web-1 >"$work/said"
    sh -n "$work/said"
    [[ -s $home/state/secrets/shop-db ]]
    ! grep -F -f "$home/state/secrets/shop-db" "$work/said"
}
ssh_works() {
    [[ $(lamplighter ssh web-1 -- hostname </dev/null) == web-1 ]]
}
secret_is_nowhere() {
    local secret
    secret=$(<"$home/state/secrets/shop-db")
    [[ ${#secret} -ge 20 ]]
    # Where the controller keeps it, and nowhere else in its state.
    [[ $(grep -rlF -e "$secret" "$home/state") == "$home/state/secrets/shop-db" ]]
    # Where it belongs, and nowhere else on the host.
    lamplighter exec web-1 -- grep -rlF -e "$secret" /etc /var/log /tmp /run /root /srv >"$work/said" || true
    [[ $(grep -c . "$work/said") -eq 1 ]] || { cat "$work/said" && return 1; }
}

# --- changes -------------------------------------------------------------------------------------

# One request after the other until told to stop, at most 20,000; counts what failed.
load() {
    cat >"$work/load.sh" <<'LOAD'
good=0 bad=0
while [ ! -e "$1/stop" ] && [ $((good + bad)) -lt 20000 ]; do
    if curl -sf -m 5 -o /dev/null "$2"; then good=$((good + 1)); else bad=$((bad + 1)); fi
done
echo "$good $bad" >"$1/load"
LOAD
    rm -f "$work/stop" "$work/load"
    inside sh "$work/load.sh" "$work" "$site/" &
    load_pid=$!
}
end_load() {
    local good bad
    touch "$work/stop"
    wait "$load_pid"
    read -r good bad <"$work/load"
    echo "$good requests, $bad failed"
    [[ $good -gt 20 && $bad -eq 0 ]]
}
one_change_rolls() {
    sed -i 's|^apache.docroot|apache.keepalive-timeout = 7\napache.docroot|' "$file"
    with 0 lamplighter plan --json >"$work/plan.json"
    load
    lamplighter apply --json >"$work/apply.json" || { cat "$work/apply.json" && touch "$work/stop" && return 1; }
    end_load
    # What was planned is what was done.
    paste -d' ' <(field action <"$work/plan.json") <(field subject <"$work/plan.json") | sort >"$work/planned"
    sed -n 's/.*"event":"end","action":"\(launch\|configure\|sync\|admit\|remove\|terminate\)","subject":"\([^"]*\)".*/\1 \2/p' \
        "$work/apply.json" | sort >"$work/done"
    diff "$work/planned" "$work/done"
    [[ $(wc -l <"$work/done") -eq 9 ]] # remove, configure, admit for each of three.
}
minimum_refuses() {
    set_key 'group web' healthy-min 100%
    sed -i 's|^apache.keepalive-timeout = .*|apache.keepalive-timeout = 8|' "$file"
    with 3 lamplighter plan >"$work/said"
    says 'S1'
    with 3 lamplighter apply >"$work/said"
    says 'group web'
    set_key 'group web' healthy-min 60%
    sed -i 's|^apache.keepalive-timeout = .*|apache.keepalive-timeout = 7|' "$file"
    lamplighter plan
}
stopped_service_is_started() {
    lamplighter exec web-3 -- systemctl stop apache2
    sleep 2
    lamplighter status >"$work/said"
    says 'web-3 .*unhealthy'
    says 'web-3 .*down'
    lamplighter apply >"$work/said"
    all_serving
}
dead_host_is_replaced() {
    inside virsh -q -c lxc:/// destroy shop.web-2
    lamplighter plan >"$work/said"
    says 'web-4 *launch'
    says 'web-2 *terminate'
    lamplighter apply >"$work/said"
    all_serving
    serves
    if inside virsh -q -c lxc:/// list --all --name | grep -x shop.web-2; then return 1; fi
}

# --- hosts that are not what they should be ------------------------------------------------------

another_key_is_refused() {
    lamplighter exec web-1 -- sh -c 'cp -p /etc/ssh/ssh_host_ed25519_key /root/kept && cp -p /etc/ssh/ssh_host_ed25519_key.pub /root/kept.pub &&
        rm /etc/ssh/ssh_host_ed25519_key && ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key && systemctl restart ssh'
    with 1 lamplighter apply >"$work/said" 2>&1
    says 'web-1.*another host key'
    silent_on 'web-3.*FAILED'
    with 255 lamplighter exec web -- true 2>"$work/said"
    says 'web-1.*another host key'
    lamplighter exec web-3 -- true
}
key_back() {
    # The host's own console: no network needed to mend it.
    local keeper
    keeper=$(inside cat /run/libvirt/lxc/shop.web-1.pid)
    nsenter -m -p -n -t "$(pgrep -P "$keeper" | head -n 1)" /bin/sh -c 'mv /root/kept /etc/ssh/ssh_host_ed25519_key && mv /root/kept.pub /etc/ssh/ssh_host_ed25519_key.pub && systemctl restart ssh'
    sleep 1
    lamplighter apply >"$work/said" 2>&1
    all_serving
}
two_at_once() {
    sed -i 's|^apache.keepalive-timeout = .*|apache.keepalive-timeout = 9|' "$file"
    "$lab" run -- "$program" -c "$file" apply >"$work/first" 2>&1 &
    local first=$!
    sleep 1
    with 1 lamplighter apply >"$work/said" 2>&1
    says 'another run acts on this cluster: apply on'
    wait "$first"
}
failing_role_says_what() {
    sed -i 's|^app.source = .*|app.source = app\napache.extra = NoSuchDirective on|' "$file"
    with 1 lamplighter apply >"$work/said" 2>&1
    says 'web-[134].*configure.*FAILED'
    says 'NoSuchDirective'
    says 'waits for web-[134]: one at a time (S7)'
    inside curl -sf -m 5 -o /dev/null "$site/" # The others serve.
    sed -i '/^apache.extra = NoSuchDirective/d' "$file"
    lamplighter apply >"$work/said" 2>&1
    all_serving
}

# --- the end -------------------------------------------------------------------------------------

scale_in() {
    set_key 'group web' desired 2
    load
    lamplighter apply >"$work/said"
    end_load
    [[ $(domains) -eq 4 ]]
    [[ $(servers) -eq 2 ]]
    lamplighter status >"$work/said"
    says 'group web *2 of 2'
}
twenty_mistakes() {
    with 1 "$program" -c "$top/tests/unit/spec/data/twenty-mistakes.ini" check 2>"$work/said"
    [[ $(grep -c '\.ini:[0-9]*:' "$work/said") -eq 20 ]]
}
down_leaves_nothing() {
    "$lab" down
    [[ ! -e $home && ! -e /run/lamplighter/labs/$name ]]
    if ip netns list | grep "lamp-$name"; then return 1; fi
    ! grep -q "labs/$name" /proc/self/mountinfo
}

if ! "$lab" up >"$work/up" 2>&1; then
    cat "$work/up"
    echo 'not ok 1 - a lab'
    echo '0 passed, 1 failed, 0 skipped'
    exit 1
fi
put_shop
check 'check: a good file is said to be one' good_file
check 'check: twenty mistakes, twenty messages' twenty_mistakes
check 'plan: from nothing, every step and nothing made' plan_of_nothing
check 'status: before the first apply' status_of_nothing
check 'apply: killed with -9 at ten moments' killed_applies
check 'apply: goes on to the end' applied
check 'nothing is doubled, the chain of events holds' nothing_doubled
check 'user-data: run once, word for word' user_data_ran_once
check 'all three web hosts answer through the balancer' serves
check 'a row is written and read' writes
check 'apply again: nothing to change' nothing_to_change
check 'status: both witnesses are content' all_serving
check 'exec: prefixed, worst status, unknown names' exec_prefixes
check 'exec: control bytes are taken out' exec_is_data
check 'role show: a script, without secrets' role_show_has_no_secret
check 'ssh: the pinned key, no question asked' ssh_works
check 'secrets: only where they belong' secret_is_nowhere
check 'one setting: as planned, one by one, no failed request' one_change_rolls
check 'the healthy minimum: refused by name, exit status 3' minimum_refuses
check 'a stopped service: seen by both witnesses, started' stopped_service_is_started
check 'a destroyed host: replaced, nothing left of it' dead_host_is_replaced
check 'another host key: refused, the others go on' another_key_is_refused
check 'the key put back: all serving again' key_back
check 'two applies at once: the second is told who acts' two_at_once
check 'a role that fails: said what and where, the rest serves, then mended' failing_role_says_what
check 'scale in: drained first, nothing left of it' scale_in
check 'lab down: nothing is left' down_leaves_nothing
printf '%d passed, %d failed, 0 skipped\n' "$passed" "$failed"
[[ $failed -eq 0 ]]
