# shellcheck shell=bash
# tests/parts.sh: runs parts of the tests beside each other and adds up their counts; sourced by
# tests/run and tests/lab/run, which say with part() and step() what there is, with width() how many
# of a lane go on at once, and then call run_parts(), as often as they like, and end_parts().
#
# What a part says is kept, and printed whole when it ends: nothing is mixed. Each is a process group
# of its own, and ends with this program: a lab removes itself then (within a minute, or it is killed).

set -m # A process group for each; and a Ctrl-C reaches them by us, or they would all ignore it.
passed=0
failed=0
skipped=0
failed_parts=()
logs=$(mktemp -d)
lanes=() names=() kinds=() commands=() # One of each for every part.
next=()                                # Parts that have not begun, by number.
declare -A widths=() busy=() begun=() part_of=()

# A group's first process may be gone long before the test in it has removed its lab.
# shellcheck disable=SC2317 # Called by a trap.
stop_parts() {
    local pid end=$((SECONDS + 60))
    trap '' INT TERM HUP
    [[ ${#part_of[@]} -eq 0 ]] || printf 'stopping, and removing the labs\n'
    exec 2>/dev/null # Bash would tell of each that was ended.
    for pid in "${!part_of[@]}"; do kill -TERM -- "-$pid"; done
    for pid in "${!part_of[@]}"; do
        while kill -0 -- "-$pid" && [[ $SECONDS -lt $end ]]; do sleep 0.2; done
        kill -KILL -- "-$pid"
    done
    rm -rf -- "$logs"
    exit 130
}
trap stop_parts INT TERM HUP
trap 'rm -rf -- "$logs"' EXIT

# width LANE N: so many of its parts go on at once; one, unless it is said.
width() { widths[$1]=$2; }

add() {
    local kind=$1 lane=$2 name=$3
    shift 3
    next+=("${#names[@]}")
    kinds+=("$kind")
    lanes+=("$lane")
    names+=("$name")
    commands+=("$(printf '%q ' "$@")")
}
# part LANE NAME CMD...: something whose last line has counts: N passed, N failed, N skipped.
part() { add counts "$@"; }
# step LANE NAME CMD...: something that only passes or fails.
step() { add status "$@"; }

begin_part() {
    local part=$1
    (
        trap - INT TERM HUP EXIT
        eval "exec 2>&1 </dev/null; ${commands[$part]}"
    ) >"$logs/$part" &
    part_of[$!]=$part
    begun[$part]=$SECONDS
    busy[${lanes[$part]}]=$((${busy[${lanes[$part]}]:-0} + 1))
    printf '.. %s\n' "${names[$part]}"
}
begin_parts() {
    local part lane left=()
    for part in "${next[@]}"; do
        lane=${lanes[$part]}
        if [[ ${busy[$lane]:-0} -lt ${widths[$lane]:-1} ]]; then begin_part "$part"; else left+=("$part"); fi
    done
    next=("${left[@]}")
}
# end_part PID STATUS: shows what it said, adds its count.
end_part() {
    local part=${part_of[$1]} bad=0 line
    unset "part_of[$1]"
    busy[${lanes[$part]}]=$((${busy[${lanes[$part]}]} - 1))
    line=$(grep -E '[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped' "$logs/$part" | tail -n 1)
    printf '== %s (%d s)\n' "${names[$part]}" $((SECONDS - ${begun[$part]}))
    cat -- "$logs/$part"
    if [[ ${kinds[$part]} == status ]]; then
        [[ $2 -eq 0 ]] || bad=1
        passed=$((passed + 1 - bad))
    elif [[ $line =~ ([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped ]]; then
        passed=$((passed + BASH_REMATCH[1]))
        bad=${BASH_REMATCH[2]}
        skipped=$((skipped + BASH_REMATCH[3]))
    else
        printf 'FAILED %s: it ended without its count\n' "${names[$part]}"
        bad=1
    fi
    failed=$((failed + bad))
    [[ $bad -eq 0 ]] || failed_parts+=("${names[$part]}")
    rm -f -- "$logs/$part"
}
run_parts() {
    local pid status
    begin_parts
    while [[ ${#part_of[@]} -gt 0 ]]; do
        status=0
        wait -n -p pid "${!part_of[@]}" || status=$?
        end_part "$pid" "$status"
        begin_parts
    done
}
# end_parts [NAME]: the last line, and the exit status.
end_parts() {
    [[ ${#failed_parts[@]} -eq 0 ]] || printf 'FAILED in: %s\n' "${failed_parts[*]}"
    printf '%s%d passed, %d failed, %d skipped\n' "${1:+$1: }" "$passed" "$failed" "$skipped"
    [[ $failed -eq 0 ]]
    exit
}

# lab_tests PROGRAM...: each a part of the lane "lab": first those that take longest.
lab_tests() {
    local program name
    local -A given=()
    for program in "$@"; do given[$(basename "$program" _test.sh)]=$program; done
    for name in heal image refresh roles main provider_libvirt lab hostile service static; do
        [[ -z ${given[$name]-} ]] || part lab "${given[$name]}" "${given[$name]}"
        unset "given[$name]"
    done
    for program in "${given[@]}"; do part lab "$program" "$program"; done
    # They wait more than they work.
    width lab "${LAMP_LABS:-2}"
}
