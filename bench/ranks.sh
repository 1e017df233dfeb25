#!/usr/bin/env bash
# A b16 training step of 16 images (fp32, AdamW) on two ranks with a thread each, against one process with two threads,
# in turn: bench/ranks.sh [RUNS] (default 5). Prints medians of the third step's rate and each ratio.
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${1:-5}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
pp='decode|rgb|resize(224)|value_range(-1,1)'
train() {
  local name=$1
  shift
  rm -rf "$folder/run"
  build/release/vit22b train configs/train/fashion_mnist.toml total_steps=3 warmup_steps=1 cooldown_steps=0 log_steps=1 \
    eval_steps=1000 ckpt_steps=1000 data.batch_size=16 model.name=b16 model.img_size=224 model.in_chans=3 \
    "data.pp_train=$pp" "data.pp_eval=$pp" data.val= optim.name=adamw --quiet --out "$folder/run" "$@" >"$folder/log" 2>&1 || {
    cat "$folder/log" >&2
    exit 1
  }
  python3 -c "import json; print([json.loads(l) for l in open('$folder/run/metrics.jsonl')][-1]['img_per_sec'])" >>"$folder/$name"
}
for ((i = 0; i < runs; ++i)); do
  train one threads=2
  train data threads=1 mesh.data=2 --procs 2
  train model threads=1 mesh.model=2 --procs 2
done
python3 - "$folder" <<'P'
import statistics, sys
rates = {n: [float(x) for x in open(f"{sys.argv[1]}/{n}")] for n in ("one", "data", "model")}
one = statistics.median(rates["one"])
for name, text in (("one", "one process, two threads"), ("data", "2 x 1, one thread each"), ("model", "1 x 2, one thread each")):
    r = rates[name]
    print(f"{text}: {statistics.median(r):.3f} img/s ({min(r):.3f}-{max(r):.3f}), {statistics.median(r) / one:.3f} of one process")
P
