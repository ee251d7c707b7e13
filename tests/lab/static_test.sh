#!/bin/bash
# tests/lab/static_test.sh: provider static at the command line: hosts that exist already, reached
# directly, through a bastion, as another user; keys and files that will not do. The hosts are real
# sshds on loopback. One case a line, the counts last. Needs root.
set -euo pipefail

# shellcheck source=tests/lab/loopback.sh
. "$(dirname "${BASH_SOURCE[0]}")/loopback.sh"
loopback_enter "$0" "$@"

# --- good hosts ----------------------------------------------------------------------------------

put_good() {
    local name
    host a 127.0.1.1
    host b 127.0.1.2
    host c 127.0.1.3
    file=$work/good.ini
    {
        head_of good
        for name in a b c; do
            printf '[host %s]\nprovider = racks\naddress = %s\n' "$name" "$(cat "$work/$name/address")"
            # One by its whole key, the others by fingerprint.
            if [[ $name == b ]]; then key=$(whole_key b); else key=$(fingerprint "$name"); fi
            printf 'host-key = %s\n\n' "$key"
        done
        printf '[pool site]\nport = 22\ncheck = TCP every 500ms timeout 500ms fall 2 rise 1\n'
        printf '[group site]\ntemplate = site\nmin = 1\ndesired = 3\npool = site\nhealthy-min = 60%%\n'
        # It comes due for ever; plan and apply end all the same.
        printf 'check-command = true\ncheck-every = 1s\n'
    } >"$file"
}

good_plan() {
    with 0 lamplighter plan
    says 'site-1 *configure'
    says 'site-3 *configure'
    says '3 steps'
    [[ ! -e $work/a/upper/srv/site && ! -e $work/state-good/store.db ]]
}
good_apply() {
    with 0 lamplighter apply
    says 'site-1 *configure *done'
    says 'applied: 3 steps'
    [[ $(cat "$work/b/upper/srv/site/page") == 'first on site-2, debian' ]]
}
nothing_left() {
    with 0 lamplighter plan
    says 'nothing to change'
    with 0 lamplighter apply
    says 'nothing to change; looked at 3 instances'
    lines 1
}
commands() {
    with 0 lamplighter exec site -- hostname
    says '^site-1 | a$'
    says '^site-3 | c$'
    lines 3
    with 5 lamplighter exec all -- 'test "$(hostname)" != b || exit 5'
    with 0 lamplighter exec c -- hostname
    says '^site-3 | c$'
    [[ $(lamplighter ssh site-2 -- hostname </dev/null) == b ]]
    lamplighter role show a >"$work/script"
    dash -n "$work/script"
    grep -q /srv/site/page "$work/script"
}
seen() {
    lamplighter status --json >"$work/said"
    python3 - "$work/said" <<'PYTHON'
import json, sys
seen = json.load(open(sys.argv[1]))["instances"]
assert [i["machine"] for i in seen] == ["a", "b", "c"], seen
assert all(i["serving"] and i["state"] == "in-service" and not i["reason"] for i in seen), seen
PYTHON
    with 0 lamplighter events --verify
}
drift() {
    with 0 lamplighter exec site-2 -- rm /srv/site/page
    with 0 lamplighter plan
    says 'site-2 *configure'
    says 'cluster good: 1 step'
    silent_on 'site-[13]'
    with 0 lamplighter apply
    says 'applied: 1 steps, 1 resources changed'
    nothing_left
}

# --- logins --------------------------------------------------------------------------------------

