#!/bin/bash
# tests/lab/hostile_test.sh: hosts that misbehave in every way, all beside good ones in the same
# apply: each is its own failure, within its deadline, with a clear line; and no secret gets anywhere.
# The hosts are real sshds on loopback. One case a line, the counts last. Needs root.
set -euo pipefail

# shellcheck source=tests/lab/loopback.sh
. "$(dirname "${BASH_SOURCE[0]}")/loopback.sh"
sanitized_program=${LAMPLIGHTER_SANITIZED:-$top/build/san/lamplighter}
loopback_enter "$0" "$@"

# --- bad hosts, all beside three good ones in one apply ------------------------------------------

# answer NAME: what its sshd runs for every command, from standard input. $1 is the command; the one
# that begins with "sh -c 'PATH=" is a role script.
answer() {
    {
        # shellcheck disable=SC2016
        printf '#!/bin/sh\ncase $1 in "sh -c '\''PATH="*) role=yes ;; *) role= ;; esac\n'
        cat
    } >"$work/$1/answer"
}
trap_bytes='\033]0;owned\007\033[2J\302\2331m\2331m'

put_bad() {
    local name n=0
    file=$work/bad.ini
    for name in a b c wrong-key no-login weak silent drip stranger drop drop-once flood flood-late \
        chatty escape exits exits-well hang hang-early garbage late-garbage foreign gone; do
        n=$((n + 1))
        host "$name" "127.0.2.$n"
    done
    rm "$work/no-login/login.pub" && cp "$work/a/host_key.pub" "$work/no-login/login.pub"
    echo 'KexAlgorithms diffie-hellman-group14-sha256' >"$work/weak/sshd_config"
    # In the middle of its report, whenever it is tried; and once only.
    answer drop <<'SH'
[ "$role" ] || exec sh -c "$1"
sh -c "$1" | { head -n 2; kill -9 $PPID; }
SH
    answer drop-once <<'SH'
[ "$role" ] && [ ! -e /srv/dropped ] || exec sh -c "$1"
: >/srv/dropped
sh -c "$1" | { head -n 2; kill -9 $PPID; }
SH
    echo 'echo "yes flood" >/root/.bashrc' >"$work/flood/prepare"
    answer flood-late <<'SH'
[ "$role" ] || exec sh -c "$1"
exec yes "$(printf 'flood\033[2J')"
SH
    echo "printf 'echo Welcome, \"\$(printf \"%s\")\"; echo more >&2' '$trap_bytes' >/root/.bashrc" >"$work/chatty/prepare"
    answer escape <<SH
printf '$trap_bytes'
printf '$trap_bytes' >&2
exit 3
SH
    echo 'usermod -s /bin/false root' >"$work/exits/prepare"
    echo 'usermod -s /bin/true root' >"$work/exits-well/prepare"
    answer hang <<'SH'
[ "$role" ] || exec sh -c "$1"
exec sleep 1000
SH
    answer hang-early <<'SH'
exec sleep 1000
SH
    answer garbage <<'SH'
exec head -c 20000 /dev/urandom
SH
    answer late-garbage <<'SH'
[ "$role" ] || exec sh -c "$1"
exec head -c 200000 /dev/urandom
SH
    cat >"$work/foreign/prepare" <<'SH'
mkdir -p /etc/lamplighter
printf 'cluster=other\ninstance=db-1\n' >/etc/lamplighter/instance
SH
    {
        head_of bad
        for name in a b c no-login weak silent drip stranger drop drop-once flood flood-late chatty \
            escape exits exits-well hang hang-early garbage late-garbage foreign gone; do
            entry "$name"
        done
        entry wrong-key "$(fingerprint a)"
    } >"$file"
    start a b c wrong-key no-login weak drop drop-once flood flood-late chatty escape exits exits-well \
        hang hang-early garbage late-garbage foreign
    socat TCP-LISTEN:22,bind=127.0.2.7,fork,reuseaddr EXEC:'sleep 1000' 2>/dev/null &
    # shellcheck disable=SC2016
    socat TCP-LISTEN:22,bind=127.0.2.8,fork,reuseaddr \
        SYSTEM:'for c in S S H - 2 . 0 - x x x x x; do printf $c; sleep 0.3; done' 2>/dev/null &
    socat TCP-LISTEN:22,bind=127.0.2.9,fork,reuseaddr SYSTEM:'echo 220 mail.example ESMTP; sleep 0.3' 2>/dev/null &
}

