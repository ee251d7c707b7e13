# shellcheck shell=dash disable=SC2034,SC2154,SC2015
ll_root=
# What every host script begins with: the functions that look at a host, mend it and report.
# The rest of the script, made from the roles, calls them. It runs under dash; what comes in on
# standard input after the script is one line of options, one line a secret, and what it asks for.
#
# Every report line begins with a token only this run knows, so no tool can forge one. Tools get
# no standard input, not our lock, and their words are kept, not passed on.
set -u
ll_nl='
'
ll_tab='	'
ll_etc=$ll_root/etc/lamplighter
ll_lib=$ll_root/var/lib/lamplighter
ll_run=$ll_root/run/lamplighter
ll_units=$ll_root/run/systemd/units
ll_unit_dir=$ll_root/etc/systemd/system
ll_sysctl_dir=$ll_root/etc/sysctl.d
ll_buffer=
ll_stop=
ll_due=
ll_served=
ll_fresh=
ll_known_packages=
ll_was_missing=
ll_updated=
ll_dirty=
ll_role=
ll_type=
ll_name=

# Hundredths of a second since the boot, in ll_now, without a process.
ll_clock() {
    read -r ll_up ll_rest </proc/uptime
    ll_now=$((${ll_up%.*} * 100 + 1${ll_up#*.} - 100))
}

# Lines are sent in one piece before anything slow, not one by one.
ll_flush() {
    if [ -n "$ll_buffer" ]; then
        printf '%s' "$ll_buffer" 2>/dev/null || ll_stop=1
        ll_buffer=
    fi
}

ll_line() {
    ll_buffer=$ll_buffer$ll_token$ll_tab$1$ll_nl
}

# Text that belongs to the next result, line by line.
ll_say() {
    ll_left=$1$ll_nl
    while [ -n "$ll_left" ]; do
        ll_line "+$ll_tab${ll_left%%"$ll_nl"*}"
        ll_left=${ll_left#*"$ll_nl"}
    done
}

ll_result() {
    ll_clock
    ll_line "$1$ll_tab$(((ll_now - ll_start) * 10))$ll_tab$ll_role$ll_tab$ll_type$ll_tab$ll_name"
}

# The line dropped, or somebody ended us: the lock goes with the process, the rest is for next time.
ll_abandon() {
    exit 3
}

ll_leave() {
    ll_flush
    exit "$1"
}

ll_ok() {
    ll_result ok
}

ll_changed() {
    ll_dirty=1
    ll_result changed
    ll_flush
}

ll_failed() {
    ll_say "$1"
    ll_result failed
    ll_leave 1
}

# A resource begins: ROLE TYPE NAME [HANDLER...]. Here is where a run may be cut off.
ll_at() {
    [ -z "$ll_stop" ] || ll_abandon
    ll_role=$1 ll_type=$2 ll_name=$3
    shift 3
    ll_notify=
    for ll_word in "$@"; do
        ll_notify=$ll_notify$ll_word$ll_nl
    done
    ll_announced=
    ll_clock
    ll_start=$ll_now
}

ll_skip() {
    ll_at "$@"
    ll_result skipped
}

# Says what is being worked on, once a resource, before the first thing that takes time.
ll_announce() {
    if [ -z "$ll_announced" ]; then
        ll_announced=1
        ll_line "now$ll_tab$ll_role$ll_tab$ll_type$ll_tab$ll_name"
        ll_flush
    fi
}

# A sign of life every 20 seconds while a tool works; ends with the script. (KILL: this shell loses a
# signal that comes while a subshell is being set up, and a short tool ends just then.)
ll_beat_start() {
    (
        ll_count=0
        while kill -0 "$$"; do
            sleep 2 >/dev/null
            ll_count=$((ll_count + 1))
            [ $((ll_count % 10)) != 0 ] || printf '%s\tbeat\n' "$ll_token"
        done
    ) </dev/null 2>/dev/null 9>&- &
    ll_beat=$!
}

ll_beat_stop() {
    kill -KILL "$ll_beat" 2>/dev/null
    wait "$ll_beat" 2>/dev/null
}

# Runs a tool; the end of what it said is in ll_out.
ll_quick() {
    ll_announce
    ll_out=$({
        "$@" </dev/null 2>&1 9>&-
        printf '\n%s' "$?"
    } | tail -c 4096)
    ll_code=${ll_out##*"$ll_nl"}
    ll_out=${ll_out%"$ll_nl"*}
    ll_out=${ll_out%"$ll_nl"}
    case $ll_code in '' | *[!0-9]*) ll_code=125 ;; esac
    return "$ll_code"
}

# The same for a tool that may take long.
ll_tool() {
    ll_announce
    ll_beat_start
    ll_quick "$@"
    ll_beat_stop
    return "$ll_code"
}

# Asks a command of a role a question; what it says does not matter.
ll_asks() {
    sh -c "$1" </dev/null >/dev/null 2>&1 9>&-
}

# UNIT was started or restarted just now: of what is due so far, it needs nothing more. A line of
# ll_served is a handler and a unit.
ll_serve() {
    ll_rest=$ll_due
    while [ -n "$ll_rest" ]; do
        ll_served="$ll_served${ll_rest%%"$ll_nl"*} $1$ll_nl"
        ll_rest=${ll_rest#*"$ll_nl"}
    done
}

# HANDLER is due for something newer.
ll_unserve() {
    ll_rest=$ll_served
    ll_served=
    while [ -n "$ll_rest" ]; do
        ll_entry=${ll_rest%%"$ll_nl"*}
        ll_rest=${ll_rest#*"$ll_nl"}
        case $ll_entry in
        "$1 "*) ;;
        *) ll_served=$ll_served$ll_entry$ll_nl ;;
        esac
    done
}

# Remembers handlers that are due, on disk too: a run that ends early leaves them to the next.
# It is done before the change, so that no change is ever without its handler.
ll_owe() {
    ll_list=$1
    while [ -n "$ll_list" ]; do
        ll_word=${ll_list%%"$ll_nl"*}
        ll_list=${ll_list#*"$ll_nl"}
        case $ll_nl$ll_served in *"$ll_nl$ll_word "*) ll_unserve "$ll_word" ;; esac
        case $ll_nl$ll_due in
        *"$ll_nl$ll_word$ll_nl"*) ;;
        *)
            ll_due=$ll_due$ll_word$ll_nl
            if [ "$ll_check" = 0 ]; then
                printf '%s\n' "$ll_word" >>"$ll_lib/pending-handlers" ||
                    ll_failed "cannot write $ll_lib/pending-handlers; nothing was changed"
            fi
            ;;
        esac
    done
}

# Called when something must change. False: only a check, the change is reported.
ll_change() {
    ll_owe "$ll_notify"
    if [ "$ll_check" = 1 ]; then
        ll_changed
        return 1
    fi
    ll_announce
}

# Does a step of a change with a quick tool; fails the resource when the tool does.
ll_do() {
    ll_quick "$@" || ll_failed "$ll_out"
}

# What was gathered about files no longer holds.
ll_stale() {
    ll_fresh=
}

ll_daemon_reload() {
    case $ll_nl$ll_due in
    *"$ll_nl@daemon-reload$ll_nl"*)
        [ "$ll_check" = 1 ] || ll_do systemctl daemon-reload
        ll_settle '@daemon-reload'
        ;;
    esac
}

# A due handler has run.
ll_settle() {
    ll_list=$ll_due
    ll_due=
    while [ -n "$ll_list" ]; do
        ll_word=${ll_list%%"$ll_nl"*}
        ll_list=${ll_list#*"$ll_nl"}
        [ "$ll_word" = "$1" ] || ll_due=$ll_due$ll_word$ll_nl
    done
    if [ "$ll_check" = 0 ]; then
        if [ -z "$ll_due" ]; then
            rm -f "$ll_lib/pending-handlers"
        else
            printf '%s' "$ll_due" >"$ll_lib/pending-handlers.new" &&
                mv -f "$ll_lib/pending-handlers.new" "$ll_lib/pending-handlers"
        fi
    fi
}

# ROLE NAME service UNIT ACTION | ROLE NAME command COMMAND
ll_handler() {
    case $ll_nl$ll_due in
    *"$ll_nl$1/$2$ll_nl"*) ;;
    *) return 0 ;;
    esac
    if [ "$3" = service ]; then
        case $ll_nl$ll_served in
        *"$ll_nl$1/$2 $4$ll_nl"*)
            ll_settle "$1/$2"
            return 0
            ;;
        esac
    fi
    ll_at "$1" handler "$2"
    if [ "$ll_check" = 1 ]; then
        [ "$3 ${5-}" != 'service restart' ] || ll_serve "$4"
        ll_changed
        return 0
    fi
    case $3 in
    service)
        ll_daemon_reload
        case $5 in
        reload) ll_tool systemctl reload-or-restart "$4" ;;
        *) ll_tool systemctl restart "$4" ;;
        esac || {
            ll_why=$ll_out
            ll_quick systemctl status --no-pager --full --lines=10 "$4"
            ll_failed "$ll_why$ll_nl$ll_out"
        }
        [ "$5" != restart ] || ll_serve "$4"
        ;;
    *) ll_tool sh -c "$4" || ll_failed "$ll_out" ;;
    esac
    ll_settle "$1/$2"
    ll_stale
    ll_changed
}

