# shellcheck shell=bash disable=SC2154
# lib/status.sh: `lab status`. Sourced by vagrant/lab, whose names it uses.

row() { printf '%-10s %s\n' "$1" "$2"; }

# The memory group's file that says how much is used, below DIR, whichever version it is.
memory_mib() {
    local file
    for file in "$1/memory.current" "$1/memory.usage_in_bytes"; do
        if [[ -r $file ]]; then
            echo "$(($(<"$file") / 1048576)) MiB"
            return
        fi
    done
    echo -
}

memory_group() {
    local top
    while read -r top; do
        if [[ -e $top/lamplighter/$name/memory.current || -e $top/lamplighter/$name/memory.usage_in_bytes ]]; then
            echo "$top/lamplighter/$name"
            return
        fi
    done < <(cgroup_mounts)
}

status_hosts() {
    local list host state address group xml
    list=$( (enter -- virsh -q -c lxc:/// list --all) | awk '{ print $2, $3 }')
    row hosts "$(grep -c ' running$' <<<"$list" || true) running, $(grep -c . <<<"$list" || true) in all"
    [[ -n $list ]] || return 0
    printf '\n%-24s %-9s %-15s %s\n' HOST STATE ADDRESS MEMORY
    group=$(memory_group)
    while read -r host state; do
        xml=$lib_dir/libvirt/etc/libvirt/lxc/$host.xml
        address=$(sed -n "s/.*<ip address=['\"]\([0-9.]*\).*/\1/p" "$xml" 2>/dev/null | head -n 1)
        printf '%-24s %-9s %-15s %s\n' "$host" "$state" "${address:--}" \
            "$(memory_mib "$(find "$group" -maxdepth 2 -name "lxc-*-$host.libvirt-lxc" 2>/dev/null | head -n 1)")"
    done <<<"$list"
}

cmd_status() {
    local state=up pid file
    [[ $# -eq 0 ]] || fail "status takes no arguments"
    [[ $EUID -eq 0 ]] || fail "must be root"
    if ! is_up; then
        state=down
        [[ -z $(remains) ]] || state="in parts: 'lab up' mends it, 'lab down' removes it"
    fi
    row lab "$name, $state"
    for file in "$cache"/images/debian-1[23]/image.ini; do
        [[ ! -r $file ]] || row image "$(sed -n 's/^\(name\|created\) = //p' "$file" | xargs)"
    done
    [[ $state != down ]] || return 3
    row network "$netns, $bridge $gateway/$prefix, rack-a 10.77.1.0/24, rack-b 10.77.2.0/24"
    pid=$(libvirtd_pid)
    if ours "$pid"; then row libvirtd "pid $pid"; else row libvirtd "not running"; fi
    pid=$(pid_of http)
    if ours "$pid"; then row packages "http://$gateway:$http_port, pid $pid"; else row packages "not served"; fi
    for file in "$run_dir"/forward-*.target; do
        pid=$(pid_of "$(basename "$file" .target)")
        if ours "$pid"; then row forward "127.0.0.1:$(basename "$file" .target | cut -d- -f2) -> $(<"$file"), pid $pid"; fi
    done
    row uses "$(cgroup_pids | wc -l) processes, $(memory_mib "$(memory_group)"), $(du -smx "$lib_dir" 2>/dev/null | cut -f1) MiB of disk"
    [[ $state == up ]] || return 3
    status_hosts
}
