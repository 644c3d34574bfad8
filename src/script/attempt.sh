# Durable attempts and the lock of a host, as far as the host does them. What follows from an answer
# is decided by the controller. POSIX sh; each fork is paid for, so builtins come first.
#
# A place ($SB_LOCKS) is root's /var/lib/switchback (0711), or else .switchback in the user's home:
#   id            names the place, made once
#   e/N           the lock: the highest N rules; one line "RUN TOKEN WHO"; e/N.free: given back
# A spool ($SB_SPOOL) is u/UID in root's place, or the place itself:
#   poison        one line; linked as a gate it stops an attempt for good, and needs no space
#   a/ID.claim    made once, by whoever starts or resolves the attempt
#   a/ID.sup      the supervisor: "PID START BOOT ."; written before the gate
#   a/ID.go       the gate, made once: empty, by the supervisor; with text, linked to poison
#   a/ID.pid      the command, written by itself before it begins
#   a/ID.out .err its output: plain files, so that nobody need be there to read
#   a/ID.rc       how it ended, by rename from ID.rc.tmp, which had its room from the beginning
#   a/ID.late     its time was over; a/ID.cancel: somebody wanted it to end
# A witness ($SB_WITNESS) is /run/switchback/UID: an empty file for each attempt that was claimed, not
# on the spool's volume. It tells that a volume was put back to a snapshot under a running system.

# sb_where [home]: sets SB_SPOOL and SB_LOCKS. Nobody else can write where they lead: the folders
# above belong to root or to the user.
sb_where() {
  if [ -z "${SB_uid-}" ]; then
    while read -r SB_x SB_y SB_uid SB_z; do
      if [ "$SB_x" = Uid: ]; then break; fi
    done </proc/self/status
  fi
  SB_LOCKS=${SWITCHBACK_ROOT:-/var/lib/switchback}
  SB_SPOOL=$SB_LOCKS/u/$SB_uid
  if [ -n "${1-}" ] || [ ! -O "$SB_SPOOL" ] || [ -L "$SB_SPOOL" ]; then
    SB_SPOOL=${HOME:-/nonexistent}/.switchback
    SB_LOCKS=$SB_SPOOL
  fi
  SB_WITNESS=/run/switchback/$SB_uid
  if [ -n "${SWITCHBACK_ROOT-}" ]; then SB_WITNESS=$SWITCHBACK_ROOT/run/$SB_uid; fi
}

sb_refuse() {
  printf 'st=refused\nwhy=%s\n' "$1"
  exit 0
}

sb_now() {
  SB_boot= SB_up=
  read -r SB_boot </proc/sys/kernel/random/boot_id && read -r SB_up SB_x </proc/uptime ||
    sb_refuse no-proc
  SB_up=${SB_up%.*}
}

# sb_epoch: sets SB_epoch, the number of the lock that rules; 0 if there is none.
sb_epoch() {
  SB_epoch=0
  for SB_x in "$SB_LOCKS"/e/*; do
    SB_x=${SB_x##*/}
    case $SB_x in
    *[!0-9]*) ;;
    *) if [ "$SB_x" -gt "$SB_epoch" ]; then SB_epoch=$SB_x; fi ;;
    esac
  done
}

# sb_ruler: like sb_epoch, and sets SB_line to its line. Between the look at the folder and the
# look at the file another one may have come, and removed this one.
sb_ruler() {
  SB_line= SB_tries=
  while [ "$SB_tries" != xxxxxxxxxxxxxxxxxxxx ]; do
    sb_epoch
    [ "$SB_epoch" -gt 0 ] || return 0
    if { read -r SB_line <"$SB_LOCKS/e/$SB_epoch"; } 2>/dev/null; then return 0; fi
    SB_tries=x$SB_tries
  done
}

# sb_holds EPOCH: whether that lock still rules; else SB_line has the one that does.
sb_holds() {
  sb_epoch
  if [ "$SB_epoch" = "$1" ] && [ ! -e "$SB_LOCKS/e/$1.free" ]; then return 0; fi
  sb_ruler
  return 1
}
# sb_hold PLACE EPOCH: what every change says before it acts: ends it unless its lock rules.
sb_hold() {
  sb_where "$1"
  sb_holds "$2" && return 0
  printf 'switchback: fenced by: %s\n' "$SB_line" >&2
  exit 94
}
sb_fenced() {
  sb_kv fenced-by "$SB_line"
  sb_refuse fenced
}

