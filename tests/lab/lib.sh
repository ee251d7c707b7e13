#!/bin/bash
# What the lab tests of a whole cluster share: a lab of the test's own, the demo's shop in it, cases,
# counts. Sourced by them, with `test_name` set. Needs root.
# shellcheck disable=SC2034,SC2154
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
lab=$top/vagrant/lab
program=${LAMPLIGHTER:-$top/build/lamplighter}
name=$test_name-$$
export LAB_NAME=$name
home=/var/lib/lamplighter/labs/$name
shop=$home/shop
file=$shop/cluster.ini
images=$home/images # Those of own_images.
debian=debian-$(sed -n 's/^VERSION_ID="\(.*\)"/\1/p' /etc/os-release) # The hosts' base image.
site=http://10.77.0.10
work=$(mktemp -d)
# shellcheck source=tests/lab/cases.sh
. "$here/cases.sh"

finish() {
    end_case
    touch "$work/stop"
    if [[ -n ${LAMP_KEEP:-} ]]; then
        printf '# kept: LAB_NAME=%s vagrant/lab down\n' "$name"
        return
    fi
    "$lab" down >/dev/null 2>&1 || true
    rm -rf -- "$work"
}
trap finish EXIT

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

# Images of the lab's own, with the machine's Debian among them: what is captured here is only here.
own_images() {
    mkdir -p "$images"
    ln -s "/var/cache/lamplighter/images/$debian" "$images/$debian"
    sed -i "s|^images = .*|images = $images|; s|^image = debian-12|image = $debian|" "$file"
}

# One request after the other from several clients, some of them uploads of seconds, until told to stop.
# They pause in between: as fast as they can, they leave nothing of two cores to what is tested.
export LOAD_PAUSE_MS=${LOAD_PAUSE_MS:-10}
load() {
    local clients=$1
    shift
    rm -f "$work/stop" "$work/load"
    inside "$top/build/load" "$site/" "$work/stop" "$work/load" "$clients" "$@" &
    load_pid=$!
}
# Ends it: at least MINIMUM pages, none failed; and no upload, unless LOST says that one in flight may be:
# nobody can save what was being sent to a host that was killed.
end_load() {
    local pages bad uploads lost
    touch "$work/stop"
    wait "$load_pid"
    read -r _ pages bad uploads lost < <(grep '^total' "$work/load")
    echo "measured: $pages pages, $bad failed; $uploads uploads, $lost failed"
    grep '^failed' "$work/load" | head -n 20 || true
    [[ $pages -ge $1 && $bad -eq 0 && ($lost -eq 0 || ${2:-} == lost) ]]
}
make_lab() {
    [[ -x $top/build/load ]] || make -s -C "$top" build/load
    if ! "$lab" up >"$work/up" 2>&1; then
        cat "$work/up"
        echo 'not ok 1 - a lab'
        echo '0 passed, 1 failed, 0 skipped'
        exit 1
    fi
    put_shop
}
all_serving() {
    local wanted=${1:-3} seconds=${2:-15}
    for _ in $(seq 1 "$seconds"); do
        lamplighter status >"$work/said"
        grep -q "group web.* $wanted serving" "$work/said" && return
        sleep 1
    done
    says "group web.* $wanted serving"
}
down_leaves_nothing() {
    "$lab" down
    [[ ! -e $home && ! -e /run/lamplighter/labs/$name ]]
    if ip netns list | grep "lamp-$name"; then return 1; fi
    ! grep -q "labs/$name" /proc/self/mountinfo
}
