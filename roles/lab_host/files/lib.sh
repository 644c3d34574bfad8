# Shared by the scripts beside it, which find the lab from where they lie: LAB_DIR/bin.
# shellcheck shell=sh
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin
lab_dir=$(cd "$(dirname "$0")/.." && pwd)
name=${1:-}
case $name in
'' | *[!a-z0-9-]*) echo "usage: ${0##*/} NAME${usage_rest:-}" >&2; exit 5 ;;
esac
host_dir=$lab_dir/hosts/$name
[ -d "$host_dir/upper" ] || { echo "${0##*/}: no host $name in $lab_dir/hosts" >&2; exit 2; }
# The folder is part of the name: another lab may have a host of the same name.
unit=$(basename "$lab_dir")-$name

is_under_systemd() { [ -d /run/systemd/system ]; }

# Prints the process of the container's supervisor, nothing where the host is off.
supervisor() {
    if is_under_systemd; then
        pid=$(systemctl show --property=MainPID --value "$unit.service")
    else
        pid=$(cat "$host_dir/supervisor.pid" 2>/dev/null || echo 0)
    fi
    # The number may have been given to another process since: only ours names this host.
    if [ "$pid" -gt 0 ] && tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" |
        grep -q -e "systemd-nspawn .*--directory=$host_dir/root "; then
        echo "$pid"
    fi
}

# Prints the host's own PID 1.
init_of() { cut -d ' ' -f 1 "/proc/$1/task/$1/children" 2>/dev/null || :; }

# Waits at most SECONDS until the command holds.
wait_until() {
    tries=$(($1 * 10))
    shift
    until "$@"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.1
    done
}

is_off() { [ -z "$(supervisor)" ]; }

is_mounted() { mountpoint -q "$1"; }
unmounted() { ! is_mounted "$1" || umount "$1" 2>/dev/null; }

# Removes what a host leaves behind. A connection whose peer is gone, too, keeps the network of a
# dead host for minutes, and the link with it, so the link is taken away. Mounts become free soon.
clean_up() {
    ip link delete dev "vb-$name" 2>/dev/null || :
    for mount in data root; do
        wait_until 20 unmounted "$host_dir/$mount" ||
            { echo "${0##*/}: $host_dir/$mount is busy" >&2; exit 2; }
    done
    # A supervisor that was killed leaves this mount, and refuses to start where it is.
    ! is_mounted "/run/systemd/nspawn/unix-export/$name" ||
        umount "/run/systemd/nspawn/unix-export/$name"
    rm -f "$host_dir/supervisor.pid"
    for group in /sys/fs/cgroup/*/"$unit" /sys/fs/cgroup/"$unit"; do
        [ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || :
    done
    ! is_under_systemd || systemctl reset-failed "$unit.service" 2>/dev/null || :
}