# sb_alive PID START: whether that very process lives; sets SB_state.
sb_alive() {
  SB_state=
  case $1 in '' | *[!0-9]*) return 1 ;; esac
  { read -r SB_x <"/proc/$1/stat"; } 2>/dev/null || return 1
  set -f
  # The name of a program may hold blanks and brackets.
  set -- "$2" ${SB_x##*) }
  set +f
  SB_state=$2
  # A zombie has ended.
  [ "${21}" = "$1" ] && [ "$2" != Z ]
}

# sb_observe: sets SB_st to what has become of attempt $SB_A, and changes nothing.
sb_observe() {
  SB_st= SB_rc= SB_why= SB_pid= SB_ps=
  if [ -f "$SB_A.rc" ]; then
    sb_ended
    return 0
  fi
  if [ ! -e "$SB_A.claim" ]; then
    SB_st=absent
    # What was started leaves a witness elsewhere: the volume of the spool is an older one.
    if [ -e "$SB_W" ]; then SB_st=lost SB_why=gone-back; fi
  elif [ ! -e "$SB_A.go" ]; then
    SB_st=claimed
  elif [ -s "$SB_A.go" ]; then
    SB_st=never
  else
    sb_lives
  fi
  # It may have ended between the first look and the last one.
  if [ -f "$SB_A.rc" ]; then sb_ended; fi
}
sb_lives() {
  SB_x= SB_y= SB_z= SB_end=
  { read -r SB_x SB_y SB_z SB_end <"$SB_A.sup"; } 2>/dev/null
  if [ "$SB_end" != . ] || [ "$SB_z" != "$SB_boot" ]; then
    SB_st=lost SB_why=reboot
    return 0
  fi
  SB_supervisor="$SB_x $SB_y" SB_y= SB_end=
  { read -r SB_pid SB_y SB_z SB_end <"$SB_A.pid"; } 2>/dev/null
  if [ "$SB_end" != . ]; then SB_pid= SB_y=; fi
  if sb_alive "$SB_pid" "$SB_y"; then SB_st=running; fi
  SB_ps=$SB_state
  if sb_alive ${SB_supervisor}; then
    SB_st=running
  elif [ "$SB_st" = running ]; then
    SB_why=supervisor-dead
  else
    SB_st=lost SB_why=killed
  fi
}
sb_ended() {
  SB_st=finished SB_rc= SB_why=
  read -r SB_rc SB_ran SB_late SB_x <"$SB_A.rc"
  SB_rc=${SB_rc#rc=}
  case $SB_x in *" .") ;; *) SB_rc= ;; esac
  case $SB_rc in
  '' | *[!0-9]*) SB_st=lost SB_rc= SB_why=torn-rc ;;
  *) case $SB_ran$SB_late in
    ran=0*) SB_st=never ;;
    *late=1) SB_why=timeout ;;
    esac ;;
  esac
}

# sb_report OUT ERR MAX: what has become of it; then, as body, its output from OUT on, and on
# standard error its error output from ERR on, MAX bytes of each at most.
sb_report() {
  sb_observe
  printf 'st=%s\nrc=%s\nwhy=%s\npid=%s\nps=%s\nboot=%s\nup=%s\n' \
    "$SB_st" "$SB_rc" "$SB_why" "$SB_pid" "$SB_ps" "$SB_boot" "$SB_up"
  if [ -e "$SB_A.cancel" ]; then
    SB_y=
    read -r SB_x SB_y <"$SB_A.cancel"
    printf 'cancelled=%s\n' "$SB_y"
  fi
  sb_body
  sb_window "$SB_A.out" "$1" "$3"
  sb_window "$SB_A.err" "$2" "$3" >&2
}
sb_window() {
  if [ ! -s "$1" ]; then return 0; fi
  if [ "$2" = 0 ]; then head -c "$3" "$1"; else tail -c "+$(($2 + 1))" "$1" | head -c "$3"; fi
}

