#!/bin/bash
# What the lab tests of `lamplighter run` share: the controller started and killed, waiting for what is
# to come, the balancer watched. Sourced after lib.sh.
# shellcheck disable=SC2034,SC2154

# Cases run in subshells, so who runs is kept in a file.
start_run() {
    "$lab" run -- "$program" -c "$file" run >>"$work/run" 2>&1 &
    until lamplighter status | sed -n 's/^acting now: run on .*, pid \([0-9]*\),.*/\1/p' >"$work/pid" && [[ -s $work/pid ]]; do
        sleep 0.2
    done
}
run_program() { cat "$work/pid"; }
# Its workers end with it.
kill_run() { end_run KILL; }
end_run() {
    kill "-$1" "$(run_program)"
    until_true 60 sh -c "! kill -0 $(run_program)"
}
# until SECONDS CMD...: CMD succeeds within that time.
until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [[ $SECONDS -lt $end ]] || { "$@" || true && tail -n 25 "$work/run" && return 1; }
        sleep 0.3
    done
}
serving_is() { lamplighter status >"$work/said" && grep -q "group web.* $1 serving" "$work/said"; }
web_ids() { lamplighter status --json | field id | grep '^web-' || true; }
newest_event() { lamplighter events -n 1 --json | field number | tail -n 1; }
ups() { lamplighter exec lb-1 -- "echo 'show stat' | socat - UNIX-CONNECT:/run/haproxy/admin.sock" | grep ',web-' | grep -c ',UP,' || true; }

# What the balancer has up, ten times a second: "MILLISECONDS web-1 web-2 ..." in $work/ups; a moment
# in which its socket does not answer (a reload) says "mute".
start_watch() {
    lamplighter exec lb-1 -- 'rm -f /run/watch-stop; n=0
        while [ ! -e /run/watch-stop ] && [ $n -lt 20000 ]; do
            stat=$(echo show stat | socat - UNIX-CONNECT:/run/haproxy/admin.sock 2>/dev/null)
            if [ -n "$stat" ]; then
                echo "$(date +%s%3N) $(echo "$stat" | awk -F, "\$2 ~ /^web-/ && \$18 ~ /^UP/ { printf \"%s \", \$2 }")"
            else
                echo mute
            fi
            n=$((n + 1)); sleep 0.07
        done' >"$work/ups" 2>&1 &
    watch_pid=$!
}
# What clients that keep their cookies were moved by, by the end of `load ... sticky`: one line each,
# "MILLISECONDS FROM TO".
moves() { sed -n 's/^moved //p' "$work/load"; }
# Those of them whose host was up all the time, by what the watch saw two seconds around.
moves_without_cause() {
    awk 'NR == FNR { sub(/^.*\| /, "") } NR == FNR && $1 + 0 > 0 { at[++n] = $1; up[n] = $0 " " }
        NR == FNR { next }
        $1 == "moved" {
            gone = 0
            for (i = 1; i <= n && !gone; i++) {
                gone = at[i] >= $2 - 2000 && at[i] <= $2 + 2000 && !index(up[i], " " $3 " ")
            }
            if (!gone) print
        }' "$work/ups" "$work/load"
}
# Ends it; `lowest` is the lowest number up of `samples`.
end_watch() {
    lamplighter exec lb-1 -- touch /run/watch-stop
    wait "$watch_pid"
    read -r lowest samples mute < <(awk '{ sub(/^.*\| /, "") } $1 == "mute" { mute++; next }
        $1 + 0 > 0 { count++; if (low == "" || NF - 1 < low) low = NF - 1 }
        END { print low + 0, count + 0, mute + 0 }' "$work/ups")
    echo "measured: lowest number up by HAProxy's show stat: $lowest, of $samples samples ($mute not answered)"
}
