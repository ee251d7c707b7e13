# shellcheck shell=bash
# tests/lab/cases.sh: how a lab test tells its cases: one "ok"/"not ok" line each, their counts at the
# end. Sourced, with `work` a directory of the test's own; a test that cleans up calls end_case first.
# shellcheck disable=SC2154
number=0 passed=0 failed=0 skipped=0
case_pid=
trap 'exit 130' INT
trap 'exit 143' TERM

ok() { number=$((number + 1)) && passed=$((passed + 1)) && printf 'ok %d - %s\n' "$number" "$1"; }
not_ok() { number=$((number + 1)) && failed=$((failed + 1)) && printf 'not ok %d - %s\n' "$number" "$1"; }
skip() { number=$((number + 1)) && skipped=$((skipped + 1)) && printf 'ok %d - %s # skip\n' "$number" "$1"; }
counts() {
    printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
    [[ $failed -eq 0 ]]
}

# check TEXT CMD...: the case passes when CMD succeeds; what CMD says is shown when it does not (or, of a
# silent one, what was said last). Not as a condition: there `set -e` would not hold inside, and only a
# case's last line would count. It is waited for in the background: only so is a signal heeded at once.
check() {
    local text=$1 status=0
    shift
    (
        set -e
        "$@"
    ) >"$work/out" 2>&1 &
    case_pid=$!
    wait "$case_pid" || status=$?
    case_pid=
    if [[ $status -eq 0 ]]; then ok "$text"; else
        not_ok "$text"
        [[ -s $work/out || ! -s $work/said ]] || cp "$work/said" "$work/out"
        tail -n 30 "$work/out" | sed 's/^/#   /'
    fi
    # What was measured is told in any case.
    sed -n 's/^measured: /# /p' "$work/out"
}
# Ends the case that a signal interrupted.
end_case() { [[ -z $case_pid ]] || kill_tree "$case_pid"; }

# The processes of a tree, the topmost first.
tree_of() {
    local child
    printf '%s\n' "$1"
    for child in $(pgrep -P "$1" || true); do tree_of "$child"; done
}
# Sudden death of PID and of all that it started, at once: one that sees its children go would clean up
# after them.
kill_tree() {
    # shellcheck disable=SC2046
    kill -9 $(tree_of "$1") 2>/dev/null || true
}