ll_refuse() {
    ll_line "refused$ll_tab$1"
    ll_leave 77
}

# Takes the host's lock, or says who has it and since when. It goes with this process.
ll_lock() {
    if ! { [ -d "$ll_run" ] || mkdir -p "$ll_run"; } 2>/dev/null || ! [ -w "$ll_run" ]; then
        ll_refuse "cannot write $ll_run: log in as root, or set become = sudo"
    fi
    exec 9<>"$ll_run/lock"
    while ! flock -n 9; do
        ll_since=
        ll_holder=
        read -r ll_since ll_holder <"$ll_run/lock"
        ll_clock
        case $ll_since in '' | *[!0-9]*) ll_since=$ll_now ;; esac
        if [ "$ll_wait" -le 0 ]; then
            ll_line "locked$ll_tab${ll_holder:-another run}, for $(((ll_now - ll_since) / 100)) s"
            ll_leave 75
        fi
        ll_line "now$ll_tab${ll_tab}lock$ll_tab${ll_holder:-another run}"
        ll_flush
        [ -z "$ll_stop" ] || ll_abandon
        if [ "$ll_wait" -gt 10000 ]; then
            flock -w 10 9 && break
        else
            ll_ms=$((ll_wait % 1000 + 1000))
            flock -w "$((ll_wait / 1000)).${ll_ms#1}" 9 && break
        fi
        ll_wait=$((ll_wait - 10000))
    done
    ll_clock
    printf '%s %s\n' "$ll_now" "$ll_owner" >"$ll_run/lock"
}

# Whose host is this? Another's mark, or a newer controller, is refused.
ll_identity() {
    ll_had_cluster=
    ll_had_instance=
    if [ -e "$ll_etc/instance" ]; then
        while IFS='=' read -r ll_key ll_value; do
            case $ll_key in
            cluster) ll_had_cluster=$ll_value ;;
            instance) ll_had_instance=$ll_value ;;
            esac
        done <"$ll_etc/instance"
        if [ "$ll_had_cluster" != "$ll_cluster" ] || [ "$ll_had_instance" != "$ll_instance" ]; then
            ll_refuse "this host carries the mark of instance '$ll_had_instance' of cluster '$ll_had_cluster', not of '$ll_instance' of '$ll_cluster'; if it is free to be taken, remove $ll_etc/instance there"
        fi
    elif [ "$ll_check" = 0 ]; then
        { [ -d "$ll_etc" ] || mkdir -p "$ll_etc"; } &&
            printf 'cluster=%s\ninstance=%s\n' "$ll_cluster" "$ll_instance" >"$ll_etc/instance.new" &&
            mv -f "$ll_etc/instance.new" "$ll_etc/instance" ||
            ll_refuse "cannot write the mark $ll_etc/instance (is the disk full?)"
    fi
    if [ "$ll_check" = 0 ]; then
        ll_take_epoch "$ll_lib" "$ll_epoch" || ll_refuse "$ll_why"
    fi
}

