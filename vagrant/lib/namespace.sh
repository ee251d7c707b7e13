# shellcheck shell=bash disable=SC2154
# lib/namespace.sh: the lab's network, mount and cgroup namespaces, and what libvirt finds in them. Sourced by vagrant/lab, whose names it uses.

is_mounted() { awk -v p="$1" '$2 == p { found = 1 } END { exit !found }' /proc/self/mounts; }

in_net() { nsenter --net="/run/netns/$netns" -- "$@"; }

network_up() {
    ip netns pids "$netns" >/dev/null 2>&1 || {
        rm -f "/run/netns/$netns" # What a power cut left: a plain file.
        ip netns add "$netns"
    }
    in_net ip link set lo up
    in_net ip link show "$bridge" >/dev/null 2>&1 || in_net ip link add "$bridge" type bridge
    in_net ip address replace "$gateway/$prefix" dev "$bridge"
    in_net ip link set "$bridge" up
    # For routes that roles may try; the hosts themselves are neighbours. In a container /proc/sys may
    # not be writable.
    in_net sysctl -q -w net.ipv4.ip_forward=1 || true
}

# ns_pid: a process that lives in the lab's namespaces, the way into them. The holder sleeps there for
# nothing else; should it be gone, libvirtd is in the same ones. (Namespaces kept as bound files would
# need no process, but some kernels refuse that, by chance, where namespaces are nested.)
ns_pid() {
    local pid
    for pid in "$(pid_of holder)" "$(libvirtd_pid)"; do
        if ours "$pid"; then
            echo "$pid"
            return
        fi
    done
    return 1
}

# namespaces_make: the mount and cgroup namespaces and their holder. It writes its process id when all
# is in place, so that an interrupted one is never taken for a whole one.
namespaces_make() {
    local pid try
    if ours "$(pid_of holder)"; then return; fi
    rm -f -- "$run_dir/holder.pid"
    if pid=$(ns_pid); then
        (
            cgroup_join services
            exec setsid nsenter --net="/run/netns/$netns" --mount="/proc/$pid/ns/mnt" \
                --cgroup="/proc/$pid/ns/cgroup" -- "$self" -n "$name" inside-hold
        ) </dev/null &
    else
        # Nobody is left who knows the old namespaces: hosts that still run in them could not be
        # managed, and their roots would be mounted twice.
        for ((try = 0; try < 100; try++)); do
            cgroup_kill
            if [[ -z $(cgroup_pids) ]]; then break; fi
            sleep 0.1
        done
        remove_cgroups
        cgroup_make
        (
            cgroup_join
            exec setsid nsenter --net="/run/netns/$netns" -- \
                unshare --cgroup -- "$self" -n "$name" inside-cgroup
        ) </dev/null &
    fi
    for ((try = 0; try < 200; try++)); do
        if ours "$(pid_of holder)"; then return; fi
        sleep 0.05
    done
    say "no holder of the namespaces after 10 s"
    return 1
}

# The steps of a new holder, each a program of its own in a further namespace. The root of the cgroup
# namespace is the lab's group; after that the process goes where libvirtd will be.
inside_cgroup() {
    cgroup_join services
    exec unshare --mount --propagation slave -- "$self" -n "$name" inside-mounts
}

inside_mounts() {
    inside_setup
    inside_hold
}

inside_hold() {
    cd /
    echo $$ >"$run_dir/holder.pid.new"
    mv -f -- "$run_dir/holder.pid.new" "$run_dir/holder.pid"
    exec sleep infinity >/dev/null 2>&1
}

# inside_setup: what libvirt sees there instead of the machine's own.
inside_setup() {
    local top
    # A fresh /sys shows this network's devices instead of the machine's; the cgroups move over.
    mkdir -p "$run_dir/cgroup"
    mount --rbind /sys/fs/cgroup "$run_dir/cgroup"
    umount -R -l /sys
    mount -t sysfs -o nosuid,nodev,noexec sysfs /sys
    mount --rbind "$run_dir/cgroup" /sys/fs/cgroup
    umount -R -l "$run_dir/cgroup"
    while read -r top; do
        if [[ -f $top/tasks || $top == /sys/fs/cgroup ]]; then
            mount --bind "$top/lamplighter/$name" "$top"
        else
            umount -l "$top" # cgroup2 beside version 1: libvirt's LXC driver trips over it.
        fi
    done < <(cgroup_mounts)
    inside_binds
    # Without the system bus libvirt makes its groups itself, below ours, not in systemd's tree.
    [[ ! -d /run/dbus ]] || mount -t tmpfs -o mode=755 tmpfs /run/dbus
    # Last, or the unmounts above would propagate. Shared within: an unmount here also reaches the copies that the guests' controllers hold.
    mount --make-rshared /
}

# inside_binds: the private directories over libvirt's. Removing such a directory outside (a package
# that goes, a tidy hand) takes the mount away inside, so `up` looks at them each time.
inside_binds() {
    local dir
    for dir in "${libvirt_dirs[@]}"; do
        mkdir -p "$dir"
        is_mounted "$dir" || mount --bind "$(private_dir "$dir")" "$dir"
    done
}

# private_dir DIR: what stands for libvirt's DIR inside.
private_dir() {
    case $1 in
    /run/libvirt) echo "$run_dir/libvirt" ;;
    *) echo "$lib_dir/libvirt$1" ;;
    esac
}

libvirt_dirs_make() {
    local dir
    for dir in "${libvirt_dirs[@]}"; do
        mkdir -p "$(private_dir "$dir")"
    done
    chmod 700 "$lib_dir/libvirt"
    mkdir -p "$lib_dir/instances"
    libvirt_drivers
    dir=$(private_dir /etc/libvirt)
    cat >"$dir/libvirtd.conf" <<'CONF'
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_group = "root"
unix_sock_rw_perms = "0700"
max_clients = 500
max_workers = 40
prio_workers = 10
max_client_requests = 50
log_outputs = "2:file:/var/log/libvirt/libvirtd.log"
CONF
    echo 'security_driver = "none"' >"$dir/lxc.conf"
    printf 'security_driver = "none"\nuser = "root"\ngroup = "root"\nstdio_handler = "file"\n' >"$dir/qemu.conf"
}

# libvirt_drivers: the ones the lab has a use for. The others look for hardware and for daemons the lab
# does not have, and QEMU's stops libvirtd when its user is not there (Debian 12, no system libvirtd).
libvirt_drivers() {
    local driver file
    local -a drivers=(lxc storage network secret)
    if getent passwd libvirt-qemu >/dev/null; then drivers+=(qemu); fi
    rm -rf -- "$lib_dir/libvirt/drivers"
    mkdir -p "$lib_dir/libvirt/drivers"
    for driver in "${drivers[@]}"; do
        for file in /usr/lib/*/libvirt/connection-driver/"libvirt_driver_$driver.so"; do
            if [[ -e $file ]]; then ln -s "$file" "$lib_dir/libvirt/drivers/"; fi
        done
    done
}

# enter [nsenter options] -- CMD: becomes CMD inside, in the same directory.
enter() {
    exec nsenter --net="/run/netns/$netns" --mount="/proc/$(ns_pid)/ns/mnt" "$@"
}
