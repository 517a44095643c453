#!/usr/bin/env bash
# The tests of the vector kernels where AVX-512 is: on this processor if it has it, else in an emulator of one (Bochs, as the
# Core i7-7800X), which boots Debian's kernel with the test binary and busybox as all there is. Three minutes of
# processor time. On Debian as root it installs what it needs; the kernel is downloaded into .cache/avx512 and not installed.
# PITBOSS_SEED and PITBOSS_ROUNDS reach the tests.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tests='^Test(BitsAreTheSame|PropertyKernels|KernelThat|LayoutForAssembly)'
export PITBOSS_REQUIRE_AVX512=1

die() { echo "avx512: $*" >&2; exit 1; }

if grep -qw avx512f /proc/cpuinfo && grep -qw avx512dq /proc/cpuinfo; then
  echo "avx512: this processor has it"
  exec scripts/gotest.sh --no-skips -run "$tests" ./models
fi

# install installs the Debian packages that are not there.
install() {
  local package missing=()
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$package")
  done
  [ "${#missing[@]}" -gt 0 ] || return 0
  echo "avx512: installing ${missing[*]}"
  [ "$(id -u)" -eq 0 ] || die "that takes root: apt-get install ${missing[*]}"
  apt-get update -q >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" >/dev/null
}

# fetch_kernel writes Debian's smallest kernel to a file.
fetch_kernel() {
  local package
  package=$(apt-cache depends linux-image-cloud-amd64 | awk '$1 == "Depends:" && $2 ~ /^linux-image-.*-cloud-amd64$/ { print $2; exit }')
  [ -n "$package" ] || die "apt-cache knows no linux-image-cloud-amd64: apt-get update"
  echo "avx512: downloading $package"
  (cd "$tmp" && apt-get download -q -o APT::Sandbox::User=root "$package" >/dev/null)
  mkdir "$tmp/kernel"
  dpkg-deb --fsys-tarfile "$tmp"/linux-image-*.deb | tar -x -C "$tmp/kernel" --wildcards './boot/vmlinuz-*'
  mv "$tmp"/kernel/boot/vmlinuz-* "$1.part"
  mv "$1.part" "$1"
}

# pack writes the disk: what boots, the test binary with what it reads, and an init that runs it.
pack() {
  mkdir -p "$tmp/disk" "$tmp/root/bin" "$tmp/root/proc" "$tmp/root/dev"
  CGO_ENABLED=0 GOOS=linux GOARCH=amd64 go test -c -ldflags '-s -w' -o "$tmp/root/models.test" ./models
  cp -r models/testdata "$tmp/root/"
  cp /bin/busybox "$tmp/root/bin/"
  # Garbage is not worth collecting here. The sleep is for the serial port, which the last words have to leave by.
  cat >"$tmp/root/init" <<END
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox grep -m 1 'model name' /proc/cpuinfo
export GOGC=off GOMEMLIMIT=500MiB PITBOSS_REQUIRE_AVX512=1 PITBOSS_SEED='${PITBOSS_SEED:-}' PITBOSS_ROUNDS='${PITBOSS_ROUNDS:-}'
/models.test -test.v -test.run '$tests'
echo "exit code \$?"
/bin/busybox sleep 1
/bin/busybox poweroff -f
END
  chmod +x "$tmp/root/init"
  (cd "$tmp/root" && find . | cpio -o -H newc --quiet) >"$tmp/disk/initrd"
  cp "$1" "$tmp/disk/vmlinuz"
  cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$tmp/disk/"
  # Bochs 2.7 gives a wrong size for XSAVEC's area, for which Linux would do without AVX altogether.
  cat >"$tmp/disk/isolinux.cfg" <<END
default tests
prompt 0
label tests
  kernel vmlinuz
  append initrd=initrd console=ttyS0 quiet mitigations=off cryptomgr.notests clearcpuid=xsavec,xsaves
END
  genisoimage -quiet -o "$tmp/disk.iso" -b isolinux.bin -c boot.cat -no-emul-boot -boot-load-size 4 -boot-info-table "$tmp/disk"
}

# emulate boots the disk; what the tests print goes to $tmp/serial. Bochs ends with 1 when the machine is switched off.
emulate() {
  cat >"$tmp/bochsrc" <<END
config_interface: textconfig
display_library: sdl2
plugin_ctrl: speaker=0
cpu: model=corei7_skylake_x, count=1, ips=10000000, reset_on_triple_fault=0
memory: guest=1024, host=1024
romimage: file=/usr/share/bochs/BIOS-bochs-latest, options=fastboot
vgaromimage: file=/usr/share/vgabios/vgabios.bin
ata0-master: type=cdrom, path=$tmp/disk.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$tmp/serial
clock: sync=none, time0=1700000000
log: $tmp/bochs.log
panic: action=fatal
error: action=ignore
END
  # Debian builds Bochs with its debugger, which waits for the word to continue. In the foreground, so that what ends this
  # script ends it too.
  SDL_VIDEODRIVER=dummy timeout --foreground --signal=KILL 1200 bochs -q -f "$tmp/bochsrc" >"$tmp/bochs.out" 2>&1 <<<c || true
}

cache=.cache/avx512
mkdir -p "$cache"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
[ "$(uname -sm)" = "Linux x86_64" ] && command -v dpkg-query >/dev/null || die "neither AVX-512 nor Debian for amd64 here: run it where one of them is"
install bochs bochs-sdl bochsbios vgabios busybox-static cpio genisoimage isolinux syslinux-common
[ -s "$cache/vmlinuz" ] || fetch_kernel "$cache/vmlinuz"
pack "$cache/vmlinuz"
echo "avx512: running the tests in Bochs $(dpkg-query -W -f '${Version}' bochs)"
emulate
tr -d '\r' <"$tmp/serial" >"$cache/output" || die "Bochs did not boot: $(tail -n 5 "$tmp/bochs.out")"
grep -vE '^(=== |\[)' "$cache/output" || true
for line in 'exit code 0' '--- PASS: TestBitsAreTheSameEverywhere' '--- PASS: TestPropertyKernelsGiveTheSameBits'; do
  grep -q -e "^$line" "$cache/output" || die "no line \"$line\": the output is in $cache/output, the last words of Bochs are $(tail -n 3 "$tmp/bochs.log")"
done