# Reads the options and SECRETS lines (they become ll_secret_1, ...), locks, looks whose host it is.
ll_begin() {
    if ! read -r ll_token ll_check ll_diff ll_restart ll_epoch ll_wait ll_cluster ll_instance ll_owner; then
        echo "lamplighter: no options on standard input" >&2
        exit 2
    fi
    ll_count=0
    while [ "$ll_count" -lt "$1" ]; do
        ll_count=$((ll_count + 1))
        # A read that ends early means the line dropped: nothing has been done yet.
        IFS= read -r "ll_secret_$ll_count" || ll_abandon
    done
    trap 'll_stop=1' HUP INT TERM PIPE
    umask 022
    ll_clock
    ll_start=$ll_now
    ll_line "hello${ll_tab}1"
    ll_lock
    ll_identity
    if [ -s "$ll_lib/pending-handlers" ]; then
        while read -r ll_word; do
            ll_due=$ll_due$ll_word$ll_nl
        done <"$ll_lib/pending-handlers"
    fi
}

# Handlers that no role knows any more are forgotten; then the facts, and the end.
ll_end() {
    ll_at '' end ''
    ll_daemon_reload
    if [ -n "$ll_due" ] && [ "$ll_check" = 0 ]; then
        rm -f "$ll_lib/pending-handlers"
    fi
    ll_facts
    ll_line "facts$ll_tab$ll_json"
    ll_line "end$ll_tab$ll_dirty"
    : >"$ll_run/lock"
    ll_leave 0
}
#= epoch
# DIRECTORY EPOCH: before anything is changed here for EPOCH. It is written down when it is higher
# than the one in the directory; when it is lower this is false, and ll_why says what to do. The
# directory is locked meanwhile: two that write at once leave the higher one.
ll_read_epoch() {
    ll_had_epoch=
    if [ -e "$1/epoch" ]; then
        read -r ll_had_epoch <"$1/epoch"
    fi
    case $ll_had_epoch in '' | *[!0-9]*) ll_had_epoch=0 ;; esac
}

ll_write_epoch() {
    flock 8 && ll_read_epoch "$1" || return 1
    [ "$ll_had_epoch" -lt "$2" ] || return 0
    printf '%s\n' "$2" >"$1/epoch.new" && mv -f "$1/epoch.new" "$1/epoch" && ll_had_epoch=$2
}

ll_take_epoch() {
    [ -d "$1" ] || mkdir -p "$1" || {
        ll_why="cannot make $1 (is the disk full?)"
        return 1
    }
    ll_read_epoch "$1"
    if [ "$ll_had_epoch" -lt "$2" ]; then
        # The directory is only locked by this.
        # shellcheck disable=SC2094
        ll_write_epoch "$1" "$2" 8<"$1" || {
            ll_why="cannot write $1/epoch (is the disk full?)"
            return 1
        }
    fi
    if [ "$ll_had_epoch" -gt "$2" ]; then
        ll_why="a newer controller (epoch $ll_had_epoch) has this host; ours is $2 (S18); if our store was lost or restored, look who else acts, then remove $1/epoch on the host"
        return 1
    fi
}
#= facts
# The host about itself, as JSON in ll_json. Only plain characters get in.
ll_fact() {
    case $2 in
    '' | *[!A-Za-z0-9._:+-]*) ;;
    *) ll_json=$ll_json${ll_json:+,}\"$1\":\"$2\" ;;
    esac
}

ll_facts() {
    ll_json=
    if [ -r /etc/os-release ]; then
        while IFS='=' read -r ll_key ll_value; do
            ll_value=${ll_value#\"}
            ll_value=${ll_value%\"}
            case $ll_key in
            ID) ll_fact os "$ll_value" ;;
            VERSION_ID) ll_fact release "$ll_value" ;;
            VERSION_CODENAME) ll_fact codename "$ll_value" ;;
            esac
        done </etc/os-release
    fi
    ll_arch=
    if [ -r /proc/sys/kernel/arch ]; then
        read -r ll_arch </proc/sys/kernel/arch
    else
        ll_arch=$(uname -m)
    fi
    ll_fact arch "$ll_arch"
    read -r ll_value </proc/sys/kernel/hostname
    ll_fact hostname "$ll_value"
    read -r ll_value </proc/sys/kernel/random/boot_id
    ll_fact boot_id "$ll_value"
    ll_value=
    if [ -s /etc/machine-id ]; then
        read -r ll_value </etc/machine-id
    fi
    ll_fact machine_id "$ll_value"
    if [ -r /run/systemd/container ]; then
        ll_value=
        read -r ll_value </run/systemd/container
        ll_fact container "$ll_value"
    fi
    ll_cpus=$(nproc 2>/dev/null)
    read -r ll_key ll_kb ll_rest </proc/meminfo
    ll_json="{$ll_json,\"cpus\":${ll_cpus:-1},\"memory_mb\":$((ll_kb / 1024))}"
}
#= file
# Looks at all paths of the script in two processes; ll_gather_files is made with the script. Lines of
# ll_stats are path, type, where a link points, mode, owner, group; of ll_digests digest and path.
# They are looked up by a whole pattern: cutting pieces off a long text is quadratic in this shell.
ll_gather() {
    if [ -z "$ll_fresh" ]; then
        ll_gather_files
        ll_fresh=1
    fi
}

