#!/bin/bash
# tests/lab/refresh_test.sh: golden images rolled through a group with a sticky pool under load: the
# controller killed and the balancer reloaded in the middle; images that are bad in four ways;
# checkpoints, cancelled, rolled back; another version of the template; how long a launch and a
# replacement take. HOSTS=6 REQUESTS=200000 CRASHES=3 TIMES=30 UPLOADS=30 (seconds that an upload takes)
# for the long form. One case a line, the counts last. Needs root.
set -euo pipefail
test_name=refresh
export LOAD_PAUSE_MS=${LOAD_PAUSE_MS:-0}
# shellcheck source=tests/lab/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=tests/lab/lib_run.sh
. "$here/lib_run.sh"
hosts=${HOSTS:-3}
requests=${REQUESTS:-500}
crashes=${CRASHES:-$((hosts > 3 ? 3 : 1))}
times=${TIMES:-3}
uploads=${UPLOADS:-$((hosts > 3 ? 30 : 3))}
minimum=$(((hosts * 60 + 99) / 100))
instances=$home/instances

on() { lamplighter exec "$1" -- sh -c "$2"; }
now_ms() { date +%s%3N; }
# Never longer than this, with --wait: each host may have to finish an upload.
refresh() { inside timeout $((180 + hosts * uploads)) "$program" -c "$file" group refresh web "$@"; }
# Who is a full member: not those that leave.
in_service() { lamplighter status --json | jq -r '.instances[] | select(.group == "web" and .state == "in-service").id'; }

put_images() {
    own_images
    # Longer than an upload.
    set_key 'pool web' drain $((uploads * 2 + 30))s
    set_key 'pool web' slow-start 1s
    sed -i '/^\[pool web\]/,/^\[/ s|^slow-start = .*|&\nsticky = yes|' "$file"
    set_key 'group web' bake 1s
    set_key 'group web' min 1
    set_key 'group web' max $((hosts * 2))
    set_key 'group web' desired 1
    # Judged soon: what a bad image does is waited for here.
    sed -i '/^\[group web\]/,/^\[/ s|^bake = .*|&\ngrace = 10s|' "$file"
}

# --- what is seen --------------------------------------------------------------------------------

# state: of the group's refresh, as `--status` says it.
refresh_status() { refresh --status --json; }
state() { refresh_status | field state; }
state_is() { [[ $(state) == "$1" ]]; }
is_over() { [[ $(refresh_status | field active) == false ]]; }
why_says() { lamplighter why web | grep -q -e "$1"; }
# over STATE [SECONDS]: it ends, and in STATE.
over() {
    until_true "${2:-120}" is_over
    state_is "$1" || { refresh --status && lamplighter events -n 40 && return 1; }
}
refresh_took() { echo "$(($(refresh_status | field since_ms) - $(refresh_status | field began_ms))) ms"; }
# Each in service, and the image it says it came up in.
images_of() {
    local id
    for id in $(in_service); do echo "$id $(on "$id" 'cat /usr/lib/lamplighter/image' | awk '{ print $3 }')"; done
}
# all_have IMAGE: so many hosts serve, and each says that it came up in IMAGE.
all_have() {
    until_true 60 serving_is "$hosts"
    images_of | awk '{ print $2 }' >"$work/have"
    [[ $(sort -u "$work/have") == "$1" && $(wc -l <"$work/have") -eq $hosts ]] || { cat "$work/have" && return 1; }
}
count_of() { images_of | grep -c " $1\$" || true; }
# launches_of_bad NUMBER: how many were made since that event, until it went back.
launches_of_bad() {
    lamplighter events -n 400 --json | jq --argjson from "$1" '[.[] | select(.number > $from)] |
        (map(select(.what == "refresh" and (.outcome | test("^running -> rolling back")))) | first.number) as $back |
        map(select(.number < $back and .what == "launch" and (.outcome | startswith("done")))) | length'
}
addresses() { lamplighter status --json | jq -r '.instances[] | select(.group == "web" and .state == "in-service").address'; }

# --- one image, and another ----------------------------------------------------------------------

