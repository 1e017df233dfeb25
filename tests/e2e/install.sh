#!/usr/bin/env bash
# Installs to a prefix and runs the program while the build's own copy is out of the way.
set -euo pipefail
build=$1
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT
cmake --install "$build" --prefix "$prefix" >/dev/null
! readelf -d "$prefix/bin/vit22b" | grep -E 'R(UN)?PATH' | grep -q "$build" || { echo "the run path names the build tree"; exit 1; }
"$prefix/bin/vit22b" env | grep -E '^libtorch(_path)? '
"$prefix/bin/vit22b" model show 22b14 num_classes=29593 | tail -n 3
[[ -e $prefix/share/vit22b/configs/train/fashion_mnist.toml ]]
grep -q 'complete .*-F _vit22b vit22b' "$prefix/share/bash-completion/completions/vit22b"
grep -q '^\.SH EXIT STATUS' "$prefix/share/man/man1/vit22b.1"
