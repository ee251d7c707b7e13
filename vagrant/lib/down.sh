# shellcheck shell=bash disable=SC2154
# lib/down.sh: `lab down`: whatever part of a lab exists goes; then a look at what is left. Sourced by vagrant/lab, whose names it uses.

# Processes that somebody brought into the lab (`lab shell`, `lab run`): they are in its network.
visitor_pids() {
    is_mounted "/run/netns/$netns" || return 0
    find /proc -mindepth 3 -maxdepth 3 -path '/proc/[0-9]*/ns/net' \
        -lname "net:\[$(stat -L -c %i "/run/netns/$netns")\]" 2>/dev/null | cut -d/ -f3 | sort -u || true
}

lab_pids() { { cgroup_pids; visitor_pids; } | sort -u; }

# end_all: everything in the lab's cgroups and namespaces ends now. Hosts need no farewell: their
# directories go as well, and this takes one second where destroying them takes two each.
end_all() {
    local try
    local -a pids
    mapfile -t pids < <(visitor_pids | comm -23 - <(cgroup_pids))
    if [[ ${#pids[@]} -gt 0 ]]; then
        say "ending ${#pids[@]} processes inside the lab: $(ps -o comm= -p "$(IFS=, && echo "${pids[*]}")" | sort -u | xargs)"
        kill -TERM "${pids[@]}" 2>/dev/null || true
        kill -HUP "${pids[@]}" 2>/dev/null || true
        for ((try = 0; try < 20; try++)); do
            if [[ -z $(visitor_pids | comm -23 - <(cgroup_pids)) ]]; then break; fi
            sleep 0.1
        done
    fi
    for ((try = 0; try < 150; try++)); do
        cgroup_kill
        mapfile -t pids < <(lab_pids)
        if [[ ${#pids[@]} -eq 0 ]]; then return; fi
        kill -KILL "${pids[@]}" 2>/dev/null || true
        sleep 0.1
    done
}

remove_mounts() {
    local place
    while read -r place; do
        umount -l -- "$place" 2>/dev/null || true
    done < <(lab_mounts)
}

# Mounts of the lab that the machine sees, the deepest first.
lab_mounts() {
    awk -v a="$run_dir/" -v b="$lib_dir/" '
        index($5 "/", a) == 1 || index($5 "/", b) == 1 { print $5 }' /proc/self/mountinfo | sort -r
}

remove_network() {
    [[ -e /run/netns/$netns ]] || return 0
    ip netns delete "$netns" 2>/dev/null || {
        umount -l "/run/netns/$netns" 2>/dev/null || true
        rm -f -- "/run/netns/$netns"
    }
}

# remains: one line for everything of the lab that is still there.
remains() {
    local pid path
    while read -r pid; do
        say "process $pid ($(ps -o args= -p "$pid" | cut -c1-60))"
    done < <(lab_pids)
    lab_mounts | sed 's/^/mount /'
    cgroup_groups | sed 's/^/cgroup /'
    for path in "/run/netns/$netns" "$run_dir" "$lib_dir"; do
        [[ ! -e $path ]] || say "file $path"
    done
}

cmd_down() {
    local purge=no left
    if [[ ${1-} == --purge ]]; then
        purge=yes
        shift
    fi
    [[ $# -eq 0 ]] || fail "down: '$1' is not known; only --purge is"
    [[ $EUID -eq 0 ]] || fail "must be root"
    outside
    lock
    if [[ -z $(remains) ]]; then
        say "lab $name was not there"
    else
        end_all
        remove_network
        remove_mounts
        remove_cgroups
        machine_lock
        rm -rf --one-file-system -- "$run_dir" "$lib_dir"
        machine_unlock
    fi
    left=$(remains)
    if [[ -n $left ]]; then
        printf 'lab: this is left of lab %s; end or unmount it, then run down again:\n%s\n' "$name" "$left" >&2
        exit 1
    fi
    rm -f -- "$log"
    machine_lock
    rm -f -- "$run_base/locks/$name"
    if [[ $purge == yes ]]; then purge_cache; fi
    last_sweep
    machine_unlock
    say "lab $name is gone; nothing of it is left"
}

purge_cache() {
    if compgen -G "$run_base/labs/*" >/dev/null; then
        say "another lab is up: $cache is kept"
        return
    fi
    rm -rf --one-file-system -- "$cache"/{images,packages,keys,.base.lock,.packages.lock}
    rmdir "$cache" 2>/dev/null || true
    rmdir "${log%/*}" 2>/dev/null || true
}