# One line that says what is wrong and what to do, before any host is spoken to.
refused_at_once() {
    with 1 lamplighter apply
    lines 1
    says "$1"
    with 1 lamplighter plan
    lines 1
    says "$1"
}
# key PATH: the good cluster with another key.
with_key() {
    file=$work/key.ini
    sed "s|^key = .*|key = $1|" "$work/good.ini" >"$file"
}
encrypted_key() {
    ssh-keygen -q -t ed25519 -N secret -C '' -f "$work/encrypted"
    with_key "$work/encrypted"
    refused_at_once 'encrypted.*passphrase.*ssh-add'
    # Whether its public half lies beside it or not.
    rm "$work/encrypted.pub"
    refused_at_once 'encrypted.*passphrase.*ssh-add'
}
rsa_key() {
    ssh-keygen -q -t rsa -b 2048 -N '' -C '' -f "$work/rsa"
    with_key "$work/rsa"
    refused_at_once 'rsa.*RSA key.*ssh-keygen -t ed25519'
}
open_key() {
    cp "$work/login" "$work/open" && chmod 644 "$work/open"
    with_key "$work/open"
    refused_at_once 'open: others can read it (mode 0644); chmod 600 it'
}
missing_key() {
    with_key "$work/nowhere"
    refused_at_once 'nowhere: No such file or directory'
}
public_key() {
    (umask 077 && cp "$work/login.pub" "$work/half")
    with_key "$work/half"
    refused_at_once 'half.*not a private key'
}

# Through a bastion, as a user who becomes root; what lies behind is known to the bastion only, by name.
put_jump() {
    local name n=0
    file=$work/jump.ini
    for name in bastion inner password no-sudo deaf-bastion behind; do
        n=$((n + 1))
        host "$name" "127.0.3.$n"
        echo "useradd -m -s /bin/sh -p '*' keeper" >"$work/$name/prepare"
    done
    printf '%s\n' '127.0.3.2 inner.test' '127.0.3.3 password.test' '127.0.3.4 no-sudo.test' >"$work/names"
    echo "echo '$(cat "$work/names")' >>/etc/hosts" >>"$work/bastion/prepare"
    echo "echo 'keeper ALL=(root) NOPASSWD: ALL' >/etc/sudoers.d/keeper" >>"$work/inner/prepare"
    echo 'chmod 000 /usr/bin/sudo && rm /usr/bin/sudo' >>"$work/no-sudo/prepare"
    echo 'AllowTcpForwarding no' >"$work/deaf-bastion/sshd_config"
    {
        head_of jump
        printf '[host bastion]\naddress = 127.0.3.1\nhost-key = %s\n\n' "$(fingerprint bastion)"
        printf '[host deaf-bastion]\naddress = 127.0.3.5\nhost-key = %s\n\n' "$(fingerprint deaf-bastion)"
        entry inner
        entry password
        entry no-sudo
        entry behind | sed '/^host-key/a proxy-jump = deaf-bastion'
    } >"$file"
    sed -i 's|^address = 127.0.3.2|address = inner.test|; s|^address = 127.0.3.3|address = password.test|
        s|^address = 127.0.3.4|address = no-sudo.test|
        s|^connect-timeout = .*|user = keeper\nbecome = sudo\nproxy-jump = bastion\nconnect-timeout = 2s|' "$file"
    start bastion inner password no-sudo deaf-bastion behind
}
jump_apply() {
    with 1 lamplighter apply
    cp "$work/said" "$work/jump-said"
    says 'inner-1 *configure *done'
    says "password-1.*sudo does not let keeper become root.*NOPASSWD"
    says "no-sudo-1.*no sudo there"
    says 'behind-1.*the bastion deaf-bastion .*cannot reach it.*AllowTcpForwarding'
    [[ $(cat "$work/inner/upper/srv/site/page") == 'first on inner-1, debian' ]]
    [[ $(stat -c %U "$work/inner/upper/srv/site/token") == root ]]
    [[ ! -e $work/password/upper/srv/site && ! -e $work/no-sudo/upper/srv/site ]]
}
jump_commands() {
    with 0 lamplighter exec inner -- id -un
    says '^inner-1 | root$'
    # The client goes through the bastion too, with both keys pinned, and stays who it is.
    [[ $(lamplighter ssh inner-1 -- hostname </dev/null) == inner ]]
    [[ $(lamplighter ssh inner-1 -- id -un </dev/null) == keeper ]]
}
other_bastion() {
    file=$work/other-bastion.ini
    sed "s|^host-key = $(fingerprint bastion)|host-key = $(fingerprint a)|" "$work/jump.ini" >"$file"
    with 255 lamplighter exec inner -- true
    says 'inner-1.*through its bastion: bastion .*shows another host key'
    with 1 lamplighter ssh inner-1 -- true
    says 'shows another host key'
    lines 1
}
without_become() {
    file=$work/plain.ini
    sed '/^become = /d' "$work/jump.ini" >"$file"
    with 1 lamplighter plan
    says 'inner-1.*cannot write /run/lamplighter: log in as root, or set become = sudo'
}
down_and_up() {
    file=$work/good.ini
    with 0 lamplighter exec all -- rm /srv/site/page
    stop c
    # The lost one is charged first: the minimum keeps the two that are left as they are.
    with 3 lamplighter apply
    says 'site-3 .*FAILED.*refuses connections'
    says 'site-3 *stuck *nobody reaches it, and no provider can say whether it runs (S10)'
    says 'site-1 *refused *2 serving and a healthy minimum of 2.*(S1)'
    [[ ! -e $work/a/upper/srv/site/page ]]
    # With a lower one they go on.
    file=$work/lower.ini
    sed 's/^healthy-min = .*/healthy-min = 30%/' "$work/good.ini" >"$file"
    with 1 lamplighter apply
    says 'site-1 *configure *done'
    says 'site-2 *configure *done'
    says 'site-3 *stuck *nobody reaches it'
    file=$work/good.ini
    with 255 lamplighter exec all -- true
    says 'site-3: .*refuses connections'
    start c
    with 0 lamplighter apply
    says 'applied'
    nothing_left
}