first_image() {
    start_run
    until_true 240 serving_is 1
    lamplighter image capture web --from web-1
    set_key 'template web' image web
    set_key 'group web' min "$minimum"
    set_key 'group web' desired "$hosts"
    kill -HUP "$(run_program)"
    until_true 240 serving_is "$hosts"
    # web-1 stands on the plain system; what is cloned from it does not.
    refresh --wait
    all_have web@1
}
# second_image: another page, on one host, becomes the next generation.
second_image() {
    local id
    id=$(in_service | head -n 1)
    on "$id" 'echo "second edition" >/srv/shop/current/public/edition.txt'
    lamplighter image capture web --from "$id"
    on "$id" 'rm /srv/shop/current/public/edition.txt'
    refresh --status >"$work/said"
    says 'newer image web@2 is current'
}
# crash: killed at a moment of the next ten seconds, and started again.
crash() {
    local after=$((RANDOM % 10)).$((RANDOM % 10))
    sleep "$after"
    is_over && return
    kill_run
    start_run
    echo "measured: the controller killed with -9 after another $after s, and started again"
}
# The frontend listens on one more port: HAProxy is reloaded, in the middle.
reload_balancer() {
    local before
    before=$(on lb-1 'pgrep -x haproxy | sort | tr "\n" " "')
    sed -i 's|^listen = http:80$|&\nlisten = http:8081|' "$file"
    kill -HUP "$(run_program)"
    until_true 60 inside curl -sf -m 2 -o /dev/null "$site:8081/"
    [[ $(on lb-1 'pgrep -x haproxy | sort | tr "\n" " "') != "$before" ]]
    is_over && echo 'measured: the balancer was reloaded only after the end'
    true
}
requests_are() { [[ $(cat "$work/load.now") -ge $1 ]]; }
# Every host has clients: one more client than hosts, and each in turn gets one.
sticky_clients() {
    local id
    start_watch
    load $((hosts + 1)) sticky
    until_true 60 requests_are 300
    [[ -z $(moves) ]] || { moves && return 1; }
    id=$(in_service | head -n 1)
    lamplighter group standby "$id"
    until_true 60 serving_is $((hosts - 1))
    until_true 60 requests_are $(($(cat "$work/load.now") + 300))
    [[ -n $(moves) && -z $(moves | awk -v id="$id" '$2 != id') ]] || { moves && return 1; }
    lamplighter group in-service "$id"
    until_true 60 serving_is "$hosts"
    until_true 60 requests_are $(($(cat "$work/load.now") + 300))
    end_watch
    end_load 900
    echo "measured: $(moves | wc -l) of $((hosts + 1)) clients moved when $id left, and nobody else"
    # Nobody twice, and nobody when it came back.
    [[ -z $(moves | awk -v id="$id" '$2 != id') && $(moves | wc -l) -le $hosts ]] || { moves && return 1; }
    # Each host had somebody.
    [[ $(grep -c '^served' "$work/load") -ge $hosts ]]
}
key_is_nowhere() {
    local key=$home/state/keys/sticky said
    [[ $(stat -c %a "$key") -eq 600 && $(<"$key") =~ ^[A-Za-z0-9]{32}$ ]]
    said=$(grep -rlF -e "$(<"$key")" "$home/state" "$work")
    [[ $said == "$key" ]] || { echo "$said" && return 1; }
    said=$(on lb-1 "grep -rlF -e $(<"$key") /etc /var/log /tmp /run /root; stat -c %a /etc/haproxy/haproxy.cfg")
    [[ $(sed 's/^.*| //' <<<"$said" | tr '\n' ' ') == '/etc/haproxy/haproxy.cfg 600 ' ]] || { echo "$said" && return 1; }
}
enough_load() { [[ $(cat "$work/load.now") -ge $requests ]]; }
rolled_under_load() {
    local address n
    start_watch
    if [[ $uploads -gt 3 ]]; then load 4 uploads "$uploads" sticky; else load 4 uploads sticky; fi
    sleep 1
    refresh --image web@2
    for n in $(seq 1 "$crashes"); do
        crash
        [[ $n -gt 1 ]] || reload_balancer
    done
    over "done" $((hosts * (60 + uploads)))
    echo "measured: web@1 -> web@2 on $hosts hosts in $(refresh_took)"
    all_have web@2
    for address in $(addresses); do
        [[ $(inside curl -sf -m 5 "http://$address/edition.txt") == 'second edition' ]]
    done
    # The long form: to and fro, until there were enough visitors.
    until enough_load; do
        refresh --image web@1 --allow-downgrade --wait
        refresh --image web@2 --wait
    done
    end_watch
    end_load 500
    grep '^served' "$work/load" | awk '{ pages[$3] += $4 } END { for (i in pages) printf "measured: %s pages by %s\n", pages[i], i }'
    echo "measured: clients were moved $(moves | wc -l) times, $(moves_without_cause | wc -l) of them from a host that stayed up"
    # Everybody, as every host left.
    [[ $(moves | wc -l) -ge 4 && -z $(moves_without_cause) ]] || { moves_without_cause && return 1; }
    [[ $samples -ge 100 && $lowest -ge $minimum ]]
}

