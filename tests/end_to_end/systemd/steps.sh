#!/bin/bash
# Runs inside: installs the gateway as a package would, and says what became of it. Each line is `name value`.
set -eu
unit=referral-gateway
systemd-sysusers /out/sysusers.conf
systemd-tmpfiles --create /out/tmpfiles.conf
for secret in primero oscar mqtt; do
  install -m 640 -o root -g $unit /dev/null /etc/$unit/$secret.password
  echo secret >/etc/$unit/$secret.password
done
gateway() { referral-gateway "$@"; }
show() { systemctl show -P "$1" $unit; }
wait_for() { for _ in $(seq 300); do if eval "$1"; then return 0; fi; sleep 0.1; done; echo "waited in vain: $1"; return 1; }

systemctl start $unit || { systemctl status --no-pager -l $unit; exit 1; } >&2
echo "started $(show ActiveState) $(show SubState)"
pid=$(show MainPID)
status() { sed -n "s/^$1:\s*//p" /proc/$pid/status; }
echo "user $(stat -c %U /proc/$pid)"
echo "capabilities $(status CapEff) $(status CapBnd)"
echo "seccomp $(status Seccomp) $(status NoNewPrivs)"
echo "key $(stat -c '%a %U' /var/lib/$unit/seal.key)"
wait_for '[ -n "$(show StatusText)" ]'
echo "status $(show StatusText)"
gateway enqueue /out/referral.json >/dev/null
echo "accepted $(gateway status --json | grep -o '"pending":[0-9]*')"

# Somebody of the group gives commands through the socket and hands events in as files, and sees nothing else.
data=/var/lib/$unit
member() { setpriv --reuid=65534 --regid=65534 --groups="$(getent group $unit | cut -d: -f3)" "$@"; }
echo "folders $(stat -c %a $data $data/intake $data/intake/accepted $data/intake/rejected | tr '\n' ' ')"
echo "member $(member referral-gateway status --json | grep -o '"pending":[0-9]*')"
# A file of root's alone cannot be taken, holds up nobody, and is not spoken of at every look.
install -m 600 /out/referral.json $data/intake/roots.json
sed s/k-1/k-2/ /out/referral.json | member sh -c "umask 027; cat >$data/intake/theirs.json"
wait_for '! [ -e $data/intake/theirs.json ]'
sleep 5
echo "dropped $(gateway status --json | grep -o '"pending":[0-9]*') $(member sh -c "cat $data/intake/accepted/*.json")"
echo "unreadable $(grep -c 'mode 600 cannot be read' /out/log) $(stat -c '%a %U' $data/intake/roots.json)"
rm $data/intake/roots.json
for closed in "ls $data" "ls $data/intake" "cat $data/gateway.redb" "cat $data/seal.key" "touch $data/new"; do
  if member $closed >/dev/null 2>&1; then echo "open: $closed"; fi
done

# A gateway that stands still is replaced, and the event is still there.
kill -STOP "$pid"
wait_for '[ "$(show NRestarts)" = 1 ]'
wait_for '[ "$(show ActiveState)" = active ]'
echo "restarted $(show NRestarts) $(gateway status --json | grep -o '"pending":[0-9]*')"
[ "$(show MainPID)" != "$pid" ]

systemctl stop $unit
echo "stopped $(show ActiveState) $(show Result) $(show ExecMainStatus)"

# A wrong configuration is not tried again and again.
echo nonsense >>/etc/$unit/gateway.toml
systemctl start $unit 2>/dev/null || true
wait_for '[ "$(show ActiveState)" = failed ]'
sleep 2
echo "misconfigured $(show ActiveState) $(show ExecMainStatus) $(show NRestarts)"
echo "end"
