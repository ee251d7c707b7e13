#!/bin/bash
# tests/lab/image_test.sh: golden images on real hosts: taken from a host that serves, sealed, signed,
# cloned, altered, killed half-way, deleted. One case a line, the counts last. Needs root.
#
# GENERATIONS=20: so many real generations of one image at the end, each capture beside the same without us.
set -euo pipefail
test_name=image
# shellcheck source=tests/lab/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
instances=$home/instances
wanted=${GENERATIONS:-0}

on() { lamplighter exec "$1" -- sh -c "$2"; }
now_ms() { date +%s%3N; }
# The balancer's line of one.
servers_of() { lamplighter exec lb-1 -- "echo 'show stat' | socat - UNIX-CONNECT:/run/haproxy/admin.sock" | grep ",$1," || true; }
# Loop devices of this lab's web images, on the machine.
loops() { grep -lsF "$images/web/" /sys/block/loop*/loop/backing_file | wc -l; }
# What is mounted for them inside.
mounts() { inside grep -c " $instances/.images/web-" /proc/self/mountinfo || true; }
generations() { find "$images/web" -mindepth 1 -maxdepth 1 -name '[1-9]*' -printf '%f\n' | sort -n | tr '\n' ' '; }
current() { readlink "$images/web/current"; }

put_images() {
    own_images
    set_key 'pool web' drain 2s
    set_key 'pool web' slow-start 0s
    set_key 'group web' min 1
    set_key 'group web' desired 1
    # One that is off is started as it is: what its root stands on is the question here.
    sed -i '/^\[group web\]/,/^\[/ s|^pool = web|&\nrepair = restart|' "$file"
}
first_host() {
    lamplighter apply
    lamplighter image list >"$work/said"
    says "^$debian .* base"
    with 1 lamplighter image show web
}

# --- taking one ----------------------------------------------------------------------------------

