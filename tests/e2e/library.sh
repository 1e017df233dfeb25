#!/usr/bin/env bash
# Builds examples/cpp against an installation, by CMake and by pkg-config, and compares what they and the Python package say
# with what the program says: library.sh BUILD SOURCE [PYTHON...], with these Pythons instead of the system's
set -euo pipefail
build=$1 source=$2
pythons=("${@:3}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$build" --prefix "$work/prefix" >/dev/null
cmake -G Ninja -S "$source/examples/cpp" -B "$work/examples" -DCMAKE_PREFIX_PATH="$work/prefix" >/dev/null
cmake --build "$work/examples" >/dev/null
PKG_CONFIG_PATH=$work/prefix/lib/pkgconfig
export PKG_CONFIG_PATH
# shellcheck disable=SC2046
g++ -std=c++17 "$source/examples/cpp/features.cpp" -o "$work/by_pkg_config" $(pkg-config --cflags --libs vit22b)
# shellcheck disable=SC2046
gcc -std=c99 -Wall -Werror "$source/examples/c/probe.c" -o "$work/probe_in_c" $(pkg-config --cflags --libs vit22b)

vit=$work/prefix/bin/vit22b
"$vit" model init test8 img_size=16 num_classes=3 --seed 1 --randomize-all --out "$work/m" --quiet
python3 - "$work" <<'PY'
import pathlib, struct, sys, zlib
folder = pathlib.Path(sys.argv[1])
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
for i in range(8):  # four red ones, four blue ones
    rows = b"".join(b"\0" + bytes((200 if c == (2 if i > 3 else 0) else 20) + (x * 7 + y * 13 + i * 5) % 40 for x in range(16) for c in range(3)) for y in range(16))
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (folder / f"p{i}.png").write_bytes(png)
PY
"$vit" features "$work/m" "$work"/p*.png --only pooled,logits --batch 1 --out "$work/said.safetensors" --quiet
for example in "$work/examples/features" "$work/by_pkg_config"; do
  "$example" "$work/m" "$work"/p*.png >"$work/features.txt"
  python3 - "$work" <<'PY'
import json, pathlib, struct, sys
folder = pathlib.Path(sys.argv[1])
raw = (folder / "said.safetensors").read_bytes()
size = struct.unpack("<Q", raw[:8])[0]
first, last = json.loads(raw[8:8 + size])["pooled"]["data_offsets"]
got = b"".join(struct.pack("f", float(v)) for v in (folder / "features.txt").read_text().split())
assert got == raw[8 + size + first:8 + size + last], "an example's features are not the program's bits"
PY
done
[[ $("$work/examples/classify" "$work/m" "$work"/p*.png | wc -l) == 8 ]]
[[ $("$work/examples/probe" "$work/m" "$work"/p{0,1,2}.png -- "$work"/p{4,5,6}.png -- "$work/p3.png" "$work/p7.png" | tr '\n' ' ') == "A B " ]]
[[ $("$work/probe_in_c" "$work/m" "$work/p0.png" "$work/p4.png" "$work/p7.png") == B ]]
python3 "$source/tests/e2e/service.py" "$work/examples/service" "$work/m" "$work/p0.png" "$("$work/examples/features" "$work/m" "$work/p0.png")"
printf '%s\n' "$work"/p*.png >"$work/list.txt"
PATH=$work/prefix/bin:$PATH "$source/examples/shell/features_in_parts.sh" "$work/m" "$work/list.txt" "$work/parts"
[[ -n $(find "$work/parts" -name '*.safetensors') ]]
said=$("$work/examples/features" "$work/nowhere" 2>&1 >/dev/null || true)
[[ $said == *"checkpoint $work/nowhere does not exist"* ]] || { echo "an example says: $said"; exit 1; }

# From Python 3.9 on, which this one may be newer than.
python3 -c '
import ast, pathlib, sys
for file in [*pathlib.Path(sys.argv[1], "python").rglob("*.py"), *pathlib.Path(sys.argv[1], "examples/python").glob("*.py")]:
    ast.parse(file.read_text(), str(file), feature_version=(3, 9))' "$source"
# The package needs numpy; beside PyTorch too, in either order, where script/oracle-env has put it.
export PYTHONPATH=$work/prefix/lib/python3/dist-packages
[[ ${#pythons[@]} -gt 0 ]] || pythons=(/usr/bin/python3 "$source/.deps/oracle/bin/python")
for python in "${pythons[@]}"; do
  "$python" -c 'import numpy' 2>/dev/null || { echo "SKIPPED: the Python package with $python, which has no numpy"; continue; }
  rm -rf "$work"/{one,one-run,trained} && touch "$work/one.toml"
  "$python" "$source/tests/e2e/python_package.py" "$work" "$vit"
  mkdir -p "$work/red" "$work/blue"
  cp "$work"/p{0,1,2}.png "$work/red" && cp "$work"/p{4,5,6}.png "$work/blue"
  said=$("$python" "$source/examples/python/probe.py" "$work/m" "$work/red" "$work/blue" "$work/p7.png")
  [[ $said == *"p7.png is of $work/blue with"* ]] || { echo "the Python example says: $said"; exit 1; }
  mkdir -p "$work/both" && cp "$work"/p?.png "$work/both" && cp "$work/p3.png" "$work/both/again.png"
  said=$("$python" "$source/examples/python/photos.py" "$work/m" "$work/both" "$work/photos.npz")
  [[ $said == "9 photographs, "* && $said == *"duplicates 1.000: $work/both/again.png  $work/both/p3.png"* && -s $work/photos.npz ]] ||
    { echo "the example of photographs says: $said"; exit 1; }
  rm -rf "$work/tuned"
  said=$("$python" "$source/examples/python/finetune.py" "$work/m" "$work/red" "$work/blue" "$work/tuned" 40)
  [[ $("$vit" predict "$work/tuned" "$work/p7.png" --top 1 --quiet) == *" %  1" ]] || { echo "the tuned model errs after $said"; exit 1; }
done