# sb_at PLACE ID SPOOL-ID: all that talks of an attempt begins with this.
sb_at() {
  sb_where "$1"
  sb_now
  SB_A=$SB_SPOOL/a/$2 SB_W=$SB_WITNESS/$2 SB_id=
  if [ -e "$SB_LOCKS/id" ]; then read -r SB_id <"$SB_LOCKS/id"; fi
  [ -n "$SB_id" ] || sb_refuse no-spool
  [ "$SB_id" = "$3" ] || sb_refuse other-spool
}

# sb_create FILE TEXT: makes a file that is not there, in one step; the whole text or failure.
sb_create() {
  set -C
  if printf '%s\n' "$2" 2>/dev/null >"$1"; then SB_made=1; else SB_made=; fi
  set +C
  [ -n "$SB_made" ] || return 1
  # A shell may lose the error of a write that was buffered.
  SB_x=
  IFS= read -r SB_x <"$1"
  [ "$SB_x" = "$2" ]
}

# sb_start PLACE ID SPOOL-ID BOOT-ID UPTIME-MAX EPOCH LIMIT MAX SCOPE WAITS DONE...: starts the
# supervisor that is on standard input, and waits for its end, or, without WAITS, only until it has
# begun. DONE are attempts whose files may go.
SB_ROOM=$(printf '%-126.126s.' 'rc=?')
sb_start() {
  sb_at "$1" "$2" "$3"
  [ "$4" = "$SB_boot" ] || sb_refuse other-boot
  [ "$SB_up" -le "$5" ] || sb_refuse too-late
  if [ -n "$6" ]; then sb_holds "$6" || sb_fenced; fi
  if [ ! -d "$SB_SPOOL/a" ]; then sb_make_spool || sb_refuse no-space; fi
  if sb_create "$SB_A.claim" "boot=$SB_boot up=$SB_up epoch=$6 ."; then
    sb_create "$SB_A.rc.tmp" "$SB_ROOM" || sb_unclaim no-space
    # This claims and then reads the lock; who takes it over writes the lock and then reads the
    # claims: one of the two sees the other.
    if [ -n "$6" ]; then
      sb_holds "$6" || { rm -f "$SB_A".*; sb_fenced; }
    fi
    if [ -e "$SB_W" ]; then
      rm -f "$SB_A".*
    else
      printf '' 2>/dev/null >"$SB_W"
      sb_run "$@"
    fi
  elif [ -n "$SB_made" ]; then
    sb_unclaim no-space
  elif [ ! -e "$SB_A.claim" ]; then
    sb_refuse no-space
  fi
  sb_report 0 0 "$8"
}
# Nobody but us has this claim and no supervisor was started: taking it back is safe.
sb_unclaim() {
  rm -f "$SB_A".*
  sb_refuse "$1"
}
sb_run() {
  SB_own=setsid
  command -v setsid >/dev/null || SB_own=
  SB_limit=$7 SB_scope= SB_waits=${10}
  if [ -n "$9" ]; then SB_scope="systemd-run $9 --scope --quiet --collect --unit=sb-$2 --"; fi
  shift 10
  set -- $SB_scope $SB_own /bin/sh -s -- "$SB_A" "$SB_WITNESS" "$SB_limit" "$SB_own" "$@"
  if [ -n "$SB_waits" ]; then
    # In the foreground: a list that runs in the background ignores SIGINT and SIGQUIT, and so
    # would the command.
    "$@" >/dev/null 2>&1
  else
    # What runs in the background reads /dev/null, unless it is told otherwise.
    exec 3<&0
    "$@" <&3 3<&- >/dev/null 2>&1 &
    while kill -0 $! 2>/dev/null && [ ! -e "$SB_A.go" ]; do sleep 0.05 2>/dev/null || sleep 1; done
  fi
}

# sb_status PLACE ID SPOOL-ID OUT ERR MAX
sb_status() {
  sb_at "$1" "$2" "$3"
  sb_report "$4" "$5" "$6"
}

