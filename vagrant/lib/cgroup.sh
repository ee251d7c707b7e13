# shellcheck shell=bash disable=SC2154
# lib/cgroup.sh: the lab's groups in every cgroup hierarchy, and the processes in them. Sourced by vagrant/lab, whose names it uses.

# Mount points of all cgroup hierarchies, version 1 and 2, one a line.
cgroup_mounts() {
    awk '($3 == "cgroup" || $3 == "cgroup2") && !seen[$2]++ { print $2 }' /proc/self/mounts
}

cgroup2_mount() {
    awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts
}

# cgroup_make: /lamplighter/NAME in every hierarchy, with what a new group must inherit by hand.
cgroup_make() {
    local top group parent file
    if [[ -z $(cgroup2_mount) ]]; then
        mkdir -p "$run_base/cgroup2"
        mount -t cgroup2 cgroup2 "$run_base/cgroup2"
    fi
    while read -r top; do
        parent=$top
        for group in "$top/lamplighter" "$top/lamplighter/$name"; do
            mkdir -p "$group"
            for file in cpuset.cpus cpuset.mems; do
                [[ ! -f $group/tasks || ! -f $group/$file || -n $(<"$group/$file") ]] ||
                    cat "$parent/$file" >"$group/$file"
            done
            # The machine's own choice at the root decides which controllers there are.
            if [[ $parent != "$top" && -f $parent/cgroup.subtree_control ]]; then cgroup_pass_on "$parent"; fi
            parent=$group
        done
    done < <(cgroup_mounts)
    mkdir -p "$(cgroup2_mount)/lamplighter/$name/services"
}

# cgroup_pass_on GROUP: version 2: what GROUP has of controllers its children get.
cgroup_pass_on() {
    local controllers
    controllers=$(sed 's/[a-z_]\+/+&/g' "$1/cgroup.controllers")
    [[ -z $controllers ]] || echo "$controllers" >"$1/cgroup.subtree_control"
}

# cgroup_join [SUB]: moves the calling (sub)shell into the lab's groups; SUB only in version 2, where
# a group with children must hold no process itself.
cgroup_join() {
    local top
    while read -r top; do
        if [[ -f $top/lamplighter/$name/tasks ]]; then
            echo "$BASHPID" >"$top/lamplighter/$name/cgroup.procs"
        else
            echo "$BASHPID" >"$top/lamplighter/$name${1:+/$1}/cgroup.procs"
        fi
    done < <(cgroup_mounts)
}

# cgroup_kill: SIGKILL to every process of the lab, and to those a freezer holds (suspended hosts).
cgroup_kill() {
    local top group
    local -a pids
    while read -r top; do
        group=$top/lamplighter/$name
        [[ -d $group ]] || continue
        [[ ! -w $group/cgroup.kill ]] || echo 1 >"$group/cgroup.kill"
        find "$group" -name freezer.state -exec sh -c 'echo THAWED >"$1"' sh {} \; 2>/dev/null || true
    done < <(cgroup_mounts)
    mapfile -t pids < <(cgroup_pids)
    [[ ${#pids[@]} -eq 0 ]] || kill -KILL "${pids[@]}" 2>/dev/null || true
}

# Every process of the lab, by its cgroups, in any hierarchy.
cgroup_pids() {
    local top
    while read -r top; do
        [[ ! -d $top/lamplighter/$name ]] ||
            find "$top/lamplighter/$name" -name cgroup.procs -exec cat {} + 2>/dev/null || true
    done < <(cgroup_mounts) | sort -u
}

cgroup_groups() {
    local top
    while read -r top; do
        [[ ! -d $top/lamplighter/$name ]] ||
            find "$top/lamplighter/$name" -depth -type d 2>/dev/null || true
    done < <(cgroup_mounts)
}

remove_cgroups() {
    local try
    for ((try = 0; try < 50; try++)); do
        cgroup_groups | xargs -r -d '\n' rmdir 2>/dev/null || true
        if [[ -z $(cgroup_groups) ]]; then return; fi
        sleep 0.1
    done
}

# ours PID: is it alive and one of the lab's own services? A recycled process id is not.
ours() {
    [[ -n $1 && -r /proc/$1/cgroup ]] && grep -q "^0::.*/lamplighter/$name/services$" "/proc/$1/cgroup"
}