# A unit file of systemd is read again before the next service is touched.
ll_owe_reload() {
    case $1 in
    */systemd/system/* | */systemd/system.control/*)
        case $1 in *.wants/* | *.requires/*) ;; *) ll_owe "@daemon-reload$ll_nl" ;; esac
        ;;
    esac
}

# Is everybody allowed to read a file of this mode?
ll_public() {
    case $1 in *[4567]) return 0 ;; esac
    return 1
}

# The content of the file at hand: ll_how says what ll_data is.
ll_content() {
    case $ll_how in
    secret) printf '%b' "$ll_data" ;;
    *) printf '%s' "$ll_data" ;;
    esac
}

# PATH NEW-MODE: shows what changes, but never of a file that not everybody may read.
ll_show_diff() {
    if [ "$ll_diff" != 1 ]; then
        return 0
    fi
    ll_old=/dev/null
    if [ -f "$1" ] && ! [ -h "$1" ]; then
        ll_old=$1
        ll_public "$(stat -c %a "$1")" || ll_how=hidden
    fi
    ll_public "$2" || ll_how=hidden
    case $ll_how in
    text)
        ll_say "$(ll_content | diff -u --label "$1 (is)" --label "$1 (wanted)" -- "$ll_old" - 2>&1 |
            head -c 8192)"
        ;;
    blob) ll_say "(large or not text: not shown)" ;;
    *) ll_say "(not readable by everybody: not shown)" ;;
    esac
}

# Makes the new file beside the old one, for its owner only.
ll_write() {
    umask 077
    rm -f "$1" && ll_content | cat >"$1"
}

# DIGEST SIZE TO: asks for a blob and writes it to TO, checked.
ll_fetch() {
    ll_announce
    ll_line "need$ll_tab$1"
    ll_flush
    umask 077
    rm -f "$3"
    ll_out=$(head -c "$2" 2>&1 >"$3" 9>&-)
    ll_code=$?
    umask 022
    if [ "$ll_code" != 0 ]; then
        rm -f "$3"
        # What was not read of the blob is still on its way: nothing can follow it.
        ll_failed "could not write $3: $ll_out; what was there before is untouched"
    fi
    case $(sha256sum "$3") in
    "$1 "*) ;;
    *)
        rm -f "$3"
        ll_failed "what arrived for $3 is not what was sent (the line dropped, or the disk is full)"
        ;;
    esac
}

# PATH OWNER GROUP MODE DIGEST text CONTENT VALIDATE
# PATH OWNER GROUP MODE - secret VALUE VALIDATE
# PATH OWNER GROUP MODE DIGEST blob SIZE VALIDATE
ll_file() {
    ll_gather
    ll_how=$6
    ll_data=$7
    ll_same=
    ll_meta=
    case $ll_stats in
    *"$ll_nl$1${ll_tab}d$ll_tab"*) ll_failed "$1 is a directory; remove it first" ;;
    *"$ll_nl$1${ll_tab}f$ll_tab$ll_tab$4$ll_tab$2$ll_tab$3$ll_nl"*) ll_meta=1 ;;
    esac
    case $ll_stats in
    *"$ll_nl$1${ll_tab}f$ll_tab"*)
        if [ "$ll_how" = secret ]; then
            ll_content | cmp -s - "$1" && ll_same=1
        else
            case $ll_digests in *"$ll_nl$5  $1$ll_nl"*) ll_same=1 ;; esac
        fi
        ;;
    esac
    if [ -n "$ll_same$ll_meta" ] && [ "$ll_same" = "$ll_meta" ]; then
        ll_ok
        return 0
    fi
    if [ -n "$ll_same" ]; then
        ll_say "owner $2, group $3, mode $4"
        ll_change || return 0
        ll_do chown "$2:$3" "$1"
        ll_do chmod "$4" "$1"
        ll_stale
        ll_changed
        return 0
    fi
    ll_show_diff "$1" "$4"
    ll_how=$6
    ll_owe_reload "$1"
    ll_change || return 0
    ll_dir=${1%/*}
    [ -d "${ll_dir:-/}" ] || ll_failed "the directory $ll_dir does not exist"
    ll_new=$ll_dir/.${1##*/}.lamplighter-$$
    if [ "$ll_how" = blob ]; then
        ll_fetch "$5" "$ll_data" "$ll_new"
    elif ! ll_quick ll_write "$ll_new"; then
        rm -f "$ll_new"
        ll_failed "could not write $1: $ll_out; the old file is untouched"
    fi
    ll_place "$ll_new" "$1" "$2" "$3" "$4" "$8"
    ll_stale
    ll_changed
}

# NEW PATH OWNER GROUP MODE VALIDATE: the new file takes the old one's place.
ll_place() {
    ll_undo=$1
    if ! { ll_quick chown "$3:$4" "$1" && ll_quick chmod "$5" "$1"; }; then
        rm -f "$ll_undo"
        ll_failed "$ll_out"
    fi
    if [ -n "$6" ] && ! ll_tool sh -c "$6" sh "$1"; then
        rm -f "$ll_undo"
        ll_failed "the new $2 was not accepted, the old one is untouched:$ll_nl$ll_out"
    fi
    if ! ll_quick mv -fT "$1" "$2"; then
        rm -f "$ll_undo"
        ll_failed "$ll_out"
    fi
}

# PATH: no file there.
ll_file_absent() {
    if ! [ -e "$1" ] && ! [ -h "$1" ]; then
        ll_ok
        return 0
    fi
    if [ -d "$1" ] && ! [ -h "$1" ]; then
        ll_failed "$1 is a directory"
    fi
    ll_owe_reload "$1"
    ll_change || return 0
    ll_do rm -f "$1"
    ll_stale
    ll_changed
}

# PATH OWNER GROUP MODE
ll_directory() {
    ll_gather
    case $ll_stats in
    *"$ll_nl$1${ll_tab}d$ll_tab$ll_tab$4$ll_tab$2$ll_tab$3$ll_nl"*)
        ll_ok
        return 0
        ;;
    *"$ll_nl$1${ll_tab}l$ll_tab"*)
        # A link to a directory is as good as the directory.
        if [ -d "$1" ] && [ "$(stat -L -c '%a %U %G' "$1")" = "$4 $2 $3" ]; then
            ll_ok
            return 0
        fi
        ;;
    esac
    if [ -e "$1" ] && ! [ -d "$1" ]; then
        ll_failed "$1 is there and is not a directory"
    fi
    ll_say "owner $2, group $3, mode $4"
    ll_change || return 0
    [ -d "$1" ] || ll_do mkdir -p "$1"
    ll_do chown "$2:$3" "$1"
    ll_do chmod "$4" "$1"
    ll_stale
    ll_changed
}

ll_directory_absent() {
    if ! [ -e "$1" ] && ! [ -h "$1" ]; then
        ll_ok
        return 0
    fi
    ll_change || return 0
    ll_do rmdir "$1"
    ll_stale
    ll_changed
}

# PATH TARGET FORCE
ll_link() {
    ll_gather
    case $ll_stats in
    *"$ll_nl$1${ll_tab}l$ll_tab$2$ll_tab"*)
        ll_ok
        return 0
        ;;
    *"$ll_nl$1${ll_tab}l$ll_tab"*) ;;
    *"$ll_nl$1${ll_tab}d$ll_tab"*) ll_failed "$1 is a directory; remove it first" ;;
    *"$ll_nl$1$ll_tab"*)
        [ "$3" = yes ] || ll_failed "$1 is there and is not a link (force = yes replaces it)"
        ;;
    esac
    ll_say "-> $2"
    ll_owe_reload "$1"
    ll_change || return 0
    ll_new=${1%/*}/.${1##*/}.lamplighter-$$
    rm -f "$ll_new"
    ll_do ln -s "$2" "$ll_new"
    if ! ll_quick mv -fT "$ll_new" "$1"; then
        rm -f "$ll_new"
        ll_failed "$ll_out"
    fi
    ll_stale
    ll_changed
}

