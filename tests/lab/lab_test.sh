#!/bin/bash
# tests/lab/lab_test.sh: the lab itself, with real containers: made, used, broken, removed.
#
# Prints one "ok"/"not ok"/"skip" line a case and a last line with the counts. Needs root and a
# Debian 12 or 13; uses labs of its own names, so a lab that is up is left alone.
set -euo pipefail
umask 022 # The hosts' directories are made by hand here, and their users must be able to enter them.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
lab=$here/../../vagrant/lab
name=test-$$
other=test-$$-b
export LAB_NAME=$name
work=$(mktemp -d)
release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
port=$((20000 + $$ % 10000)) # Of this machine; another run at the same time has another.
# shellcheck source=tests/lab/cases.sh
. "$here/cases.sh"

finish() {
    end_case
    "$lab" -n "$name" down >/dev/null 2>&1 || true
    "$lab" -n "$other" down >/dev/null 2>&1 || true
    rm -rf -- "$work"
}
trap finish EXIT

# refuses TEXT MESSAGE CMD...: CMD fails and says MESSAGE, in one line.
refuses() {
    local text=$1 message=$2
    shift 2
    check "$text" refused "$message" "$@"
}

refused() {
    local message=$1 said
    shift
    if said=$("$@" 2>&1); then return 1; fi
    printf '%s\n' "$said"
    [[ $said == *"$message"* && $(wc -l <<<"$said") -eq 1 ]]
}

# Whatever the machine still has of a lab, looked for without asking the lab program.
traces() {
    local lab_name=$1
    ip netns list | grep -w "lamp-$lab_name" || true
    grep -E "/labs/$lab_name/|/netns/lamp-$lab_name " /proc/self/mountinfo || true
    find /sys/fs/cgroup /run/lamplighter -path "*lamplighter/$lab_name/*" 2>/dev/null | head -n 3 || true
    grep -l "/lamplighter/$lab_name/" /proc/[0-9]*/cgroup 2>/dev/null | cut -d/ -f3 | living || true
    ls -d "/run/lamplighter/labs/$lab_name" "/var/lib/lamplighter/labs/$lab_name" 2>/dev/null || true
}

# Of the process ids read, those that are not zombies waiting for their parent.
living() {
    local pid
    while read -r pid; do
        ps -o pid=,stat=,args= -p "$pid" | awk '$2 !~ /^Z/ { print "process", $0 }'
    done
}

no_traces() {
    local found
    found=$(traces "$1")
    printf '%s\n' "$found"
    [[ -z $found ]]
}

# shellcheck source=tests/lab/lib_host.sh
. "$here/lib_host.sh"

if [[ $EUID -ne 0 ]]; then
    skip "everything (must be root)"
    counts
    exit 0
fi
ssh-keygen -q -t ed25519 -N '' -f "$work/key"
inotify_before=$(sysctl -n fs.inotify.max_user_instances)
labs_before=$(compgen -G '/run/lamplighter/labs/*' | wc -l || true)

# --- what is refused
refuses "a name with a slash is refused" "name 'a/b'" "$lab" -n a/b up
refuses "an unknown command is refused" "unknown command 'upp'" "$lab" upp
refuses "run without a lab says what to do" "is not up" "$lab" run -- true
refuses "forward to a bad port is refused" "is not a port" "$lab" forward 99999
check "down of a lab that never was succeeds" "$lab" down

# --- up
check "up makes a lab" "$lab" up
is_up() { grep -q "^lab *$name, up" <<<"$("$lab" status)"; }
check "status says up" is_up
check "up again changes nothing" "$lab" up
two_ups() {
    local first
    "$lab" up &
    first=$!
    "$lab" up
    wait "$first"
}
check "two ups at once both succeed" two_ups
only_inside() { [[ $("$lab" run -- ls /sys/class/net | xargs) == "lamp0 lo" ]]; }
check "the lab has no device but its bridge and loopback" only_inside
no_route() { if "$lab" run -- ip route get 198.51.100.1; then return 1; fi; }
check "no route leads out" no_route

# --- run
exit_status() {
    local status=0
    "$lab" run -- sh -c 'exit 7' || status=$?
    [[ $status -eq 7 ]]
}
check "run passes the exit status on" exit_status
# shellcheck disable=SC2016
directory_kept() { (cd "$work" && [[ $(X=y "$lab" run -- sh -c 'echo $PWD $X') == "$work y" ]]); }
check "run keeps directory and environment" directory_kept
signal_passes() {
    local pid status=0
    "$lab" run -- sh -c 'trap "exit 9" TERM; while :; do sleep 0.05; done' &
    pid=$!
    sleep 0.5
    kill -TERM "$pid"
    wait "$pid" || status=$?
    [[ $status -eq 9 ]]
}
check "run passes signals on" signal_passes

