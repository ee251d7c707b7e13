#!/bin/bash
# tests/lab/heal_test.sh: `lamplighter run` on real hosts, under load: instances killed hard, many at
# once, a service that stops, the controller killed and cut off, what operators ask for, a file that is
# worse. KILLS=30 CUT=120 HANG=1 for the long form: with HANG one does not come up again, which takes its
# grace and the patience of the ladder. With GOLDEN=1 the web hosts stand on an image of the first of
# them. One case a line, the counts last. Needs root.
set -euo pipefail
test_name=heal
# shellcheck source=tests/lab/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=tests/lab/lib_run.sh
. "$here/lib_run.sh"
kills=${KILLS:-4}
cut=${CUT:-40}

nothing_left_of() {
    local id=$1
    if inside virsh -q -c lxc:/// list --all --name | grep -x "shop.$id"; then echo "domain of $id" && return 1; fi
    if grep "labs/$name/instances/$id/" /proc/self/mountinfo; then return 1; fi
    [[ ! -e $home/instances/$id ]] || { echo "directory of $id" && return 1; }
    if lamplighter exec lb-1 -- "echo 'show stat' | socat - UNIX-CONNECT:/run/haproxy/admin.sock" | grep ",$id,"; then return 1; fi
    ! web_ids | grep -x "$id"
}

from_nothing() {
    start_run
    until_true 240 serving_is 3
}
golden() {
    lamplighter image capture web --from web-1
    set_key 'template web' image web
    kill -HUP "$(run_program)"
    until_true 20 grep -q 'taken over$' "$work/run"
    inside timeout 600 "$program" -c "$file" group refresh web --wait
    until_true 60 serving_is 3
    # The last one that was replaced may still be on its way out.
    until_true 60 three_known
}
three_known() { [[ $(web_ids | wc -l) -eq 3 ]]; }
killed_and_replaced() {
    local id
    load 4 uploads
    for _ in $(seq 1 "$kills"); do
        until_true 60 serving_is 3
        id=$(web_ids | head -n 1)
        inside virsh -q -c lxc:/// destroy "shop.$id"
        # Out of traffic within three seconds: the balancer no longer says UP.
        sleep 3
        [[ $(ups) -le 2 ]] || { echo "$id is still up after 3 s" && return 1; }
        until_true 90 nothing_left_of "$id"
    done
    until_true 60 serving_is 3
    end_load 500 lost
}
hooks_ran() {
    local id
    # Each web host waited for its hook, on both of its ways; a dead one is let go without.
    for id in web-1 web-2 web-3; do grep -x "launching $id" "$home/hooked"; done
    sort "$home/hooked" | uniq -d >"$work/said"
    [[ ! -s $work/said ]] || { cat "$work/said" && return 1; }
}
many_at_once() {
    local first second
    lamplighter group scale web 4
    until_true 120 serving_is 4
    first=$(web_ids | sed -n 1p) second=$(web_ids | sed -n 2p)
    # One after the other, on a busy machine, the first is judged alone, and replaced.
    # shellcheck disable=SC2016
    inside sh -c 'virsh -q -c lxc:/// destroy "shop.$1" & virsh -q -c lxc:/// destroy "shop.$2"; wait' sh "$first" "$second"
    until_true 120 serving_is 4
    # Nothing was destroyed: both are the hosts they were.
    web_ids >"$work/said"
    says "^$first\$"
    says "^$second\$"
    lamplighter group scale web 3
    until_true 120 serving_is 3
}
hangs_at_boot() {
    local first second
    lamplighter group scale web 4
    until_true 120 serving_is 4
    first=$(web_ids | sed -n 1p) second=$(web_ids | sed -n 2p)
    lamplighter exec "$first" -- systemctl mask ssh apache2
    # shellcheck disable=SC2016
    inside sh -c 'virsh -q -c lxc:/// destroy "shop.$1" & virsh -q -c lxc:/// destroy "shop.$2"; wait' sh "$first" "$second"
    until_true 120 serving_is 3
    lamplighter why "$first" >"$work/said"
    says 'SSH port'
    until_true 1200 nothing_left_of "$first"
    web_ids | grep -x "$second"
    until_true 120 serving_is 4
    lamplighter events -n 200 >"$work/said"
    says "$first .*power-cycle"
    says "$first .*lost"
    lamplighter group scale web 3
    until_true 120 serving_is 3
}
stopped_service() {
    local id
    id=$(web_ids | head -n 1)
    load 2
    lamplighter exec "$id" -- systemctl stop apache2
    until_true 15 serving_is 2
    until_true 120 serving_is 3
    end_load 50
    web_ids | grep -x "$id"
    lamplighter events -n 60 >"$work/said"
    says "$id .*restart"
}
controller_killed() {
    local id
    id=$(web_ids | head -n 1)
    load 2
    inside virsh -q -c lxc:/// destroy "shop.$id"
    sleep 4
    kill_run
    start_run
    until_true 120 serving_is 3
    until_true 60 nothing_left_of "$id"
    end_load 50
}
cut_off() {
    local before after
    until_true 60 serving_is 3
    before=$(newest_event)
    inside /usr/sbin/nft -f - <<'NFT'
table inet cut {
    chain out {
        type filter hook output priority 0;
        oif != "lo" drop
    }
}
NFT
    sleep "$cut"
    inside /usr/sbin/nft delete table inet cut
    grep -q 'cut off' "$work/run" || { tail -n 20 "$work/run" && echo 'did not say that it is cut off' && return 1; }
    until_true 90 serving_is 3
    after=$(newest_event)
    # Nothing was touched meanwhile.
    lamplighter events -n $((after - before + 1)) >"$work/said"
    silent_on 'terminate\|reboot\|restart\|power-off\|launch'
}
operators() {
    local id
    id=$(web_ids | tail -n 1)
    load 2
    lamplighter group standby "$id"
    until_true 60 serving_is 2
    lamplighter status >"$work/said"
    says "$id .*standby"
    lamplighter group in-service "$id"
    until_true 90 serving_is 3
    lamplighter group replace "$id"
    until_true 150 nothing_left_of "$id"
    until_true 60 serving_is 3
    lamplighter group pause web
    id=$(web_ids | head -n 1)
    inside virsh -q -c lxc:/// destroy "shop.$id"
    sleep 15
    web_ids | grep -x "$id"
    lamplighter why "$id" >"$work/said"
    says 'paused'
    lamplighter group unpause web
    until_true 120 nothing_left_of "$id"
    until_true 60 serving_is 3
    end_load 100
}
worse_files() {
    cp "$file" "$work/good.ini"
    set_key 'group web' min 0
    set_key 'group web' desired 0
    kill -HUP "$(run_program)"
    until_true 20 grep -q 'not taken over' "$work/run"
    grep 'S19' "$work/run"
    echo 'nonsense' >>"$file"
    kill -HUP "$(run_program)"
    until_true 20 sh -c "[ \$(grep -c 'not taken over' '$work/run') -ge 2 ]"
    cp "$work/good.ini" "$file"
    sed -i 's|^apache.docroot|apache.keepalive-timeout = 7\napache.docroot|' "$file"
    local before
    before=$(wc -l <"$work/run")
    load 2
    kill -HUP "$(run_program)"
    until_true 20 grep -q 'taken over$' "$work/run"
    until_true 200 sh -c "[ \$(tail -n +$before '$work/run' | grep -c 'web-.* configure .*changed') -ge 3 ]"
    until_true 60 serving_is 3
    end_load 100
}
events_hold() { lamplighter events --verify; }
ends_in_order() {
    end_run TERM
    grep -q 'stopped in order' "$work/run"
    lamplighter plan >"$work/said"
    says 'nothing to change'
}