# --- bad images ----------------------------------------------------------------------------------

# bad NAME PLANT REMOVE CAUSE [OPTION...]: the image NAME is taken of a good host with what PLANT puts
# there, and refreshed to: it ends at the first instance, goes back by itself, and says CAUSE.
bad() {
    local name=$1 plant=$2 remove=$3 cause=$4 id before served
    shift 4
    id=$(in_service | head -n 1)
    on "$id" "$plant"
    lamplighter image capture "$name" --from "$id"
    on "$id" "$remove"
    before=$(newest_event)
    load 3
    with 1 refresh --image "$name" --wait "$@" >"$work/said" 2>&1
    state_is 'rolled back'
    echo "measured: $name: rolled back $(refresh_took) after it began"
    until_true 60 serving_is "$hosts"
    end_load 30
    served=$(grep "^served .* $name@" "$work/load" || true)
    # One was made of it, and no other.
    [[ $(launches_of_bad "$before") -eq 1 ]] || { lamplighter events -n 60 && return 1; }
    all_have web@2
    lamplighter events -n 60 >"$work/said"
    says "$cause"
    lamplighter why web >"$work/said"
    says "$cause"
    if [[ -n $served ]]; then echo "measured: $served"; fi
    [[ -z $served || $name == slow ]]
}
no_start() {
    bad no-start 'echo "<VirtualHost *:80> Nonsense" >/etc/apache2/sites-enabled/zz-broken.conf' \
        'rm /etc/apache2/sites-enabled/zz-broken.conf' 'apache2'
}
error_500() {
    bad error-500 'echo "RedirectMatch 500 ^/healthz/php$" >/etc/apache2/conf-enabled/zzz-error.conf' \
        'rm /etc/apache2/conf-enabled/zzz-error.conf' 'did not come into service'
}
old_system() {
    bad old-system 'cp /usr/lib/lamplighter/image /usr/local/lib/old-image
        printf "[Unit]\nDefaultDependencies=no\nBefore=sysinit.target\n[Service]\nType=oneshot\nExecStart=/bin/cp /usr/local/lib/old-image /usr/lib/lamplighter/image\n" >/etc/systemd/system/old-system.service
        mkdir -p /etc/systemd/system/sysinit.target.wants
        ln -s ../old-system.service /etc/systemd/system/sysinit.target.wants/' \
        'rm /etc/systemd/system/old-system.service /etc/systemd/system/sysinit.target.wants/old-system.service /usr/local/lib/old-image' \
        'it came up in another system'
}
slow() {
    bad slow 'echo "<?php if (\$_SERVER[\"REQUEST_URI\"] === \"/\") { usleep(400000); }" >/srv/slow.php
        echo auto_prepend_file=/srv/slow.php >"$(echo /etc/php/*/fpm/conf.d)/99-slow.ini"' \
        'rm /srv/slow.php /etc/php/*/fpm/conf.d/99-slow.ini' 'slow' --warm-up 60s
}

# --- what operators say --------------------------------------------------------------------------

older_is_asked_for() {
    with 3 refresh --image web@1 >"$work/said" 2>&1
    says 'allow-downgrade'
    with 1 refresh --image web@77 >"$work/said" 2>&1
    says 'web@77'
    refresh --image web@2 >"$work/said"
    says 'nothing to do'
}
checkpoint_and_back() {
    refresh --image web@1 --allow-downgrade --checkpoints 10
    until_true 60 state_is 'at a checkpoint'
    [[ $(count_of web@1) -eq 1 ]]
    with 3 refresh --image web@1 --allow-downgrade >"$work/said" 2>&1
    says 'cancel'
    refresh --status >"$work/said"
    says '--continue'
    refresh --rollback --wait
    state_is 'rolled back'
    all_have web@2
}
cancelled() {
    refresh --image web@1 --allow-downgrade --checkpoints 10
    until_true 60 state_is 'at a checkpoint'
    refresh --cancel
    over cancelled
    [[ $(count_of web@1) -eq 1 && $(count_of web@2) -eq $((hosts - 1)) ]]
}
# An alarm of the operator's own: what it says is the cause.
alarm_goes_off() {
    with 1 refresh --image web@1 --allow-downgrade --bake 60s --alarm "sh -c 'echo the till is empty; exit 1'" --alarm-every 2s --wait >"$work/said" 2>&1
    state_is 'rolled back'
    all_have web@2
    lamplighter why web >"$work/said"
    says 'the till is empty'
}
protected_waits() {
    local id
    id=$(images_of | awk '$2 == "web@2" { print $1; exit }')
    lamplighter group protect "$id"
    refresh --image web@1 --allow-downgrade --checkpoints 60
    until_true 120 state_is 'at a checkpoint'
    refresh --continue
    until_true 120 why_says "waits for $id"
    [[ $(count_of web@2) -eq 1 ]]
    lamplighter group unprotect "$id"
    over "done"
    all_have web@1
}

# --- versions of the template --------------------------------------------------------------------

last_version() { lamplighter template list web --json | jq '.[-1].version'; }
taken_over() { [[ $(lamplighter template list web --json | jq '.[-1].applied') == true ]]; }
# have MEMORY SCRIPTS: so many hosts serve, each with so much memory, and the script has run on each or on none.
have() {
    local id
    until_true 60 serving_is "$hosts"
    for id in $(in_service); do
        inside virsh -q -c lxc:/// dumpxml "shop.$id" | sed -n "s|.*<memory unit='KiB'>\(.*\)</memory>|\1|p"
        on "$id" 'test ! -e /root/first; echo "script $?"'
    done >"$work/have"
    [[ $(grep -c "^$1\$" "$work/have") -eq $hosts && $(grep -c "script $2\$" "$work/have") -eq $hosts ]] || { cat "$work/have" && return 1; }
}
# Another size and a script, that a host gets only when it is made; and back to the version before.
another_version() {
    local before
    before=$(last_version)
    printf '\n[size other]\ncpus = 1\nmemory = 384M\n' >>"$file"
    set_key 'template web' size 'other\nuser-data = @first.sh'
    lamplighter plan >"$work/said"
    says "template web: version $((before + 1)): memory 512M -> 384M, user-data new"
    with 3 refresh >"$work/said" 2>&1
    says 'not taken over'
    kill -HUP "$(run_program)"
    until_true 60 taken_over
    refresh --status >"$work/said"
    says "$hosts of $hosts were made by another version of template web than $((before + 1))"
    have 524288 0
    refresh --wait
    have 393216 1
    refresh --template "$before" --wait >"$work/said" 2>&1
    says "template web version $((before + 1)) -> web version $before"
    have 524288 0
    refresh --status >"$work/said"
    says "new ones are made by version $before of template web, the file says version $((before + 1))"
    with 1 refresh --template 99 >"$work/said" 2>&1
    says 'has no version 99'
    sed -i '/^\[template web\]/,/^\[/ { s|^size = .*|size = small|; /^user-data = /d }' "$file"
    kill -HUP "$(run_program)"
    until_true 60 taken_over
    # The third is as the first: nobody is made anew.
    refresh >"$work/said"
    says 'nothing to do'
}

# --- how long it takes ---------------------------------------------------------------------------

# What becomes of the next instance, inside: its directory is there, it answers by its own address.
watch_next() {
    cat >"$work/next.sh" <<'NEXT'
ls "$1" >"$2/before"
n=0
until id=$(ls "$1" | grep '^web-' | grep -vxFf "$2/before" | head -n 1) && [ -n "$id" ] || [ $n -ge 4000 ]; do n=$((n + 1)); sleep 0.02; done
until address=$("$3" -c "$4" status --json | jq -er --arg id "$id" '.instances[] | select(.id == $id).address') || [ $n -ge 4000 ]; do n=$((n + 1)); done
until curl -sf -m 1 -o /dev/null "http://$address/healthz/php" || [ $n -ge 4000 ]; do n=$((n + 1)); sleep 0.02; done
echo "$id $(date +%s%3N)" >"$2/next"
NEXT
    rm -f "$work/next"
    inside sh "$work/next.sh" "$instances" "$work" "$program" "$file" &
    next_pid=$!
}
event_ms() {
    lamplighter events -n 60 --json | jq -r --arg subject "$1" --arg what "$2" --arg outcome "$3" \
        '[.[] | select(.subject == $subject and .what == $what and (.outcome | test($outcome)))] | last | .wall_ms'
}
# middle_and_worst FILE: of one number a line.
middle_and_worst() { sort -n "$1" | awk '{ v[NR] = $1 } END { printf "median %d ms, worst %d ms", v[int((NR + 1) / 2)], v[NR] }'; }
replaced_in_time() {
    local id next answered killed decided serving
    rm -f "$work"/took.*
    for _ in $(seq 1 "$times"); do
        until_true 60 serving_is "$hosts"
        id=$(in_service | head -n 1)
        watch_next
        killed=$(now_ms)
        inside virsh -q -c lxc:/// destroy "shop.$id"
        wait "$next_pid"
        read -r next answered <"$work/next"
        until_true 60 serving_is "$hosts"
        decided=$(event_ms "$next" add '^done')
        serving=$(event_ms "$next" admit '^done')
        echo "$((answered - decided))" >>"$work/took.answer"
        echo "$((serving - decided))" >>"$work/took.serving"
        echo "$((decided - killed))" >>"$work/took.decided"
    done
    echo "measured: killed to decided (noticed, confirmed): $(middle_and_worst "$work/took.decided")"
    echo "measured: decided to the first 200 from the image: $(middle_and_worst "$work/took.answer")"
    echo "measured: decided to in service, its checks passed: $(middle_and_worst "$work/took.serving")"
    [[ $(sort -n "$work/took.serving" | tail -n 1) -le 10000 ]]
    [[ $(sort -n "$work/took.answer" | sed -n "$(((times + 1) / 2))p") -le 3000 ]]
}
events_hold() { lamplighter events --verify; }
ends_in_order() {
    end_run TERM
    lamplighter plan >"$work/said"
    says 'nothing to change'
}

make_lab
put_images
check 'an image of the first host; all others cloned from it' first_image
check 'a second generation, with another page' second_image
check 'sticky: clients stay with their host, and move without a failed request when it leaves' sticky_clients
check 'the key of the cookies: only where it belongs' key_is_nowhere
check "refresh of $hosts hosts under load, the controller killed, the balancer reloaded: no request lost" rolled_under_load
check 'a bad image: Apache does not start' no_start
check 'a bad image: its check answers 500' error_500
check 'a bad image: the host comes up in another system' old_system
check 'a bad image: it is slow' slow
check 'older, unknown, nothing to do: said at once' older_is_asked_for
check 'a checkpoint, and back by hand' checkpoint_and_back
check 'an alarm command: back by itself, with its words' alarm_goes_off
check 'a checkpoint, and cancelled: it stays as it is' cancelled
check 'a protected instance is waited for' protected_waits
check 'another size and script: rolled out, and back to the version before' another_version
check "a dead instance replaced from the image, $times times" replaced_in_time
check 'the chain of events holds' events_hold
check 'SIGTERM: ends in order, nothing left to do' ends_in_order
check 'lab down: nothing is left' down_leaves_nothing
[[ $failed -eq 0 ]] || sed 's/^/# run: /' "$work/run" | tail -n 200
counts
