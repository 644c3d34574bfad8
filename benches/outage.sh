#!/usr/bin/env bash
# The upgrade of playbooks/pg_upgrade.yml as a plain shell script: ssh, sudo, parallel background shells; no gates beyond the
# exit codes, no way back, no journal. It upgrades the lab for real and prints the outage that the lab's
# application saw, which is the floor that the playbook is measured against. The lab must be reset after it.
#
#   benches/outage.sh [LAB_DIR]
#
# LEADER, REPLICAS, RESERVES, PROXY (addresses), OLD, NEW (majors) and SSH_USER override the lab's defaults.
# WITH_CHECK=1 runs pg_upgrade --check on the stopped cluster, FIRST_REPLICAS=N starts so many replicas before
# clients return, ANALYZE=1 gathers statistics before: the playbook's defaults are 1, 1 and 1.
set -euo pipefail

lab=${1:-${LAB_DIR:-/var/lib/switchback-lab}}
leader=${LEADER:-10.77.0.11}
read -ra replicas <<<"${REPLICAS:-10.77.0.12 10.77.0.13}"
read -ra reserves <<<"${RESERVES:-10.77.0.14}"
proxy=${PROXY:-10.77.0.10}
old=${OLD:-15} new=${NEW:-17}
user=${SSH_USER:-ops}
with_check=${WITH_CHECK:-1} first_replicas=${FIRST_REPLICAS:-1} analyze=${ANALYZE:-1}

volume=/var/lib/postgresql
old_data=$volume/$old/main new_data=$volume/$new/main new_wal=$volume/wal/$new-main
old_bin=/usr/lib/postgresql/$old/bin new_bin=/usr/lib/postgresql/$new/bin
old_unit=patroni@$old-main new_unit=patroni@$new-main
work=$volume/bench-$old-$new
standbys=("${replicas[@]}" "${reserves[@]}")

# on HOST USER: runs the script on standard input there.
on() {
    ssh -F none -o LogLevel=ERROR -o BatchMode=yes -o IdentitiesOnly=yes -i "$lab/ssh/ops" \
        -o UserKnownHostsFile="$lab/ssh/known_hosts" "$user@$1" sudo -u "$2" sh -c "'cd / && exec bash -eu -o pipefail'"
}

# each USER HOST...: the script on standard input on all hosts at once; fails when one fails.
each() {
    local as=$1 script pids=() host pid
    shift
    script=$(cat)
    for host in "$@"; do
        on "$host" "$as" <<<"$script" &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do wait "$pid"; done
}

now() { date +%s.%N; }
phase() { printf '%6.2f s  %s\n' "$(awk -v a="$1" -v b="$(now)" 'BEGIN { print b - a }')" "$2"; }

