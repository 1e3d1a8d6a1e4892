#!/usr/bin/env bash
# prepare.sh NIX_BIN: what boot.sh's machine gets before systemd starts: a Nix daemon, and lockbot where the README puts
# it, /opt/lockbot. Instead of `pip install`, its virtual environment shows the packages that the tests run with.
set -euo pipefail
nix=$1

ln -s "$nix"/nix* /usr/local/bin/
groupadd --force --system nix-users # Debian's way: only this group reaches the socket
mkdir -p /etc/nix /nix/store /nix/var/nix/daemon-socket
chgrp nix-users /nix/var/nix/daemon-socket
chmod 0770 /nix/var/nix/daemon-socket
# Builders run as root and outside of a sandbox: they sleep, and leave marks beside the fleet.
printf '%s\n' 'build-users-group =' 'sandbox = false' 'substituters =' 'connect-timeout = 2' \
  'experimental-features = nix-command flakes' >/etc/nix/nix.conf
cat >/etc/systemd/system/nix-daemon.socket <<UNIT
[Socket]
ListenStream=/nix/var/nix/daemon-socket/socket
UNIT
cat >/etc/systemd/system/nix-daemon.service <<UNIT
[Service]
ExecStart=$nix/nix-daemon --daemon
KillMode=process
UNIT

python=$(echo /run/python/bin/python3.[0-9]*[0-9])
version=${python##*/}
mkdir -p /opt/lockbot/bin "/opt/lockbot/lib/$version/site-packages"
echo 'home = /run/python/bin' >/opt/lockbot/pyvenv.cfg
printf '%s\n' /run/checkout /run/packages >"/opt/lockbot/lib/$version/site-packages/lockbot.pth"
ln -s "$python" /opt/lockbot/bin/python
printf '%s\n' '#!/opt/lockbot/bin/python' 'from lockbot.cli import main' 'main()' >/opt/lockbot/bin/lockbot
chmod 755 /opt/lockbot/bin/lockbot
if ! ls /run/python/lib/libpython3*.so >/dev/null 2>&1; then exit; fi
echo /run/python/lib >/etc/ld.so.conf.d/0-python.conf # it looks for its library where it was installed
ldconfig
