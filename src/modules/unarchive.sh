# Unpacks SB_archive into a new folder beside what is in SB_p, and from there puts in place what
# differs. Nothing of an archive is ever written through a link that was there before it.
sb_magic() {
  SB_magic=$(head -c 4 <"$SB_archive" | od -An -tx1)
  case $SB_magic in
  *1f*8b*) SB_handler=TgzArchive SB_zip=-z ;;
  *42*5a*68*) SB_handler=TarBzipArchive SB_zip=-j ;;
  *fd*37*7a*58*) SB_handler=TarXzArchive SB_zip=-J ;;
  *28*b5*2f*fd*) SB_handler=TarZstdArchive SB_zip=--use-compress-program=zstd ;;
  *50*4b*) SB_handler=ZipArchive SB_zip= ;;
  *) SB_handler=TarArchive SB_zip= ;;
  esac
}

sb_install() {
  SB_x=$SB_p/$1
  if [ -d "$SB_stage/$1" ] && [ ! -L "$SB_stage/$1" ]; then
    if [ -L "$SB_x" ]; then
      sb_fail "\`$SB_x\` is a link and the archive has a directory there: refusing to go through it"
    fi
    if [ -d "$SB_x" ]; then return 0; fi
    [ ! -e "$SB_x" ] || sb_fail "\`$SB_x\` is in the way of a directory"
    printf '%s\n//\n' "$1" >>"$SB_KEEP/new"
    mkdir "$SB_x" || sb_fail "cannot make \`$SB_x\`"
    SB_changed=1 SB_made="$SB_made$1
"
    return 0
  fi
  if [ -d "$SB_x" ] && [ ! -L "$SB_x" ]; then sb_fail "\`$SB_x\` is a directory, which a file cannot replace"; fi
  if [ -L "$SB_x" ] || [ -e "$SB_x" ]; then
    if [ -n "$SB_keep_newer" ] && [ "$SB_x" -nt "$SB_stage/$1" ]; then return 0; fi
    if [ -L "$SB_x" ] && [ -L "$SB_stage/$1" ]; then
      if [ "$(readlink "$SB_x")" = "$(readlink "$SB_stage/$1")" ]; then return 0; fi
    elif [ ! -L "$SB_x" ] && [ ! -L "$SB_stage/$1" ] && cmp -s "$SB_x" "$SB_stage/$1"; then
      SB_same=$(stat -c '%a %u %g' "$SB_x" "$SB_stage/$1")
      if [ "${SB_same%%
*}" = "${SB_same##*
}" ]; then return 0; fi
    fi
    case $1 in */*) mkdir -p "$SB_KEEP/old/${1%/*}" ;; esac || sb_fail "cannot keep \`$SB_x\`"
    if [ ! -e "$SB_KEEP/old/$1" ] && [ ! -L "$SB_KEEP/old/$1" ]; then
      cp -a "$SB_x" "$SB_KEEP/part" && mv "$SB_KEEP/part" "$SB_KEEP/old/$1" || sb_fail "cannot keep \`$SB_x\`"
    fi
  else
    printf '%s\n//\n' "$1" >>"$SB_KEEP/new"
  fi
  SB_changed=1
  mv -f "$SB_stage/$1" "$SB_x" || sb_fail "cannot put \`$SB_x\` in place"
}

# Calls a function with each path of a list whose records end with a line `//`.
sb_each() {
  SB_record=
  while IFS= read -r SB_line; do
    if [ "$SB_line" = // ]; then
      "$1" "$SB_record" </dev/null || return 1
      SB_record=
    else
      SB_record=$SB_record${SB_record:+
}$SB_line
    fi
  done <"$2"
}
sb_list() { find . -mindepth 1 -exec printf '%s\n//\n' {} +; }
sb_entry() { sb_install "${1#./}"; }
sb_show() { SB_n=$((SB_n + 1)); sb_kv "file.$SB_n" "${1#./}"; }

# Modes of new directories last, when nothing has to be written into them any more.
sb_shape_new() {
  set -- "${1#./}"
  case $SB_made in *"
$1
"*) ;; *) return 0 ;; esac
  if [ -d "$SB_stage/$1" ] && [ ! -L "$SB_stage/$1" ]; then
    SB_same=$(stat -c '%u:%g 0%a' "$SB_stage/$1")
    chown "${SB_same% *}" "$SB_p/$1" 2>/dev/null || :
    chmod "${SB_same#* }" "$SB_p/$1" || sb_fail "cannot give \`$SB_p/$1\` its mode"
  fi
}

sb_unpack_undo() {
  if [ -e "$SB_KEEP/new" ]; then
    set --
    SB_record=
    while IFS= read -r SB_line; do
      if [ "$SB_line" = // ]; then
        set -- "$SB_record" "$@"
        SB_record=
      else
        SB_record=$SB_record${SB_record:+
}$SB_line
      fi
    done <"$SB_KEEP/new"
    for SB_x; do
      SB_x=$SB_p/$SB_x
      if [ -d "$SB_x" ] && [ ! -L "$SB_x" ]; then
        rmdir "$SB_x" || sb_fail "\`$SB_x\` came from the archive and now holds other files: left as it is"
      else
        rm -f "$SB_x" || sb_fail "cannot remove \`$SB_x\`"
      fi
    done
  fi
  if [ -d "$SB_KEEP/old" ]; then
    (cd "$SB_KEEP/old" && find . ! -type d -exec printf '%s\n//\n' {} +) >"$SB_KEEP/list" || exit 1
    sb_each sb_restore "$SB_KEEP/list"
  fi
}
sb_restore() {
  sb_beside "$SB_p/$1"
  cp -a "$SB_KEEP/old/$1" "$SB_tmp" || sb_fail "cannot restore \`$SB_p/$1\`"
  sb_rename "$SB_tmp" "$SB_p/$1" || sb_fail "cannot restore \`$SB_p/$1\`"
  SB_tmp=
}