# story NAME: what the apply said of NAME's instance: its line when it ended, and the hold below.
story() {
    grep "^$1-1 " "$work/bad-said"
    sed -n "/^$1-1 *stuck/,/^[^ ]/p" "$work/bad-said" | grep '^ ' || true
}
# fails NAME TIMES PATTERN: it failed so often, for a reason in one line; nothing was changed there.
fails() {
    story "$1" >"$work/said"
    says "^$1-1 *stuck *failed $2 time"
    [[ $(grep -c '^ *| ' "$work/said") -eq 1 ]] || { cat "$work/said" && return 1; }
    says "^ *| .*$3"
    silent_on 'configure *done'
    [[ ! -e $work/$1/upper/srv/site/page ]]
}
bad_apply() {
    local name begun=$SECONDS
    with 1 lamplighter apply --verbose --diff
    echo "took $((SECONDS - begun)) s"
    cp "$work/said" "$work/bad-said"
    [[ $((SECONDS - begun)) -le 40 ]]
    for name in a b c; do
        says "^$name-1 *configure *done"
        silent_on "^$name-1 *.*FAILED"
        [[ $(cat "$work/$name/upper/srv/site/page") == "first on $name-1, debian" ]]
    done
}
wrong_key() {
    fails wrong-key 1 'shows another host key (SHA256:.*nothing was sent to it'
    # By its own log: no login was tried, let alone a command.
    lacks -E 'Accepted|Failed|userauth|Starting session' "$work/wrong-key/log"
}
dropped_once() {
    story drop-once >"$work/said"
    says 'configure *FAILED .*connection.* while running a command'
    says 'configure *done'
    silent_on stuck
    [[ $(cat "$work/drop-once/upper/srv/site/page") == 'first on drop-once-1, debian' ]]
}
dropped() {
    story drop >"$work/said"
    [[ $(grep -c 'configure *FAILED .*connection.* while' "$work/said") -eq 3 ]]
    says 'stuck *failed 3 times'
}
chatted() {
    story chatty >"$work/said"
    says 'configure *done'
    silent_on FAILED
    [[ $(cat "$work/chatty/upper/srv/site/page") == 'first on chatty-1, debian' ]]
}
foreign() {
    fails foreign 1 "mark of instance 'db-1' of cluster 'other'.*remove /etc/lamplighter/instance there"
    [[ $(cat "$work/foreign/upper/etc/lamplighter/instance") == $'cluster=other\ninstance=db-1' ]]
    [[ ! -e $work/foreign/upper/var/lib/lamplighter/epoch && ! -e $work/foreign/upper/srv/site ]]
}
# clean FILE...: letters and newlines only, valid UTF-8.
clean() {
    python3 - "$@" <<'PYTHON'
import sys, unicodedata
for name in sys.argv[1:]:
    text = open(name, "rb").read().decode()
    bad = {c for c in text if c != "\n" and unicodedata.category(c) in ("Cc", "Cs")}
    assert text and not bad, (name, bad)
PYTHON
}
controls_are_out() {
    local name status=0
    clean "$work/bad-said"
    # The same as JSON, every line of it whole, and on a terminal; of those that end at once.
    {
        head_of bad
        for name in a escape garbage late-garbage flood-late; do entry "$name"; done
    } >"$work/odd.ini"
    "$program" -c "$work/odd.ini" apply --json >"$work/odd-json" 2>"$work/said" || status=$?
    [[ $status -eq 1 && ! -s $work/said ]]
    clean "$work/odd-json"
    python3 - "$work/odd-json" <<'PYTHON'
import json, sys
events = [json.loads(line) for line in open(sys.argv[1])]
failed = {e["subject"] for e in events if e["event"] == "end" and e["outcome"] != "done"}
assert failed == {"escape-1", "garbage-1", "late-garbage-1", "flood-late-1"}, failed
assert events[-1]["event"] == "summary" and events[-1]["result"] == "failed", events[-1]
PYTHON
    script -qec "'$program' -c '$work/odd.ini' apply --verbose" "$work/terminal" >/dev/null </dev/null || true
    grep -q 'escape-1' "$work/terminal"
    # What is ours is taken out: a line of it at a time is wiped and written anew.
    sed 's/\r$//; s/\x1b\[1A\x1b\[2K//g' "$work/terminal" >"$work/terminal-said"
    clean "$work/terminal-said"
    lamplighter events -n 1000 >"$work/said"
    clean "$work/said"
    lamplighter status --json >"$work/said"
    clean "$work/said"
}
exec_meets_them() {
    local status=0
    # Much is passed on whole; a flood ends at its limit of time.
    lamplighter exec a -- 'yes | head -c 6000000' >"$work/flood-said"
    [[ $(wc -l <"$work/flood-said") -eq 3000000 ]]
    sed 's/^total-timeout = .*/total-timeout = 2s/' "$file" >"$work/short.ini"
    "$program" -c "$work/short.ini" exec chatty -- 'printf "one\033[2Jtwo\n"' >"$work/said" 2>&1
    says '^chatty-1 | one\[2Jtwo$'
    clean "$work/said"
    with 255 lamplighter exec foreign-1 -- 'kill -9 $PPID'
    says 'foreign-1: .*connection.* while running a command'
    "$program" -c "$work/short.ini" exec a -- 'yes "$(printf "\033[2J")"' 2>"$work/said" |
        head -n 100000 >"$work/flood-said" || status=$?
    clean "$work/flood-said"
}

