# The part of `setup` about what the host runs on.
sb_file /proc/1/cgroup cgroup
sb_file /run/systemd/container container
sb_section container_env
if [ -r /proc/1/environ ]; then tr '\0' '\n' </proc/1/environ | sed -n 's/^container=//p'; fi 2>/dev/null
sb_section modules
[ -d /sys/module/kvm ] && [ -e /dev/kvm ] && echo ' kvm'
