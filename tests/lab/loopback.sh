# shellcheck shell=bash
# tests/lab/loopback.sh: for tests of the command line against hosts on loopback; sourced. Each host is
# a real sshd (loopback_host) in namespaces of the test's own, so nothing can be left behind, and
# nobody else can be met.
#
# The caller begins with `loopback_enter "$0" "$@"`, ends with `counts`.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
program=$(realpath "${LAMPLIGHTER:-$top/build/lamplighter}")
# Below /run: the hosts' own /run hides it from them.
work=/run/loopback-test
umask 022 # The hosts are made by hand here, and their users must be able to read what is theirs.
file= # The cluster file that lamplighter() uses.
# shellcheck source=tests/lab/cases.sh
. "$top/tests/lab/cases.sh"

# loopback_enter SCRIPT [ARGUMENTS]: runs the script again in a network, with mounts and processes of
# its own; there it makes the working directory, the login key, the secret and the role.
loopback_enter() {
    if [[ ${2-} != --inside ]]; then
        [[ $EUID -eq 0 ]] || { echo 'not root' >&2 && exit 1; }
        exec unshare --net --mount --pid --fork --kill-child --mount-proc -- "$1" --inside
    fi
    mount --make-rprivate /
    ip link set lo up
    mount -t tmpfs tmpfs /run
    mkdir -m 700 "$work"
    ssh-keygen -q -t ed25519 -N '' -C '' -f "$work/login"
    (umask 077 && printf 'canary-%s\n' "$(head -c 12 /dev/urandom | od -An -tx1 | tr -d ' \n')" >"$work/token")
    put_role
}

# with STATUS CMD...: CMD must end with STATUS; all it says is kept in said.
with() {
    local wanted=$1 got=0
    shift
    "$@" >"$work/said" 2>&1 || got=$?
    [[ $got -eq $wanted ]] || {
        cat "$work/said"
        echo "exit status $got, wanted $wanted: $*"
        return 1
    }
}
says() { grep -q -e "$1" "$work/said" || { cat "$work/said" && echo "does not say: $1" && return 1; }; }
silent_on() { ! grep -q -e "$1" "$work/said" || { cat "$work/said" && echo "says: $1" && return 1; }; }
# lacks ARGUMENTS: grep with them finds nothing. (Under "set -e" a mere "! grep" is never a failure.)
lacks() { if grep "$@"; then echo "found: $*" && return 1; fi; }
lines() { [[ $(grep -c . "$work/said") -eq $1 ]] || { cat "$work/said" && echo "not $1 lines" && return 1; }; }
lamplighter() { "$program" -c "$file" "$@"; }

# --- hosts ---------------------------------------------------------------------------------------

declare -A pids=()

# host NAME ADDRESS: prepares $work/NAME; what the test puts in before start changes it.
host() {
    mkdir "$work/$1"
    ssh-keygen -q -t ed25519 -N '' -C '' -f "$work/$1/host_key"
    cp "$work/login.pub" "$work/$1/login.pub"
    echo "$2" >"$work/$1/address"
}
start() {
    local name
    for name in "$@"; do
        "$top/tests/lab/loopback_host" "$name" "$(cat "$work/$name/address")" "$work/$name" >"$work/$name/boot" 2>&1 &
        pids[$name]=$!
        disown
    done
    for name in "$@"; do
        wait_for grep -q "Server listening" "$work/$name/log" || { cat "$work/$name/boot" "$work/$name/log" && return 1; }
    done
}
stop() {
    kill -9 "${pids[$1]}"
    wait_for gone "${pids[$1]}"
    rm -f "$work/$1/log"
}
gone() { ! kill -0 "$1"; }
wait_for() {
    local _
    for _ in $(seq 1 200); do
        if "$@" 2>/dev/null; then return 0; fi
        sleep 0.1
    done
    echo "waited in vain: $*" >&2
    return 1
}
fingerprint() { ssh-keygen -lf "$work/$1/host_key.pub" | cut -d ' ' -f 2; }
whole_key() { cut -d ' ' -f 1,2 "$work/$1/host_key.pub"; }
# A [host] with a group of its own: entry NAME [KEY].
entry() {
    printf '[host %s]\nprovider = racks\ngroup = %s\naddress = %s\nhost-key = %s\n' \
        "$1" "$1" "$(cat "$work/$1/address")" "${2:-$(fingerprint "$1")}"
    printf '[group %s]\ntemplate = site\nmin = 1\n\n' "$1"
}

put_role() {
    mkdir -p "$work/roles/site"
    cat >"$work/roles/site/role.ini" <<'ROLE'
[role]
description = a page, a secret, something slow

[var word]
type = word
default = first

[var token]
secret = yes

[directory /srv/site]

[file page]
path = /srv/site/page
content = {{word}} on {{instance.id}}, {{facts.os}}

[file token]
path = /srv/site/token
mode = 0600
content = {{token}}

[run feed]
command = sha256sum >/srv/site/fed
creates = /srv/site/fed
input = {{token}}

[run slow]
command = sleep 1; : >/srv/site/slow
creates = /srv/site/slow

[check page]
command = grep -q {{word}} /srv/site/page
ROLE
}

# head_of NAME: the part that every cluster file here begins with.
head_of() {
    cat <<CLUSTER
[cluster $1]
state = sqlite:$work/state-$1/store.db
roles = $work/roles
key = $work/login
connect-timeout = 2s
read-timeout = 3s
total-timeout = 4s
parallel = 64

[secret token]
file = $work/token

[zone rack]

[provider racks]
type = static
zone = rack

[template site]
roles = site
site.token = secret:token

CLUSTER
}
