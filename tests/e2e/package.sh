#!/usr/bin/env bash
# Unpacks the Debian package and runs what is in it: package.sh BUILD
set -euo pipefail
build=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cpack --config "$build/CPackConfig.cmake" -B "$work" >/dev/null
dpkg-deb -x "$work"/vit22b_*.deb "$work/root"
for file in bin/vit22b lib/libvit22b.so; do
  paths=$(readelf -d "$work/root/usr/$file" | grep -E 'R(UN)?PATH')
  [[ $paths == *'[$ORIGIN/'*vit22b] ]] || { echo "$file looks for libraries elsewhere: $paths"; exit 1; }
done
"$work/root/usr/bin/vit22b" env | grep "^libtorch_path *$work/root/usr/bin/../lib/vit22b$"
"$work/root/usr/bin/vit22b" model init test8 img_size=16 --out "$work/m" --quiet
ls "$work"/root/usr/share/doc/vit22b/copyright "$work/root/usr/share/man/man1/vit22b.1"
dpkg-deb -f "$work"/vit22b_*.deb Depends