ll_link_absent() {
    if ! [ -e "$1" ] && ! [ -h "$1" ]; then
        ll_ok
        return 0
    fi
    [ -h "$1" ] || ll_failed "$1 is not a link"
    ll_owe_reload "$1"
    ll_change || return 0
    ll_do rm -f "$1"
    ll_stale
    ll_changed
}
#= line
# The file with its line, on standard output: lines WHERE (a list of numbers) go, the first of them
# becomes LINE; without any, LINE is added at the end.
ll_line_edit() {
    LL_LINE=$ll_data awk -v where=" $2 " -v keep="$3" '
        index(where, " " NR " ") {
            if (keep && !done) { print ENVIRON["LL_LINE"]; done = 1 }
            next
        }
        { print }
        END { if (keep && !done) print ENVIRON["LL_LINE"] }' "$1"
}

ll_line_write() {
    umask 077
    rm -f "$4" && ll_line_edit "$1" "$2" "$3" >"$4"
}

# PATH LINE MATCH STATE CREATE
ll_line_in() {
    ll_data=$2
    ll_old=$1
    ll_where=
    ll_exact=0
    if [ -d "$1" ]; then
        ll_failed "$1 is a directory"
    elif ! [ -e "$1" ]; then
        if [ "$4" = absent ]; then
            ll_ok
            return 0
        fi
        if [ "$5" != yes ] && [ "$ll_check" = 0 ]; then
            ll_failed "$1 does not exist (create = yes makes it)"
        fi
        ll_old=/dev/null
    else
        ll_exact=$(grep -cxF -e "$2" -- "$1")
        if [ -n "$3" ]; then
            ll_found=$(grep -nE -e "$3" -- "$1")
        else
            ll_found=
        fi
        if [ -z "$3" ] || { [ "$4" = absent ] && [ -n "$2" ]; }; then
            ll_found=$ll_found$ll_nl$(grep -nxF -e "$2" -- "$1")
        fi
        ll_left=$ll_found$ll_nl
        while [ -n "$ll_left" ]; do
            ll_word=${ll_left%%"$ll_nl"*}
            ll_left=${ll_left#*"$ll_nl"}
            [ -z "$ll_word" ] || ll_where="$ll_where ${ll_word%%:*}"
        done
    fi
    ll_keep=1
    ll_wanted=
    if [ "$4" = absent ]; then
        ll_keep=0
        [ -n "$ll_where" ] || ll_wanted=1
    elif [ -z "$3" ]; then
        [ "$ll_exact" = 0 ] || ll_wanted=1
        ll_where=
    else
        # In order: one line matches, and it is this one; or the line is there though it does not
        # match the expression itself.
        case $ll_where in
        ' '*' '*) ;;
        ' '*) [ "$ll_found" = "${ll_where# }:$2" ] && ll_wanted=1 ;;
        *) [ "$ll_exact" -ge 1 ] && ll_wanted=1 ;;
        esac
    fi
    if [ -n "$ll_wanted" ]; then
        ll_ok
        return 0
    fi
    if [ "$ll_diff" = 1 ]; then
        ll_mode=$(stat -L -c %a "$ll_old" 2>/dev/null)
        if [ -e "$1" ] && ! ll_public "$ll_mode"; then
            ll_say "(not readable by everybody: not shown)"
        else
            ll_say "$(ll_line_edit "$ll_old" "$ll_where" "$ll_keep" |
                diff -u --label "$1 (is)" --label "$1 (wanted)" -- "$ll_old" - 2>&1 | head -c 8192)"
        fi
    fi
    ll_owe_reload "$1"
    ll_change || return 0
    # Written through a link, not over it; owner and mode stay.
    ll_target=$1
    [ -h "$1" ] && ll_target=$(readlink -f "$1")
    ll_new=${ll_target%/*}/.${ll_target##*/}.lamplighter-$$
    if ! ll_quick ll_line_write "$ll_old" "$ll_where" "$ll_keep" "$ll_new"; then
        rm -f "$ll_new"
        ll_failed "could not write $1: $ll_out; the old file is untouched"
    fi
    if [ -e "$1" ]; then
        ll_place "$ll_new" "$ll_target" "$(stat -c %U "$ll_target")" "$(stat -c %G "$ll_target")" \
            "$(stat -c %a "$ll_target")" ''
    else
        ll_place "$ll_new" "$ll_target" root root 644 ''
    fi
    ll_stale
    ll_changed
}
#= package
# Asks for all packages of the script at once: the installed ones are in ll_have, each between spaces;
# ll_broken tells of any that dpkg has not finished.
ll_packages_look() {
    if [ -n "$ll_known_packages" ]; then
        return 0
    fi
    ll_gather_packages
    ll_known_packages=1
    ll_have=' '
    ll_broken=
    ll_package=
    IFS=$ll_nl
    set -f
    for ll_word in $ll_dpkg; do
        case $ll_word in
        'Package: '*) ll_package=${ll_word#Package: } ;;
        'Status: install ok installed' | 'Status: hold ok installed')
            ll_have="$ll_have$ll_package "
            ;;
        'Status: install '*) ll_broken=1 ;;
        esac
    done
    set +f
    unset IFS
}

ll_installed() {
    case $ll_have in
    *" $1 "*) return 0 ;;
    esac
    return 1
}

# Did a dpkg end in the middle of its work?
ll_interrupted() {
    if [ -n "$ll_broken" ]; then
        return 0
    fi
    for ll_word in "$ll_root"/var/lib/dpkg/updates/[0-9]*; do
        if [ -e "$ll_word" ]; then
            return 0
        fi
    done
    return 1
}