# --- secrets -------------------------------------------------------------------------------------

# While the test runs, every process's arguments and environment are searched, the hosts' too.
watch_processes() {
    while [[ ! -e $work/stop ]]; do
        # Not the searcher's own: it has the secret from a file.
        grep -ohaF -f "$work/planted" /proc/[0-9]*/cmdline /proc/[0-9]*/environ >>"$work/caught" 2>/dev/null || true
    done
}
# A command that tells its secret when it fails; a file with it that is shown as a diff.
put_leak() {
    mkdir -p "$work/roles/leak"
    cat >"$work/roles/leak/role.ini" <<'ROLE'
[var token]
secret = yes

[file shown]
path = /srv/leak
content = {{token}}

[run tell]
command = echo "told: $(cat)"; echo "on stderr: $(cat /srv/leak)" >&2; exit 1
creates = /srv/never
input = {{token}}
ROLE
    file=$work/leak.ini
    host leak 127.0.4.1
    {
        head_of leak
        entry leak
    } >"$file"
    sed -i 's|^roles = site|roles = site leak\nleak.token = secret:token|' "$file"
    start leak
}
leak() {
    local option
    for option in --verbose --diff --json; do
        with 1 lamplighter apply "$option"
        says 'told: \*\*\*'
        grep -qFf "$work/token" "$work/leak/upper/srv/leak"
        cat "$work/said" >>"$work/leak-said"
        # Changed behind our back: the next diff is between the secret and something else.
        echo other >"$work/leak/upper/srv/leak"
        chmod 644 "$work/leak/upper/srv/site/token"
        with 0 lamplighter plan "$option"
        cat "$work/said" >>"$work/leak-said"
    done
    lamplighter role show leak >>"$work/leak-said"
    lamplighter events -n 1000 >>"$work/leak-said"
    lamplighter status --json >>"$work/leak-said"
}
secret_is_nowhere() {
    # The search itself works: a word in the open, in arguments and in an environment, is caught.
    wait_for grep -q 'planted-in-arguments' "$work/caught"
    wait_for grep -q 'planted-in-environment' "$work/caught"
    lacks -aF -f "$work/token" "$work/caught"
    lacks -rlaF -f "$work/token" "$work"/state-* "$work"/*said "$work"/*json "$work/terminal"
    # Where it belongs on a host, and nowhere else there.
    [[ $(grep -rlaF -f "$work/token" "$work/b/upper") == "$work/b/upper/srv/site/token" ]]
}

# --- the same with sanitizers --------------------------------------------------------------------

sanitized() {
    [[ -x $sanitized_program ]] || { echo "$sanitized_program is missing" && return 1; }
    local status=0
    program=$sanitized_program
    file=$work/sanitized.ini
    {
        head_of bad | sed 's/^total-timeout = .*/total-timeout = 8s/; s/^connect-timeout = .*/connect-timeout = 4s/'
        for name in a drop-once flood flood-late chatty escape garbage late-garbage foreign; do
            entry "$name"
        done
        entry wrong-key "$(fingerprint a)"
    } >"$file"
    with 0 lamplighter exec a -- 'rm -r /srv/site'
    for arguments in 'plan --diff' 'apply --verbose --diff' 'apply --json' 'status' 'exec all -- true' 'events --verify'; do
        # shellcheck disable=SC2086
        lamplighter $arguments >"$work/said" 2>&1 || status=$?
        cp "$work/said" "$work/sanitized-said"
        silent_on 'Sanitizer'
        silent_on 'runtime error'
        silent_on 'its sandbox'
    done
    [[ $status -eq 255 ]]
    lamplighter status >"$work/said"
    says 'a-1 .*in-service'
    [[ -e $work/a/upper/srv/site/page ]]
}