# --- the file ------------------------------------------------------------------------------------

# wrong SED PATTERN: the good file with a mistake: one line with file, line and what to do.
wrong() {
    file=$work/wrong.ini
    sed "$1" "$work/good.ini" >"$file"
    local command
    for command in check plan apply; do
        with 1 lamplighter "$command"
        lines 1
        says "wrong.ini:[0-9]*: .*$2"
    done
}
wrong_files() {
    cp "$work/token" "$work/open-token" && chmod 644 "$work/open-token"
    wrong "s|^file = .*|file = $work/open-token|" 'open-token: others can read it (mode 0644); chmod 600 it'
    wrong "s|^file = .*|file = $work/no-token|" 'no-token: No such file'
    wrong '/^\[template site\]/a user-data = @first.sh' 'first.sh'
    wrong 's|^site.token = .*|site.tokne = secret:token|' "site.tokne: .*did you mean 'token'"
    wrong 's|^site.token = .*|site.token = in-the-open|' 'site.token: this is a secret'
    wrong 's|secret:token|secret:tokn|' "site.token: .*did you mean 'token'"
    wrong '0,/^host-key/s|^host-key = .*|host-key = SHA256:short|' 'host-key: expected SHA256:FINGERPRINT'
}

put_good
start a b c
check 'plan: three hosts, nothing touched' good_plan
check 'apply: as planned' good_apply
check 'again: nothing to change' nothing_left
check 'exec, ssh, role show' commands
check 'status --json, events --verify' seen
check 'a changed host alone is mended' drift
file=$work/good.ini
check 'a host that is down, then up: the others go on' down_and_up
check 'a key with a passphrase' encrypted_key
check 'an RSA key' rsa_key
check 'a key readable by others' open_key
check 'a key that is not there' missing_key
check 'a public key for a private one' public_key
check 'mistakes in the file: one line with file and line' wrong_files

put_jump
check 'through a bastion, by sudo: done, and what is missing is said' jump_apply
check 'exec and ssh through the bastion' jump_commands
check 'another bastion key: refused' other_bastion
check 'not root, no become: said' without_become
counts