# sb_resolve PLACE ID SPOOL-ID OUT ERR MAX: makes "never started" final, unless it has started.
sb_resolve() {
  sb_at "$1" "$2" "$3"
  if [ ! -d "$SB_SPOOL/a" ]; then sb_make_spool || sb_refuse cannot-claim; fi
  if [ ! -e "$SB_A.claim" ] && [ ! -e "$SB_W" ]; then
    # Another one may be faster; then it is that one's claim.
    sb_create "$SB_A.claim" 'resolved .' || [ -e "$SB_A.claim" ] || sb_refuse cannot-claim
  fi
  if [ -e "$SB_A.claim" ] && [ ! -e "$SB_A.go" ] && [ ! -e "$SB_A.rc" ]; then
    if ln "$SB_SPOOL/poison" "$SB_A.go" 2>/dev/null; then
      sb_sync "$SB_A.claim" "$SB_A.go" "$SB_SPOOL/a"
    fi
    [ -e "$SB_A.go" ] || sb_refuse cannot-claim
  fi
  sb_report "$4" "$5" "$6"
}

# sb_cancel PLACE ID SPOOL-ID SIGNAL WHO RUN TOKEN...: ends the command and what it started in its
# session, unless another one has the lock of the host. TOKENs are the locks of this run.
sb_cancel() {
  sb_at "$1" "$2" "$3"
  SB_signal=$4 SB_who=$5
  shift 5
  sb_yields "$@" || sb_fenced
  sb_observe
  if [ "$SB_st" = running ] && [ -n "$SB_pid" ]; then
    if sb_alive "$SB_pid" "$SB_y"; then
      # Whoever sees it end sees why.
      printf '%s %s\n' "$SB_signal" "$SB_who" >>"$SB_A.cancel"
      kill -s "$SB_signal" -- "-$SB_pid" 2>/dev/null || kill -s "$SB_signal" "$SB_pid" 2>/dev/null
      printf 'sent=1\n'
    fi
  fi
  sb_report 0 0 0
}
# sb_yields RUN TOKEN...: whether nobody else has the lock of the host. A run without any has taken
# none, and is not kept from what is its own.
sb_yields() {
  [ $# -gt 1 ] || return 0
  sb_ruler
  [ "$SB_epoch" -gt 0 ] && [ ! -e "$SB_LOCKS/e/$SB_epoch.free" ] || return 0
  SB_run=$1
  shift
  for SB_x; do
    case $SB_line in "$SB_run $SB_x "*) return 0 ;; esac
  done
  return 1
}

# sb_gone PLACE SPOOL-ID ID...: removes the files of attempts whose results are kept elsewhere.
sb_gone() {
  sb_at "$1" . "$2"
  shift 2
  for SB_x; do rm -f "$SB_SPOOL/a/$SB_x".* "$SB_WITNESS/$SB_x"; done
}

# Old programs know no `sync FILE`; then all is written.
sb_sync() { sync "$@" 2>/dev/null || sync; }

# sb_make_spool: what a user's spool has in it.
sb_make_spool() {
  sb_dir 700 "$SB_SPOOL" || return 1
  if [ ! -e "$SB_SPOOL/poison" ]; then
    printf 'poison\n' >"$SB_SPOOL/.poison.$$" && sb_same "$SB_SPOOL/.poison.$$" poison &&
      mv -f "$SB_SPOOL/.poison.$$" "$SB_SPOOL/poison" || return 1
    sb_sync "$SB_SPOOL/poison" "$SB_SPOOL"
  fi
  sb_dir 700 "$SB_SPOOL/a"
}
# sb_dir MODE DIR: makes a folder, unless it is there; another session may be making it just now.
sb_dir() {
  [ -d "$2" ] && return 0
  SB_said=$(mkdir -p -m "$1" "$2" 2>&1) || [ -d "$2" ] || {
    printf '%s\n' "$SB_said" >&2
    return 1
  }
}
sb_same() {
  SB_x=
  IFS= read -r SB_x <"$1"
  [ "$SB_x" = "$2" ]
}

