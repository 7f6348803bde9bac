#!/bin/bash
# Boots a real systemd in namespaces of its own, on an overlay of this machine: nothing it writes outlives it, and it has
# no network. $1: a folder that is /out inside; $1/root is copied over the root first; $1/steps.sh is run inside.
set -eu
mount --make-rprivate /
top=/run/gateway-systemd-test
mkdir -p $top
mount -t tmpfs tmpfs $top
root=$top/root
mkdir $top/upper $top/work $root
mount -t overlay -o lowerdir=/,upperdir=$top/upper,workdir=$top/work overlay $root
mount -t proc proc $root/proc
mount --bind $root/proc/sys $root/proc/sys
mount -o remount,bind,ro $root/proc/sys
mount -t sysfs -o ro sysfs $root/sys
mount -t cgroup2 cgroup2 $root/sys/fs/cgroup
for folder in run tmp var dev; do mount -t tmpfs tmpfs $root/$folder; done
mkdir -p $root/var/lib $root/var/log $root/out
for device in null zero full random urandom tty; do
  touch $root/dev/$device
  mount --bind /dev/$device $root/dev/$device
done
ln -s pts/ptmx $root/dev/ptmx
mount --bind "$1" $root/out
# Only what the test starts is started: no clean-up of /tmp, no time service, no other daemon.
rm -rf $root/usr/lib/systemd/system/*.wants $root/lib/systemd/system/*.wants $root/etc/systemd/system/*
cp -r "$1"/root/. $root/
echo 00000000000040008000000000000001 >$root/etc/machine-id
# A root of its own, not a chroot: systemd builds the service's sandbox by moving mounts.
mkdir $root/old
cd $root
pivot_root . old
umount -l /old
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=test \
  /lib/systemd/systemd --system --unit=test.target --log-target=console --log-level=warning --show-status=no
