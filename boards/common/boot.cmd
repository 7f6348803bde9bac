# U-Boot: which slot to start. slot.env on the card's first partition says:
#   slot=a    the slot that was good last
#   try=b     a slot to be tried, as long as
#   left=3    tries are left; each start takes one, and only a gateway that serves confirms (keep)
# A slot that never confirms is left alone after three starts, and the good one comes back by itself.
setenv slot a
setenv try none
setenv left 0
setenv rolled_back 0
if load ${devtype} ${devnum}:1 ${kernel_addr_r} slot.env; then
  env import -t ${kernel_addr_r} ${filesize} slot try left
fi
setenv chosen ${slot}
if test "${try}" = "a" -o "${try}" = "b"; then
  if test "${left}" = "3"; then setenv left 2; setenv chosen ${try};
  elif test "${left}" = "2"; then setenv left 1; setenv chosen ${try};
  elif test "${left}" = "1"; then setenv left 0; setenv chosen ${try};
  else setenv try none; setenv rolled_back 1; fi
  env export -t ${kernel_addr_r} slot try left
  fatwrite ${devtype} ${devnum}:1 ${kernel_addr_r} slot.env ${filesize}
fi
if test "${chosen}" = "b"; then setenv part 3; setenv label slot-b; else setenv part 2; setenv label slot-a; fi
echo "Starting slot ${chosen}"
setenv bootargs "root=LABEL=${label} ro systemd.volatile=state panic=10 quiet gateway.slot=${chosen} gateway.rolled_back=${rolled_back} @CONSOLE@"
load ${devtype} ${devnum}:${part} ${kernel_addr_r} /boot/vmlinuz
load ${devtype} ${devnum}:${part} ${ramdisk_addr_r} /boot/initrd.img
if test -n "${fdt_addr}"; then setenv fdt ${fdt_addr}; else setenv fdt ${fdtcontroladdr}; fi
booti ${kernel_addr_r} ${ramdisk_addr_r}:${filesize} ${fdt}
# Only reached if that slot does not start: again, which costs a try its turn.
sleep 5
reset