# sb_make_place: makes $SB_LOCKS with what is in it, and checks whose it is. Fails with a message.
sb_make_place() {
  if [ "$SB_LOCKS" = "$SB_SPOOL" ]; then SB_x=700; else SB_x=711; fi
  sb_dir "$SB_x" "$SB_LOCKS" || return 1
  sb_ours "$SB_LOCKS" || return 1
  sb_dir 755 "$SB_LOCKS/e" || return 1
  if [ ! -e "$SB_LOCKS/id" ]; then
    SB_x=
    read -r SB_x </proc/sys/kernel/random/uuid && printf '%s\n' "$SB_x" >"$SB_LOCKS/.id.$$" &&
      sb_same "$SB_LOCKS/.id.$$" "$SB_x" || return 1
    # Two who do this at the same time get the same one.
    ln "$SB_LOCKS/.id.$$" "$SB_LOCKS/id" || [ -e "$SB_LOCKS/id" ] || return 1
    rm -f "$SB_LOCKS/.id.$$"
    sb_sync "$SB_LOCKS/id" "$SB_LOCKS"
  fi
}
# sb_ours DIR: it is a folder of this user that nobody else can write to.
sb_ours() {
  [ -O "$1" ] && [ ! -L "$1" ] && [ -d "$1" ] || {
    printf '%s does not belong to this user\n' "$1" >&2
    return 1
  }
  SB_ours=$(ls -ld "$1")
  case $SB_ours in
  d????-??-?*) ;;
  *)
    printf '%s can be written to by others: %s\n' "$1" "${SB_ours%% *}" >&2
    return 1
    ;;
  esac
}

