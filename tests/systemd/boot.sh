#!/usr/bin/env bash
# boot.sh DIR [PREPARE…]: boot this machine's own systemd as PID 1 in fresh namespaces, over a throw-away overlay of /.
# It returns when all is up, and the machine lives until the standard input ends: sleep infinity | boot.sh DIR
# PREPARE, a command, runs inside before systemd does. BIND, "FROM:TO …", names directories to show below /run/TO. DIR
# receives `pid` (the inner init, as seen from outside) and `log`; the machine's files are in memory, and go with it.
#   enter:  nsenter --target "$(cat DIR/pid)" --mount --pid --uts --ipc --net --cgroup -- systemctl status
# Needs root, cgroup v2 somewhere below /sys/fs/cgroup, and systemd. Takes one or two seconds.
set -euo pipefail
dir=$(realpath -m "$1")
shift
cgroups=/sys/fs/cgroup
[ -e $cgroups/cgroup.controllers ] || cgroups=$cgroups/unified
group=$cgroups/lockbot-test-$$
mkdir -p "$dir"/{root,upper} "$group"
exec 3<&0 </dev/null

inside() {
  set -eu
  dir=$1 root=$1/root
  shift
  mount --make-rprivate /
  mount -t tmpfs tmpfs "$dir/upper"
  mkdir "$dir/upper/files" "$dir/upper/work"
  mount -t overlay overlay -o "lowerdir=/,upperdir=$dir/upper/files,workdir=$dir/upper/work" "$root"
  mount -t proc proc "$root/proc"
  mount -t sysfs -o ro sysfs "$root/sys" 2>/dev/null || mount --rbind /sys "$root/sys"
  mount -t tmpfs -o mode=755 tmpfs "$root/dev"
  for name in null zero full random urandom tty; do
    touch "$root/dev/$name"
    mount --bind "/dev/$name" "$root/dev/$name"
  done
  mkdir "$root/dev/pts" "$root/dev/shm"
  mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
  mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
  ln -s pts/ptmx "$root/dev/ptmx"
  ln -s /proc/self/fd "$root/dev/fd"
  for name in stdin:0 stdout:1 stderr:2; do ln -s "/proc/self/fd/${name#*:}" "$root/dev/${name%:*}"; done
  touch "$root/dev/console"
  mount -t tmpfs -o mode=755 tmpfs "$root/run"
  mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
  umount -R "$root/sys/fs/cgroup" 2>/dev/null || true
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
  hostname lockbot-test
  ip link set lo up
  for pair in ${BIND:-}; do
    mkdir "$root/run/${pair#*:}"
    mount --bind "${pair%:*}" "$root/run/${pair#*:}"
  done
  cd "$root"
  mkdir .old
  pivot_root . .old
  umount -l /.old
  mount --make-rshared / # LoadCredential= wants it
  find /etc/systemd/system -name '*.wants' -type d -exec rm -rf {} +
  printf '[Unit]\nDescription=the test\nRequires=basic.target\nAfter=basic.target\nAllowIsolate=yes\n' \
    >/etc/systemd/system/test.target
  ln -sf test.target /etc/systemd/system/default.target
  # not a read-only /proc/sys instead, with which Nix has no sandbox and does not say so
  for name in systemd-{sysctl,udevd,udev-trigger,modules-load,timesyncd,tmpfiles-setup-dev}.service \
    systemd-udevd-{control,kernel}.socket; do
    ln -sf /dev/null "/etc/systemd/system/$name"
  done
  [ $# = 0 ] || "$@"
  exec env -i container=lockbot-test PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb \
    /lib/systemd/systemd --system systemd.log_target=journal </dev/null
}

end() { # kill the machine, and leave no cgroup behind
  kill -KILL "$inner" 2>/dev/null || true
  for _ in $(seq 50); do
    find "$group" -depth -type d -exec rmdir {} + 2>/dev/null && return
    sleep 0.1
  done
}

(
  echo "$BASHPID" >"$group/cgroup.procs"
  export -f inside
  exec 3<&- unshare --pid --fork --mount --uts --ipc --net --cgroup --kill-child \
    bash -c 'inside "$@"' bash "$dir" "$@" >"$dir/log" 2>&1
) &
outer=$! inner=
for _ in $(seq 250); do
  read -r inner _ <"/proc/$outer/task/$outer/children" 2>/dev/null && break
  sleep 0.02
done
echo "$inner" >"$dir/pid"
for _ in $(seq 200); do
  if nsenter --target "$inner" --mount --pid --uts --ipc --net --cgroup -- \
    systemctl is-system-running >/dev/null 2>&1; then
    (
      read -r -u 3 || true
      end
    ) >/dev/null 2>&1 &
    exit 0
  fi
  kill -0 $outer 2>/dev/null || break
  sleep 0.1
done
echo "systemd did not come up:" >&2
tail -n 20 "$dir/log" >&2
[ -z "$inner" ] || timeout 5 nsenter --target "$inner" --mount --pid -- journalctl --no-pager --lines=20 >&2 || true
end
exit 1
