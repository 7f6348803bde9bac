# What the scripts of this folder share. Sourced from the repository's root, bash.

out=target/boards

say() { printf '== %s\n' "$*" >&2; }
fail() {
  printf '%s\n' "$*" >&2
  exit 1
}

# The value of KEY in SECTION of a small TOML file: one `key = value` a line, no nesting.
toml() {
  awk -v section="[$2]" -v key="$3" '
    /^\[/ { here = $1 }
    here == section || (section == "[]" && here == "") {
      if ($1 == key && $2 == "=") {
        sub(/^[^=]*= */, ""); sub(/ +#.*$/, ""); gsub(/^"|"$/, ""); print; exit
      }
    }' "$1"
}

# BOARD|ARCH to its architecture.
arch_of() {
  if [ -n "$(toml boards/common/arch.toml "$1" target)" ]; then
    printf '%s\n' "$1"
  elif [ -f "boards/$1/board.toml" ]; then
    toml "boards/$1/board.toml" "" arch
  else
    fail "there is no board or architecture \"$1\"; boards: $(cd boards && ls -d */board.toml | sed 's|/board.toml||' | paste -sd' '); architectures: aarch64 armv7 armv6"
  fi
}

# Installs the Debian packages named that are not there yet.
debian() {
  local missing=() name
  for name in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  say "installing ${missing[*]}"
  local sudo=""
  [ "$(id -u)" -eq 0 ] || sudo=sudo
  {
    $sudo apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}"
  } >&2 </dev/null
}

# Lets the kernel run programs of the other architectures, for root file systems of theirs.
foreign_programs() {
  debian qemu-user-static
  local formats=/proc/sys/fs/binfmt_misc
  [ -e $formats/register ] || mount -t binfmt_misc none $formats || fail "this kernel runs no foreign programs (binfmt_misc)"
  local zeros='\x00\x00\x00\x00\x00\x00\x00\x00\x00'
  local mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
  [ -e $formats/qemu-aarch64 ] || printf '%s' ":qemu-aarch64:M::\\x7fELF\\x02\\x01\\x01$zeros\\x02\\x00\\xb7\\x00:$mask:/usr/bin/qemu-aarch64-static:OCF" >$formats/register
  [ -e $formats/qemu-arm ] || printf '%s' ":qemu-arm:M::\\x7fELF\\x01\\x01\\x01$zeros\\x02\\x00\\x28\\x00:$mask:/usr/bin/qemu-arm-static:OCF" >$formats/register
}
