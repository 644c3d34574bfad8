# The part of `setup` about hardware.
sb_section meminfo
sb_lines </proc/meminfo 2>/dev/null
sb_section cpuinfo
cat /proc/cpuinfo 2>/dev/null
sb_section nproc
nproc 2>/dev/null
sb_file /proc/mounts mounts
sb_section df
if sb_has timeout; then timeout 10 df -Pk 2>/dev/null; else df -Pk 2>/dev/null; fi
sb_section uuids
ls -l /dev/disk/by-uuid 2>/dev/null
sb_section devices
for SB_dir in /sys/block/*; do
  [ -r "$SB_dir/size" ] || continue
  SB_size= SB_rotational= SB_removable= SB_model=
  IFS= read -r SB_size <"$SB_dir/size"
  IFS= read -r SB_rotational <"$SB_dir/queue/rotational"
  IFS= read -r SB_removable <"$SB_dir/removable"
  [ -r "$SB_dir/device/model" ] && IFS= read -r SB_model <"$SB_dir/device/model"
  printf ' %s %s %s %s %s\n' "${SB_dir##*/}" "$SB_size" "$SB_rotational" "$SB_removable" "$SB_model"
done 2>/dev/null
