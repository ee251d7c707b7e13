# shellcheck shell=bash disable=SC2154
# lib/service.sh: what runs in the lab: libvirtd, the package server, forwards. Sourced by vagrant/lab, whose names it uses.

libvirt_answers() {
    (enter -- timeout 10 virsh -q -c lxc:/// uri) >/dev/null 2>&1 7>&- 9>&-
}

pid_of() { cat "$run_dir/$1.pid" 2>/dev/null || true; }

libvirtd_pid() { cat "$run_dir/libvirt/libvirtd.pid" 2>/dev/null || true; }

libvirtd_up() {
    local pid try
    nsenter --mount="/proc/$(ns_pid)/ns/mnt" -- "$self" -n "$name" inside-binds
    if ours "$(libvirtd_pid)" && libvirt_answers; then return; fi
    pid=$(libvirtd_pid)
    if ours "$pid"; then kill -9 "$pid"; fi
    rm -f -- "$run_dir/libvirt/libvirtd.pid"
    (
        cgroup_join services
        ulimit -n "$(ulimit -H -n)"
        export LIBVIRT_DRIVER_DIR="$lib_dir/libvirt/drivers"
        enter --cgroup="/proc/$(ns_pid)/ns/cgroup" -- /usr/sbin/libvirtd --daemon \
            --pid-file /run/libvirt/libvirtd.pid --config /etc/libvirt/libvirtd.conf
    )
    for ((try = 0; try < 200; try++)); do
        if libvirt_answers; then return; fi
        sleep 0.05
    done
    tail -n 5 "$(private_dir /var/log/libvirt)/libvirtd.log" || true
    return 1
}

# daemon NAME CMD...: starts CMD in the background, in the lab's groups and network; keeps its pid.
daemon() {
    local service=$1
    shift
    (
        cgroup_join services
        exec setsid "$@" </dev/null >>"$log" 2>&1
    ) &
    echo $! >"$run_dir/$service.pid"
}

http_up() {
    if ours "$(pid_of http)"; then return; fi
    mkdir -p "$cache/packages"
    daemon http nsenter --net="/run/netns/$netns" -- \
        busybox httpd -f -p "$gateway:$http_port" -h "$cache/packages"
    local try
    for ((try = 0; try < 100; try++)); do
        if in_net ss -Hltn "sport = :$http_port" | grep -q .; then return; fi
        sleep 0.05
    done
    return 1
}

# forward: the listening socket belongs to the machine's network; the program that takes it over at
# the first connection has moved into the lab's before.
cmd_forward() {
    local background=no port target
    if [[ ${1-} == --background ]]; then
        background=yes
        shift
    fi
    port=${1:-8080}
    target=${2:-10.77.0.10:80}
    [[ $# -le 2 && $port =~ ^[1-9][0-9]{0,4}$ && $port -le 65535 ]] || fail "forward: '$port' is not a port"
    [[ $target =~ ^[0-9.]+:[0-9]+$ ]] || fail "forward: '$target' is not ADDRESS:PORT"
    check_machine
    outside
    must_be_up
    if ours "$(pid_of "forward-$port")" && [[ $(<"$run_dir/forward-$port.target") == "$target" ]]; then
        say "http://127.0.0.1:$port is $target of lab $name already"
        return
    fi
    if ss -Hltn "sport = :$port" | grep -q .; then
        fail "port $port of this machine is taken: give another, 'lab forward 8081'"
    fi
    local -a command=(systemd-socket-activate -l "127.0.0.1:$port" nsenter "--net=/run/netns/$netns" --
        /usr/lib/systemd/systemd-socket-proxyd "$target")
    if [[ $background == no ]]; then
        say "http://127.0.0.1:$port is $target of lab $name; end with Ctrl-C"
        cgroup_join services
        exec "${command[@]}" 2>>"$log"
    fi
    local try
    daemon "forward-$port" "${command[@]}"
    echo "$target" >"$run_dir/forward-$port.target"
    for ((try = 0; try < 100; try++)); do
        if ss -Hltn "sport = :$port" | grep -q .; then
            say "http://127.0.0.1:$port is $target of lab $name, until 'lab down'"
            return
        fi
        sleep 0.05
    done
    fail "forward: cannot listen on 127.0.0.1:$port; see $log"
}
