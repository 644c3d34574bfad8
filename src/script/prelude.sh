# Functions that switchback's scripts may use. POSIX sh; builtins only, since a fork on the target
# is the cost that counts. Variables of these functions start with SB_.

# sb_kv NAME VALUE: one field of a reply.
sb_kv() {
  case $2 in
  *\\* | *'
'* | *"$SB_CR"*)
    SB_rest=$2 SB_done=
    while [ -n "$SB_rest" ]; do
      SB_tail=${SB_rest#?}
      SB_char=${SB_rest%"$SB_tail"}
      case $SB_char in
      \\) SB_char='\\' ;;
      '
') SB_char='\n' ;;
      "$SB_CR") SB_char='\r' ;;
      esac
      SB_done=$SB_done$SB_char SB_rest=$SB_tail
    done
    printf '%s=%s\n' "$1" "$SB_done"
    ;;
  *) printf '%s=%s\n' "$1" "$2" ;;
  esac
}
SB_CR=$(printf '\r')

# sb_body: what follows on standard output is the body of the reply.
sb_body() { printf '\n'; }

# sb_fail MESSAGE: ends the script with a message.
sb_fail() {
  printf '%s\n' "$1" >&2
  exit 1
}

# sb_tmp_dir NAME: prints a new directory for this user alone, not among those of all users where
# there is any other place.
sb_tmp_dir() {
  [ -n "${SB_SPOOL-}" ] || sb_where
  ( umask 077 && mkdir -p "$SB_SPOOL/tmp" && mktemp -d "$SB_SPOOL/tmp/$1.XXXXXX" ) 2>/dev/null ||
    mktemp -d "${TMPDIR:-/tmp}/$1.XXXXXX"
}

# sb_keep_dir: makes $SB_KEEP, where before-images go, or ends the script.
sb_keep_dir() {
  [ -d "${SB_KEEP:?no directory for before-images}" ] || mkdir -p -m 700 "$SB_KEEP" ||
    sb_fail "cannot make \`$SB_KEEP\`, which must hold what is needed to go back"
}
