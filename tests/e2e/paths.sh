#!/usr/bin/env bash
# Three people's ways through the program, from an installation and an empty home, each step timed: paths.sh BUILD SOURCE [WORK [WAY...]]
# A researcher gets a table for a paper (`paper`); somebody on a cluster without root runs two ranks, is stopped and goes on (`ranks`);
# somebody with a folder of photographs gets features, duplicates, components and a search (`photos`). All three without a name.
set -euo pipefail
build=$(realpath "$1") source=$(realpath "$2") work=$(realpath -m "${3:-$(mktemp -d)}") ways=" ${*:4} "
[[ $ways == *[a-z]* ]] || ways=" paper ranks photos "
mkdir -p "$work"
trap 'rm -rf "$work"' EXIT
cmake --install "$build" --prefix "$work/prefix" >/dev/null
mkdir -p "$work/home" && cd "$work/home"
export HOME=$work/home PATH=$work/prefix/bin:$PATH PYTHONPATH=$work/prefix/lib/python3/dist-packages OMP_WAIT_POLICY=passive
unset XDG_CACHE_HOME XDG_CONFIG_HOME

fail() {
  echo "$*" >&2
  exit 1
}
# step NAME COMMAND...: its output in NAME.txt, its seconds on stdout.
step() {
  local name=$1 start=$EPOCHREALTIME status=0
  shift
  "$@" >"$name.txt" 2>"$name.err" || status=$?
  awk -v name="$name" -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%-22s %6.1f s\n", name, b - a }'
  [[ $status -eq 0 ]] || fail "$name ended with $status: $(tail -n 3 "$name.err")"
}

# Images of three classes, and one of them twice.
python3 - <<'PY'
import pathlib, random, struct, zlib
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
draw = random.Random(0)
for c, name in enumerate(("red", "green", "blue")):
    for i in range(20):
        pixels = [[200 if k == c else 30 for k in range(3)] for _ in range(64 * 64)]
        rows = b"".join(b"\0" + bytes(min(255, v + draw.randrange(40)) for p in pixels[y * 64:y * 64 + 64] for v in p) for y in range(64))
        file = pathlib.Path("photos") / name / f"{i:02d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
pathlib.Path("photos/blue/again.png").write_bytes(pathlib.Path("photos/blue/03.png").read_bytes())
pathlib.Path("captions.csv").write_text("filepath,caption\n" + "".join(f"photos/{n}/{i:02d}.png,a {n} square\n" for n in ("red", "green", "blue") for i in range(20)))
PY

paper() {
  echo "a table for a paper"
  step inspect vit22b model inspect backbone
  step table /usr/bin/python3 "$source/examples/python/table.py" folder:photos --test-part 20% backbone
  grep -q '^backbone & ' table.txt || fail "no row in $(cat table.txt table.err)"
}
ranks() {
  echo "two ranks, stopped and gone on with"
  cat >train.toml <<'TOML'
model.name = "test8"
model.img_size = 64
model.patch_size = 16
total_steps = 60
ckpt_steps = 1000
data.root = "photos"
data.source = "folder"
data.batch_size = 12
data.pp_train = "decode|rgb|resize(64)|value_range(-1,1)"
data.pp_eval = "decode|rgb|resize(64)|value_range(-1,1)"
mesh.data = 2
TOML
  if [[ -e $build/libvit22b_mpi.so ]]; then
    step whole vit22b train train.toml --procs 2 --out whole
    vit22b train train.toml --procs 2 --out cut >cut.txt 2>cut.err &
    for _ in {1..600}; do
      grep -q 'step 5/' cut.err cut.txt 2>/dev/null && break
      sleep 0.1
    done
    kill -TERM $! && status=0
    wait $! || status=$?
    [[ $status -eq 75 ]] || fail "a stopped run ended with $status: $(tail -n 3 cut.err)"
    step resumed vit22b train train.toml --procs 2 --out cut
    cmp whole/ckpt/latest/model.safetensors cut/ckpt/latest/model.safetensors || fail "the resumed run has other weights"
  else
    echo "skipped: no MPI in this build"
  fi
}
photos() {
  echo "a folder of photographs"
  step features vit22b features backbone photos/ --only pooled --out features.safetensors
  step components vit22b explain backbone photos/blue/00.png photos/red/00.png --method pca --out pictures/
  [[ $(find pictures -name '*.png' | wc -l) -ge 2 ]] || fail "no pictures"
  step duplicates /usr/bin/python3 "$source/examples/python/photos.py" backbone photos
  grep -q '^duplicates 1.000: photos/blue/03.png  photos/blue/again.png' duplicates.txt || fail "no duplicates in $(cat duplicates.txt duplicates.err)"
  cat >lit.toml <<'TOML'
total_steps = 60
loss = "sigmoid"
model = {name = "test8", context_length = 8}
lit = {tokenizer = "train:16", templates = ["{}"]}
data = {source = "manifest", batch_size = 16}
schedule = {name = "constant"}
optim = {name = "adamw", lr = 0.003}
TOML
  step lit vit22b lit lit.toml lit.image_tower=backbone data.root=captions.csv --out lit
  step search "$source/examples/shell/search.sh" lit captions.csv "a green square"
  [[ -s search.txt ]] || fail "nothing was found"
}

step checkpoint vit22b model init b16 img_size=64 depth=2 num_classes=0 --randomize-all --out backbone
for way in paper ranks photos; do
  [[ $ways != *" $way "* ]] || "$way"
done