# Says who holds dpkg's lock when that is what the tool complained of.
ll_name_holder() {
    case $ll_out in
    *" process "[0-9]*) ll_pid=${ll_out##*" process "} ;;
    *" pid "[0-9]*) ll_pid=${ll_out##*" pid "} ;;
    *) return 0 ;;
    esac
    ll_pid=${ll_pid%%[!0-9]*}
    ll_comm='a process that has ended since'
    if [ -r "/proc/$ll_pid/comm" ]; then
        read -r ll_comm <"/proc/$ll_pid/comm"
    fi
    ll_out="$ll_out${ll_nl}the package system is locked by process $ll_pid ($ll_comm): wait for it, or end it, and apply again"
}

ll_apt() {
    apt-get -y -q -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 \
        -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@"
}

# Finishes an interrupted dpkg. dpkg does not wait for its lock by itself.
ll_finish_dpkg() {
    ll_clock
    ll_give_up=$((ll_now + 60000))
    until ll_tool dpkg --force-confdef --force-confold --configure -a; do
        ll_clock
        case $ll_out in *lock*) ;; *) ll_now=$ll_give_up ;; esac
        if [ "$ll_now" -ge "$ll_give_up" ]; then
            ll_name_holder
            ll_failed "dpkg was interrupted earlier and does not recover:$ll_nl$ll_out"
        fi
        [ -z "$ll_stop" ] || ll_abandon
        sleep 5 9>&-
    done
}