make_lab
set_key 'group web' healthy-min 60%
[[ -z ${GOLDEN:-} ]] || own_images
cat >>"$file" <<INI

[hook hello]
group = web
on = launch
run = sh -c 'echo "\$LAMPLIGHTER_TRANSITION \$LAMPLIGHTER_INSTANCE" >>$home/hooked'

[hook farewell]
group = web
on = terminate
where = host
run = test -d /srv/shop/current
heartbeat = 60s
limit = 120s
INI
check 'run: from nothing to three serving' from_nothing
[[ -z ${GOLDEN:-} ]] || check 'an image is taken of the first, and all stand on it' golden
check "killed hard, $kills times: out in 3 s, replaced, nothing left, no request lost" killed_and_replaced
check 'lifecycle hooks: run once for each, before the first request' hooks_ran
check 'half of them off at once: started again, none destroyed' many_at_once
[[ -z ${HANG:-} ]] || check 'one that hangs when it is started again: replaced' hangs_at_boot
check 'a stopped service: restarted in place' stopped_service
check 'the controller killed in the middle: goes on' controller_killed
check "the controller cut off for $cut s: nothing is touched, and it says why" cut_off
check 'standby and back, replace, pause: as asked, no request lost' operators
check 'SIGHUP: a worse file and a broken one are refused, a good one rolls' worse_files
check 'the chain of events holds' events_hold
check 'SIGTERM: ends in order, nothing left to do' ends_in_order
check 'lab down: nothing is left' down_leaves_nothing
[[ $failed -eq 0 ]] || sed 's/^/# run: /' "$work/run" | tail -n 200
counts
