# Functions for scripts that look at, replace and give back files. The journal holds calls of
# sb_back from earlier versions: keep it compatible. A path given to them never starts with `-`.

# sb_home USER: the home of a user, or `~USER`. (busybox drops what follows an unknown `~USER`, so
# this cannot stand in the path itself.) USER has only letters, digits, `.`, `_` and `-`.
sb_home() { eval "printf %s ~$1"; }

# sb_see NAME PATH: fields NAME.stat, .owner, .group, .times and .link of PATH itself; none if it
# is not there. One fork, two for a link. Where SB_atime is set, it stands for the time of access.
sb_see() {
  [ -L "$2" ] || [ -e "$2" ] || return 0
  sb_stat "$1" "$2"
  if [ -L "$2" ]; then
    SB_link=$(readlink "$2" && printf x)
    sb_kv "$1.link" "${SB_link%?x}"
  fi
}
sb_stat() {
  stat ${3-} -c "$1.stat=%f %u %g %s %h %i %d %b %o %t %T ${SB_atime-%X} %Y %Z
$1.owner=%U
$1.group=%G
$1.times=${SB_atime-%x}|%y|%z" "$2"
}

# sb_sum NAME PATH: field NAME.sha1, also in SB_sum; empty when PATH cannot be read.
sb_sum() {
  SB_sum=
  if [ -f "$2" ] && [ -r "$2" ]; then SB_sum=$(sha1sum <"$2"); fi
  SB_sum=${SB_sum%% *}
  printf '%s.sha1=%s\n' "$1" "$SB_sum"
}

