#!/usr/bin/env bash
# The library's clients with the oldest Python that the package is for, 3.9 out of Debian 11, unpacked under a temporary folder beside numpy
# for it: other_pythons.sh BUILD SOURCE. Skipped (77) where neither can be downloaded. (3.11 and 3.13 are those of bare.sh's releases.)
set -euo pipefail
build=$(realpath "$1") source=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
skip() {
  echo "SKIPPED: $*"
  exit 77
}
mirror=$(awk '/^URIs/ {print $2; exit}' /etc/apt/sources.list.d/debian.sources 2>/dev/null || true)
[[ -n $mirror ]] || skip "no mirror in /etc/apt/sources.list.d/debian.sources"
cd "$work"
python3 - "$mirror" <<'PY' || skip "Debian 11's packages cannot be downloaded"
import lzma, pathlib, re, sys, urllib.request
mirror = sys.argv[1].rstrip("/")
packages = lzma.decompress(urllib.request.urlopen(f"{mirror}/dists/bullseye/main/binary-amd64/Packages.xz", timeout=60).read()).decode()
for name in ("python3.9-minimal", "libpython3.9-minimal", "libpython3.9-stdlib", "libffi7", "libmpdec3", "libssl1.1"):
    entry = re.search(rf"^Package: {re.escape(name)}\n(?:.+\n)*?Filename: (.+)\n", packages, re.M)
    pathlib.Path(f"{name}.deb").write_bytes(urllib.request.urlopen(f"{mirror}/{entry[1]}", timeout=60).read())
PY
for package in *.deb; do dpkg-deb -x "$package" root; done
python3 -m pip download -q --disable-pip-version-check --no-deps --python-version 3.9 --only-binary=:all: -d . numpy==2.0.2 2>/dev/null ||
  skip "numpy for Python 3.9 cannot be downloaded"
python3 -m zipfile -e numpy-*.whl packages
cat >python <<EOF
#!/bin/sh
LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu PYTHONHOME=$work/root/usr PYTHONPATH=\$PYTHONPATH:$work/packages \\
  exec $work/root/usr/bin/python3.9 "\$@"
EOF
chmod +x python
./python -c 'import numpy, sys; print("Python", sys.version.split()[0], "numpy", numpy.__version__)'
"$source/tests/e2e/library.sh" "$build" "$source" "$work/python"
