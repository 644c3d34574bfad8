# Gathers what `setup` needs, in one trip and with builtins where they can do it. A section starts
# with a line `@@NAME`; lines of files that are not the kernel's own are shifted by a space, so that
# none can start a section.
sb_section() { printf '@@%s\n' "$1"; }
sb_lines() { while IFS= read -r SB_line || [ -n "$SB_line" ]; do printf ' %s\n' "$SB_line"; done; }
sb_file() { if [ -r "$1" ] && [ -f "$1" ]; then sb_section "$2"; sb_lines <"$1"; fi; } 2>/dev/null
sb_first() {
  [ -r "$2" ] && IFS= read -r SB_line <"$2" && [ -n "$SB_line" ] && printf ' %s=%s\n' "$1" "$SB_line"
} 2>/dev/null
sb_has() { command -v "$1" >/dev/null 2>&1; }

sb_section uname
uname -snrvm | sb_lines
sb_section date
date '+%Y|%m|%d|%H|%M|%S|%s|%Z|%z|%A|%w|%W|%N' | sb_lines
sb_file /etc/os-release os_release || sb_file /usr/lib/os-release os_release
sb_file /etc/debian_version debian_version
sb_file /etc/redhat-release redhat_release
sb_file /etc/lsb-release lsb_release
sb_file /etc/machine-id machine_id
sb_file /proc/uptime uptime
sb_file /proc/loadavg loadavg
sb_file /proc/cmdline cmdline
sb_file /proc/self/status status
sb_file /etc/resolv.conf resolv_conf
sb_file /proc/1/comm init
sb_file /proc/sys/crypto/fips_enabled fips
sb_section fqdn
{ hostname -f 2>/dev/null || hostname; } 2>/dev/null | sb_lines
sb_section passwd
SB_uid=$(id -u)
{ getent passwd "$SB_uid" || grep ":[^:]*:$SB_uid:" /etc/passwd; } 2>/dev/null | sb_lines
for SB_line in /usr/bin/python3 /usr/local/bin/python3; do
  if [ -x "$SB_line" ]; then
    sb_section python
    printf ' %s\n' "$SB_line"
    "$SB_line" --version 2>&1 | sb_lines
    break
  fi
done
sb_section flags
[ -d /run/systemd/system ] || [ -d /dev/.run/systemd ] || [ -d /dev/.systemd ] && echo ' systemd'
[ -L /sbin/init ] && sb_has systemctl && echo ' systemd_offline'
[ -e /sbin/openrc ] && echo ' openrc'
[ -d /etc/init.d ] && echo ' sysvinit'
[ -d /sys/kernel/security/apparmor ] && echo ' apparmor'
sb_has lsb_release && echo ' lsb'
[ -e /.dockerenv ] && echo ' dockerenv'
[ -r /sys/fs/selinux/enforce ] && IFS= read -r SB_line </sys/fs/selinux/enforce && echo " selinux=$SB_line"
for SB_tool in /usr/bin/apt-get /usr/bin/dnf5 /usr/bin/dnf /usr/bin/yum /sbin/apk /usr/bin/pacman \
  /usr/bin/zypper; do
  [ -e "$SB_tool" ] && echo " tool=$SB_tool"
done
sb_section host_keys
for SB_key in /etc/ssh/ssh_host_*_key.pub; do sb_first "$SB_key" "$SB_key"; done
sb_section dmi
for SB_name in bios_date bios_vendor bios_version board_asset_tag board_name board_serial \
  board_vendor board_version chassis_asset_tag chassis_serial chassis_vendor chassis_version \
  product_name product_serial product_uuid product_version product_family sys_vendor; do
  sb_first $SB_name /sys/devices/virtual/dmi/id/$SB_name
done