# Are the package lists here, less than a day old, and newer than the sources?
ll_lists_fresh() {
    for ll_word in "$ll_root"/var/lib/apt/lists/*Packages*; do
        [ -e "$ll_word" ] || return 1
        break
    done
    for ll_word in "$ll_root"/etc/apt/sources.list "$ll_root"/etc/apt/sources.list.d \
        "$ll_root"/etc/apt/sources.list.d/*; do
        if [ "$ll_word" -nt "$ll_root/var/lib/apt/lists" ] && ! [ "$ll_lib/lists-read" -nt "$ll_word" ]; then
            return 1
        fi
    done
    [ -n "$(find "$ll_root/var/lib/apt/lists" "$ll_lib/lists-read" -maxdepth 0 -mtime -1 2>/dev/null)" ]
}

ll_update_lists() {
    if ! ll_tool ll_apt update; then
        ll_name_holder
        ll_failed "apt-get update failed:$ll_nl$ll_out"
    fi
    ll_updated=1
    : >"$ll_lib/lists-read"
}

# Installs all packages that any role wants and that are not there.
ll_install() {
    ll_interrupted && ll_finish_dpkg
    ll_lists_fresh || ll_update_lists
    # shellcheck disable=SC2086
    set -- $ll_was_missing
    until ll_tool ll_apt --no-install-recommends install "$@"; do
        case $ll_out in
        *"dpkg was interrupted"*)
            [ -z "${ll_finished-}" ] || ll_failed "$ll_out"
            ll_finished=1
            ll_finish_dpkg
            ;;
        *"Unable to locate"* | *"no installation candidate"* | *"Failed to fetch"* | *"Unable to fetch"*)
            [ -z "$ll_updated" ] || ll_failed "$ll_out"
            ll_update_lists
            ;;
        *)
            ll_name_holder
            ll_failed "$ll_out"
            ;;
        esac
    done
    ll_known_packages=
    ll_packages_look
    ll_stale
    for ll_word in "$@"; do
        ll_installed "$ll_word" ||
            ll_failed "apt-get was content, but $ll_word is not installed (a virtual package? name the real one)"
    done
}

# Which of all wanted packages are missing, on the first occasion; kept for the whole run, so that
# every resource that asked for one of them is reported as changed.
ll_find_missing() {
    if [ -z "${ll_missing_known-}" ]; then
        ll_missing_known=1
        for ll_word in $ll_packages; do
            ll_installed "$ll_word" || ll_was_missing="$ll_was_missing $ll_word"
        done
        ll_to_install=$ll_was_missing
    fi
}

# NAME...
ll_package() {
    ll_packages_look
    ll_find_missing
    ll_mine=
    for ll_word in "$@"; do
        case "$ll_was_missing " in *" $ll_word "*) ll_mine="$ll_mine $ll_word" ;; esac
    done
    if [ -z "$ll_mine" ]; then
        ll_ok
        return 0
    fi
    ll_say "installed:$ll_mine"
    # Packages of later resources come with these: their handlers are owed from now on.
    ll_owe "$ll_packages_notify"
    ll_change || return 0
    if [ -n "$ll_to_install" ]; then
        ll_install
        ll_to_install=
    fi
    ll_changed
}

ll_package_absent() {
    ll_packages_look
    ll_mine=
    for ll_word in "$@"; do
        ll_installed "$ll_word" && ll_mine="$ll_mine $ll_word"
    done
    if [ -z "$ll_mine" ]; then
        ll_ok
        return 0
    fi
    ll_say "removed:$ll_mine"
    ll_change || return 0
    ll_interrupted && ll_finish_dpkg
    # shellcheck disable=SC2086
    if ! ll_tool ll_apt remove $ll_mine; then
        ll_name_holder
        ll_failed "$ll_out"
    fi
    ll_known_packages=
    ll_stale
    ll_changed
}
#= user
# NAME HOME SHELL SYSTEM CREATE-HOME GROUPS (space-separated)
ll_user() {
    ll_passwd=$(getent passwd "$1")
    ll_need=
    ll_groups=
    if [ -z "$ll_passwd" ]; then
        ll_need=new
    else
        ll_is=${ll_passwd#*:*:*:*:*:}
        [ "$ll_is" = "$2:$3" ] || ll_need=other
    fi
    for ll_word in $6; do
        case " $(id -nG "$1" 2>/dev/null) " in
        *" $ll_word "*) ;;
        *) ll_groups=$ll_groups${ll_groups:+,}$ll_word ;;
        esac
    done
    if [ -z "$ll_need$ll_groups" ]; then
        ll_ok
        return 0
    fi
    ll_say "home $2, shell $3${ll_groups:+, new groups $ll_groups}"
    ll_change || return 0
    ll_home_option=-M
    [ "$5" = yes ] && ll_home_option=-m
    case $ll_need,$4 in
    new,yes) ll_do useradd --system --user-group "$ll_home_option" -d "$2" -s "$3" -- "$1" ;;
    new,*) ll_do useradd --user-group "$ll_home_option" -d "$2" -s "$3" -- "$1" ;;
    other,*) ll_do usermod -d "$2" -s "$3" -- "$1" ;;
    esac
    [ -z "$ll_groups" ] || ll_do usermod -a -G "$ll_groups" -- "$1"
    ll_stale
    ll_changed
}

ll_user_absent() {
    if [ -z "$(getent passwd "$1")" ]; then
        ll_ok
        return 0
    fi
    ll_change || return 0
    ll_do userdel -- "$1"
    ll_stale
    ll_changed
}
#= service
# systemd keeps a link for every service that is not inactive; a process in its group proves that it
# is more than a restart loop. Only what this does not settle (timers, sockets) is worth a systemctl.
ll_active() {
    case $1 in
    *.service)
        if [ -d "$ll_units" ] && ! [ -h "$ll_units/invocation:$1" ]; then
            return 1
        fi
        ;;
    esac
    for ll_word in "$ll_root"/sys/fs/cgroup "$ll_root"/sys/fs/cgroup/systemd "$ll_root"/sys/fs/cgroup/unified; do
        if [ -r "$ll_word/system.slice/$1/cgroup.procs" ]; then
            ll_pid=
            read -r ll_pid <"$ll_word/system.slice/$1/cgroup.procs"
            if [ -n "$ll_pid" ]; then
                return 0
            fi
        fi
    done 2>/dev/null
    systemctl is-active --quiet "$1" </dev/null 2>/dev/null
}

ll_masked() {
    [ -c "$ll_unit_dir/$1" ]
}

ll_linked() {
    for ll_word in "$ll_unit_dir"/*.wants/"$1" "$ll_unit_dir"/*.requires/"$1"; do
        if [ -h "$ll_word" ]; then
            return 0
        fi
    done
    return 1
}

ll_enabled() {
    if ll_masked "$1"; then
        return 1
    fi
    if ll_linked "$1"; then
        return 0
    fi
    case $(systemctl is-enabled "$1" </dev/null 2>/dev/null) in
    enabled | static | alias | indirect | generated) return 0 ;;
    esac
    return 1
}

# ACTION UNIT: with the unit's own last words when it fails.
ll_systemctl() {
    if ! ll_tool systemctl "$1" "$2"; then
        ll_why=$ll_out
        ll_quick systemctl status --no-pager --full --lines=10 "$2"
        ll_failed "$ll_why$ll_nl$ll_out"
    fi
}

# Told to start anew what runs (ll_restart), each unit once: has this one had its turn?
ll_restarts() {
    [ "$ll_restart" = 1 ] || return 1
    case $ll_nl${ll_restarted-} in *"$ll_nl$1$ll_nl"*) return 1 ;; esac
}

# ACTION UNIT: start or restart. Who is told to restart is not held up by a unit that systemd has
# given up ("start request repeated too quickly").
ll_run_unit() {
    [ "$ll_restart" = 0 ] || ll_quick systemctl reset-failed "$2"
    ll_systemctl "$1" "$2"
    ll_restarted=${ll_restarted-}$2$ll_nl
    ll_serve "$2"
}

# UNIT STATE ENABLED
ll_service() {
    ll_todo=
    case $3 in
    yes) ll_enabled "$1" || ll_todo=enable ;;
    no) if ! ll_masked "$1" && ll_linked "$1"; then ll_todo=disable; fi ;;
    masked) ll_masked "$1" || ll_todo=mask ;;
    esac
    case $2 in
    started)
        if ! ll_active "$1"; then
            ll_todo="$ll_todo start"
        elif ll_restarts "$1"; then
            ll_todo="$ll_todo restart"
        fi
        ;;
    stopped)
        # What is masked was stopped before, and nothing can have started it since.
        if ! { [ "$3" = masked ] && [ -z "$ll_todo" ]; } && ll_active "$1"; then
            ll_todo="$ll_todo stop"
        fi
        ;;
    esac
    if [ -z "$ll_todo" ]; then
        ll_ok
        return 0
    fi
    ll_say "to do: ${ll_todo# }"
    if ! ll_change; then
        case $ll_todo in *start) ll_serve "$1" ;; esac
        return 0
    fi
    ll_daemon_reload
    case $ll_todo in
    enable* | *" start" | *" restart") ! ll_masked "$1" || ll_systemctl unmask "$1" ;;
    esac
    # A stop comes before a mask; the order of the others does not matter.
    case $ll_todo in *stop) ll_systemctl stop "$1" ;; esac
    case $ll_todo in
    enable*) ll_systemctl enable "$1" ;;
    disable*) ll_systemctl disable "$1" ;;
    mask*) ll_systemctl mask "$1" ;;
    esac
    case $ll_todo in
    *" start") ll_run_unit start "$1" ;;
    *" restart") ll_run_unit restart "$1" ;;
    esac
    ll_changed
}
#= sysctl
# KEY PATH-UNDER-PROC-SYS VALUE TABBED-VALUE
# All are asked for at once, lines of ll_settings are "FILE:TEXT". (The kernel gives a setting only to
# who reads it in one piece; the shell reads byte by byte.)
ll_sysctl() {
    if [ -z "${ll_settings-}" ]; then
        ll_gather_settings
    fi
    ll_conf=$ll_sysctl_dir/60-lamplighter-$1.conf
    ll_kept=
    ll_live=
    ll_refused=
    case $ll_settings in *"$ll_nl$ll_conf:$1 = $3$ll_nl"*) ll_kept=1 ;; esac
    # The kernel separates several numbers by tabs.
    case $ll_settings in *"$ll_nl/proc/sys/$2:$3$ll_nl"* | *"$ll_nl/proc/sys/$2:$4$ll_nl"*) ll_live=1 ;; esac
    if [ -z "$ll_live" ] && ! [ -w "/proc/sys/$2" ] && [ -e "$ll_root/run/systemd/container" ]; then
        ll_refused=1
        ll_say "note: a container may not set $1; it is kept in $ll_conf"
    fi
    if [ -n "$ll_kept" ] && [ -n "$ll_live$ll_refused" ]; then
        ll_ok
        return 0
    fi
    ll_say "$1 = $3 (was: $(cat "/proc/sys/$2" 2>&1))"
    ll_change || return 0
    if [ -z "$ll_kept" ]; then
        ll_how=text
        ll_data="$1 = $3$ll_nl"
        ll_do ll_write "$ll_conf.new"
        ll_do chmod 644 "$ll_conf.new"
        ll_do mv -fT "$ll_conf.new" "$ll_conf"
    fi
    if [ -z "$ll_live$ll_refused" ]; then
        ll_do sysctl -q -w "$1=$3"
    fi
    ll_changed
}
#= database
# SQL goes in on standard input: it holds the password.
ll_sql() {
    ll_how=secret
    ll_content | mariadb --no-defaults --protocol=socket --batch --skip-column-names \
        --default-character-set=utf8mb4
}

# QUESTION ORDER: SQL that answers 1 when all is in order, and SQL that brings it about.
ll_database() {
    ll_data=$1
    if command -v mariadb >/dev/null && [ "$(ll_sql 2>/dev/null)" = 1 ]; then
        ll_ok
        return 0
    fi
    ll_change || return 0
    ll_data=$2
    ll_tool ll_sql || ll_failed "$ll_out"
    ll_data=$1
    [ "$(ll_sql 2>/dev/null)" = 1 ] ||
        ll_failed "the database took the orders but is not as wanted (an older grant on another pattern?)"
    ll_changed
}
#= run
# COMMAND DIRECTORY USER SECONDS INPUT: INPUT is a secret's value or empty.
ll_perform() {
    cd "$2" || return 1
    if [ "$3" = root ]; then
        set -- timeout -k 10 "$4" sh -c "$1"
    else
        set -- timeout -k 10 "$4" runuser -u "$3" -- sh -c "$1"
    fi
    if [ -n "$ll_data" ]; then
        ll_content | "$@"
    else
        "$@"
    fi
}

# COMMAND CREATES UNLESS ONLY-IF DIRECTORY USER SECONDS INPUT
ll_run_command() {
    if { [ -n "$2" ] && { [ -e "$2" ] || [ -h "$2" ]; }; } ||
        { [ -n "$3" ] && ll_asks "$3"; } ||
        { [ -n "$4" ] && ! ll_asks "$4"; }; then
        ll_ok
        return 0
    fi
    ll_change || return 0
    ll_how=secret
    ll_data=$8
    if ! ll_tool ll_perform "$1" "$5" "$6" "$7"; then
        [ "$ll_code" != 124 ] || ll_out="$ll_out${ll_nl}it was ended after $7 s"
        ll_failed "${ll_out:-exit status $ll_code, without a word}"
    fi
    ll_stale
    ll_changed
}
#= check
# COMMAND RETRIES DELAY SECONDS
ll_gate() {
    if [ "$ll_check" = 1 ]; then
        # A gate that is shut is mended by what comes before it, if by anything.
        if [ -n "$ll_dirty" ]; then
            ll_ok
        elif timeout -k 5 "$4" sh -c "$1" </dev/null >/dev/null 2>&1 9>&-; then
            ll_ok
        else
            ll_say "the check fails"
            ll_changed
        fi
        return 0
    fi
    ll_tries=1
    # The first try is cheap: in the wanted state it is the only one.
    if timeout -k 5 "$4" sh -c "$1" </dev/null >/dev/null 2>&1 9>&-; then
        ll_ok
        return 0
    fi
    until ll_tool timeout -k 5 "$4" sh -c "$1"; do
        if [ "$ll_tries" -ge "$2" ]; then
            [ "$ll_code" != 124 ] || ll_out="$ll_out${ll_nl}no answer within $4 s"
            ll_failed "failed $((ll_tries + 1)) times:$ll_nl${ll_out:-exit status $ll_code, without a word}"
        fi
        ll_tries=$((ll_tries + 1))
        [ -z "$ll_stop" ] || ll_abandon
        sleep "$3" 9>&-
    done
    ll_ok
}
#= release
# PATH OWNER GROUP ID BLOB SIZE KEEP SHARED-OWNER SHARED-GROUP SHARED (relative, space-separated)
ll_release() {
    ll_gather
    case $ll_stats in
    *"$ll_nl$1/current${ll_tab}l${ll_tab}releases/$4$ll_tab"*)
        if [ -d "$1/releases/$4" ]; then
            ll_ok
            return 0
        fi
        ;;
    esac
    ll_say "release $4"
    ll_change || return 0
    ll_do mkdir -p "$1/releases"
    for ll_word in ${10}; do
        if ! [ -d "$1/shared/$ll_word" ]; then
            ll_do mkdir -p "$1/shared/$ll_word"
            ll_do chown "$8:$9" "$1/shared/$ll_word"
        fi
    done
    if ! [ -d "$1/releases/$4" ]; then
        ll_new=$1/releases/.new-$4
        ll_do rm -rf "$ll_new" "$ll_new.tar"
        ll_fetch "$5" "$6" "$ll_new.tar"
        if ! ll_tool ll_unpack "$ll_new" "$2" "$3"; then
            rm -rf "$ll_new" "$ll_new.tar"
            ll_failed "could not unpack the release: $ll_out; the old one is untouched"
        fi
        for ll_word in ${10}; do
            ll_do rm -rf "$ll_new/$ll_word"
            ll_do mkdir -p "$ll_new/$ll_word"
            ll_do rmdir "$ll_new/$ll_word"
            ll_do ln -s "$1/shared/$ll_word" "$ll_new/$ll_word"
        done
        ll_do rm -f "$ll_new.tar"
        ll_do mv -fT "$ll_new" "$1/releases/$4"
    fi
    ll_do touch "$1/releases/$4"
    rm -f "$1/.current-$$"
    ll_do ln -s "releases/$4" "$1/.current-$$"
    ll_do mv -fT "$1/.current-$$" "$1/current"
    ll_prune "$1/releases" "$7" "$4"
    ll_stale
    ll_changed
}

ll_unpack() {
    mkdir "$1" && tar --no-same-owner --no-same-permissions -x -f "$1.tar" -C "$1" &&
        chown -R "$2:$3" "$1" && chmod 755 "$1"
}

# DIRECTORY KEEP CURRENT: the newest stay, and always the one in use.
ll_prune() {
    # Names of releases are digests, nothing in them can surprise ls.
    # shellcheck disable=SC2012
    ll_left=$(ls -1t "$1")
    ll_kept=0
    for ll_word in $ll_left; do
        ll_kept=$((ll_kept + 1))
        if [ "$ll_kept" -gt "$2" ] && [ "$ll_word" != "$3" ]; then
            ll_do rm -rf "$1/$ll_word"
        fi
    done
}
#= end
