command -v script >/dev/null && command -v awk >/dev/null && command -v mkfifo >/dev/null || {
  echo 'switchback: no script' >&2
  exit 127
}
SB_found=$(command -v "$1") && [ -x "$SB_found" ] && [ ! -d "$SB_found" ] || {
  echo 'switchback: not found' >&2
  exit 127
}
sb_keep_dir
SB_talk=$SB_KEEP/talk.$$
rm -rf "$SB_talk"
mkdir -m 700 "$SB_talk" && mkfifo "$SB_talk/in" || sb_fail "cannot make a pipe in \`$SB_KEEP\`"
SB_pid=
# Losing its terminal ends the command as it would end a person's.
sb_hang_up() {
  [ -z "$SB_pid" ] || kill -HUP "$SB_pid" 2>/dev/null
  rm -rf "$SB_talk"
}
trap sb_hang_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
# The words go in one by one, quoted, since `script` takes a line of sh.
{
  printf 'stty %s rows 24 cols 80 2>/dev/null\n' "$SB_echo"
  printf 'SHELL=$SB_shell\n[ -n "$SHELL" ] || unset SHELL\n'
  printf 'unset SB_shell SB_count SB_run SB_re1'
  SB_n=1
  while [ $SB_n -lt "$SB_count" ]; do SB_n=$((SB_n + 1)); printf ' SB_re%s' $SB_n; done
  printf '\n'
} >"$SB_talk/set"
: >"$SB_talk/out"
SB_n=0
for SB_x; do
  SB_n=$((SB_n + 1))
  printf '%s' "$SB_x" >"$SB_talk/word.$SB_n"
done
cat >"$SB_talk/run" <<'SB_RUN'
SB_dir=${SB_run%/run}
set --
SB_i=1
while [ -e "$SB_dir/word.$SB_i" ]; do
  SB_word=$(cat "$SB_dir/word.$SB_i" && printf x)
  set -- "$@" "${SB_word%x}"
  SB_i=$((SB_i + 1))
done
SB_rc_file=$SB_dir/rc
. "$SB_dir/set"
(exec "$@")
echo $? >"$SB_rc_file.part"
mv "$SB_rc_file.part" "$SB_rc_file"
SB_RUN
export SB_run="$SB_talk/run" SB_shell="${SHELL-}"
exec 4<>"$SB_talk/in"
SHELL=/bin/sh script -q -c '. "$SB_run"' /dev/null <"$SB_talk/in" >"$SB_talk/out" 2>/dev/null 4>&- &
SB_pid=$!
# What has been matched, in bytes, and what was last looked at without finding anything.
SB_past=0 SB_seen=-1 SB_end= SB_since=$(date +%s)
# One line `PATTERN LENGTH` for the match that begins first; nothing where there is none.
sb_match() {
  { tail -c "+$((SB_past + 1))" "$SB_talk/out" | tr '\000' '?'; printf x; } | LC_ALL=C awk '
    { all = all (NR > 1 ? "\n" : "") $0 }
    END {
      all = substr(all, 1, length(all) - 1)
      for (i = 1; i <= ENVIRON["SB_count"]; i++)
        if (match(all, ENVIRON["SB_re" i]) && (!at || RSTART < first)) {
          at = i; first = RSTART; past = RSTART + RLENGTH - 1
        }
      if (at) print at, past
    }'
}
while [ -z "$SB_end" ]; do
  SB_over=
  if [ -e "$SB_talk/rc" ] || ! kill -0 "$SB_pid" 2>/dev/null; then
    # The last words may still be on their way through the terminal.
    wait "$SB_pid"
    SB_over=1
  fi
  SB_size=$(wc -c <"$SB_talk/out")
  if [ "$SB_size" -ne "$SB_seen" ]; then
    SB_match=$(sb_match)
    if [ -n "$SB_match" ]; then
      SB_at=${SB_match% *} SB_from=$SB_past SB_past=$((SB_past + ${SB_match#* })) SB_seen=-1
ANSWERS
      [ -z "$SB_end" ] || break
      # A program that turns the echo off before it asks for a password may do so just now.
      sleep 0.05 2>/dev/null || :
      [ -n "$SB_over" ] || printf '%s\n' "$SB_say" >&4
      SB_since=$(date +%s)
      # An expression that matches nothing at all would match for ever.
      if [ "${SB_match#* }" -gt 0 ]; then continue; fi
    fi
    SB_seen=$SB_size
  fi
  if [ -n "$SB_over" ]; then break; fi
  if [ -n "$SB_limit" ] && [ $(($(date +%s) - SB_since)) -ge "$SB_limit" ]; then
    SB_end='switchback: timed out'
  fi
  sleep 0.1 2>/dev/null || sleep 1
done
if [ -n "$SB_end" ]; then
  case $SB_end in
  # What was asked last, without an answer.
  *answer*) tail -c "+$((SB_from + 1))" "$SB_talk/out" | head -c $((SB_past - SB_from)) ;;
  *) cat "$SB_talk/out" ;;
  esac
  echo "$SB_end" >&2
  exit 124
fi
SB_pid=
cat "$SB_talk/out"
SB_rc=$(cat "$SB_talk/rc" 2>/dev/null) || SB_rc=255
exit "$SB_rc"
