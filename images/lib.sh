# shellcheck shell=bash
# lib.sh: what images/base/make and images/packages/make share (sourced, never run).
#
# Everything is built below $LAMP_CACHE and is made beside its place and renamed when it is whole,
# so that an interrupted run leaves either the old result or the new one. The machine's own apt
# sources are read at run time; no address of a mirror is written down here.

PATH=$PATH:/usr/sbin:/sbin # A plain `su` leaves them out, and dpkg insists on them.
umask 022 # What is made here is for apt's own user and for every host's users to read.

LAMP_CACHE=${LAMP_CACHE:-/var/cache/lamplighter}
LAMP_KEYS=$LAMP_CACHE/keys
LAMP_KEYRING=$LAMP_KEYS/lamplighter-lab.gpg
LAMP_SOURCE_URL=${LAMP_SOURCE_URL:-http://10.77.0.1:8080}

say() { printf '%s\n' "$*"; }

# there TEXT: says that there was nothing to do, and ends the program.
there() {
    [[ $quiet == yes ]] || say "$1"
    exit 0
}

fail() {
    printf '%s: %s\n' "${0##*/images/}" "$*" >&2
    exit 1
}

# quietly CMD...: shows the end of what CMD said, and ends the program, only when CMD fails.
quietly() {
    local said
    said=$("$@" 2>&1 </dev/null) && return
    tail -n 20 <<<"$said" | sed 's/^/  /' >&2
    fail "$1 failed (above: the end of what it said)"
}

# The codename of the machine this runs on, or failure when it is not Debian 12 or 13.
machine_release() {
    # shellcheck disable=SC1091
    (. /etc/os-release && [[ ${ID-} == debian ]] && printf '%s\n' "${VERSION_CODENAME-}") |
        grep -Ex 'bookworm|trixie'
}

# debian_version CODENAME: the number that goes with it.
debian_version() {
    case $1 in
    bookworm) echo 12 ;;
    trixie) echo 13 ;;
    *) return 1 ;;
    esac
}

# debian_sources CODENAME: the machine's own Debian lines, in one-line format, turned to CODENAME.
# apt itself lists them, so every format apt understands is read; other vendors' lines, CD-ROMs and
# backports are left out.
debian_sources() {
    local want=$1 here
    here=$(machine_release)
    # The dollar words belong to apt, not to this shell.
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(CREATED_BY)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)' |
        awk -F'|' -v want="$want" -v here="$here" '
            $1 != "Packages" || $2 ~ /^cdrom:/ { next }
            { suite = $3 }
            sub("^(" here "|stable|oldstable)", want, suite) &&
            suite ~ ("^" want "(-updates|-security|/updates)?$") {
                key = $2 " " suite
                if (!(key in seen)) { order[++n] = key }
                if (!seen[key, $4]++) { seen[key] = seen[key] " " $4 }
            }
            END { for (i = 1; i <= n; i++) { print "deb " order[i] seen[order[i]] } }'
}

# trusted_keys DIR: puts copies of every key the machine trusts for its sources into DIR.
trusted_keys() {
    local dir=$1 key name
    mkdir -p "$dir"
    for key in /etc/apt/trusted.gpg.d/*.{gpg,asc} /usr/share/keyrings/debian-archive-keyring.{gpg,pgp} \
        $(sed -nE 's/.*[Ss]igned-[Bb]y *[:=] *(\/[^] ]+).*/\1/p' /etc/apt/sources.list \
            /etc/apt/sources.list.d/* 2>/dev/null || true); do
        [[ -s $key ]] || continue
        name=$(basename "$key")
        [[ $name != *.pgp ]] || name=${name%.pgp}.gpg
        cp -f -- "$key" "$dir/$name"
    done
}

# machine_apt_options: the Acquire options (proxies, retries) an admin has set on this machine.
machine_apt_options() {
    apt-config dump | grep -E '^Acquire::((http|https|ftp)::|Retries|ForceIPv4|ForceIPv6|Check-)' |
        grep -vE ' "";$' || true
}

# read_arguments ARG...: sets release, force and quiet; both programs take the same.
read_arguments() {
    release=$(machine_release) || fail "this machine is not Debian 12 or 13"
    force=no
    quiet=no
    while [[ $# -gt 0 ]]; do
        case $1 in
        --release)
            [[ $# -ge 2 ]] || fail "--release: which one, bookworm or trixie?"
            release=$2
            shift
            ;;
        --force) force=yes ;;
        --quiet) quiet=yes ;;
        -h | --help)
            sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"
            exit 0
            ;;
        *) fail "unknown argument '$1': try --help" ;;
        esac
        shift
    done
    debian_version "$release" >/dev/null ||
        fail "release '$release' is not known: give --release bookworm or --release trixie"
    [[ $EUID -eq 0 ]] || fail "must be root"
}

# lab_gpg ARG...: gpg with the lab's own key ring; its agent does not outlive it.
lab_gpg() {
    local status=0
    gpg --homedir "$LAMP_KEYS/gnupg" --batch --quiet --pinentry-mode loopback --passphrase '' "$@" || status=$?
    gpgconf --homedir "$LAMP_KEYS/gnupg" --kill all
    return "$status"
}

# lab_key: makes the key that signs the package source, once.
lab_key() {
    [[ -s $LAMP_KEYRING ]] && return
    rm -rf -- "$LAMP_KEYS"
    mkdir -p "$LAMP_KEYS/gnupg"
    chmod 700 "$LAMP_KEYS" "$LAMP_KEYS/gnupg"
    lab_gpg --quick-gen-key 'Lamplighter lab package source' ed25519 sign never
    lab_gpg --export >"$LAMP_KEYRING.new"
    mv -f -- "$LAMP_KEYRING.new" "$LAMP_KEYRING"
}

# lab_sign FILE RESULT: FILE with the lab's signature around it.
lab_sign() { lab_gpg --yes --output "$2" --clearsign "$1"; }

# digest_of SALT FILE...: one digest over SALT and over files and directories (names, contents, modes).
digest_of() {
    local salt=$1
    shift
    {
        printf '%s\n' "$salt"
        find "$@" -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sed 's|[^ ]*/images/||'
        find "$@" -type f -perm -100 -printf '%f executable\n' | LC_ALL=C sort
    } | sha256sum | cut -d' ' -f1
}

# cache_lock NAME: only one of us builds a thing at a time; the lock ends with the process.
cache_lock() {
    mkdir -p "$LAMP_CACHE"
    exec 8>"$LAMP_CACHE/.$1.lock"
    flock -n 8 && return
    say "waiting for another build of $1 to end ..."
    flock -w 1800 8 || fail "another build of $1 has held $LAMP_CACHE/.$1.lock for half an hour: look with fuser"
}