(cat "$work/token" && printf 'planted-in-%s\n' arguments environment) >"$work/planted"
: >"$work/caught"
watch_processes &
PLANTED=planted-in-environment sleep 1000 &
bash -c 'sleep 1000; : planted-in-arguments' &
put_bad
check 'three good hosts among twenty bad ones: done; all within their deadlines' bad_apply
check 'another host key: refused before anything is sent' wrong_key
check 'our key is not known there' fails no-login 1 'does not let us in as root with the key .*authorized_keys there'
check 'weak methods only' fails weak 1 'offers no method that is allowed here'
check 'nobody listens' fails gone 3 'refuses connections; is sshd running there'
check 'accepts and never answers' fails silent 3 'not done with exchanging keys within [12]'
check 'drips its banner' fails drip 3 'not done with exchanging keys within [12]'
check 'something else than SSH' fails stranger 3 'something answers there that does not speak SSH'
check 'the line drops once in the middle: mended in the same apply' dropped_once
check 'the line drops every time' dropped
check 'floods from its .bashrc' fails flood 1 'floods us instead of telling its facts; look at the .bashrc of root there'
check 'floods instead of a report' fails flood-late 1 'printed more than 8192 KiB; gave up reading'
check 'greets in its .bashrc: taken as it is' chatted
check 'control bytes instead of facts' fails escape 1 'its shell does not run our commands'
check 'a login shell that fails' fails exits 1 'status 1; it said: nothing'
check 'a login shell that ends at once' fails exits-well 1 'status 0; it said: nothing'
check 'never ends the script' fails hang 3 'not done with running a command within [34]'
check 'never tells its facts' fails hang-early 3 'silent for 3.0 s while running a command'
check 'garbage instead of facts' fails garbage 1 'its shell does not run our commands'
check 'garbage instead of a report' fails late-garbage 1 'without a report; it said what is no text'
check 'the mark of another cluster: refused, untouched' foreign
check 'no control byte reaches output, JSON or a terminal' controls_are_out
check 'exec: floods, drops, control bytes' exec_meets_them

put_leak
check 'a secret that a command tells is starred' leak
check 'secrets are nowhere: output, state, arguments, environments' secret_is_nowhere
check 'the same with sanitizers' sanitized
touch "$work/stop"
counts
