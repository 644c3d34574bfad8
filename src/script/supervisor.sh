{
# Stays with one command to its end, whoever else goes. Arguments: the attempt's files, the folder of
# witnesses, seconds at most or nothing, `setsid` or nothing, then attempts whose files may go.
trap : HUP INT TERM PIPE USR1 USR2
A=$1 W=$2 limit=$3 own=$4
D=${A%/*}
shift 4
gone=$*
read -r boot </proc/sys/kernel/random/boot_id && read -r s </proc/$$/stat || exit 70
set -f
set -- ${s##*) }
set +f
l="$$ ${20} $boot ."
printf '%s\n' "$l" >"$A.sup" && read -r s <"$A.sup" && [ "$s" = "$l" ] || exit 70
set -C
printf '' >"$A.go" || exit 71
set +C
sync "$A.go" "$A.sup" "$D" 2>/dev/null || sync
timer=
if [ -n "$limit" ]; then
  (
    trap 'kill $t; exit' TERM
    sleep "$limit" &
    t=$!
    wait $t
    end() {
      read -r p st b e <"$A.pid" && [ "$e" = . ] && read -r s <"/proc/$p/stat" || return
      set -f
      set -- "$1" ${s##*) }
      set +f
      [ "${21}" = "$st" ] || return
      printf '' >"$A.late"
      kill -s "$1" -- "-$p" 2>/dev/null || kill -s "$1" "$p"
    }
    end TERM
    sleep 10 &
    t=$!
    wait $t
    end KILL
  ) &
  timer=$!
fi
$own /bin/sh -s "$A" <<\@END@ >"$A.out" 2>"$A.err"
read -r SB_y </proc/sys/kernel/random/boot_id; read -r SB_x </proc/$$/stat; SB_A=$1; set -f; set -- ${SB_x##*) }; set +f
printf '%s\n' "$$ ${20} $SB_y ." >"$SB_A.pid" || exit 72
set --; unset SB_A SB_x SB_y
{
@PROGRAM@
} </dev/null
@END@
rc=$?
if [ -n "$timer" ]; then kill $timer; fi
cd /
ran=0 late=0 up=
if [ -e "$A.pid" ]; then ran=1; fi
if [ -e "$A.late" ]; then late=1; fi
read -r up s </proc/uptime
printf '%-127.127s\n' "rc=$rc ran=$ran late=$late boot=$boot up=$up ." 1<>"$A.rc.tmp"
mv -f "$A.rc.tmp" "$A.rc"
(
  sync "$A.out" "$A.err" "$A.rc" "$D" 2>/dev/null || sync
  for x in $gone; do rm -f "$D/$x".* "$W/$x"; done
) &
exit 0
} </dev/null