capture_under_load() {
    load 1
    lamplighter image capture web --from web-1 --json >"$work/capture.json" || { touch "$work/stop" && return 1; }
    end_load 20
    [[ $(field generation <"$work/capture.json") == 1 && $(current) == 1 ]]
    [[ $(stat -c %a "$home/state/keys/image") == 600 ]]
    [[ $(field parent <"$work/capture.json") == "$debian-"* ]]
    lamplighter image verify web >"$work/said"
    says 'web@1: .* good'
}
# took COMMAND: milliseconds of COMMAND into mksquashfs, which packs as our images are packed.
took() {
    local begun bytes
    begun=$(now_ms)
    inside sh -c "$1 | mksquashfs - $home/bare.sq -tar -comp zstd -Xcompression-level 3 -noappend -quiet -no-progress" >/dev/null 2>&1
    echo $(($(now_ms) - begun))
    bytes=$(stat -c %s "$home/bare.sq")
    rm -f "$home/bare.sq"
    # All of it, not an end before its time.
    [[ $bytes -gt $((32 << 20)) ]]
}
# beside ID: a capture of ID and, in the same minute, of the same tree, what it takes without us: tar into
# mksquashfs here, and over the OpenSSH client, which any tool would pay. A line to $work/times: bare, ssh, ours.
beside() {
    local bare ssh ours tar='tar --numeric-owner --one-file-system -cf - -C'
    lamplighter ssh "$1" -- true
    bare=$(took "$tar $instances/$1/root .")
    ssh=$(took "ssh -F $home/state/ssh/$1.config $1 '$tar / .'")
    lamplighter image capture web --from "$1" --json >"$work/capture.json"
    ours=$(awk '{ printf "%d", $1 * 1000 }' <<<"$(field seconds <"$work/capture.json")")
    [[ $bare -gt 0 && $ssh -gt 0 && $ours -gt 0 ]]
    printf '%d %d %d\n' "$bare" "$ssh" "$ours" >>"$work/times"
}
# What $work/times has, as medians, and the ratios between them.
tell_times() {
    local column
    for column in 1 2 3; do
        cut -d ' ' -f "$column" "$work/times" | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
    done | paste -s -d ' ' | awk -v mib="$(($(field bytes <"$work/capture.json") >> 20))" \
        -v file="$(($(field file_bytes <"$work/capture.json") >> 20))" -v n="$(wc -l <"$work/times")" '{
        printf "measured: %d MiB to %d MiB, median of %d: bare tar | mksquashfs %d ms, over ssh %d ms, captured %d ms: %.2f of bare, %.2f of ssh\n",
            mib, file, n, $1, $2, $3, $3 / $1, $3 / $2 }'
    rm "$work/times"
}
capture_measured() {
    beside web-1
    tell_times
    [[ $(current) == 2 ]]
}
sealed() {
    local root=$work/root secret
    secret=$(<"$home/state/secrets/shop-db")
    # 2>: the devices of a root cannot all be made here, and need not.
    unsquashfs -q -n -d "$root" "$images/web/2/root.squashfs" >/dev/null 2>&1 || true
    [[ -e $root/etc/machine-id && ! -s $root/etc/machine-id ]]
    [[ ! -e $root/root/.ssh/authorized_keys && ! -e $root/etc/lamplighter/instance ]]
    [[ -z $(find "$root/etc/ssh" -name 'ssh_host_*') ]]
    [[ -z $(find "$root/var/log" -type f) && -d $root/var/log/apache2 ]]
    [[ -z $(ls -A "$root/var/lib/lamplighter") ]]
    [[ ${#secret} -ge 20 ]]
    if grep -rqF -e "$secret" "$root" "$images/web/2/manifest.json" "$images/web/2/tree"; then
        echo 'the secret is in the image'
        return 1
    fi
    rm -rf "$root"
}

# --- what no image may carry ---------------------------------------------------------------------

# refuses PATH COMMAND: with what COMMAND puts there on web-1, no image is made, and PATH is told.
refuses() {
    local before
    before=$(generations)
    on web-1 "$2"
    with 1 lamplighter image capture web --from web-1 >"$work/said" 2>&1
    on web-1 "rm -rf $1"
    says "$1: "
    [[ $(generations) == "$before" && $(current) == 2 && ! -e $images/web/.new ]]
}
private_key() { refuses /srv/notes.txt 'ssh-keygen -q -t ed25519 -N "" -f /srv/notes.txt && rm /srv/notes.txt.pub'; }
shell_history() { refuses /root/.bash_history 'echo mysql -pgeheim >/root/.bash_history'; }
client_password() { refuses /root/.my.cnf 'printf "[client]\npassword = geheim\n" >/root/.my.cnf'; }
left_out_on_demand() {
    on web-1 'echo ls >/root/.bash_history'
    lamplighter image capture web --from web-1 --without /root/.bash_history --json >"$work/capture.json"
    on web-1 'rm /root/.bash_history'
    grep -q '"/root/.bash_history"' "$work/capture.json"
    [[ $(current) == 3 ]]
}

# --- baking --------------------------------------------------------------------------------------

builders() { find "$instances" -mindepth 1 -maxdepth 1 -name 'bake-*' -printf '%f\n'; }
# Nothing of a bake is left: no instance, no record, nothing half-made.
no_builder() {
    [[ -z $(builders) && -z $(inside virsh -q -c lxc:/// list --all --name | grep bake- || true) ]]
    lamplighter status >"$work/said"
    silent_on bake-
    [[ ! -e $images/$1/.new ]]
}
# A template that is quick to bake, of a group without instances.
put_tiny() {
    mkdir -p "$shop/roles/restless"
    printf '[role]\ndescription = Never at rest.\n[run never at rest]\ncommand = true\nunless = false\n' >"$shop/roles/restless/role.ini"
    sed -i "s|^roles = $top/roles\$|& roles|" "$file"
    printf '\n[template %s]\nimage = %s\nsize = small\nroles = %s\n\n[group %s]\ntemplate = %s\nmin = 0\ndesired = 0\nmax = 1\nzones = rack-a\n' \
        tiny "$debian" base tiny tiny restless "$debian" 'base restless' restless restless \
        store "$debian" 'base mariadb' store store >>"$file"
    lamplighter check
}
bake_web() {
    local before
    before=$(current)
    lamplighter image bake web >"$work/said" 2>&1 || { cat "$work/said" && return 1; }
    sed 's/^/measured: /' "$work/said" | grep 'bake-web\|MiB/s\|built'
    says "web@$((before + 1)): built from $debian, tried, and current"
    [[ $(current) -eq $((before + 1)) ]]
    lamplighter image verify web
    lamplighter image show web >"$work/said"
    says "^parent  *$debian-"
    silent_on deprecated
    no_builder web
}
# From one that is based on the baked image, the next is built from the plain base again.
bake_lineage() {
    lamplighter image bake tiny >"$work/said" 2>&1 || { cat "$work/said" && return 1; }
    set_key 'template tiny' image tiny
    lamplighter image bake tiny >"$work/said" 2>&1 || { cat "$work/said" && return 1; }
    says "tiny@2: built from $debian, "
    lamplighter image bake tiny --from tiny --name derived >"$work/said" 2>&1 || { cat "$work/said" && return 1; }
    lamplighter image show derived >"$work/said"
    says '^parent  *tiny@2$'
}
bake_that_is_not_good() {
    with 1 lamplighter image bake restless >"$work/said" 2>&1
    says 'restless@1 is not good, and not current: .*restless run never at rest'
    [[ ! -e $images/restless/current ]]
    lamplighter image show restless@1 >"$work/said"
    says '^deprecated .*never at rest'
    no_builder restless
}
# Its image has no data in it, so its trial makes some first. Kept, it can be looked at, and ended.
bake_database() {
    lamplighter image bake store --keep >"$work/said" 2>&1 || { cat "$work/said" && return 1; }
    says 'store@1: built from debian-.*, tried, and current'
    says '^bake-store stays, in no group'
    on bake-store "mariadb -BNe 'SHOW DATABASES'" >"$work/said"
    says '| mysql$'
    silent_on '| test$'
    with 1 lamplighter image bake store 2>"$work/said"
    says 'there is an instance bake-store already: .group terminate bake-store. first'
    lamplighter group terminate bake-store --no-wait
    lamplighter apply
    no_builder store
}
# At any moment, without a controller: what is left goes with the next bake, or the next apply.
killed_bakes() {
    local after pid left=0
    for after in 0.6 1.5 3 4.5 6; do
        "$lab" run -- "$program" -c "$file" image bake tiny >"$work/killed" 2>&1 &
        pid=$!
        sleep "$after"
        kill_tree "$pid"
        wait "$pid" 2>/dev/null || true
        if [[ -n $(builders) ]]; then left=$((left + 1)); fi
    done
    echo "measured: $left of 5 kills left a builder"
    [[ $left -gt 0 ]]
    lamplighter apply >"$work/said" 2>&1 || { cat "$work/said" && return 1; }
    [[ -z $(builders) ]]
    lamplighter image bake tiny >"$work/said" 2>&1 || { cat "$work/said" && return 1; }
    no_builder tiny
    lamplighter image list >"$work/said"
    [[ $(grep -c '^tiny@.* deprecated' "$work/said") -eq 0 ]]
}
# Beside a controller that acts: it makes the builder and removes it, also that of a killed bake, and
# says when an image may be taken of one that serves.
bake_beside_a_controller() {
    local pid before runner run_pid
    "$lab" run -- "$program" -c "$file" run >"$work/run" 2>&1 &
    runner=$!
    until run_pid=$(lamplighter status | sed -n 's/^acting now: run on .*, pid \([0-9]*\),.*/\1/p') && [[ -n $run_pid ]]; do
        kill -0 "$runner" || { cat "$work/run" && return 1; }
        sleep 0.2
    done
    echo "$run_pid" >"$work/run_pid"
    lamplighter image bake tiny >"$work/said" 2>&1 || { cat "$work/said" "$work/run" && return 1; }
    says 'tried, and current'
    no_builder tiny
    # One that is kept is left alone by it, until it is asked to end it.
    lamplighter image bake tiny --keep >"$work/said" 2>&1 || { cat "$work/said" "$work/run" && return 1; }
    says '^bake-tiny stays, in no group'
    sleep 5
    on bake-tiny true
    lamplighter why bake-tiny >"$work/said"
    says 'in no group'
    lamplighter group terminate bake-tiny >"$work/said" 2>&1 || { cat "$work/said" "$work/run" && return 1; }
    for _ in $(seq 1 300); do [[ -z $(builders) ]] && break || sleep 0.1; done
    no_builder tiny
    before=$(current)
    lamplighter image capture web --from web-1
    [[ $(current) -eq $((before + 1)) ]]
    "$lab" run -- "$program" -c "$file" image bake tiny >"$work/killed" 2>&1 &
    pid=$!
    for _ in $(seq 1 100); do [[ -n $(builders) ]] && break || sleep 0.1; done
    kill_tree "$pid"
    wait "$pid" 2>/dev/null || true
    for _ in $(seq 1 300); do [[ -z $(builders) ]] && break || sleep 0.1; done
    # What it had begun of the image (.new) goes with the next draft of that name.
    [[ -z $(builders) ]] || { builders && tail "$work/run" && return 1; }
    lamplighter events -n 60 >"$work/said"
    says "web-1 .*capture .*begun"
    says "web-1 .*capture .*done"
    says 'bake-tiny .*build .*to be removed: the command that built on it has ended'
    kill -TERM "$run_pid"
    wait "$runner"
    rm "$work/run_pid"
}

# --- killed --------------------------------------------------------------------------------------

killed_captures() {
    local after pid before half=0
    before=$(generations)
    for after in 0.8 1.6 2.4 3.4; do
        "$lab" run -- "$program" -c "$file" image capture web --from web-1 >"$work/killed" 2>&1 &
        pid=$!
        sleep "$after"
        kill_tree "$pid"
        wait "$pid" 2>/dev/null || true
        # Either there is nothing new, or (the last ones) a whole one.
        if [[ -e $images/web/.new ]]; then half=$((half + 1)); fi
        lamplighter image list --json >"$work/list.json"
        [[ $(grep -c '"problem": null' "$work/list.json") -eq $(grep -c '"generation"' <(grep -v manifest "$work/list.json" | grep '^    "generation"')) ]]
    done
    echo "measured: $half of 4 kills left something half-made"
    [[ $half -gt 0 ]]
    lamplighter image capture web --from web-1
    [[ ! -e $images/web/.new && $(generations) != "$before" ]]
    lamplighter image verify "web@$(current)"
    # Nothing of the killed ones goes on.
    ! pgrep -f "mksquashfs - $images/"
}

# --- clones --------------------------------------------------------------------------------------

launch_clones() {
    lamplighter image list --json >"$work/list.json"
    set_key 'template web' image web
    set_key 'group web' desired 3
    lamplighter apply >"$work/said" || { cat "$work/said" && return 1; }
    grep ' launch ' "$work/said" | sed 's/^/measured: /'
    lamplighter status >"$work/said"
    says 'group web *3 of 3'
    [[ $(mounts) -eq 1 && $(loops) -eq 1 ]]
    # A clone copies nothing of the image.
    [[ $(du -sm "$instances/web-2/upper" | cut -f1) -lt 60 ]]
}
clones_differ() {
    local command
    for command in 'cat /etc/machine-id' 'cat /etc/ssh/ssh_host_ed25519_key.pub' hostname 'cat /etc/lamplighter/instance' \
        'cat /etc/hosts'; do
        lamplighter exec web -- sh -c "$command" | sed 's/^web-[123] *| //' | grep -v 'localhost\|cluster=' >"$work/all"
        [[ $(sort -u "$work/all" | wc -l) -eq $(wc -l <"$work/all") && $(wc -l <"$work/all") -ge 3 ]] ||
            { echo "$command" && cat "$work/all" && return 1; }
    done
}
# Each says which image it runs, as the manifest does, and has the machine-id that was recorded for it.
clones_say_who_they_are() {
    local n build id
    build=$(sed -n 's/^ *"build": "\(.*\)",$/\1/p' "$images/web/$(current)/manifest.json")
    [[ ${#build} -eq 32 ]]
    for n in 2 3; do
        on "web-$n" 'cat /usr/lib/lamplighter/image' >"$work/said"
        says "web@$(current) $build\$"
        id=$(inside virsh -q -c lxc:/// domuuid "shop.web-$n" | tr -d '-')
        on "web-$n" 'cat /etc/machine-id' >"$work/said"
        says "$id"
    done
}
# What was switched off by hand is believed to be off when its port has been silent for a while.
apply_says() {
    for _ in 1 2 3 4 5; do
        lamplighter apply >"$work/said" 2>&1 || true
        grep -q -e "$1" "$work/said" && return
        sleep 1
    done
    says "$1"
}
applies() {
    for _ in 1 2 3 4 5; do
        lamplighter apply >"$work/said" 2>&1 && return
        sleep 1
    done
    cat "$work/said"
    return 1
}
switch_off() { inside virsh -q -c lxc:/// destroy "shop.$1"; }
# web-3's next start is into a system that says it is another build: it is not let in, and told.
another_system() {
    local line other='tr 0-9 1-90 </etc/machine-id >/root/id && cat /root/id >/etc/machine-id'
    # It is to come back itself, not another one in its place.
    lamplighter group suspend web launch --no-wait
    line=$(inside cat "$instances/web-3/root/usr/lib/lamplighter/image")
    on web-3 'echo "web@1 00000000000000000000000000000000" >/usr/lib/lamplighter/image'
    switch_off web-3
    apply_says 'web-3 .*greet .*FAILED'
    says "web-3 runs image web@1 (build 000000000000), expected ${line%% *} "
    lamplighter events -n 40 >"$work/said"
    says 'web-3 .*greet.*it came up in another system; it gets no traffic'
    says 'web-3 .*mark .*quarantined'
    # It served, so its balancer is told; another run does not take it for greeted.
    with 1 lamplighter apply
    if servers_of web-3 | grep ,UP,; then return 1; fi
    on web-3 "echo '$line' >/usr/lib/lamplighter/image"
    lamplighter group retry web-3 --no-wait
    applies
    # Another machine-id is another system too, until an operator says that it is right.
    on web-3 "$other"
    switch_off web-3
    apply_says 'web-3 has machine-id .*, expected '
    with 1 lamplighter apply
    lamplighter group retry web-3 --no-wait
    lamplighter group resume web launch --no-wait
    applies
    servers_of web-3 >"$work/said"
    says ,UP,
}
# Baked and mended in place are the same: nothing to change, by any role, of any host.
nothing_to_change() {
    lamplighter plan >"$work/said"
    says 'nothing to change'
}
# From the first thing there is of it to the first 200 by its own address.
first_answer() {
    local n begun pid address
    inside sh -c "pid=\$(cat /run/libvirt/lxc/shop.web-3.pid) && virsh -q -c lxc:/// destroy shop.web-3"
    lamplighter exec web-2 -- true
    set_key 'group web' desired 2
    lamplighter apply >"$work/said" 2>&1 || { cat "$work/said" && return 1; }
    set_key 'group web' desired 3
    address=10.77.1.12
    for n in 3 4; do [[ ! -e $instances/web-$n ]] || { ls "$instances" && return 1; }; done
    cat >"$work/wait.sh" <<'WAIT'
until [ -e "$1/web-3" ] || [ -e "$1/web-4" ]; do sleep 0.01; done
date +%s%3N
until curl -sf -m 1 -o /dev/null "http://$2/healthz/php"; do sleep 0.02; done
date +%s%3N
WAIT
    timeout 120 "$lab" run -- sh "$work/wait.sh" "$instances" "$address" >"$work/times" &
    pid=$!
    lamplighter apply >"$work/said" 2>&1 || { cat "$work/said" && return 1; }
    wait "$pid"
    begun=$(head -n 1 "$work/times")
    echo "measured: launch to first 200: $(($(tail -n 1 "$work/times") - begun)) ms"
}
diff_tells() {
    on web-2 'echo more >>/etc/apache2/apache2.conf; rm /etc/issue; touch /srv/new'
    lamplighter image diff web-2 >"$work/said"
    says '^changed  /etc/apache2/apache2.conf$'
    says '^removed  /etc/issue$'
    says '^added    /srv/new$'
    [[ $(wc -l <"$work/said") -lt 30 ]] || { cat "$work/said" && return 1; }
    lamplighter image diff web-2 --json | grep -q '"/srv/new"'
    on web-2 'sed -i "\$d" /etc/apache2/apache2.conf; touch /etc/issue; rm /srv/new'
}
after_a_reboot() {
    # As after a power cut of the hypervisor: nothing runs, nothing is mounted.
    inside sh -c "virsh -q -c lxc:/// destroy shop.web-2; umount $instances/web-2/root"
    [[ $(mounts) -le 1 ]]
    # What runs again may not pass its checks yet when the first one ends.
    lamplighter apply >"$work/said" 2>&1 || lamplighter apply >"$work/said" 2>&1 || { cat "$work/said" && return 1; }
    lamplighter exec web-2 -- hostname
    [[ $(mounts) -eq 1 && $(loops) -eq 1 ]]
}

# A database host's image has the server and no data: a clone makes its own, empty.
database_clone() {
    lamplighter image capture db --from db-1
    set_key 'template db' image db
    set_key 'group db' max 2
    set_key 'group db' desired 2
    lamplighter apply >"$work/said" 2>&1 || { cat "$work/said" && return 1; }
    on db-2 "mariadb -BNe 'SELECT COUNT(*) FROM shop.entry' 2>&1 || true" >"$work/said"
    says "doesn't exist"
    on db-1 "mariadb -BNe 'SELECT COUNT(*) >= 0 FROM shop.entry'" >"$work/said"
    says '| 1$'
}

# --- what is not taken ---------------------------------------------------------------------------

# launch_refused TEXT: one more instance cannot be made, says why, and leaves nothing.
launch_refused() {
    local before
    before=$(ls "$instances")
    set_key 'group web' desired 4
    with 1 lamplighter apply >"$work/said" 2>&1
    set_key 'group web' desired 3
    says "$1"
    [[ $(ls "$instances") == "$before" ]]
}
altered_block() {
    local path kept other='\x00'
    path=$images/web/$(current)/root.squashfs
    kept=$(od -An -tx1 -j 5000000 -N 1 "$path" | tr -d ' ')
    [[ $kept != 00 ]] || other='\xff'
    # shellcheck disable=SC2059
    printf "$other" | dd of="$path" bs=1 seek=5000000 conv=notrunc status=none
    with 1 lamplighter image verify web 2>"$work/said"
    says 'is not what was signed'
    launch_refused 'is not what was signed'
    # shellcheck disable=SC2059
    printf "\\x$kept" | dd of="$path" bs=1 seek=5000000 conv=notrunc status=none
    lamplighter image verify web
}
altered_manifest() {
    local path
    path=$images/web/$(current)/manifest.json
    cp -p "$path" "$work/manifest"
    sed -i 's/"instance": "[a-z0-9-]*"/"instance": "web-9"/' "$path"
    with 1 lamplighter image show web >"$work/said"
    says 'NOT TRUSTED'
    launch_refused 'its manifest is not what was signed'
    cp -p "$work/manifest" "$path"
    lamplighter image verify web
}
another_signature() {
    mv "$home/state/keys" "$home/state/kept"
    mkdir -m 700 "$home/state/keys"
    cp -p "$home/state/kept/login"* "$home/state/keys/"
    "$lab" run -- openssl ecparam -name prime256v1 -genkey -noout -out "$work/other"
    openssl ec -in "$work/other" -pubout -out "$home/state/keys/image.pub" 2>/dev/null
    launch_refused 'a key that is not known here'
    rm "$home/state/keys/image.pub"
    launch_refused 'no public key'
    rm -rf "$home/state/keys"
    mv "$home/state/kept" "$home/state/keys"
    lamplighter image verify web
}
older_build() {
    local now
    now=$(current)
    with 3 lamplighter image use web@2 2>"$work/said"
    says 'is older than what is current: --allow-downgrade'
    [[ $(current) == "$now" ]]
    lamplighter image use web@2 --allow-downgrade
    [[ $(current) == 2 ]]
    lamplighter image use "web@$now"
    # An old one in a new one's place, with its own good signature.
    cp -a "$images/web/2" "$images/web/99"
    with 1 lamplighter image verify web@99 2>"$work/said"
    says 'what is there is web@2'
    rm -rf "$images/web/99"
}

# --- the end of one ------------------------------------------------------------------------------

delete_in_use() {
    local used
    used=$(basename "$(dirname "$(cat "$instances/web-2/base")")")
    lamplighter image capture web --from web-2
    [[ $(current) -gt $used ]]
    with 3 lamplighter image delete "web@$used" 2>"$work/said"
    says 'is used: .*web-2'
    lamplighter image delete web@1
    lamplighter image protect web@2
    with 3 lamplighter image delete web@2 2>"$work/said"
    says 'is protected'
    lamplighter image unprotect web@2
    lamplighter image delete web@2
    lamplighter image deprecate "web@$used"
    with 3 lamplighter image use "web@$used" --allow-downgrade 2>"$work/said"
    says 'is deprecated'
    lamplighter image undeprecate "web@$used"
    with 1 lamplighter image delete "web@$(current)" 2>"$work/said"
    says 'what new instances get'
}
# scale COUNT: so many web hosts, all of them from the current image when there was none before.
scale() {
    set_key 'group web' min 0
    set_key 'group web' desired "$1"
    lamplighter apply >"$work/said" 2>&1 || { cat "$work/said" && return 1; }
}
parent_of_used() {
    local parent
    parent=$(basename "$(dirname "$(cat "$instances/web-2/base")")")
    scale 0
    scale 1
    [[ $(basename "$(dirname "$(cat "$instances"/web-*/base)")") -gt $parent ]]
    with 3 lamplighter image delete "web@$parent" 2>"$work/said"
    says 'came from it, and web-'
}
unmounted_with_the_last() {
    [[ $(mounts) -eq 1 && $(loops) -eq 1 ]]
    scale 0
    [[ $(mounts) -eq 0 && $(loops) -eq 0 ]] || { inside grep images /proc/self/mountinfo && return 1; }
    scale 2
    [[ $(mounts) -eq 1 && $(loops) -eq 1 ]]
}
# So many real ones as were asked for; each is a file of its own, nothing is shared between them.
real_generations() {
    local id used begun
    id=$(find "$instances" -mindepth 1 -maxdepth 1 -name 'web-*' -printf '%f\n' | sort | head -n 1)
    used=$(basename "$(dirname "$(cat "$instances/$id/base")")")
    while [[ $(generations | wc -w) -lt $wanted ]]; do beside "$id"; done
    [[ ! -e $work/times ]] || tell_times
    echo "measured: $(generations | wc -w) generations of web: $(du -sm "$images/web" | cut -f1) MiB on the disk, one $(du -sm "$images/web/$(current)" | cut -f1) MiB"
    sync
    echo 3 >/proc/sys/vm/drop_caches
    begun=$(now_ms)
    lamplighter image list >"$work/said"
    echo "measured: list after the caches were dropped: $(($(now_ms) - begun)) ms"
    begun=$(now_ms)
    lamplighter image list >"$work/said"
    echo "measured: list again: $(($(now_ms) - begun)) ms"
    [[ $(grep -c '^web@' "$work/said") -eq $wanted ]]
    silent_on 'NOT TRUSTED'
    with 3 lamplighter image delete "web@$used" 2>"$work/said"
    says "is used: .*$id"
}
# Copies by link take no room and are not trusted (their number is not theirs), but are looked at.
many_generations() {
    local begun n
    echo "measured: $(generations | wc -w) generations of web: $(du -sm "$images/web" | cut -f1) MiB"
    for n in $(seq 101 120); do cp -al "$images/web/$(current)" "$images/web/$n"; done
    begun=$(now_ms)
    lamplighter image list >"$work/said"
    echo "measured: list of $(grep -c '^web@' "$work/said") generations: $(($(now_ms) - begun)) ms"
    [[ $(grep -c 'NOT TRUSTED' "$work/said") -eq 20 ]]
    rm -rf "$images"/web/1[012][0-9]
}
images_leave_nothing() {
    down_leaves_nothing
    for _ in $(seq 1 50); do grep -qsF "$images/" /sys/block/loop*/loop/backing_file || break && sleep 0.1; done
    ! grep -sF "$images/" /sys/block/loop*/loop/backing_file
}

make_lab
put_images
check 'a host to take an image of' first_host
check 'capture: from a host that serves, no failed request' capture_under_load
check 'capture: beside the same without us' capture_measured
check 'the image is sealed, and holds no secret' sealed
check 'a planted private key: refused with its path' private_key
check 'a shell history: refused with its path' shell_history
check 'a password of the database client: refused with its path' client_password
check '--without: left out, and told' left_out_on_demand
check 'capture killed with -9 at four moments: nothing half is seen' killed_captures
put_tiny >"$work/out" 2>&1 || cat "$work/out"
check 'bake: from the plain base, tried, current' bake_web
check 'bake: lineage' bake_lineage
check 'bake: one that fails its trial is never current' bake_that_is_not_good
check 'bake: a database host, which is kept' bake_database
check 'bake killed with -9 at five moments: nothing stays' killed_bakes
check 'bake and capture beside a controller' bake_beside_a_controller
[[ ! -e $work/run_pid ]] || kill -9 "$(<"$work/run_pid")" || true
check 'two clones: one mount, nothing copied' launch_clones
check 'clones differ where they must' clones_differ
check 'a clone says which image it runs' clones_say_who_they_are
check 'a clone that comes up in another system: no traffic' another_system
check 'a clone is configured like the host it came from' nothing_to_change
check 'launch to the first answer' first_answer
check 'a clone of a database host: no data' database_clone
check 'diff: exactly what was changed' diff_tells
check 'after a reboot: mounted again' after_a_reboot
check 'an altered block: not launched' altered_block
check 'an altered manifest: not launched' altered_manifest
check 'signed by another, or no key: not launched' another_signature
check 'an older build: only with --allow-downgrade' older_build
check 'delete: refused while used, protected or current' delete_in_use
check 'delete: refused for what a used one came from' parent_of_used
check 'unmounted with the last instance, mounted with the first' unmounted_with_the_last
check 'list' many_generations
if [[ $wanted -gt 0 ]]; then check "$wanted real generations: disk, list, delete" real_generations; fi
check 'lab down: no mount, no loop device' images_leave_nothing
counts