# --- hosts
check "a container starts from hand-written XML" make_host web-1 10.77.1.11
check "it answers SSH with the pinned key" on 10.77.1.11 true
healthy() { [[ $(on 10.77.1.11 timeout 60 systemctl is-system-running --wait) == running ]]; }
check "its systemd is up and nothing failed" healthy
own_groups() { [[ $(on 10.77.1.11 'cat /proc/1/cgroup' | tail -n 1) == 0::/init.scope ]]; }
check "its systemd has a cgroup tree of its own" own_groups
wrong_key() {
    ssh-keygen -q -t ed25519 -N '' -f "$work/wrong"
    sed "s|^10.77.1.11 .*|10.77.1.11 $(cut -d' ' -f1,2 "$work/wrong.pub")|" "$work/known" >"$work/known.wrong"
    if "$lab" run -- ssh -F none -i "$work/key" -o BatchMode=yes -o StrictHostKeyChecking=yes \
        -o UserKnownHostsFile="$work/known.wrong" root@10.77.1.11 true; then return 1; fi
}
check "another pinned key is refused" wrong_key
check "a second container starts" make_host db-1 10.77.2.21
differ() { [[ $(on 10.77.1.11 cat /etc/machine-id) != $(on 10.77.2.21 cat /etc/machine-id) ]]; }
check "two clones have different machine ids" differ
check "hosts of two racks reach each other" on 10.77.1.11 ping -c 1 -W 2 10.77.2.21
image_clean() {
    local root=$image_link/root
    [[ -f $root/etc/machine-id && ! -s $root/etc/machine-id ]] && ! compgen -G "$root/etc/ssh/ssh_host_*"
}
check "the base image has an empty machine id and no host key" image_clean
install_package() { on 10.77.1.11 'apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y install jq && echo {} | jq .'; }
check "apt-get installs a package in it" install_package
comes_back() {
    on 10.77.2.21 systemctl reboot || true
    sleep 1.5
    on 10.77.2.21 test /run/systemd -nt /etc/ssh/ssh_host_ed25519_key
}
check "a reboot from inside comes back with its address" comes_back
swept() {
    local uuid
    uuid=$("$lab" run -- virsh -q -c lxc:/// domuuid db-1 | xargs)
    "$lab" run -- virsh -q -c lxc:/// destroy db-1
    make_host db-2 10.77.2.22
    on 10.77.2.22 true
    [[ -z $(find /sys/fs/cgroup /run/lamplighter -name "guest-$uuid" 2>/dev/null) ]]
}
check "a new guest sweeps the cgroup of one that is gone" swept
listed() { grep -q '^web-1 .*running .*10\.77\.1\.11' <<<"$("$lab" status)"; }
check "status lists a host with its address" listed

# --- forward
forwarded() {
    "$lab" forward --background "$port" 10.77.0.1:8080
    curl -sf --max-time 5 "http://127.0.0.1:$port/$release/dists/$release/InRelease" | grep "^Codename: $release"
}
check "forward offers an address of the lab on this machine" forwarded
refuses "a taken port is refused" "is taken" "$lab" forward "$port"
check "the same forward again is there already" "$lab" forward --background "$port" 10.77.0.1:8080

# --- broken, then mended
libvirtd_dies() {
    kill -9 "$(</run/lamplighter/labs/$name/libvirt/libvirtd.pid)"
    sleep 0.2
    "$lab" up
    [[ $("$lab" run -- virsh -q -c lxc:/// domstate web-1 | xargs) == running ]]
    on 10.77.1.11 true
}
check "up mends a killed libvirtd, and the hosts live on" libvirtd_dies

mount_gone() {
    "$lab" run -- umount -l /run/libvirt
    if "$lab" run -- virsh -q -c lxc:/// uri; then return 1; fi
    "$lab" up
    [[ $("$lab" run -- virsh -q -c lxc:/// domstate web-1 | xargs) == running ]]
}
check "up mends a lost mount of libvirt's, and the hosts live on" mount_gone

# --- two labs at once
second_lab() {
    "$lab" -n "$other" up
    [[ -z $("$lab" -n "$other" run -- virsh -q -c lxc:/// list --all | xargs) ]]
    if "$lab" -n "$other" run -- bash -c ': </dev/tcp/10.77.1.11/22'; then return 1; fi
}
check "a second lab is up beside it and sees none of its hosts" second_lab
check "down of the second leaves no trace" "$lab" -n "$other" down
check "... none at all" no_traces "$other"
check "... and the first goes on" on 10.77.1.11 true

# --- down
"$lab" run -- sleep 1000 &
visitor=$!
check "down removes everything, a visitor's process too" "$lab" down
check "... no trace is left" no_traces "$name"
gone() { ! kill -0 "$visitor" 2>/dev/null && ! ss -Hltn "sport = :$port" | grep -q .; }
check "... neither the visitor nor the forward runs" gone
# The last lab puts it back: another that was up before, or is by now, needs it still.
restored() {
    for _ in $(seq 1 50); do
        if [[ $labs_before -gt 0 || $(sysctl -n fs.inotify.max_user_instances) == "$inotify_before" ]] ||
            compgen -G '/run/lamplighter/labs/*'; then return; fi
        sleep 0.1
    done
    return 1
}
check "... and the inotify limit is what it was" restored
check "down again succeeds" "$lab" down

# --- killed at any moment
# killed_up SECONDS: `up` gets SIGKILL after SECONDS; what it started is left as it is.
killed_up() {
    local pid
    "$lab" up &
    pid=$!
    sleep "$1"
    kill -9 "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
}
for delay in 0.05 0.1 0.15 0.2 0.25 0.3 0.4; do
    killed_then_down() {
        killed_up "$delay"
        "$lab" down && no_traces "$name"
    }
    check "up killed after $delay s, then down: nothing is left" killed_then_down
done
killed_then_up() {
    killed_up 0.1
    killed_up 0.2
    killed_up 0.3
    "$lab" up && is_up
}
check "up killed three times, then up: the lab is up" killed_then_up
killed_down() {
    local pid
    make_host web-1 10.77.1.11
    "$lab" down &
    pid=$!
    sleep 0.15
    kill -9 "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    "$lab" down && no_traces "$name"
}
check "down killed half-way, then down: nothing is left" killed_down
killed_build() {
    export LAMP_CACHE=$work/cache
    killed_up 4
    "$lab" down && no_traces "$name"
    if pgrep -af "mmdebstrap.*$work/cache"; then return 1; fi
}
check "up killed while the image is made, then down: no builder is left" killed_build

counts