# sb_id user|group NAME: field user.NAME or group.NAME with the number, if there is one.
sb_id() {
  SB_id=
  if [ "$1" = user ]; then
    SB_id=$(id -u "$2" 2>/dev/null)
  elif command -v getent >/dev/null; then
    SB_id=$(getent group "$2") && SB_id=${SB_id#*:*:} && SB_id=${SB_id%%:*}
  else
    while IFS=: read -r SB_name SB_pass SB_gid SB_rest; do
      if [ "$SB_name" = "$2" ]; then SB_id=$SB_gid; fi
    done </etc/group
  fi
  if [ -n "$SB_id" ]; then sb_kv "$1.$2" "$SB_id"; fi
}

# sb_dest PATH NAME FOLLOW SHA1: what is at the file PATH, or at NAME in the directory PATH: fields
# path, d.*, no_dir, and as body the first 104449 bytes where they are not those of SHA1.
sb_dest() {
  SB_p=$1
  if [ -d "$SB_p" ]; then
    [ -n "$2" ] || sb_kv is_dir 1
    SB_p=${SB_p%/}/$2
  fi
  if [ -n "$3" ] && [ -L "$SB_p" ]; then SB_p=$(readlink -f "$SB_p"); fi
  sb_kv path "$SB_p"
  sb_see d "$SB_p"
  if [ -L "$SB_p" ] || [ ! -e "$SB_p" ]; then
    case $SB_p in */*) [ -d "${SB_p%/*}/" ] || sb_missing "${SB_p%/*}" ;; esac
    return 0
  fi
  sb_sum d "$SB_p"
  if [ -n "$SB_sum" ] && [ "$SB_sum" != "$4" ]; then SB_differs=1; fi
}
# sb_old: the body for sb_dest, once all fields are written.
sb_old() {
  if [ -n "${SB_differs-}" ]; then
    sb_body
    head -c 104449 <"$SB_p"
  fi
}

# sb_missing DIR: fields missing.1, missing.2, ...: DIR and its parents, as far as they are not
# there.
sb_missing() {
  SB_n=0 SB_x=${1%/}
  while [ -n "$SB_x" ] && [ ! -e "$SB_x" ]; do
    SB_n=$((SB_n + 1))
    sb_kv "missing.$SB_n" "$SB_x"
    case $SB_x in
    */*) SB_x=${SB_x%/*} ;;
    *) SB_x= ;;
    esac
  done
}

# sb_umask: field umask.
sb_umask() {
  printf 'umask='
  umask
}

# sb_beside PATH [SUFFIX]: a name in the folder of PATH that nothing has, in SB_tmp; what is left
# under it when the script ends is removed.
sb_beside() {
  case $1 in
  */*) SB_dir=${1%/*}/ ;;
  *) SB_dir=./ ;;
  esac
  SB_n=${SB_n-0}
  while
    SB_n=$((SB_n + 1))
    SB_tmp=$SB_dir.switchback-$$-$SB_n${2-}
    [ -L "$SB_tmp" ] || [ -e "$SB_tmp" ]
  do [ "$SB_n" -lt 1000 ] || sb_fail "no free name for a temporary file in \`$SB_dir\`"; done
  trap '[ -z "$SB_tmp" ] || rm -rf "$SB_tmp"' EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

# sb_new PATH [SUFFIX]: a new empty file beside PATH, open as descriptor 3. It is made with
# O_EXCL, so that it is nobody else's. SB_tmp is its name, SB_fd a path to the very file whatever
# happens to the name.
sb_new() {
  sb_beside "$@"
  [ -d "$SB_dir" ] || sb_fail "destination directory \`$SB_dir\` does not exist"
  set -C
  command exec 3>"$SB_tmp" || { SB_bad=$SB_dir SB_tmp=; sb_fail "cannot write in \`$SB_bad\`"; }
  set +C
  [ -f "$SB_tmp" ] && [ ! -L "$SB_tmp" ] || { SB_tmp=; sb_fail "a temporary file was replaced"; }
  SB_fd=/proc/self/fd/3
  [ -e "$SB_fd" ] || SB_fd=$SB_tmp
}

# sb_shape UID GID MODE must|may: gives descriptor 3 that owner, group and mode (five octal
# digits); each may be empty. Done while the file is empty, so that its content is never open to
# more people than it will be. `may` passes over a refused chown, as when the old file's owner is
# to be kept by somebody who is not root. Its fields r.* are left in SB_seen.
sb_shape() {
  SB_want=$1:$2 SB_mode=$3 SB_may=$4
  SB_seen=$(sb_stat r "$SB_fd" -L) || sb_fail "cannot stat a temporary file"
  SB_stat=${SB_seen#r.stat=}
  set -- ${SB_stat%%
*}
  SB_again=
  case $SB_want in
  : | "$2:$3" | "$2:" | ":$3") ;;
  *)
    if chown "${SB_want%:}" "$SB_fd" 2>/dev/null; then
      SB_again=1
    elif [ "$SB_may" = must ]; then
      sb_fail "chown failed: cannot give the file to \`${SB_want%:}\`"
    fi
    ;;
  esac
  if [ -n "$SB_mode" ] && { [ -n "$SB_again" ] || [ $((0x$1 & 07777)) -ne $((SB_mode)) ]; }; then
    chmod "$SB_mode" "$SB_fd" || sb_fail "chmod failed: mode \`$SB_mode\`"
    SB_again=1
  fi
  if [ -n "$SB_again" ]; then SB_seen=$(sb_stat r "$SB_fd" -L); fi
}

# sb_seal [SHA1]: closes descriptor 3, if it holds what it must.
sb_seal() {
  if [ -n "${1-}" ]; then
    sb_sum r "$SB_fd"
    [ "$SB_sum" = "$1" ] ||
      sb_fail "copied file does not match the expected checksum \`$1\`: transfer failed"
  fi
  exec 3>&-
}

# sb_land PATH [unsafe]: puts the file (or link) SB_tmp in place of PATH, once it and what is kept
# of the old one are on the disk.
sb_land() {
  if [ -d "$1" ] && [ ! -L "$1" ]; then sb_fail "\`$1\` is a directory"; fi
  if [ -n "${SB_late-}" ]; then
    sync "$SB_tmp" "$SB_KEEP/$SB_late" 2>/dev/null || :
    printf '' >"$SB_KEEP/$SB_late.ok"
    SB_late=
  elif [ ! -L "$SB_tmp" ]; then
    sync "$SB_tmp" 2>/dev/null || :
  fi
  SB_relabel=
  if [ -e /sys/fs/selinux/enforce ]; then
    chcon -h --reference="$1" "$SB_tmp" 2>/dev/null || SB_relabel=1
  fi
  if ! sb_rename "$SB_tmp" "$1"; then
    [ "${2-}" = unsafe ] && cat "$SB_tmp" >"$1" || sb_fail "cannot replace \`$1\`"
    rm -f "$SB_tmp"
  fi
  SB_tmp=
  if [ -n "$SB_relabel" ]; then restorecon "$1" 2>/dev/null || :; fi
}
# Renames; where PATH is a link to a directory the link is replaced, not entered.
sb_rename() {
  if [ -L "$2" ] && [ -d "$2" ]; then rm -f "$2" || return 1; fi
  mv -f "$1" "$2"
}

# sb_keep N PATH [late]: keeps PATH as it is now under number N, once. A marker is written last
# (copy complete) or first (there was nothing); with `late` by sb_land, which then brings both files
# to the disk with one fork.
sb_keep() {
  sb_keep_dir
  if [ -e "$SB_KEEP/$1.ok" ] || [ -e "$SB_KEEP/$1.none" ]; then return 0; fi
  if [ -L "$2" ] || [ -e "$2" ]; then
    # Of an attempt that was cut off.
    if [ -L "$SB_KEEP/$1" ] || [ -e "$SB_KEEP/$1" ]; then rm -rf "$SB_KEEP/$1"; fi
    cp -a "$2" "$SB_KEEP/$1" ||
      sb_fail "cannot keep a copy of \`$2\` in \`$SB_KEEP\`: nothing was changed"
    if [ -n "${3-}" ] && [ ! -L "$2" ]; then
      SB_late=$1
    else
      [ -L "$2" ] || sync "$SB_KEEP/$1" 2>/dev/null || :
      printf '' >"$SB_KEEP/$1.ok"
    fi
  else
    printf '' >"$SB_KEEP/$1.none"
  fi
}

# sb_take N PATH: moves PATH into the keep; by renaming where it can, else by copying first.
sb_take() {
  sb_keep_dir
  if [ -e "$SB_KEEP/$1.ok" ]; then return 0; fi
  SB_devs=$(stat -c %d "$SB_KEEP" "$2") || sb_fail "cannot stat \`$2\`"
  if [ "${SB_devs%%
*}" = "${SB_devs##*
}" ]; then
    printf '' >"$SB_KEEP/$1.ok"
    mv "$2" "$SB_KEEP/$1" || sb_fail "cannot remove \`$2\`"
  else
    sb_keep "$1" "$2"
    rm -rf "$2" || sb_fail "cannot remove \`$2\`"
  fi
}

# sb_backup N PATH: Ansible's `backup`, with its name in field backup_file and in the keep.
sb_backup() {
  [ -e "$2" ] || return 0
  sb_keep_dir
  SB_backup=$2.$$.$(date +%Y-%m-%d@%H:%M:%S)~
  printf %s "$SB_backup" >"$SB_KEEP/$1.backup"
  cp -p "$2" "$SB_backup" || sb_fail "could not make backup of \`$2\` to \`$SB_backup\`"
  sb_kv backup_file "$SB_backup"
}

# sb_is_ours N PATH: stops where the file at PATH is neither the one that was made nor the one that
# was kept: somebody has changed it since, and theirs goes only where a person says so (SB_FORCED).
sb_is_ours() {
  if [ -n "${SB_FORCED-}" ] || [ ! -f "$SB_KEEP/$1.made" ] || [ -L "$2" ] || [ ! -f "$2" ]; then return 0; fi
  read -r SB_made <"$SB_KEEP/$1.made" || return 0
  SB_md5=$(md5sum <"$2")
  if [ "$SB_md5" = "$SB_made" ]; then return 0; fi
  if [ -f "$SB_KEEP/$1" ] && [ "$SB_md5" = "$(md5sum <"$SB_KEEP/$1")" ]; then return 0; fi
  sb_kv undo_other "${SB_md5%% *}"
  sb_fail "\`$2\` has been changed since: the journal knows md5 ${SB_made%% *}, the host has ${SB_md5%% *}"
}

# sb_back N PATH: gives PATH back as sb_keep or sb_take N found it. Does nothing when the attempt
# had not come that far; may run again.
sb_back() {
  sb_is_ours "$1" "$2"
  if [ -e "$SB_KEEP/$1.backup" ]; then rm -f "$(cat "$SB_KEEP/$1.backup")"; fi
  if [ -e "$SB_KEEP/$1.none" ]; then
    if [ -d "$2" ] && [ ! -L "$2" ]; then
      rmdir "$2" || sb_fail "\`$2\` was made by this change and now holds other files: left as it is"
    else
      rm -f "$2" || sb_fail "cannot remove \`$2\`"
    fi
    return 0
  fi
  SB_kept=$SB_KEEP/$1
  if [ ! -e "$SB_kept.ok" ]; then return 0; fi
  if [ ! -L "$SB_kept" ] && [ ! -e "$SB_kept" ]; then return 0; fi
  if [ -d "$SB_kept" ] && [ ! -L "$SB_kept" ]; then
    if [ -d "$2" ] && [ ! -L "$2" ]; then
      cp -a "$SB_kept/." "$2" || sb_fail "cannot restore \`$2\` from \`$SB_kept\`"
    else
      [ ! -L "$2" ] && [ ! -e "$2" ] || rm -f "$2"
      mv "$SB_kept" "$2" || sb_fail "cannot restore \`$2\` from \`$SB_kept\`"
    fi
    return 0
  fi
  sb_beside "$2"
  cp -a "$SB_kept" "$SB_tmp" || sb_fail "cannot restore \`$2\` from \`$SB_kept\`"
  if [ -d "$2" ] && [ ! -L "$2" ]; then
    rmdir "$2" || sb_fail "\`$2\` is now a directory with files in it: left as it is"
  fi
  sb_land "$2"
}

# sb_reset UID GID MODE PATH...: gives owner and mode back to the paths that are still there.
sb_reset() {
  SB_own=$1:$2 SB_mode=$3
  shift 3
  SB_i=$#
  while [ "$SB_i" -gt 0 ]; do
    SB_x=$1 SB_i=$((SB_i - 1))
    shift
    if [ -L "$SB_x" ] || [ -e "$SB_x" ]; then set -- "$@" "$SB_x"; fi
  done
  if [ $# -eq 0 ]; then return 0; fi
  chown -h "$SB_own" "$@" || sb_fail "cannot give the owner \`$SB_own\` back"
  SB_i=$#
  while [ "$SB_i" -gt 0 ]; do
    SB_x=$1 SB_i=$((SB_i - 1))
    shift
    if [ ! -L "$SB_x" ]; then set -- "$@" "$SB_x"; fi
  done
  if [ $# -eq 0 ]; then return 0; fi
  chmod "$SB_mode" "$@" || sb_fail "cannot give the mode \`$SB_mode\` back"
}

# sb_reset_followed UID GID MODE PATH...: the same for what links among them lead to.
sb_reset_followed() {
  SB_own=$1:$2 SB_mode=$3
  shift 3
  for SB_x; do
    if [ -e "$SB_x" ]; then
      chown "$SB_own" "$SB_x" && chmod "$SB_mode" "$SB_x" ||
        sb_fail "cannot give \`$SB_x\` its owner and mode back"
    fi
  done
}

# sb_keep_times N PATH, sb_back_times N PATH: keeps and gives back the times of access and change.
sb_keep_times() {
  sb_keep_dir
  [ -e "$SB_KEEP/$1.times" ] || touch -r "$2" "$SB_KEEP/$1.times" ||
    sb_fail "cannot keep the times of \`$2\` in \`$SB_KEEP\`"
}
sb_back_times() {
  if [ ! -e "$SB_KEEP/$1.times" ] || [ ! -e "$2" ]; then return 0; fi
  touch -c -r "$SB_KEEP/$1.times" "$2" || sb_fail "cannot give \`$2\` its times back"
}

# sb_tree [-L] DIR: the body of a reply: for each thing below DIR a record `MODE UID GID PATH`,
# ended by a line `//`, which cannot be in a path.
sb_tree() {
  if [ "$1" = -L ]; then
    find -L "${2%/}/" -mindepth 1 -exec stat -L -c '%f %u %g %n
//' {} + 2>/dev/null
  else
    find "${1%/}/" -mindepth 1 -exec stat -c '%f %u %g %n
//' {} +
  fi
}

# sb_mounted PATH: whether something is mounted at the real path PATH, written as the kernel writes
# it (`\040` for a blank).
sb_mounted() {
  while read -r SB_x SB_x SB_x SB_x SB_at SB_x; do
    if [ "$SB_at" = "$1" ]; then return 0; fi
  done </proc/self/mountinfo
  return 1
}