began=$(date +%s)
t=$(now)
{ each postgres "$leader" "${standbys[@]}" <<END
mkdir -p -m 0700 $work
END
on "$leader" postgres <<END
mkdir -p -m 0700 $volume/$new
read -r encoding collate ctype superuser checksums segment < <(psql -XAtq -F ' ' -d postgres -c "
  select pg_encoding_to_char(encoding), datcollate, datctype, (select rolname from pg_roles where oid = 10),
         current_setting('data_checksums'), (select setting::bigint / 1048576 from pg_settings where name = 'wal_segment_size')
    from pg_database where datname = 'template0'")
[ "\$checksums" = on ] && checksums=--data-checksums || checksums=
$new_bin/initdb -A peer -D $new_data -X $new_wal -U "\$superuser" -E "\$encoding" --lc-collate="\$collate" --lc-ctype="\$ctype" --wal-segsize="\$segment" \$checksums
cp -p $old_data/pg_hba.conf $old_data/pg_ident.conf $new_data/
curl -sS http://$leader:8008/config | jq -c 'del(.pause)' >$new_data/patroni.dynamic.json
END
each root "$leader" "${replicas[@]}" <<END
cp -p /etc/patroni/$old-main.yml /etc/patroni/$new-main.yml
sed -i -e 's|$old_data|$new_data|g' -e 's|$old_bin|$new_bin|g' -e 's|$old-main|$new-main|g' /etc/patroni/$new-main.yml
END
on "$leader" postgres <<END
patronictl -c /etc/patroni/$old-main.yml pause --wait $old-main
END
each postgres "$leader" "${standbys[@]}" <<END
psql -XAtq -d postgres -c CHECKPOINT
END
} >/dev/null
phase "$t" 'before the outage: initdb, configuration, pause, CHECKPOINT'

outage=$(now) t=$outage
on "$proxy" root <<END >/dev/null
systemctl stop lab-writer
runuser -u postgres -- psql -Xq 'host=/var/run/postgresql port=6432 user=pgbouncer dbname=pgbouncer' -c 'PAUSE app'
END
each root "$leader" "${standbys[@]}" <<END
systemctl stop $old_unit && systemctl --quiet mask $old_unit
END
on "$leader" postgres <<END
psql -XAtq -d postgres -c CHECKPOINT
$old_bin/pg_ctl -D $old_data -m fast -w stop >/dev/null
END
lsn=$(on "$leader" postgres <<<"$old_bin/pg_controldata -D $old_data | sed -n 's/^Latest checkpoint location: *//p'")
each postgres "${standbys[@]}" <<END
until [ "\$(psql -XAtq -d postgres -c "select pg_last_wal_replay_lsn() > '$lsn'")" = t ]; do sleep 0.05; done
$old_bin/pg_ctl -D $old_data -m fast -w stop >/dev/null
[ "\$($old_bin/pg_controldata -D $old_data | sed -n 's/^Latest checkpoint location: *//p')" = '$lsn' ]
END
phase "$t" 'stop: application, Patroni, leader, standbys'

t=$(now)
on "$leader" postgres <<END >/dev/null
cd $work
upgrade() {
  $new_bin/pg_upgrade --link -b $old_bin -B $new_bin -d $old_data -D $new_data -j "\$(nproc)" -s $work \
    -o '-c archive_mode=off' -O "-c archive_mode=off -c shared_preload_libraries='\$($old_bin/postgres -D $old_data -C shared_preload_libraries)'" "\$@"
}
[ $with_check = 0 ] || upgrade --check
upgrade
END
phase "$t" 'pg_upgrade --link'

t=$(now)
pids=()
for replica in "${replicas[@]}"; do
    on "$leader" postgres <<END &
rsync --archive --hard-links --size-only --whole-file --delete --no-inc-recursive --relative --no-implied-dirs \
  -e 'ssh -o BatchMode=yes' --exclude='$old_data/base/*/pg_internal.init*' --exclude='$new_data/postmaster.*' \
  --exclude='$new_data/pg_upgrade_output.d' $old_data/base $new_data $new_wal $volume/tablespaces/*/PG_{$old,$new}_* postgres@$replica:/
END
    pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid"; done
phase "$t" 'fan-out'

t=$(now)
start() {
    each root "$@" <<END
systemctl start $new_unit
END
}
up() { # HOST PATH
    until [ "$(curl -s -o /dev/null --max-time 2 -w '%{http_code}' "http://$1:8008/$2")" = 200 ]; do sleep 0.1; done
}
start "$leader"
up "$leader" primary
first=("${replicas[@]:0:first_replicas}")
[ "$first_replicas" = 0 ] || start "${first[@]}"
[ "$analyze" = 0 ] || on "$leader" postgres <<END
PGOPTIONS='-c default_statistics_target=10' $new_bin/vacuumdb --all --analyze-only --quiet --jobs="\$(nproc)"
END
for replica in "${first[@]}"; do up "$replica" replica; done
phase "$t" 'start, statistics, first replicas'

t=$(now)
on "$proxy" root <<'END' >/dev/null
until echo 'show stat' | socat - /run/haproxy/admin.sock | grep -q '^pg_primary,pg[0-9]*,.*,UP,'; do sleep 0.1; done
runuser -u postgres -- psql -Xq 'host=/var/run/postgresql port=6432 user=pgbouncer dbname=pgbouncer' -c 'RESUME app'
systemctl start lab-writer
END
phase "$t" 'traffic'
phase "$outage" 'outage as the script saw it'

late=("${replicas[@]:first_replicas}")
[ ${#late[@]} = 0 ] || start "${late[@]}"
for replica in "${replicas[@]}"; do up "$replica" replica; done
sleep 1
echo 'outage as the application saw it:'
on "$proxy" root <<<"lab-writer-report --since $began"
