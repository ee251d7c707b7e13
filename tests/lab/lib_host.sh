# shellcheck shell=bash disable=SC2154
# tests/lab/lib_host.sh: hosts that are made by hand in a lab, without the program. Sourced, with `lab`,
# `name`, `work` and a key pair in $work/key; their host keys are added to $work/known.
image_link=${LAMP_CACHE:-/var/cache/lamplighter}/images/debian-$(sed -n 's/^VERSION_ID="\(.*\)"/\1/p' /etc/os-release)

# make_host ID ADDRESS: a container as the libvirt provider makes it, but by hand.
make_host() {
    local id=$1 address=$2 dir=/var/lib/lamplighter/labs/$name/instances/$1 image
    image=$(realpath "$image_link")
    mkdir -p "$dir"/{upper,work,root}
    "$lab" run -- mount -t overlay overlay \
        -o "lowerdir=$image/root,upperdir=$dir/upper,workdir=$dir/work" "$dir/root"
    cat >"$work/prepare" <<PREPARE
set -e
cd "$dir/root"
echo "$id" >etc/hostname
printf '127.0.0.1 localhost\n$address $id\n' >etc/hosts
ssh-keygen -q -t ed25519 -N '' -f etc/ssh/ssh_host_ed25519_key
cp "$work/key.pub" root/.ssh/authorized_keys
echo "$address \$(cut -d' ' -f1,2 etc/ssh/ssh_host_ed25519_key.pub)" >>"$work/known"
PREPARE
    "$lab" run -- bash "$work/prepare"
    cat >"$work/$id.xml" <<XML
<domain type='lxc'>
  <name>$id</name>
  <memory unit='MiB'>512</memory>
  <os><type>exe</type><init>$(sed -n 's/^init = //p' "$image/image.ini")</init></os>
  <features><privnet/></features>
  <on_reboot>restart</on_reboot>
  <devices>
    <filesystem type='mount'><source dir='$dir/root'/><target dir='/'/></filesystem>
    <interface type='bridge'>
      <source bridge='lamp0'/>
      <ip address='$address' family='ipv4' prefix='16'/>
      <guest dev='eth0'/>
    </interface>
    <console type='pty'/>
  </devices>
</domain>
XML
    "$lab" run -- virsh -q -c lxc:/// define "$work/$id.xml"
    "$lab" run -- virsh -q -c lxc:/// start "$id"
}

# on ADDRESS CMD...: over SSH, with exactly the pinned host key; waits for the host to boot.
on() {
    local address=$1 try
    shift
    for ((try = 0; try < 100; try++)); do
        if "$lab" run -- bash -c ": </dev/tcp/$address/22" 2>/dev/null; then break; fi
        sleep 0.1
    done
    "$lab" run -- ssh -F none -i "$work/key" -o BatchMode=yes -o StrictHostKeyChecking=yes \
        -o UserKnownHostsFile="$work/known" -o ConnectTimeout=5 "root@$address" "$@" </dev/null
}
