#!/bin/bash
# tests/lab/main_test.sh: the main job on real hosts: from nothing to a served site, killed at many
# moments, changed, broken, mended, shrunk. One case a line, the counts last. Needs root.
set -euo pipefail

test_name=main
# shellcheck source=tests/lab/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

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

one_change_rolls() {
    sed -i 's|^apache.docroot|apache.keepalive-timeout = 7\napache.docroot|' "$file"
    with 0 lamplighter plan --json >"$work/plan.json"
    # Its proof, which names a step again, says that two serve at every step.
    sed '/^  "proof"/,$d' "$work/plan.json" >"$work/steps.json"
    [[ $(field least <"$work/plan.json") -eq 2 && $(field taking_steps <"$work/plan.json") -eq 3 ]]
    load 1
    lamplighter apply --json >"$work/apply.json" || { cat "$work/apply.json" && touch "$work/stop" && return 1; }
    end_load 20
    # What was planned is what was done.
    paste -d' ' <(field action <"$work/steps.json") <(field subject <"$work/steps.json") | sort >"$work/planned"
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
# On a busy machine the check of a good host may come late once, and a look is just one.
plans() {
    for _ in $(seq 1 10); do
        lamplighter plan >"$work/said" && return
        sleep 1
    done
    cat "$work/said"
    return 1
}
dead_host_is_replaced() {
    inside virsh -q -c lxc:/// destroy shop.web-2
    plans
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
    load 1
    lamplighter apply >"$work/said"
    end_load 20
    [[ $(domains) -eq 4 ]]
    [[ $(servers) -eq 2 ]]
    lamplighter status >"$work/said"
    says 'group web *2 of 2'
}
twenty_mistakes() {
    with 1 "$program" -c "$top/tests/unit/spec/data/twenty-mistakes.ini" check 2>"$work/said"
    [[ $(grep -c '\.ini:[0-9]*:' "$work/said") -eq 20 ]]
}

make_lab
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
counts