# sb_meet HOW RUN UID TOKEN... OWNER: what the controller must know of the host before it changes
# anything. HOW: `root` makes root's place where this user is root, `home` one in the user's home,
# `look` none. UID is whose spool is made in root's place. TOKENs are locks of this run; the last
# one is used for a new lock, which OWNER is written into.
sb_meet() {
  sb_now
  SB_how=$1 SB_run=$2 SB_for=$3
  shift 3
  SB_y=
  if [ "$SB_how" = home ]; then SB_y=home; fi
  SB_uid=
  sb_where "$SB_y"
  sb_kv uid "$SB_uid"
  sb_kv boot "$SB_boot"
  sb_kv up "$SB_up"
  if [ "$SB_how" = root ] && [ "$SB_uid" = 0 ]; then
    sb_meet_root || sb_refuse no-place
  elif [ "$SB_how" = home ]; then
    sb_make_place && sb_make_spool || sb_refuse no-place
  elif [ "$SB_LOCKS" = "$SB_SPOOL" ]; then
    sb_refuse no-root
  fi
  # A place that cannot be written to is found out before anything starts; the shell says why.
  [ -d "$SB_SPOOL/a" ] || sb_make_spool || sb_refuse no-place
  printf '' >>"$SB_SPOOL/poison" || sb_refuse no-place
  SB_x=
  read -r SB_x <"$SB_LOCKS/id" || sb_refuse no-spool
  sb_kv spool "$SB_x"
  sb_kv place "$SB_SPOOL"
  sb_inode
  command -v setsid >/dev/null || sb_kv lacks setsid
  sb_logind
  sb_lock "$@"
}
sb_meet_root() {
  SB_LOCKS=${SWITCHBACK_ROOT:-/var/lib/switchback}
  SB_SPOOL=$SB_LOCKS/u/0
  sb_make_place && sb_dir 711 "$SB_LOCKS/u" || return 1
  # Others must be able to go through it, though not to look around.
  [ "${SB_ours%% *}" = drwx--x--x ] || chmod 711 "$SB_LOCKS" "$SB_LOCKS/u" || return 1
  for SB_user in 0 ${SB_for:+"$SB_for"}; do
    sb_dir 700 "$SB_LOCKS/u/$SB_user" || return 1
    [ "$SB_user" = 0 ] || chown "$SB_user" "$SB_LOCKS/u/$SB_user" || return 1
    sb_witness
  done
  sb_make_spool
}
# sb_inode: with the boot, what tells this place from a copy of it on another machine.
sb_inode() { sb_kv inode "$(stat -c %d:%i "$SB_LOCKS/id" 2>/dev/null)"; }
# sb_whereabouts PLACE
sb_whereabouts() {
  sb_where "$1"
  sb_now
  sb_kv boot "$SB_boot"
  sb_inode
}
# sb_witness: makes the folder of witnesses of user $SB_user. A host without one works; it cannot
# tell that the spool's volume has gone back.
sb_witness() {
  SB_x=${SB_WITNESS%/*}
  [ -d "$SB_x/$SB_user" ] || {
    sb_dir 711 "$SB_x" && sb_ours "$SB_x" && sb_dir 700 "$SB_x/$SB_user" &&
      { [ "$SB_user" = 0 ] || chown "$SB_user" "$SB_x/$SB_user"; }
  } 2>/dev/null
  return 0
}
# Where logind ends what a session leaves behind, an attempt needs a scope of its own.
sb_logind() {
  [ -d /run/systemd/system ] && command -v busctl >/dev/null || return 0
  case $(busctl get-property org.freedesktop.login1 /org/freedesktop/login1 \
    org.freedesktop.login1.Manager KillUserProcesses 2>/dev/null) in
  *true*) ;;
  *) return 0 ;;
  esac
  if [ "$SB_uid" = 0 ]; then
    sb_kv scope --system
  elif [ -e "/var/lib/systemd/linger/$(id -un)" ]; then
    sb_kv scope --user
  else
    sb_refuse killed-at-logout
  fi
}

# sb_lock TOKEN... OWNER: takes the lock of the host, or says whose it is. The lock that SB_over says
# counts as given back: its run is over.
sb_lock() {
  [ $# -gt 1 ] || return 0
  sb_epoch
  if [ "$SB_epoch" -gt 0 ] && [ ! -e "$SB_LOCKS/e/$SB_epoch.free" ] && ! sb_is_over; then
    while [ $# -gt 1 ]; do
      case $SB_line in "$SB_run $1 "*)
        sb_kv epoch "$SB_epoch"
        return 0
        ;;
      esac
      shift
    done
    sb_kv locked-by "$SB_line"
    return 0
  fi
  while [ $# -gt 2 ]; do shift; done
  SB_new=$((SB_epoch + 1))
  [ -w "$SB_LOCKS/e" ] || sb_refuse no-root
  sb_seize "$1" "$2"
}
sb_is_over() {
  sb_ruler
  [ -n "${SB_over-}" ] && [ "$SB_line" = "$SB_over" ]
}
# sb_seize TOKEN OWNER: makes $SB_new the lock that rules.
sb_seize() {
  SB_line="$SB_run $1 $2"
  SB_tmp=$SB_LOCKS/e/.$SB_run.$1
  printf '%s\n' "$SB_line" >"$SB_tmp" && sb_same "$SB_tmp" "$SB_line" || sb_refuse no-space
  SB_mine=$SB_line
  ln "$SB_tmp" "$SB_LOCKS/e/$SB_new" || {
    # Another one was faster, or there are no links to be had.
    sb_epoch
    [ "$SB_epoch" -ge "$SB_new" ] || {
      rm -f "$SB_tmp"
      sb_refuse no-place
    }
  }
  rm -f "$SB_tmp"
  sb_sync "$SB_LOCKS/e/$SB_new" "$SB_LOCKS/e"
  sb_ruler
  if [ "$SB_line" = "$SB_mine" ]; then
    sb_kv epoch "$SB_epoch"
    # Those before it rule no more, whoever still looks for them.
    for SB_x in "$SB_LOCKS"/e/*; do
      SB_y=${SB_x##*/}
      SB_y=${SB_y%.free}
      case $SB_y in
      *[!0-9]*) ;;
      *) if [ "$SB_y" -lt "$SB_epoch" ]; then rm -f "$SB_x"; fi ;;
      esac
    done
  else
    sb_kv locked-by "$SB_line"
  fi
}

# sb_free PLACE EPOCH: gives the lock back, if it is still that one.
sb_free() {
  sb_where "$1"
  sb_epoch
  if [ "$SB_epoch" = "$2" ]; then
    printf '' >"$SB_LOCKS/e/$2.free"
    sb_sync "$SB_LOCKS/e"
  fi
}

# sb_over PLACE RUN TOKEN OWNER: takes the lock over, whoever has it; then stops what has not begun,
# and says what runs.
sb_over() {
  SB_run=$2
  sb_where "$1"
  sb_now
  sb_epoch
  SB_new=$((SB_epoch + 1))
  [ -w "$SB_LOCKS/e" ] || sb_refuse no-root
  sb_seize "$3" "$4"
  for SB_spool in "$SB_LOCKS" "$SB_LOCKS"/u/*; do
    for SB_x in "$SB_spool"/a/*.claim; do
      [ -e "$SB_x" ] || continue
      SB_A=${SB_x%.claim}
      if [ ! -e "$SB_A.go" ]; then ln "$SB_spool/poison" "$SB_A.go" 2>/dev/null; fi
      sb_observe
      if [ "$SB_st" = running ]; then sb_kv "running.${SB_A##*/}" "$SB_pid"; fi
    done
  done
}
