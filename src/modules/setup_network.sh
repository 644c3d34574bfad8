# The part of `setup` about the network.
sb_section links
for SB_dir in /sys/class/net/*; do
  [ -d "$SB_dir" ] || continue
  SB_mac= SB_mtu= SB_state= SB_type= SB_flags= SB_speed=
  IFS= read -r SB_mac <"$SB_dir/address"
  IFS= read -r SB_mtu <"$SB_dir/mtu"
  IFS= read -r SB_state <"$SB_dir/operstate"
  IFS= read -r SB_type <"$SB_dir/type"
  IFS= read -r SB_flags <"$SB_dir/flags"
  IFS= read -r SB_speed <"$SB_dir/speed"
  [ -d "$SB_dir/bridge" ] && SB_type=bridge
  [ -d "$SB_dir/bonding" ] && SB_type=bonding
  printf ' %s|%s|%s|%s|%s|%s|%s\n' "${SB_dir##*/}" "$SB_mac" "$SB_mtu" "$SB_state" "$SB_type" "$SB_flags" \
    "$SB_speed"
done 2>/dev/null
PATH=$PATH:/usr/sbin:/sbin
if sb_has ip; then
  sb_section addresses
  ip -o addr show 2>/dev/null
  sb_section route4
  ip -4 route get 8.8.8.8 2>/dev/null
  sb_section route6
  [ -e /proc/net/if_inet6 ] && ip -6 route get 2404:6800:400a:800::1012 2>/dev/null
else
  sb_section addresses
  ifconfig -a 2>/dev/null
fi
sb_file /proc/net/route routes
